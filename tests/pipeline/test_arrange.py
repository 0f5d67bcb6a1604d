"""Arranging: each step on boxes made for it, and what must be true of any boxes whatever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.docparse.arrange.candidates import Candidate
from pipeline.docparse.arrange.doubles import NOT_CONTAINED
from pipeline.docparse.arrange.naming import UnknownPrompt
from pipeline.docparse.arrange.order import reading_order, text_ranks
from pipeline.docparse.arrange.page import Arranged, arrange
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.arrange.relations import GRAMMAR, arrow_ends
from pipeline.docparse.geometry import area, iou, overlap, share_inside
from pipeline.docparse.labels import LABELS
from pipeline.docparse.params import OpenCvParams
from pipeline.docparse.raw import RawBox, RawPage
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText, Word
from pipeline.models.grounding_dino.params import GroundingDinoParams
from tests.processor import least_s

PAGE = (1000, 1400)
NO_WORDS = PageText(*PAGE, 150, [])
PROMPTED = GroundingDinoParams()


def raw(
    *boxes: tuple[Box, dict[str, float]], tiles: list[Box] | None = None, on: list[int | None] | None = None
) -> RawPage:
    places = on or [None] * len(boxes)
    return RawPage(
        [RawBox(box, scores, tile) for (box, scores), tile in zip(boxes, places, strict=True)], tiles=tiles or ()
    )


def arranged(page: RawPage, detector: Any = PROMPTED, text: PageText = NO_WORDS, **changes: Any) -> Arranged:
    return arrange(page, PAGE, text, ArrangeParams(**changes), detector)


def reasons(one: Arranged) -> dict[int, str]:
    """Raw box → why it was dropped."""
    return {index: drop["reason"] for step in one.log["steps"] for drop in step["dropped"] for index in drop["raw"]}


def test_phrases_become_labels_and_further_labels_alternatives() -> None:
    detector = GroundingDinoParams(
        prompts={"flow chart": "diagram", "box": "node", "circle": "node", "label": "textbox"}
    )
    (only,) = arranged(
        raw(((100, 100, 300, 300), {"box": 0.5, "circle": 0.6, "label": 0.27, "flow chart": 0.2})), detector
    ).detections
    assert (only.label, only.score, only.prompt, only.alternatives) == ("node", 0.6, "circle", {"textbox": 0.27})


def test_a_phrase_without_a_label_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownPrompt, match=r"'gizmo'.*detector\.prompts"):
        arranged(raw(((0, 0, 50, 50), {"gizmo": 0.9})))


def test_phrases_are_the_same_whatever_their_case_and_full_stop() -> None:
    (only,) = arranged(raw(((100, 100, 300, 300), {"Node.": 0.5}))).detections
    assert only.label == "node"


def test_thresholds_and_labels_are_told_with_the_boxes_that_they_drop() -> None:
    detector = GroundingDinoParams(labels=("node",))
    one = arranged(
        raw(((0, 0, 99, 99), {"node": 0.29}), ((0, 200, 99, 299), {"table": 0.9}), ((0, 0, 9, 9), {})), detector
    )
    assert one.detections == ()
    assert reasons(one) == {0: "below min_score", 1: "label table is not asked for", 2: "below min_score"}
    assert one.log["steps"][0] | {"dropped": []} == {"name": "names", "in": 3, "out": 0, "dropped": []}


def test_a_negative_prompt_takes_its_box_and_weaker_ones_there() -> None:
    detector = GroundingDinoParams(negative_prompts=("watermark",))
    mark, there, elsewhere = (100, 100, 400, 400), (105, 100, 400, 395), (600, 100, 900, 400)
    one = arranged(
        raw(
            (mark, {"watermark": 0.6, "canvas": 0.5}),
            (there, {"node": 0.55}),
            (elsewhere, {"node": 0.4}),
            (there, {"node": 0.7}),
        ),
        detector,
    )
    assert sorted(found.score for found in one.detections) == [0.4, 0.7]
    assert reasons(one) == {0: "negative prompt 'watermark' scores best", 1: "negative prompt 'watermark' is there"}


def test_boxes_are_cut_to_the_page_and_odd_ones_dropped() -> None:
    one = arranged(
        raw(
            ((-50, 50, 200, 120), {"node": 0.9}),
            ((1100, 50, 1200, 120), {"node": 0.9}),
            ((500, 500, 507, 507), {"node": 0.9}),
            ((500, 600, 506, 601), {"arrow": 0.9}),
            ((500, 700, 560, 701), {"arrow": 0.9}),
            ((1, 1, 999, 1399), {"table": 0.9}),
            ((2, 1, 999, 1399), {"diagram": 0.9}),
            ((float("nan"), 1, 10, 10), {"node": 0.9}),
        )
    )
    assert {(found.label, found.box) for found in one.detections} == {
        ("node", (0, 50, 200, 120)), ("arrow", (500, 700, 560, 701)), ("diagram", (2, 1, 999, 1399)),
    }  # fmt: skip
    assert reasons(one) == {
        1: "no width or height on the page", 2: "node smaller than min_area_px", 3: "arrow shorter than min_arrow_px",
        5: "larger than max_area_share", 7: "not a number",
    }  # fmt: skip


@pytest.mark.parametrize(("dpi", "kept"), [(72, 2), (150, 1), (None, 1), (300, 0)])
def test_what_is_too_small_is_measured_on_paper(dpi: int | None, kept: int) -> None:
    boxes = raw(((500, 500, 510, 510), {"node": 0.9}), ((600, 500, 605, 505), {"node": 0.9}))
    assert len(arranged(boxes, text=replace(NO_WORDS, dpi=dpi)).detections) == kept


TILES: list[Box] = [(0, 0, 600, 1400), (400, 0, 1000, 1400)]


def test_the_halves_of_a_long_arrow_on_two_tiles_become_one() -> None:
    one = arranged(
        raw(
            ((100, 200, 600, 210), {"arrow": 0.5}), ((400, 201, 900, 211), {"arrow": 0.6}),
            ((100, 400, 600, 410), {"arrow": 0.5}), ((400, 460, 900, 470), {"arrow": 0.6}),
            tiles=TILES, on=[0, 1, 0, 1],
        )
    )  # fmt: skip
    assert {(found.box, found.score) for found in one.detections} == {
        ((100, 200, 900, 211), 0.6), ((100, 400, 600, 410), 0.5), ((400, 460, 900, 470), 0.6),
    }, "the lower two do not agree where both tiles look"  # fmt: skip
    assert next(step for step in one.log["steps"] if step["name"] == "tiles")["merged"] == [[0, 1]]


def test_a_box_that_a_tile_cut_gives_way_to_a_whole_one() -> None:
    one = arranged(
        raw(
            ((300, 300, 600, 500), {"table": 0.9}), ((300, 298, 800, 500), {"table": 0.4}),
            ((450, 700, 600, 800), {"node": 0.9}), ((450, 700, 650, 800), {"node": 0.4}),
            tiles=TILES, on=[0, None, 0, 1],
        )
    )  # fmt: skip
    assert {found.box for found in one.detections} == {(300, 298, 800, 500), (450, 700, 650, 800)}
    assert set(reasons(one).values()) == {"cut by its tile: a whole box is there"}


def test_doubles_go_per_label_and_one_region_under_two_names_keeps_both() -> None:
    one = arranged(
        raw(
            ((100, 100, 300, 200), {"node": 0.8}), ((105, 100, 300, 200), {"node": 0.7}),
            ((101, 100, 300, 200), {"textbox": 0.6}), ((100, 150, 300, 200), {"textbox": 0.5}),
        )
    )  # fmt: skip
    assert [(found.label, found.alternatives) for found in one.detections] == [
        ("node", {"textbox": 0.6}),
        ("textbox", {}),
    ]
    assert one.log["steps"][4]["dropped"] == [
        {"reason": "nms: a better one of its label is there", "raw": [1], "by": [0], "value": 0.975}
    ]


def test_of_nested_boxes_of_one_label_the_larger_container_stays_and_else_the_better() -> None:
    one = arranged(
        raw(
            ((100, 100, 900, 500), {"table": 0.4}), ((100, 100, 500, 300), {"table": 0.9}),
            ((100, 700, 900, 900), {"node": 0.4}), ((120, 720, 300, 800), {"node": 0.9}),
            ((100, 1000, 900, 1300), {"arrow": 0.4}), ((120, 1100, 300, 1105), {"arrow": 0.9}),
        )
    )  # fmt: skip
    assert {found.box for found in one.detections} == {
        (100, 100, 900, 500), (120, 720, 300, 800), (100, 1000, 900, 1300), (120, 1100, 300, 1105),
    }  # fmt: skip


def test_a_switched_off_step_drops_nothing_and_is_not_told() -> None:
    page = raw(((100, 100, 300, 200), {"node": 0.8}), ((105, 100, 300, 200), {"node": 0.7}))
    one = arranged(page, nms_iou=None, contained_share=None)
    assert len(one.detections) == 2
    assert {"nms", "containment"}.isdisjoint(step["name"] for step in one.log["steps"])


def test_containers_follow_the_grammar_and_are_the_smallest() -> None:
    one = arranged(
        raw(
            ((50, 50, 950, 800), {"diagram": 0.9}),
            ((100, 100, 600, 600), {"canvas": 0.9}),
            ((150, 150, 300, 250), {"node": 0.9}),
            ((650, 150, 900, 250), {"node": 0.9}),
            ((160, 160, 290, 190), {"textbox": 0.9}),
            ((50, 900, 400, 1300), {"table": 0.9}),
            ((60, 910, 200, 940), {"textbox": 0.9}),
        )
    )
    holders = {
        found.box: None if found.parent is None else one.detections[found.parent].label for found in one.detections
    }
    assert holders == {
        (50, 50, 950, 800): None,
        (100, 100, 600, 600): "diagram",
        (150, 150, 300, 250): "canvas",
        (650, 150, 900, 250): "diagram",
        (160, 160, 290, 190): "canvas",
        (50, 900, 400, 1300): None,
        (60, 910, 200, 940): None,
    }


def test_an_arrow_joins_the_nodes_at_its_ends_and_says_that_its_direction_is_assumed() -> None:
    one = arranged(
        raw(
            ((100, 100, 250, 200), {"node": 0.9}),
            ((500, 100, 650, 200), {"node": 0.9}),
            ((500, 500, 650, 600), {"node": 0.9}),
            ((255, 145, 498, 155), {"arrow": 0.9}),
            ((250, 205, 500, 495), {"arrow": 0.9}),
            ((700, 900, 900, 905), {"arrow": 0.9}),
        )
    )
    joined = {
        found.box: tuple(None if end is None else one.detections[end].box for end in (found.start, found.end))
        for found in one.detections if found.label == "arrow"
    }  # fmt: skip
    assert joined == {
        (255, 145, 498, 155): ((100, 100, 250, 200), (500, 100, 650, 200)),
        (250, 205, 500, 495): ((100, 100, 250, 200), (500, 500, 650, 600)),
        (700, 900, 900, 905): (None, None),
    }
    told = [made["direction"] for made in one.log["made_of"] if "direction" in made]
    assert told == ["assumed"] * 3


def test_ends_that_were_seen_decide_where_an_arrow_points() -> None:
    candidates = [
        Candidate("node", (100, 100, 250, 200), 0.9, raw=(0,)), Candidate("node", (500, 100, 650, 200), 0.9, raw=(1,)),
        Candidate("arrow", (255, 145, 498, 155), 0.9, raw=(2,)),
    ]  # fmt: skip
    found = arrow_ends(candidates, 40, {2: ((498, 150), (255, 150))})[2]
    assert (found.start, found.end, found.assumed) == (1, 0, False)


LEFT = [(100, 200, 480, 380), (100, 400, 480, 600), (100, 620, 480, 900)]
RIGHT = [(520, 200, 900, 380), (520, 400, 900, 600), (520, 620, 900, 900)]


def words_in(boxes: list[Box]) -> PageText:
    return PageText(*PAGE, 150, [Word("w", box, number, 0) for number, box in enumerate(boxes)])


def test_columns_are_read_one_after_the_other_below_a_heading_across_both() -> None:
    heading: Box = (100, 100, 900, 150)
    rows = [heading, *(box for pair in zip(LEFT, RIGHT, strict=True) for box in pair)]
    assert [rows[i] for i in reading_order(rows)] == [heading, *LEFT, *RIGHT]
    assert [rows[i] for i in reading_order(rows, columns=False)] == rows


def test_the_text_layer_decides_where_the_page_allows_two_orders() -> None:
    rows = [box for pair in zip(LEFT, RIGHT, strict=True) for box in pair]
    assert [rows[i] for i in reading_order(rows, text_ranks(rows, words_in(rows)))] == rows
    assert [rows[i] for i in reading_order(rows, text_ranks(rows, words_in([*LEFT, *RIGHT])))] == [*LEFT, *RIGHT]


def test_a_page_of_hundreds_of_boxes_in_rows_is_ordered_in_little_time() -> None:
    rows = [(100.0 + 600 * column, 20.0 * row, 500.0 + 600 * column, 20.0 * row + 15) for row in range(250)
            for column in range(2)]  # fmt: skip
    ranks = [float(rank) for rank in range(len(rows))]
    assert reading_order(rows, ranks) == list(range(len(rows)))
    took_s = least_s(lambda: reading_order(rows, ranks), 3)
    assert took_s < 3, "0.5 s on the reference machine, with a margin for a busy one"


def test_children_follow_their_container() -> None:
    one = arranged(
        raw(
            ((100, 900, 500, 950), {"textbox": 0.9}),
            ((100, 100, 900, 500), {"diagram": 0.9}),
            ((600, 200, 800, 300), {"node": 0.9}),
            ((150, 200, 300, 300), {"node": 0.9}),
            ((100, 30, 900, 80), {"textbox": 0.9}),
        )
    )
    assert [(found.label, found.parent) for found in one.detections] == [
        ("textbox", None), ("diagram", None), ("node", 1), ("node", 1), ("textbox", None),
    ]  # fmt: skip
    assert one.detections[2].box[0] == 150


def test_a_composition_is_only_held_to_scores_and_labels_and_stays_hung_together() -> None:
    composed = [
        Detection("diagram", (0, 0, 900, 900), 0.9),
        Detection("canvas", (10, 10, 500, 500), 0.2, parent=0),
        Detection("node", (20, 20, 90, 90), 0.8, parent=1),
        Detection("node", (200, 20, 290, 90), 0.1, parent=1),
        Detection("arrow", (90, 40, 200, 50), 0.7, parent=1, start=2, end=3),
        Detection("table", (0, 950, 900, 1300), 0.9),
    ]
    one = arrange(
        RawPage(composed=composed),
        PAGE,
        NO_WORDS,
        ArrangeParams(),
        OpenCvParams(labels=("diagram", "canvas", "node", "arrow")),
    )
    assert one.detections == (
        composed[0], replace(composed[2], parent=0), replace(composed[4], parent=0, start=1, end=None),
    )  # fmt: skip
    assert reasons(one) == {1: "below min_score", 3: "below min_score", 5: "label table is not asked for"}
    assert one.log["made_of"] == [{"raw": [0]}, {"raw": [2]}, {"raw": [4]}]


side = st.integers(0, 40).map(lambda step: step * 25.0)


@st.composite
def raw_boxes(draw: st.DrawFn) -> RawBox:
    left, top = draw(side), draw(side)
    box = (left, top, left + draw(side), top + draw(side))
    scores = draw(
        st.dictionaries(st.sampled_from([*LABELS, "stamp"]), st.integers(1, 20).map(lambda n: n / 20), max_size=3)
    )
    return RawBox(box, scores, draw(st.sampled_from([None, None, 0, 1])))


pages = st.lists(raw_boxes(), max_size=14)
DETECTOR = GroundingDinoParams(negative_prompts=("stamp",))


def found(boxes: list[RawBox]) -> Arranged:
    return arrange(RawPage(boxes, tiles=TILES), PAGE, NO_WORDS, ArrangeParams(), DETECTOR)


def shape(one: Arranged) -> list[Any]:
    return [
        (each.label, each.box, each.score, each.parent, each.start, each.end, dict(each.alternatives))
        for each in one.detections
    ]


@settings(max_examples=60, deadline=None)
@given(pages, st.randoms(use_true_random=False))
def test_the_order_in_which_a_detector_tells_boxes_changes_nothing(boxes: list[RawBox], random: Any) -> None:
    mixed = list(boxes)
    random.shuffle(mixed)
    assert shape(found(mixed)) == shape(found(boxes))


@settings(max_examples=60, deadline=None)
@given(pages)
def test_what_was_arranged_stays_when_it_is_arranged_again(boxes: list[RawBox]) -> None:
    once = found(boxes)
    again = found([RawBox(each.box, {**each.alternatives, each.label: each.score}) for each in once.detections])
    assert shape(again) == shape(once)


@settings(max_examples=60, deadline=None)
@given(pages)
def test_every_raw_box_is_kept_or_dropped_once_with_a_reason(boxes: list[RawBox]) -> None:
    one = found(boxes)
    dropped = [
        index for step in one.log["steps"] for drop in step["dropped"] for index in drop["raw"] if drop["reason"]
    ]
    kept = [index for made in one.log["made_of"] for index in made["raw"]]
    assert sorted(dropped + kept) == list(range(len(boxes)))
    before = len(boxes)
    for step in one.log["steps"]:
        joined = sum(len(group) - 1 for group in step.get("merged", ()))
        assert step["in"] == before
        before = step["out"]
        lost = len({tuple(drop["raw"]) for drop in step["dropped"] if "by" in drop})
        lost += sum(len(drop["raw"]) for drop in step["dropped"] if "by" not in drop)
        assert joined or step["in"] - step["out"] == lost


@settings(max_examples=60, deadline=None)
@given(pages)
def test_kept_regions_do_not_double_each_other_and_hang_together_without_circles(boxes: list[RawBox]) -> None:
    kept = found(boxes).detections
    limits = ArrangeParams()
    assert limits.nms_iou is not None
    assert limits.same_region_iou is not None
    assert limits.contained_share is not None
    for index, one in enumerate(kept):
        assert share_inside(one.box, (0, 0, *PAGE)) > 0.999
        assert one.label not in one.alternatives
        if one.parent is not None:
            holder = kept[one.parent]
            assert one.parent < index, "a container is read before what it holds, so there are no circles"
            assert holder.label in GRAMMAR[one.label]
            assert area(holder.box) > area(one.box)
        if one.start is not None and one.end is not None:
            assert one.start != one.end
            assert {kept[one.start].label, kept[one.end].label} == {"node"}
        for other in kept[:index]:
            assert iou(one.box, other.box) <= (limits.nms_iou if one.label == other.label else limits.same_region_iou)
            if one.label == other.label and one.label not in NOT_CONTAINED:
                assert (
                    overlap(one.box, other.box) <= limits.contained_share * min(area(one.box), area(other.box)) + 1e-6
                )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(side, side, side, side).map(lambda s: (s[0], s[1], s[0] + s[2] + 1, s[1] + s[3] + 1)), max_size=25
    )
)
def test_reading_order_names_every_box_once(boxes: list[Box]) -> None:
    assert sorted(reading_order(boxes)) == list(range(len(boxes)))
    assert sorted(reading_order(boxes, columns=False)) == list(range(len(boxes)))
