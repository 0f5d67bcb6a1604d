"""Segment: which pixels belong to each kept box. A stage of runs that name a segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.page_files import MASKS, masks_to_json, read_arranged
from pipeline.docparse.page_image import page_image
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.segmenting import Segmenter
from pipeline.docparse.words import Box
from pipeline.models.sam2.params import Sam2Params


def make_segmenter(params: DocparseParams) -> Segmenter | None:
    """The segmenter that the parameters name, made without loading what it needs; None when they name none."""
    chosen = params.segmenter
    if not isinstance(chosen, Sam2Params):
        return None
    from pipeline.docparse.sam2_segmenter import Sam2Segmenter

    return Sam2Segmenter(chosen)


class SegmentStage(MapStage):
    """Writes `masks.json` for every page, one mask for each detection of `arrange.json`."""

    name = "segment"
    version = "1"
    requires = ("render", "arrange")
    done_word = "segmented"

    def __init__(self, params: DocparseParams, segmenter: Segmenter) -> None:
        self._params = params
        self._segmenter = segmenter
        self.device = True
        self.batch_size = segmenter.batch_size

    def key_parts(self) -> Mapping[str, Any]:
        """The segmenter with all that changes its answers."""
        return {
            "segmenter": self._segmenter.name,
            "segmenter_version": self._segmenter.version,
            "segmenter_parts": dict(self._segmenter.key_parts()),
        }

    def libraries(self) -> Mapping[str, str]:
        """The segmenter's libraries."""
        return self._segmenter.libraries()

    def setup(self) -> None:
        """Set the segmenter up."""
        self._segmenter.setup()

    def teardown(self) -> None:
        """Let go of what the segmenter holds."""
        self._segmenter.teardown()

    def prepare(self, task: Task) -> Any:
        """Get the page's pixels and boxes without a mask; None for a page that has none, which needs no pixels."""
        found = read_arranged(task.site.run_dir, task.item.folder)
        boxes: list[Box] = [one.box for one in found if one.mask is None]
        return (page_image(task, self._params), boxes) if boxes else None

    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Cut masks."""
        filled = [prepared for prepared in batch if prepared is not None]
        if not filled:
            return [[] for _ in batch]
        pages, boxes = zip(*filled, strict=True)
        cut = iter(self._segmenter.segment(pages, boxes))
        return [[] if prepared is None else next(cut) for prepared in batch]

    def finish(self, task: Task, result: Any) -> Output:
        """Keep them as run lengths over the page."""
        from pipeline.docparse.masks import checked, region_mask

        page = task.inputs["render"]
        cut = iter(result)
        masks = [
            one.mask or region_mask(checked(next(cut), one.box), page["width"], page["height"])
            for one in read_arranged(task.site.run_dir, task.item.folder)
        ]
        task.writer.write(MASKS, masks_to_json(masks), "masks")
        counts: dict[str, float] = {"masks": len(masks)}
        for flag in (flag for mask in masks for flag in mask.flags):
            name = f"masks_{flag.replace('-', '_')}"
            counts[name] = counts.get(name, 0.0) + 1
        return Output({"masks": len(masks)}, metrics=counts)
