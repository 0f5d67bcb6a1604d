"""Arranging a page: from what a detector said to regions in reading order, with a log of every decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.docparse.arrange import doubles, naming, relations, sizes, tiles
from pipeline.docparse.arrange.candidates import Candidate, Drop, Step
from pipeline.docparse.arrange.naming import Vocabulary
from pipeline.docparse.arrange.order import reading_order, text_ranks
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.arrange.relations import Ends, Point
from pipeline.docparse.raw import RawPage
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import PageText

VERSION = "2"
"""Raised whenever the same raw boxes and parameters give other regions."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """A page's regions and how they came about."""

    detections: tuple[Detection, ...]
    """In reading order, a container before what it holds."""
    log: dict[str, Any]
    """What `arrange.json` tells beside the detections: every step with how many came in and went out, every raw box
    that was dropped with its reason (`steps`), and for every detection the raw boxes that it was made of and how an
    arrow's direction is known (`made_of`)."""


def arrange(
    raw: RawPage,
    page_size_px: tuple[int, int],
    text: PageText,
    params: ArrangeParams,
    detector: Any,
    ends: Mapping[int, tuple[Point, Point]] | None = None,
) -> Arranged:
    """Turn a raw page into regions.

    Args:
        raw: what the detector said. What it composed itself is only held to the least score and the wanted labels.
        page_size_px: width and height.
        text: the page's words, which decide reading order where boxes alone allow two.
        params: which steps run, and how.
        detector: its parameters: `labels`, `min_score`, and for one with prompts `prompts`, `negative_prompts`,
            `label_score`.
        ends: (tail, head) of arrows whose ends are known, by the index of a raw box.

    Raises:
        UnknownPrompt: a raw box has a score for a phrase that the parameters do not name.
    """
    vocabulary = Vocabulary.of(detector)
    if raw.composed is not None:
        return _of_composed(raw.composed, vocabulary)
    steps = _steps(raw, page_size_px, text.dpi, params, vocabulary)
    kept = steps[-1].kept
    found = related(kept, page_size_px, params, ends)
    order = in_reading_order(found.detections, text) if params.reading_order else list(range(len(kept)))
    renumber = {old: new for new, old in enumerate(order)}
    log = {
        "version": VERSION, "raw": len(raw.boxes), "kept": len(kept),
        "steps": [step.told() for step in steps],
        "made_of": [
            {"raw": list(kept[index].raw)}
            | ({"direction": "assumed" if found.ends[index].assumed else "seen"} if index in found.ends else {})
            for index in order
        ],
    }  # fmt: skip
    return Arranged(tuple(found.detections[index].related(renumber) for index in order), log)


@dataclass(frozen=True, slots=True)
class Related:
    """Detections with their relations, in the order of their candidates."""

    detections: tuple[Detection, ...]
    ends: Mapping[int, Ends]


def related(
    kept: Sequence[Candidate],
    page_size_px: tuple[int, int],
    params: ArrangeParams,
    ends: Mapping[int, tuple[Point, Point]] | None = None,
) -> Related:
    """Give candidates their containers, and arrows the nodes that they join."""
    above: Sequence[int | None] = [None] * len(kept)
    if params.parent_share is not None:
        above = relations.parents(kept, params.parent_share, params.parent_area_ratio)
    joined: Mapping[int, Ends] = {}
    if params.arrow_reach_share is not None:
        width, height = page_size_px
        joined = relations.arrow_ends(kept, params.arrow_reach_share * (width**2 + height**2) ** 0.5, ends)
    nothing = Ends(None, None, True)
    detections = tuple(
        Detection(
            one.label, one.box, one.score, above[index], joined.get(index, nothing).start,
            joined.get(index, nothing).end, prompt=one.prompt, alternatives=dict(one.alternatives),
        )
        for index, one in enumerate(kept)
    )  # fmt: skip
    return Related(detections, joined)


def _steps(
    raw: RawPage, page_size_px: tuple[int, int], dpi: int | None, params: ArrangeParams, vocabulary: Vocabulary
) -> list[Step]:
    first, negative = naming.name_boxes(raw.boxes, vocabulary)
    steps = [first]
    if params.negative_iou is not None:
        steps.append(naming.suppress_negatives(steps[-1].kept, negative, params.negative_iou))
    steps.append(sizes.clip(steps[-1].kept, page_size_px))
    steps.append(sizes.drop_odd_sizes(steps[-1].kept, page_size_px, params, dpi))
    if params.tile_iou is not None and raw.tiles:
        steps.append(tiles.merge_tiles(steps[-1].kept, raw.tiles, page_size_px, params.tile_iou))
    if params.nms_iou is not None:
        steps.append(doubles.suppress_doubles(steps[-1].kept, params.nms_iou))
    if params.same_region_iou is not None:
        steps.append(doubles.merge_names(steps[-1].kept, params.same_region_iou))
    if params.contained_share is not None:
        steps.append(doubles.drop_contained(steps[-1].kept, params.contained_share))
    return steps


def in_reading_order(detections: Sequence[Detection], text: PageText) -> list[int]:
    """Indices of detections as one reads, each followed by what it holds."""
    ranks = text_ranks([one.box for one in detections], text)
    children: dict[int | None, list[int]] = {}
    for index, one in enumerate(detections):
        children.setdefault(one.parent, []).append(index)
    order: list[int] = []
    # Explicit, because a page may nest deeper than Python recurses.
    waiting = [iter(_ordered(children.get(None, []), detections, ranks, top=True))]
    while waiting:
        following = next(waiting[-1], None)
        if following is None:
            waiting.pop()
            continue
        order.append(following)
        waiting.append(iter(_ordered(children.get(following, []), detections, ranks, top=False)))
    return order


def _ordered(
    members: Sequence[int], detections: Sequence[Detection], ranks: Sequence[float | None], *, top: bool
) -> list[int]:
    """Regions on the page may stand in columns; what a drawing holds is read across."""
    boxes = [detections[index].box for index in members]
    return [members[place] for place in reading_order(boxes, [ranks[index] for index in members], columns=top)]


def _of_composed(composed: Sequence[Detection], vocabulary: Vocabulary) -> Arranged:
    """Hold a detector's own composition to the least score and the wanted labels.

    What a dropped region held passes to the container around it; an arrow whose node was dropped loses that end.
    """
    kept = []
    dropped: list[Drop] = []
    for index, one in enumerate(composed):
        if one.label not in vocabulary.labels:
            dropped.append(Drop((index,), f"label {one.label} is not asked for"))
        elif one.score < vocabulary.min_score:
            dropped.append(Drop((index,), "below min_score"))
        else:
            kept.append(index)
    renumber = {old: new for new, old in enumerate(kept)}
    detections = tuple(_without_dropped(composed, index, renumber, vocabulary) for index in kept)
    candidates = tuple(Candidate(composed[index].label, composed[index].box, composed[index].score) for index in kept)
    step = Step("names", len(composed), candidates, tuple(dropped))
    log = {
        "version": VERSION, "raw": len(composed), "kept": len(kept), "composed": True, "steps": [step.told()],
        "made_of": [{"raw": [old]} for old in kept],
    }  # fmt: skip
    return Arranged(detections, log)


def _without_dropped(
    composed: Sequence[Detection], index: int, renumber: Mapping[int, int], vocabulary: Vocabulary
) -> Detection:
    one = composed[index]
    parent = one.parent
    while parent is not None and parent not in renumber:
        parent = composed[parent].parent
    alternatives = {
        label: score
        for label, score in one.alternatives.items()
        if label in vocabulary.labels and score >= vocabulary.label_score
    }
    return replace(
        one,
        parent=None if parent is None else renumber[parent],
        start=None if one.start is None else renumber.get(one.start),
        end=None if one.end is None else renumber.get(one.end),
        alternatives=alternatives,
    )
