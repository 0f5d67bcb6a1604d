"""docparse: documents → pages → regions → records."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.pipeline import Pipeline
from pipeline.core.stage import Stage
from pipeline.docparse.analyze import AnalyzeStage
from pipeline.docparse.detect import DetectStage
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.records import RecordsStage
from pipeline.docparse.render import RenderStage
from pipeline.docparse.scan import scan


def _stages(params: DocparseParams) -> Sequence[Stage]:
    return RenderStage(params), DetectStage(params), AnalyzeStage(params), RecordsStage(params)


def _means(params: DocparseParams) -> str:
    return f"detector {params.detector.name} · analyst {params.analyst.name} · {params.dpi} dpi"


PIPELINE = Pipeline("docparse", "1", DocparseParams, scan, _stages, noun="page", means=_means)
