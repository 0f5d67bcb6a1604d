"""The `given` detector: regions that people corrected, as the truth for everything after detection.

What the file tells of a region is kept: its container, the ends of an arrow, its place in reading order, its mask. What
it does not tell is made as for any detector. Boxes that nobody touched keep their regions' ids, which are made of them.
"""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import ItemError, StageCrash, UsageError
from pipeline.core.files import sha256_file, write_atomic
from pipeline.core.manifest import read_manifest
from pipeline.docparse.arrange.candidates import Candidate
from pipeline.docparse.arrange.page import in_reading_order, related
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.exports.brush import from_brush
from pipeline.docparse.geometry import clipped, iou
from pipeline.docparse.given_files import GivenImage, GivenRegion
from pipeline.docparse.given_pages import check
from pipeline.docparse.given_params import GivenParams
from pipeline.docparse.raw import PageImage, RawPage
from pipeline.docparse.regions import Detection, RegionMask, Rle, SegmenterName, region_id
from pipeline.docparse.run_lengths import BadRunLengths, area_px, crop_of, pack, rle_of
from pipeline.docparse.words import Box

SAME_SHAPE = 0.01
"""A picture of another size is the same page when its sides have this page's proportion, but for rounding."""
LEFT_BEHIND_IOU = 0.5
"""A mask whose bounds agree less with a box that was changed was left behind; one of an untouched box stays, however
poor it is."""
RULE_PX = 3.0
"""Rules of a table further outside of its box were left behind when the box was moved."""
ROUNDING_PX = 0.1
"""Files round to this; a box that leaves the page by no more is not cut, so that it comes back as it was."""
DECIMALS = 3


class GivenDetector:
    """Tells what a file says of a page; looks at no pixels but for their number."""

    name = "given"
    version = "1"
    device = False
    batch_size = 1
    reads_words = False

    def __init__(self, params: GivenParams) -> None:
        self._params = params
        self._open: tuple[str, _Split] | None = None

    def key_parts(self) -> Mapping[str, Any]:
        """The file's content and how its labels are read."""
        return {
            "sha256": self._params.sha256,
            "label_map": dict(self._params.label_map),
            "other_pages": self._params.other_pages,
        }

    def libraries(self) -> Mapping[str, str]:
        """None: what is given is taken."""
        return {}

    def setup(self) -> None:
        """It needs nothing."""

    def teardown(self) -> None:
        """Forget the file."""
        self._open = None

    def find(self, pages: Sequence[PageImage]) -> list[RawPage]:
        """The given regions of every page.

        Raises:
            StageCrash: the file is not the planned one.
            ItemError: a page's picture has another shape, or its regions hang together in a circle.
        """
        return [self._find(page) for page in pages]

    def _find(self, page: PageImage) -> RawPage:
        assert page.item is not None
        assert page.origin is not None
        assert page.origin.scratch is not None
        path = page.origin.attached.get(self._params.regions)
        if path is None:
            raise StageCrash(f"the run's manifest does not name {self._params.regions!r}: plan the run again")
        if self._open is None or self._open[0] != page.origin.scratch:
            self._open = page.origin.scratch, _split(Path(path), Path(page.origin.scratch), self._params)
        image = self._open[1].image(page.item.item_id)
        height, width = page.pixels.shape[:2]
        return RawPage(composed=()) if image is None else detections(image, width, height, page)


def _split(path: Path, scratch: Path, params: GivenParams) -> _Split:
    """The file as one line a page: made by the first worker of a run, for a large file is held whole only once."""
    folder = scratch / ".given"
    folder.mkdir(exist_ok=True)
    lines = folder / f"{params.sha256}.jsonl"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lines.exists():
            if sha256_file(path) != params.sha256:
                raise StageCrash(f"{params.regions!r} was changed after planning: plan the run again")
            try:
                found = check(params, path.read_bytes(), read_manifest(scratch / "manifest.jsonl"))
            except UsageError as error:
                raise StageCrash(str(error)) from error
            write_atomic(lines, b"".join(image.to_line(item) for item, image in found.items()))
    return _Split.of(lines)


@dataclass(frozen=True, slots=True)
class _Split:
    lines: Path
    offsets: Mapping[str, int]

    @classmethod
    def of(cls, lines: Path) -> _Split:
        offsets = {}
        place = 0
        with lines.open("rb") as handle:
            for line in handle:
                offsets[line[len(b'{"item":"') : line.index(b'"', len(b'{"item":"'))].decode()] = place
                place += len(line)
        return cls(lines, offsets)

    def image(self, item_id: str) -> GivenImage | None:
        """What the file says of a page; None for a page that it does not name."""
        if item_id not in self.offsets:
            return None
        with self.lines.open("rb") as handle:
            handle.seek(self.offsets[item_id])
            return GivenImage.from_line(handle.readline())


def detections(image: GivenImage, width: int, height: int, page: PageImage) -> RawPage:
    """The regions of a picture on its page of (width, height) pixels.

    Raises:
        ItemError: see `GivenDetector.find`.
    """
    scale = _scale(image, width, height)
    notes: dict[str, float] = {}
    found: list[Detection] = []
    told: list[GivenRegion] = []
    for region in image.regions:
        mask = _mask(region, image, width, height, scale)
        box = _box(region, mask, width, height, scale)
        if box is None:
            notes["off_page"] = notes.get("off_page", 0.0) + 1
            continue
        if mask is not None and _was_changed(region, box, page) and _is_left_behind(mask, box):
            notes["masks_left_behind"] = notes.get("masks_left_behind", 0.0) + 1
            mask = None
        found.append(_detection(region, box, mask, scale))
        told.append(region)
    placed = _hung_together(found, told, (width, height))
    return RawPage(composed=_ordered(placed, told, page), notes=notes)


def _was_changed(region: GivenRegion, box: Box, page: PageImage) -> bool:
    """Whether a region that came from us has another box or label than its id was made of."""
    if not region.own or page.item is None or page.item.page is None:
        return False
    left, top, right, bottom = box
    x, y, w, h = round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)
    return not region.key.startswith(region_id(page.item.group, page.item.page, region.label, (x, y, x + w, y + h)))


def _is_left_behind(mask: RegionMask, box: Box) -> bool:
    return iou(_bounds(mask.segmentation), box) < LEFT_BEHIND_IOU


def _scale(image: GivenImage, width: int, height: int) -> tuple[float, float]:
    if not image.regions:
        return 1.0, 1.0
    if not image.width or not image.height:
        raise ItemError(f"the picture {image.name!r} has regions but no size in the corrected file: export it again")
    across, down = width / image.width, height / image.height
    if abs(across / down - 1) > SAME_SHAPE + 1 / min(image.width, image.height):
        raise ItemError(
            f"the picture {image.name!r} has {image.width} × {image.height} pixels, the page {width} × {height}: it is "
            "not of this page"
        )
    return across, down


def _box(
    region: GivenRegion, mask: RegionMask | None, width: int, height: int, scale: tuple[float, float]
) -> Box | None:
    """The region's box on the page; a mask drawn alone has its own bounds. None when nothing is on the page."""
    if region.bbox is None:
        return None if mask is None or not mask.area_px else _bounds(mask.segmentation)
    x, y, w, h = region.bbox
    sides = x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1]
    if min(sides) < -ROUNDING_PX or sides[2] > width + ROUNDING_PX or sides[3] > height + ROUNDING_PX:
        sides = clipped(sides, width, height)
    left, top, right, bottom = (round(side, DECIMALS) for side in sides)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _bounds(segmentation: Rle) -> Box:
    left, top, pixels = crop_of(segmentation)
    return float(left), float(top), float(left + pixels.shape[1]), float(top + pixels.shape[0])


def _detection(region: GivenRegion, box: Box, mask: RegionMask | None, scale: tuple[float, float]) -> Detection:
    own = region.own
    grid = None
    if own.get("column_rules_px") and own.get("row_rules_px"):
        columns = tuple(x * scale[0] for x in own["column_rules_px"])
        rows = tuple(y * scale[1] for y in own["row_rules_px"])
        inside = (
            box[0] - 3 <= columns[0] <= columns[-1] <= box[2] + 3 and box[1] - 3 <= rows[0] <= rows[-1] <= box[3] + 3
        )
        grid = (columns, rows) if inside else None
    return Detection(
        region.label, box, region.score, both_ways=bool(own.get("both_ways")), grid=grid, prompt=own.get("prompt"),
        alternatives=dict(own.get("alternatives") or {}), mask=mask,
    )  # fmt: skip


def _hung_together(
    found: Sequence[Detection], told: Sequence[GivenRegion], page_size_px: tuple[int, int]
) -> list[Detection]:
    """Containers and arrow ends: as told, where the region that the file names is there, else as arranged."""
    index = {region.key: number for number, region in enumerate(told)}
    candidates = [Candidate(one.label, one.box, one.score) for one in found]
    made = related(candidates, page_size_px, ArrangeParams()).detections
    placed = []
    for one, region, guess in zip(found, told, made, strict=True):
        parent = guess.parent
        if "parent" in region.own:
            name = region.own["parent"]
            parent = None if name is None else index.get(name, guess.parent)
        start, end = guess.start, guess.end
        if "from_node" in region.own:
            start, end = (index.get(region.own[name] or "") for name in ("from_node", "to_node"))
        placed.append(replace(one, parent=parent, start=start, end=end))
    for number in range(len(placed)):
        seen: set[int] = set()
        at: int | None = number
        while at is not None:
            if at in seen:
                raise ItemError(f"region {told[number].key!r} contains itself by way of others: mend its container")
            seen.add(at)
            at = placed[at].parent
    return placed


def _ordered(placed: Sequence[Detection], told: Sequence[GivenRegion], page: PageImage) -> list[Detection]:
    """In the told order when every region has a place in it, else in reading order."""
    numbers = [region.own.get("number") for region in told]
    if all(isinstance(number, int) for number in numbers):
        order = sorted(range(len(placed)), key=lambda index: (numbers[index], index))
    else:
        order = in_reading_order(placed, page.text)
    renumber = {old: new for new, old in enumerate(order)}
    return [placed[index].related(renumber) for index in order]


def _mask(
    region: GivenRegion, image: GivenImage, width: int, height: int, scale: tuple[float, float]
) -> RegionMask | None:
    """The region's mask on the page, whichever way it is told.

    Raises:
        ItemError: it is damaged.
    """
    if not region.mask:
        return None
    assert image.width is not None
    assert image.height is not None
    try:
        segmentation = _segmentation(region.mask, image.width, image.height, width, height, scale)
        covered = area_px(segmentation)
    except (BadRunLengths, ValueError, TypeError, KeyError) as error:
        raise ItemError(f"the mask of region {region.key!r} of {image.name!r} {error}: draw it again") from error
    own = region.own
    by = None
    if "segmenter" in own:
        by = SegmenterName(name=str(own["segmenter"]), version=str(own.get("segmenter_version", "")))
    return RegionMask(
        segmentation, covered, own.get("mask_quality"), own.get("mask_stability"), tuple(own.get("mask_flags") or ()),
        by or SegmenterName(name=GivenDetector.name, version=GivenDetector.version),
    )  # fmt: skip


def _segmentation(
    mask: Any, drawn_width: int, drawn_height: int, width: int, height: int, scale: tuple[float, float]
) -> Rle:
    if isinstance(mask, list):
        return _filled(mask, width, height, scale)
    same_size = (drawn_width, drawn_height) == (width, height)
    if "brush" in mask:
        pixels = from_brush(mask["brush"], drawn_width, drawn_height)
    else:
        counts = mask["counts"] if isinstance(mask["counts"], str) else pack(mask["counts"])
        told = Rle(size=tuple(mask["size"]), counts=counts)
        if told.size != (drawn_height, drawn_width):
            raise BadRunLengths(f"is of a picture of {told.size[1]} × {told.size[0]} pixels")
        area_px(told)
        if same_size:
            return told
        import numpy as np

        left, top, crop = crop_of(told)
        pixels = np.zeros(told.size, bool)
        pixels[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    if not same_size:
        import cv2
        import numpy as np

        pixels = cv2.resize(pixels.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return rle_of(0, 0, pixels, width, height)


def _filled(polygons: Sequence[Sequence[float]], width: int, height: int, scale: tuple[float, float]) -> Rle:
    """The pixels whose middle lies in one of the polygons (x, y, x, y … in the picture's pixels), by even and odd."""
    import numpy as np

    page = np.zeros((height, width), bool)
    middles = np.arange(height) + 0.5
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64).reshape(-1, 2) * scale
        (x0, y0), (x1, y1) = corners.T[..., None], np.roll(corners, -1, axis=0).T[..., None]
        edge, row = np.nonzero((y0 <= middles) != (y1 <= middles))
        rise = (y1 - y0)[edge, 0]
        x = x0[edge, 0] + (middles[row] - y0[edge, 0]) * (x1 - x0)[edge, 0] / rise
        crossings = np.zeros((height, width + 1), np.int32)
        np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
        page |= crossings.cumsum(axis=1)[:, :-1] % 2 == 1
    return rle_of(0, 0, page, width, height)
