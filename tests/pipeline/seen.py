"""A pipeline of made pages that a model is asked about: drawn → regions → analyze → said. No document, no detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from pipeline.core.files import sha256_file
from pipeline.core.manifest import Item, Source, item_id
from pipeline.core.pipeline import Pipeline, Scan
from pipeline.core.stage import MapStage, Output, ReduceStage, Reduction, Stage, Task
from pipeline.docparse.analyze import analyze_stage
from pipeline.docparse.page_files import regions_to_lines
from pipeline.docparse.params import DocparseParams
from tests.pipeline.vlm_pages import HEIGHT, WIDTH, simple_page


class Drawn(MapStage):
    """Writes a page's picture and words; on a box only."""

    name = "render"
    version = "1"
    reads_sources = True

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Draw frames, numbered so that no two pages are the same."""
        return [self._draw(task) for task in batch]

    def _draw(self, task: Task) -> Output:
        number = int(task.site.sources.path(task.item.source).read_text())
        regions, text = simple_page(number)
        pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        for region in regions:
            left, top, right, bottom = (round(side) for side in region.box)
            cv2.rectangle(pixels, (left, top), (right, bottom), (0, 0, 0), 1)
        cv2.putText(pixels, str(number), (120, 200), cv2.FONT_HERSHEY_SIMPLEX, 2, (0, 0, 0), 2)
        task.writer.write("page.png", bytes(cv2.imencode(".png", pixels)[1]), "page-image")
        task.writer.write("words.json", text.to_json(), "words")
        return Output({"number": number})


class Described(MapStage):
    """Writes the regions."""

    name = "regions"
    version = "1"
    requires = ("render",)

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Write them."""
        outputs = []
        for task in batch:
            regions, _ = simple_page(task.inputs["render"]["number"])
            task.writer.write("regions.jsonl", regions_to_lines(regions), "regions")
            outputs.append(Output({"regions": len(regions)}))
        return outputs


class SaidStage(ReduceStage):
    """Writes what was said of all pages."""

    name = "said"
    version = "1"
    requires = ("analyze",)

    def reduce(self, reduction: Reduction) -> Output:
        """Captions in order."""
        captions = [region["caption"] for _, outputs in reduction.rows() for region in outputs["analyze"]["regions"]]
        reduction.writer.write("said.json", orjson.dumps(captions), "said")
        return Output({"captions": len(captions)})


def _scan(params: DocparseParams, workspace: Path) -> Scan:
    items = []
    for path in sorted((workspace / params.sources[0]).iterdir()):
        relative = path.relative_to(workspace).as_posix()
        sha256 = sha256_file(path)
        source = Source(path=relative, sha256=sha256, bytes=path.stat().st_size, media_type="text/plain")
        items.append(
            Item(item_id=item_id(sha256, relative, 1), group=f"{path.stem}-{sha256[:8]}", page=1, source=source)
        )
    return Scan(items)


def _stages(params: Any) -> Sequence[Stage]:
    return Drawn(), Described(), analyze_stage(params), SaidStage()


PIPELINE = Pipeline("seen", "1", DocparseParams, _scan, _stages, noun="page")
