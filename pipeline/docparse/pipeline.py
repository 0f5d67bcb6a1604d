"""docparse: documents → pages → regions → records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.pipeline import Pipeline, Scan
from pipeline.core.stage import Stage
from pipeline.docparse.analyze import analyze_stage
from pipeline.docparse.arrange_stage import ArrangeStage
from pipeline.docparse.detect import DetectStage
from pipeline.docparse.given_params import GivenParams, with_digest
from pipeline.docparse.ocr import OcrStage
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.records import RecordsStage
from pipeline.docparse.regions_stage import RegionsStage
from pipeline.docparse.render import RenderStage
from pipeline.docparse.scan import scan
from pipeline.docparse.segment_stage import SegmentStage, make_segmenter

if TYPE_CHECKING:
    from pipeline.core.outcome import Outcomes
    from pipeline.core.report import ReportTable


def _stages(params: DocparseParams) -> Sequence[Stage]:
    segmenter = make_segmenter(params)
    return (
        RenderStage(params),
        *([OcrStage(params)] if params.ocr.name != "none" else []),
        DetectStage(params),
        ArrangeStage(params),
        *([SegmentStage(params, segmenter)] if segmenter else []),
        RegionsStage(params),
        analyze_stage(params),
        RecordsStage(params),
    )


def _means(params: DocparseParams) -> str:
    named = {
        "ocr": params.ocr.name,
        "detector": params.detector.name,
        "segmenter": params.segmenter.name,
        "analyst": params.analyst.name,
    }
    chosen = [f"{part} {name}" for part, name in named.items() if name != "none"]
    return " · ".join([*chosen, f"{params.dpi} dpi"])


def _settle(params: DocparseParams, workspace: Path) -> DocparseParams:
    if not isinstance(params.detector, GivenParams):
        return params
    return params.model_copy(update={"detector": with_digest(params.detector, workspace)})


def _scan(params: DocparseParams, workspace: Path) -> Scan:
    """The pages, each with the corrected regions attached where such are given."""
    found = scan(params, workspace)
    if not isinstance(params.detector, GivenParams):
        return found
    from pipeline.docparse.given_pages import attached

    return attached(found, params.detector, workspace)


def _tables(run_dir: Path, outcomes: Outcomes) -> Sequence[ReportTable]:
    from pipeline.docparse.coverage import tables

    return tables(run_dir, outcomes)


PIPELINE = Pipeline(
    "docparse", "2", DocparseParams, _scan, _stages, settle=_settle, noun="page", means=_means, tables=_tables
)
