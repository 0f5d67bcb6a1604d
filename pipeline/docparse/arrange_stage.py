"""Arrange: which of the raw boxes are regions, how they hang together, and in which order they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.labels import Label
from pipeline.docparse.page_files import ARRANGED, RAW, arranged_to_json, raw_from_json
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import Detection


class ArrangeStage(MapStage):
    """Writes `arrange.json` for every page: the detections that stay, and what each step took away or joined."""

    name = "arrange"
    version = "1"
    requires = ("render", "detect")
    done_word = "arranged"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """Thresholds and labels."""
        return {"min_score": self._params.detector.min_score, "labels": self._params.detector.labels}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Arrange pages."""
        return [self._arrange(task) for task in batch]

    def _arrange(self, task: Task) -> Output:
        raw = raw_from_json((task.site.run_dir / task.item.folder / RAW).read_bytes())
        assert raw.composed is not None
        chosen = self._params.detector
        kept = above(raw.composed, chosen.min_score, chosen.labels)
        steps = [{"step": "threshold", "before": len(raw.composed), "after": len(kept)}]
        task.writer.write(ARRANGED, arranged_to_json(kept, steps), "arranged")
        return Output({"detections": len(kept)}, metrics={"kept": len(kept)})


def above(found: Sequence[Detection], min_score: float, labels: Sequence[Label]) -> list[Detection]:
    """Those detections that score enough and have a wanted label.

    What was inside one that goes is then inside whatever held that; an arrow keeps its ends where their nodes stay.
    """
    kept = [index for index, one in enumerate(found) if one.score >= min_score and one.label in labels]
    renumber = {old: new for new, old in enumerate(kept)}

    def container(index: int | None) -> int | None:
        while index is not None and index not in renumber:
            index = found[index].parent
        return None if index is None else renumber[index]

    return [
        replace(
            found[index],
            parent=container(found[index].parent),
            start=_still(found[index].start, renumber),
            end=_still(found[index].end, renumber),
        )
        for index in kept
    ]


def _still(index: int | None, renumber: Mapping[int, int]) -> int | None:
    return None if index is None else renumber.get(index)
