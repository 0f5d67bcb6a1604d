"""A user's own labelled pages: a COCO file as the truth, and what a run found on the same pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from pipeline.core.errors import UsageError
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.quality.matching import FoundRegion
from pipeline.docparse.quality.truth import Mask, TruePage, TrueRegion


class LabelsUnreadable(UsageError):
    """The file of labels cannot be used."""


class PagesUnmatched(UsageError):
    """Labelled pages are not among the run's."""


def read_labels(path: Path) -> list[TruePage]:
    """The pages of a COCO file with their true regions.

    Categories are named as ours are. `parent`, `from` and `to` of an annotation, where they are there, are ids of
    annotations, or `region_id`s, as our own COCO export writes them.

    Raises:
        LabelsUnreadable: no such file, no COCO, an unknown category, a box without an area.
    """
    try:
        told = orjson.loads(path.read_bytes())
        images, annotations = list(told["images"]), list(told["annotations"])
        names = {int(one["id"]): str(one["name"]) for one in told["categories"]}
    except FileNotFoundError:
        raise LabelsUnreadable(f"there is no {path}: give the COCO file of your labelled pages") from None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise LabelsUnreadable(
            f"{path} is no COCO file with images, annotations and categories ({error}): export the labels as COCO"
        ) from None
    unknown = sorted(set(names.values()) - set(LABELS))
    used = {int(one["category_id"]) for one in annotations if "category_id" in one}
    strange = [name for number, name in names.items() if number in used and name not in LABELS]
    if strange or not used <= set(names):
        raise LabelsUnreadable(
            f"{path} labels regions {', '.join(sorted(strange)) or 'of no category'}: rename them to "
            f"{', '.join(LABELS)}" + (f" (unused: {', '.join(unknown)})" if unknown and not strange else "")
        )
    return [
        _page(image, [one for one in annotations if one.get("image_id") == image["id"]], names, path)
        for image in images
    ]


def _page(
    image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], names: Mapping[int, str], path: Path
) -> TruePage:
    number: dict[Any, int] = {}
    for index, one in enumerate(annotations):
        for key in ("id", "region_id"):
            if one.get(key) is not None:
                number[one[key]] = index
    width, height = int(image["width"]), int(image["height"])
    regions = []
    for one in annotations:
        x, y, wide, tall = (float(side) for side in one.get("bbox") or (0, 0, 0, 0))
        if wide <= 0 or tall <= 0:
            raise LabelsUnreadable(
                f"annotation {one.get('id')} of {path} has a box without an area: correct or remove it"
            )
        label: Label = names[int(one["category_id"])]  # type: ignore[assignment]
        mask = _mask(one.get("segmentation"), width, height)
        regions.append(
            TrueRegion(
                label, (x, y, x + wide, y + tall), mask, number.get(one.get("parent")), number.get(one.get("from")),
                number.get(one.get("to")), bool(one.get("both_ways")), order=one.get("order"),
            )
        )  # fmt: skip
    return TruePage(_name(image), width, height, tuple(regions))


def _name(image: Mapping[str, Any]) -> str:
    if image.get("document") is not None and image.get("page") is not None:
        return f"artifacts/{image['document']}/p{int(image['page']):04d}/page.png"
    return str(image["file_name"])


def _mask(segmentation: Any, width: int, height: int) -> Mask | None:
    """A mask in any of COCO's forms; None where there is none."""
    if not segmentation:
        return None
    from faster_coco_eval import mask as coco

    if isinstance(segmentation, list):
        rle = coco.merge(coco.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation.get("counts"), list):
        rle = coco.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    return _cropped(coco.decode(rle).astype(bool))


def _cropped(pixels: Any) -> Mask:
    whole = Mask(0, 0, pixels)
    left, top, right, bottom = (int(side) for side in whole.box)
    return Mask(left, top, pixels[top:bottom, left:right])


def found_in(run_dir: Path, pages: Sequence[TruePage]) -> list[tuple[TruePage, list[FoundRegion]]]:
    """The labelled pages with the regions that a run found on each, in reading order.

    A page is the run's when its name is that of the run's picture (`artifacts/…/page.png`), or when the source that
    the picture was drawn from has that file name.

    Raises:
        PagesUnmatched: the run has no such page, or several.
    """
    folders = _folders(run_dir)
    return [(page, _regions(_folder_of(page, run_dir, folders))) for page in pages]


def _folders(run_dir: Path) -> dict[str, list[Path]]:
    """Source file name → folders of its pages."""
    from pipeline.core.manifest import read_manifest

    path = run_dir / "manifest.jsonl"
    if not path.is_file():
        raise PagesUnmatched(f"{run_dir} is no run: it has no manifest; give a run's id or folder")
    folders: dict[str, list[Path]] = {}
    for item in read_manifest(path):
        folders.setdefault(PurePosixPath(item.source.path).name, []).append(run_dir / item.folder)
    return folders


def _folder_of(page: TruePage, run_dir: Path, folders: Mapping[str, list[Path]]) -> Path:
    exact = (run_dir / page.name).parent
    if PurePosixPath(page.name).name == "page.png" and exact.is_dir():
        return exact
    named = folders.get(PurePosixPath(page.name).name, [])
    if len(named) != 1:
        have = "several pages" if named else "no page"
        raise PagesUnmatched(
            f"the run {run_dir.name} has {have} of the labelled {page.name!r}: label pictures of the run "
            "(`artifacts/…/page.png`), or give each image `document` and `page`"
        )
    return named[0]


def _regions(folder: Path) -> list[FoundRegion]:
    # `region-0001.struct.json` beside `region-0001.json` is what an analyst said of it.
    paths = (path for path in folder.glob("regions/region-*.json") if path.stem.removeprefix("region-").isdigit())
    told = sorted((orjson.loads(path.read_bytes()) for path in paths), key=lambda one: int(one["number"]))
    number = {one["id"]: index for index, one in enumerate(told)}
    regions = []
    for one in told:
        x, y, wide, tall = one["bbox_px"]
        width, height = one["page_size_px"]
        regions.append(
            FoundRegion(
                one["label"], (x, y, x + wide, y + tall), one["score"], number.get(one["parent"]),
                number.get(one["from_node"]), number.get(one["to_node"]), one["both_ways"],
                _mask(one.get("segmentation"), width, height),
            )
        )  # fmt: skip
    return regions
