"""Analyze: what each region says. The stage writes the files; who reads is an analyst chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.analysis import Analysis, supported
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import Region, to_file
from pipeline.docparse.render import read_text
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.words import PageText


def analyze_stage(params: DocparseParams) -> MapStage:
    """The stage of the analyst that the parameters name."""
    if isinstance(params.analyst, OpenAiParams):
        from pipeline.docparse.vlm.stage import VisionAnalyzeStage

        return VisionAnalyzeStage(params, params.analyst)
    return AnalyzeStage(params)


class AnalyzeStage(MapStage):
    """Writes `regions/region-0001.{caption.txt,struct.json,facts.jsonl}` … and hands on captions, tables and facts."""

    name = "analyze"
    version = "2"
    requires = ("render", "regions")
    done_word = "analysed"

    def __init__(self, params: DocparseParams) -> None:
        from pipeline.docparse.textlayer.analyst import TextLayerAnalyst

        self._params = params
        self._analyst = TextLayerAnalyst()

    def key_parts(self) -> Mapping[str, Any]:
        """The analyst with its version."""
        return {**self._params.stage_values("analyst"), "analyst_version": self._analyst.version}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Analyse the regions of pages."""
        return [self._analyse(task) for task in batch]

    def _analyse(self, task: Task) -> Output:
        regions = read_regions(task.site.run_dir, task.item.folder)
        text = read_text(task.site.run_dir, task.item.folder)
        analyses = self._analyst.analyse(regions, text)
        told, facts, dropped = write_analyses(task.writer, regions, analyses, text)
        return Output({"regions": told}, metrics={"facts": facts, "facts_without_evidence": dropped})


def write_analyses(
    writer: ArtifactWriter, regions: Sequence[Region], analyses: Sequence[Analysis], text: PageText
) -> tuple[list[dict[str, Any]], int, int]:
    """Write what was said about a page's regions: (what later stages read, facts kept, facts without evidence)."""
    told: list[dict[str, Any]] = []
    kept = dropped = 0
    for region, analysis in zip(regions, analyses, strict=True):
        facts = supported(analysis.facts, region, text)
        kept += len(facts)
        dropped += len(analysis.facts) - len(facts)
        stem = f"regions/region-{region.number:04d}"
        writer.write(f"{stem}.caption.txt", analysis.caption.encode() + b"\n", "caption")
        writer.write(f"{stem}.struct.json", to_file(analysis.struct), "struct")
        lines = b"".join(fact.model_dump_json().encode() + b"\n" for fact in facts)
        writer.write(f"{stem}.facts.jsonl", lines, "facts")
        told.append(
            {
                "caption": analysis.caption,
                "rows": [list(row) for row in analysis.struct.rows],
                "facts": [fact.model_dump(mode="json") for fact in facts],
            }
        )
    return told, kept, dropped
