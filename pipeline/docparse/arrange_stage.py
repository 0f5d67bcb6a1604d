"""Arrange: which of the raw boxes are regions, how they hang together, and in which order they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.arrange import page as pages
from pipeline.docparse.page_files import ARRANGED, RAW, arranged_to_json, raw_from_json
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.render import read_text

DECIDED_HERE = ("prompts", "negative_prompts", "labels", "min_score", "label_score")
"""Those parameters of a detector that say what becomes of its boxes."""


class ArrangeStage(MapStage):
    """Writes `arrange.json` for every page: the detections that stay, and what each step took away or joined."""

    name = "arrange"
    version = pages.VERSION
    done_word = "arranged"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params
        # A detector may do without a page's words; what is done with its boxes does not.
        self.requires = ("render", "detect") if params.ocr.name == "none" else ("render", "ocr", "detect")

    def key_parts(self) -> Mapping[str, Any]:
        """Thresholds, labels, phrases, and how every step is set."""
        values = self._params.stage_values("detector", "arrange")
        return {
            "arrange": values["arrange"],
            "detector": {name: value for name, value in values["detector"].items() if name in DECIDED_HERE},
        }

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Arrange pages."""
        return [self._arrange(task) for task in batch]

    def _arrange(self, task: Task) -> Output:
        raw = raw_from_json((task.site.run_dir / task.item.folder / RAW).read_bytes())
        text = read_text(task.site.run_dir, task.item.folder)
        arranged = pages.arrange(raw, (text.width, text.height), text, self._params.arrange, self._params.detector)
        task.writer.write(ARRANGED, arranged_to_json(arranged.detections, arranged.log), "arranged")
        kept = len(arranged.detections)
        return Output({"detections": kept}, metrics={"kept": kept})
