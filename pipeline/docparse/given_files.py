"""Reading corrected regions: COCO and Label Studio files as one list of pictures with their regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from pipeline.core.errors import UsageError
from pipeline.docparse.exports.coco import OWN_KEYS
from pipeline.docparse.exports.label_studio import IMAGE, LEAVES, MASK_SUFFIX, OWN, POINTS_TO
from pipeline.docparse.labels import LABELS, Label

SHOWN = 5
"""How many wrong things one sentence lists."""


@dataclass(frozen=True, slots=True)
class GivenRegion:
    """One region as a file tells it, in pixels of the picture that it was drawn on."""

    key: str
    """How other regions of the picture call it."""
    label: Label
    bbox: tuple[float, float, float, float] | None
    """x, y, width, height; None where only a mask was drawn."""
    score: float = 1.0
    mask: Any = None
    """COCO's `segmentation` (polygons or run lengths), or {"brush": bytes} of Label Studio."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Our own keys, as far as they came back."""


@dataclass(frozen=True, slots=True)
class GivenImage:
    """One picture of a file."""

    name: str
    """How the file calls it: a path or a URL."""
    document: str | None
    page: int | None
    width: int | None
    height: int | None
    """Pixels; None where the file draws nothing on it and does not say."""
    regions: tuple[GivenRegion, ...]

    def to_line(self, item_id: str) -> bytes:
        """As one line for the page that it is of."""
        return orjson.dumps({"item": item_id, **asdict(self)}) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> GivenImage:
        """Read what `to_line` wrote."""
        entry = orjson.loads(line)
        del entry["item"]
        return cls(**entry | {"regions": tuple(GivenRegion(**each) for each in entry["regions"])})


def parse(data: bytes, name: str, label_map: Mapping[str, Label]) -> list[GivenImage]:
    """The pictures of a file called `name`.

    Raises:
        UsageError: it is neither COCO nor Label Studio's JSON, has labels that nobody knows, or shapes that are no
            rectangles and no masks.
    """
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{name} is not JSON: {error}") from error
    try:
        if isinstance(told, dict) and {"images", "annotations", "categories"} <= told.keys():
            return list(_coco(told, name, label_map))
        if isinstance(told, list) and all(isinstance(each, dict) and "data" in each for each in told):
            return list(_label_studio(told, name, label_map))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name} is damaged: {type(error).__name__} {error}; export it again") from error
    raise UsageError(
        f"{name} is neither COCO (images, annotations, categories) nor Label Studio's JSON (a list of tasks with "
        "data): export it again as one of these"
    )


def refuse(name: str, what: str, wrong: Sequence[str], mend: str) -> None:
    """Raise one sentence that lists what is wrong, if anything is."""
    if wrong:
        unique = list(dict.fromkeys(wrong))
        more = f" and {len(unique) - SHOWN} more" if len(unique) > SHOWN else ""
        raise UsageError(f"{name} {what}: {', '.join(unique[:SHOWN])}{more}; {mend}")


def _labels(names: Sequence[str], file: str, label_map: Mapping[str, Label]) -> dict[str, Label]:
    known: dict[str, Label] = {**{label: label for label in LABELS}, **label_map}
    refuse(
        file, "has labels that mean nothing here", [repr(name) for name in names if name not in known],
        "say in detector.label_map what they are",
    )  # fmt: skip
    return {name: known[name] for name in names}


def _coco(told: dict[str, Any], file: str, label_map: Mapping[str, Label]) -> Iterator[GivenImage]:
    names = {each["id"]: str(each["name"]) for each in told["categories"]}
    images = {each["id"] for each in told["images"]}
    for key, known, what in (("category_id", names, "categories"), ("image_id", images, "images")):
        wrong = [f"{key} {each[key]}" for each in told["annotations"] if each[key] not in known]
        refuse(file, f"has annotations that name no entry of its {what}", wrong, "export it again")
    used = {names[each["category_id"]] for each in told["annotations"]}
    labels = _labels(sorted(used), file, label_map)
    by_image: dict[Any, list[GivenRegion]] = {each["id"]: [] for each in told["images"]}
    for each in told["annotations"]:
        x, y, width, height = map(float, each["bbox"])
        by_image[each["image_id"]].append(
            GivenRegion(
                str(each.get("region_id") or f"annotation {each['id']}"), labels[names[each["category_id"]]],
                (x, y, width, height), float(each.get("score", 1.0)), each.get("segmentation") or None,
                _own(each) if "region_id" in each else {},
            )
        )  # fmt: skip
    for image in told["images"]:
        yield GivenImage(
            str(image["file_name"]), image.get("document"), image.get("page"), int(image["width"]),
            int(image["height"]), tuple(by_image[image["id"]]),
        )  # fmt: skip


def _label_studio(told: list[dict[str, Any]], file: str, label_map: Mapping[str, Label]) -> Iterator[GivenImage]:
    chosen = [_result_of(task) for task in told]
    shapes = ("rectanglelabels", "brushlabels", "polygonlabels")
    others = [each["type"] for results in chosen for each in results if each["type"] not in (*shapes, "relation")]
    refuse(file, "has shapes that are no regions", others, "draw rectangles, polygons or brush strokes with labels")
    turned = [
        each["id"] for results in chosen for each in results
        if each["type"] == "rectanglelabels" and each["value"].get("rotation")
    ]  # fmt: skip
    refuse(file, "has turned rectangles", turned, "draw them upright")
    used = {_label(each) for results in chosen for each in results if each["type"] != "relation"}
    labels = _labels(sorted(used), file, label_map)
    for task, results in zip(told, chosen, strict=True):
        yield _task(task["data"], results, labels)


def _result_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """What counts of a task: its last annotation that was not cancelled, or, unreviewed, its prediction."""
    annotations = [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
    last = sorted(annotations, key=lambda each: str(each.get("updated_at") or each.get("created_at") or ""))[-1:]
    return list((last or (task.get("predictions") or [])[-1:] or [{"result": []}])[0]["result"])


def _label(result: dict[str, Any]) -> str:
    (label,) = result["value"][result["type"]]
    return str(label)


def _task(data: dict[str, Any], results: list[dict[str, Any]], labels: Mapping[str, Label]) -> GivenImage:
    shapes = [each for each in results if each["type"] != "relation"]
    ends: dict[str, dict[str, str]] = {}
    for each in results:
        for what, name in ((LEAVES, "from_node"), (POINTS_TO, "to_node")):
            if each["type"] == "relation" and what in (each.get("labels") or ()):
                ends.setdefault(each["from_id"], {})[name] = each["to_id"]
    boxes = {each["id"] for each in shapes if each["type"] == "rectanglelabels"}
    # Versions of Label Studio that know no containers drop all of them; then ours stand.
    tells_containers = any("parentID" in each for each in shapes)
    masks = {
        each["id"].removesuffix(MASK_SUFFIX): _mask(each) for each in shapes if each["type"] != "rectanglelabels"
    }  # fmt: skip
    regions = []
    for each in shapes:
        key = str(each["id"]).removesuffix(MASK_SUFFIX)
        is_box = each["type"] == "rectanglelabels"
        if not is_box and key in boxes:
            continue
        own = dict((data.get(OWN) or {}).get(key) or {})
        told = _own(own) if own else {}
        if own or "parentID" in each or key in ends:
            told |= {"from_node": None, "to_node": None} | ends.get(key, {})
            if tells_containers or not own:
                told["parent"] = each.get("parentID")
        regions.append(
            GivenRegion(
                key, labels[_label(each)], _bbox(each) if is_box else None,
                1.0 if each.get("score") is None else float(each["score"]), masks.get(key), told,
            )
        )  # fmt: skip
    width = next((int(each["original_width"]) for each in shapes), data.get("width"))
    height = next((int(each["original_height"]) for each in shapes), data.get("height"))
    return GivenImage(str(data.get(IMAGE, "")), data.get("document"), data.get("page"), width, height, tuple(regions))


def _bbox(result: dict[str, Any]) -> tuple[float, float, float, float]:
    value, width, height = result["value"], result["original_width"] / 100, result["original_height"] / 100
    return value["x"] * width, value["y"] * height, value["width"] * width, value["height"] * height


def _mask(result: dict[str, Any]) -> Any:
    if result["type"] == "brushlabels":
        return {"brush": result["value"]["rle"]}
    width, height = result["original_width"] / 100, result["original_height"] / 100
    return [[side for x, y in result["value"]["points"] for side in (x * width, y * height)]]


def _own(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Our keys of an entry that came from us; an end that such an arrow does not name is not to be made up."""
    told = {name: entry[name] for name in (*OWN_KEYS, "segmenter", "segmenter_version") if name in entry}
    return {"from_node": None, "to_node": None} | told
