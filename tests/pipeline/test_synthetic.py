"""Synthetic pages: their truth is exact, their seeds always give the same, and the record says which truth it is."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.docparse.quality.synthetic.digests import RECORDED_PAGES, pages_with_other_truth, recorded
from pipeline.docparse.quality.synthetic.ink import Path
from pipeline.docparse.quality.synthetic.pages import SPLITS, page
from pipeline.docparse.quality.synthetic.sketch import DPI, Sketch, render
from pipeline.docparse.quality.synthetic.theme import draw_theme
from pipeline.docparse.quality.truth import Mask, TruePage, union_of


@pytest.fixture(scope="module")
def clean() -> TruePage:
    return page("dev", 1, 2)


@pytest.fixture(scope="module")
def hard() -> TruePage:
    return page("hard-dev", 1, 2)


def sketch_of_two_boxes(white: bool = True) -> Sketch:
    from random import Random

    sketch = Sketch(200, 120, draw_theme(Random(1), dark=False), Random(1))
    group = sketch.add("diagram", ())
    fill = (1.0, 1.0, 1.0) if white else (0.2, 0.3, 0.8)
    for left in (20.0, 100.0):
        corners = ((left, 30.0), (left + 48, 30.0), (left + 48, 60.0), (left, 60.0))
        sketch.add("node", [Path(corners, True, fill, (0.0, 0.0, 0.0), 2.4)], group)
    return sketch


@pytest.mark.parametrize("sideways", [False, True])
def test_a_box_holds_the_stroke_and_nothing_more(sideways: bool) -> None:
    first = render(sketch_of_two_boxes(), "p", sideways=sideways).regions[1]
    zoom = DPI / 72
    expected = ((20 - 1.2) * zoom, (30 - 1.2) * zoom, (68 + 1.2) * zoom, (60 + 1.2) * zoom)
    assert np.abs(np.array(first.box) - np.array(expected)).max() <= 1


def test_paper_coloured_fill_is_part_of_the_shape() -> None:
    node = render(sketch_of_two_boxes(white=True), "p").regions[1]
    assert node.mask is not None
    assert node.mask.pixels[2:-2, 2:-2].all(), "round joins leave the very corners bare"


def test_a_group_covers_what_its_children_cover() -> None:
    diagram, first, second = render(sketch_of_two_boxes(), "p").regions
    assert first.mask is not None
    assert second.mask is not None
    assert diagram.mask is not None
    together = union_of([first.mask, second.mask])
    assert diagram.box == (*first.box[:2], *second.box[2:])
    assert (diagram.mask.pixels == together.pixels).all()
    assert not diagram.mask.pixels.all()


def test_the_page_shows_ink_where_the_masks_say_so_and_nowhere_else() -> None:
    drawn = render(sketch_of_two_boxes(white=False), "p")
    assert drawn.pixels is not None
    paper = drawn.pixels[0, 0].astype(int)
    changed = (np.abs(drawn.pixels.astype(int) - paper) > 12).any(axis=2)
    assert drawn.regions[0].mask is not None
    covered = drawn.regions[0].mask.on_page(drawn.width, drawn.height)
    assert not (changed & ~covered).any()
    assert (changed & covered).sum() > 0.97 * covered.sum()


def test_clipping_to_an_elements_reach_cuts_nothing_off() -> None:
    from pipeline.docparse.quality.synthetic.sketch import _Canvas

    sketch = sketch_of_two_boxes()
    canvas = _Canvas(sketch, 1.7, False)
    for element in sketch.elements[1:]:
        clipped, whole = canvas.alone(element.inks), canvas.alone(element.inks, whole_page=True)
        assert (clipped.left, clipped.top) == (whole.left, whole.top)
        assert (clipped.pixels == whole.pixels).all()


def test_boxes_are_tight_around_masks(clean: TruePage, hard: TruePage) -> None:
    for drawn in (clean, hard):
        for region in drawn.regions:
            assert region.mask is not None
            assert region.box == region.mask.box
            assert 0 <= region.box[0] < region.box[2] <= drawn.width
            assert 0 <= region.box[1] < region.box[3] <= drawn.height


def test_relations_name_what_they_must(clean: TruePage, hard: TruePage) -> None:
    for drawn in (clean, hard):
        for region in drawn.regions:
            if region.label == "arrow":
                assert region.start is not None
                assert region.end is not None
                assert drawn.regions[region.start].label == drawn.regions[region.end].label == "node"
                assert region.parent is not None
            if region.parent is not None:
                outer = drawn.regions[region.parent].box
                assert outer[0] <= region.box[0]
                assert outer[1] <= region.box[1]
                assert region.box[2] <= outer[2]
                assert region.box[3] <= outer[3]


def test_a_seed_gives_the_same_page_and_another_seed_another_one(hard: TruePage) -> None:
    again = page("hard-dev", 1, 2)
    assert again.sha256() == hard.sha256()
    assert again.pixels is not None
    assert hard.pixels is not None
    assert (again.pixels == hard.pixels).all()
    assert page("hard-dev", 2, 2).sha256() != hard.sha256()


def test_hard_pages_have_no_text_layer(hard: TruePage) -> None:
    assert hard.text is not None
    assert hard.text.source == "none"


@pytest.mark.parametrize("split", SPLITS)
def test_the_truth_is_the_one_on_record(split: str) -> None:
    assert len(recorded()[split]) == RECORDED_PAGES
    assert pages_with_other_truth(split, 1, 2) == []  # type: ignore[arg-type]


def test_a_changed_mask_is_another_truth() -> None:
    drawn = render(sketch_of_two_boxes(), "p")
    first = drawn.regions[1]
    assert first.mask is not None
    pixels = first.mask.pixels.copy()
    pixels[3, 3] = False
    from dataclasses import replace

    other = replace(first, mask=Mask(first.mask.left, first.mask.top, pixels))
    changed = replace(drawn, regions=(drawn.regions[0], other, drawn.regions[2]))
    assert changed.sha256() != drawn.sha256()
