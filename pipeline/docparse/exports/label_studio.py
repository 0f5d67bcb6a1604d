"""The regions of a run as Label Studio's tasks with predictions, and the labelling configuration to open them with.

Regions are rectangles in percent of the picture, with their containers as `parentID` and an arrow's ends as relations;
masks are brush strokes of their own. A result's id is its region's id (a mask's ends with `-mask`), so that what comes
back from an annotator is known again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from pipeline.docparse.colours import COLOURS
from pipeline.docparse.exports.brush import to_brush
from pipeline.docparse.exports.coco import own_keys
from pipeline.docparse.exports.pages import PageRegions
from pipeline.docparse.labels import LABELS
from pipeline.docparse.regions import Region
from pipeline.docparse.run_lengths import crop_of

BOX, MASK, IMAGE = "label", "mask", "image"
"""Names of the configuration's parts: rectangles, brush strokes, the picture."""
OWN = "regions"
"""Where a task's data keeps our own keys by region: Label Studio returns data as it was, results only in part."""
MASK_SUFFIX = "-mask"
LEAVES, POINTS_TO = "from", "to"
"""Relations of an arrow to its nodes."""


def tasks(pages: Iterable[PageRegions], image_prefix: str) -> Iterator[bytes]:
    """A JSON list of tasks, piece by piece; a picture's URL is `image_prefix` and its path in the run folder."""
    yield b"["
    for number, page in enumerate(pages):
        yield (b",\n" if number else b"\n") + orjson.dumps(task(page, image_prefix))
    yield b"\n]\n"


def task(page: PageRegions, image_prefix: str) -> dict[str, Any]:
    """One page with what was found on it as a prediction."""
    regions = page.regions
    score = sum(region.score for region in regions) / len(regions) if regions else 0.0
    by = f"{regions[0].detector.name}@{regions[0].detector.version}" if regions else "none"
    results = [result for region in regions for result in _results(page, region)]
    return {
        "data": {
            IMAGE: f"{image_prefix}{page.image}",
            "document": page.item.group,
            "page": page.item.page,
            "source": page.item.source.path,
            "width": page.width,
            "height": page.height,
            OWN: {region.id: own_keys(region) for region in regions},
        },
        "predictions": [{"model_version": by, "score": round(score, 4), "result": results}],
    }


def _results(page: PageRegions, region: Region) -> Iterator[dict[str, Any]]:
    x, y, width, height = region.bbox_px
    common = {
        "to_name": IMAGE, "original_width": page.width, "original_height": page.height, "image_rotation": 0,
        "score": region.score,
    }  # fmt: skip
    value = {
        "x": 100 * x / page.width, "y": 100 * y / page.height, "width": 100 * width / page.width,
        "height": 100 * height / page.height, "rotation": 0, "rectanglelabels": [region.label],
    }  # fmt: skip
    rectangle = {"id": region.id, "from_name": BOX, "type": "rectanglelabels", **common, "value": value}
    if region.parent is not None:
        rectangle["parentID"] = region.parent
    yield rectangle | {"meta": {"text": [region.text]}}
    if region.segmentation is not None:
        brush = to_brush(*crop_of(region.segmentation), page.width, page.height)
        yield {
            "id": f"{region.id}{MASK_SUFFIX}", "from_name": MASK, "type": "brushlabels", **common,
            "value": {"format": "rle", "rle": brush, "brushlabels": [region.label]},
        }  # fmt: skip
    for node, what in ((region.from_node, LEAVES), (region.to_node, POINTS_TO)):
        if node is not None:
            yield {
                "from_id": region.id, "to_id": node, "type": "relation", "direction": "right", "labels": [what],
            }  # fmt: skip


def configuration() -> bytes:
    """The labelling configuration: rectangles and brush strokes with our labels, relations for the ends of arrows."""

    def labels(indent: str) -> list[str]:
        return [f"{indent}<Label value={quoteattr(one)} background={quoteattr(COLOURS[one])}/>" for one in LABELS]

    lines = [
        "<View>",
        f'  <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true"/>',
        f'  <RectangleLabels name="{BOX}" toName="{IMAGE}">', *labels("    "), "  </RectangleLabels>",
        f'  <BrushLabels name="{MASK}" toName="{IMAGE}">', *labels("    "), "  </BrushLabels>",
        "  <Relations>", f'    <Relation value="{LEAVES}"/>', f'    <Relation value="{POINTS_TO}"/>', "  </Relations>",
        "</View>",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()
