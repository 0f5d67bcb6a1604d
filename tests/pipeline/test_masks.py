"""Masks beside their boxes, as COCO's run lengths and as pictures: pycocotools over the whole page is the judge."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from pipeline.docparse.masks import (
    area_px,
    bounds,
    checked,
    decode,
    mask_png,
    read_mask_png,
    region_mask,
    to_rle,
)
from pipeline.docparse.segmenting import Mask

BOX = (10.0, 20.0, 50.0, 60.0)


def mask_of(pixels: np.ndarray[Any, Any], left: int = 0, top: int = 0) -> Mask:
    return Mask(left, top, pixels.astype(bool), 0.9, 0.95)


def on_page(mask: Mask, width: int, height: int) -> np.ndarray[Any, Any]:
    page = np.zeros((height, width), bool)
    rows, columns = mask.pixels.shape
    page[mask.top : mask.top + rows, mask.left : mask.left + columns] = mask.pixels
    return page


@st.composite
def masks_on_pages(draw: st.DrawFn) -> tuple[Mask, int, int]:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    columns, rows = draw(st.integers(1, width - left)), draw(st.integers(1, height - top))
    kind = draw(st.sampled_from(["noise", "empty", "full", "blobs"]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random((rows, columns))
    pixels = {"noise": noise > 0.5, "empty": noise > 2, "full": noise > -1, "blobs": cv2.blur(noise, (5, 5)) > 0.5}[
        kind
    ]
    return mask_of(pixels, left, top), width, height


@given(masks_on_pages())
@settings(max_examples=150, deadline=None)
def test_run_lengths_from_a_crop_are_byte_for_byte_those_of_the_whole_page(drawn: tuple[Mask, int, int]) -> None:
    mask, width, height = drawn
    page = on_page(mask, width, height)
    theirs = coco.encode(np.asfortranarray(page.astype(np.uint8)))
    ours = to_rle(mask, width, height)
    assert (ours.size, ours.counts) == ((height, width), theirs["counts"].decode())
    assert (decode(ours) == page).all()
    assert area_px(mask) == coco.area(theirs)


@given(masks_on_pages())
@settings(max_examples=50, deadline=None)
def test_a_picture_of_a_mask_has_a_bit_a_pixel_and_reads_back(drawn: tuple[Mask, int, int]) -> None:
    data = mask_png(drawn[0].pixels)
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert (height, width) == drawn[0].pixels.shape
    assert (depth, kind) == (1, 0), "one bit, grey"
    assert (read_mask_png(data) == drawn[0].pixels).all()
    assert mask_png(drawn[0].pixels) == data


def test_bounds_say_where_a_mask_lies_on_its_page() -> None:
    pixels = np.zeros((30, 30))
    pixels[4:9, 2:12] = 1
    assert bounds(to_rle(mask_of(pixels, 100, 200), 400, 500)) == (102, 204, 112, 209)
    assert bounds(to_rle(mask_of(np.zeros((3, 3))), 40, 50)) == (0, 0, 0, 0)


def test_a_mask_that_leaves_its_page_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves its page 40×50"):
        to_rle(mask_of(np.ones((5, 5)), 38, 0), 40, 50)


def test_a_region_keeps_area_quality_and_flags() -> None:
    kept = region_mask(checked(mask_of(np.zeros((4, 4)), 10, 20), BOX), 100, 100)
    assert (kept.area_px, kept.quality, kept.stability, kept.flags) == (0, 0.9, 0.95, ("empty",))


def test_a_mask_that_fits_its_box_has_no_flags() -> None:
    pixels = np.zeros((48, 48))
    pixels[12:40, 10:40] = 1
    assert checked(mask_of(pixels, 6, 16), BOX).flags == ()


def test_a_mask_that_leaves_its_box_is_cut_at_the_box_and_flagged() -> None:
    pixels = np.zeros((60, 60))
    pixels[20:40, 10:58] = 1  # 48 columns, 8 of them beyond the box: a sixth
    cut = checked(mask_of(pixels), BOX)
    assert cut.flags == ("leaves-box",)
    assert area_px(cut) == 20 * 40
    assert not cut.pixels[:, 50:].any()


def test_a_mask_a_little_over_its_box_is_kept_as_it_is() -> None:
    pixels = np.zeros((60, 60))
    pixels[25:45, 12:52] = 1  # 2 of 40 columns beyond
    kept = checked(mask_of(pixels), BOX)
    assert kept.flags == ()
    assert (kept.pixels == pixels).all()


@pytest.mark.parametrize(
    ("drawn", "flag"),
    [
        pytest.param([((0, 0), (39, 39), -1)], "nearly-full-box", id="the whole box"),
        pytest.param([((x, 10), (x + 3, 30), -1) for x in (0, 8, 16, 24, 32)], "many-parts", id="five bars"),
        pytest.param([((0, 20), (39, 21), -1)], "thin", id="a line of two pixels"),
        pytest.param([((0, 20), (39, 22), -1)], None, id="a line of three pixels"),
    ],
)
def test_odd_masks_are_flagged(drawn: list[Any], flag: str | None) -> None:
    picture = np.zeros((40, 40), np.uint8)
    for low, high, thickness in drawn:
        cv2.rectangle(picture, low, high, 1, thickness)
    assert checked(mask_of(picture, 10, 20), BOX).flags == (() if flag is None else (flag,))


def test_specks_are_no_parts() -> None:
    picture = np.zeros((40, 40))
    picture[5:35, 5:35] = 1
    picture[1, 1:40:4] = 1
    assert checked(mask_of(picture, 10, 20), BOX).flags == ()
