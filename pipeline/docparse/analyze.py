"""Analyze: what each region says. The stage writes the files; who reads is an analyst chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.analysis import Analyst, supported
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import to_file
from pipeline.docparse.render import read_text


def make_analyst(params: DocparseParams) -> Analyst:
    """The analyst that the parameters name."""
    from pipeline.docparse.textlayer.analyst import TextLayerAnalyst

    assert params.analyst.name == TextLayerAnalyst.name
    return TextLayerAnalyst()


class AnalyzeStage(MapStage):
    """Writes `regions/region-0001.{caption.txt,struct.json,facts.jsonl}` … and hands on captions, tables and facts."""

    name = "analyze"
    version = "1"
    requires = ("render", "regions")
    done_word = "analysed"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params
        self._analyst = make_analyst(params)

    def key_parts(self) -> Mapping[str, Any]:
        """The analyst with its version."""
        return {**self._params.stage_values("analyst"), "analyst_version": self._analyst.version}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Analyse the regions of pages."""
        return [self._analyse(task) for task in batch]

    def _analyse(self, task: Task) -> Output:
        regions = read_regions(task.site.run_dir, task.item.folder)
        text = read_text(task.site.run_dir, task.item.folder)
        told = []
        kept_facts = dropped = 0
        for region, analysis in zip(regions, self._analyst.analyse(regions, text), strict=True):
            facts = supported(analysis.facts, region, text)
            kept_facts += len(facts)
            dropped += len(analysis.facts) - len(facts)
            stem = f"regions/region-{region.number:04d}"
            task.writer.write(f"{stem}.caption.txt", analysis.caption.encode() + b"\n", "caption")
            task.writer.write(f"{stem}.struct.json", to_file(analysis.struct), "struct")
            lines = b"".join(fact.model_dump_json().encode() + b"\n" for fact in facts)
            task.writer.write(f"{stem}.facts.jsonl", lines, "facts")
            told.append(
                {
                    "caption": analysis.caption,
                    "rows": [list(row) for row in analysis.struct.rows],
                    "facts": [fact.model_dump(mode="json") for fact in facts],
                }
            )
        return Output({"regions": told}, metrics={"facts": kept_facts, "facts_without_evidence": dropped})
