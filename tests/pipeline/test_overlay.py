"""The overlay shows every region on any page, the same way every time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.docparse.colours import rgb
from pipeline.docparse.overlay import MAX_SIDE_PX, draw_overlay
from pipeline.docparse.regions import Region
from tests.pipeline.described import SIZES, described_run
from tests.processor import least_s


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> list[Region]:
    return described_run(tmp_path_factory.mktemp("overlay") / "run")[0]


def page(shade: int, size: tuple[int, int] = SIZES[0]) -> np.ndarray[Any, Any]:
    return np.full((size[1], size[0], 3), shade, np.uint8)


def opened(data: bytes) -> np.ndarray[Any, Any]:
    """Red, green, blue."""
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_boxes_tags_and_masks_show_on_any_ground(regions: list[Region], shade: int) -> None:
    seen = opened(draw_overlay(page(shade), regions))
    for region in regions:
        left, top, right, _ = (round(side) for side in region.box)
        near = abs(seen[top - 3 : top + 4, left + 2 : right - 2] - rgb(region.label)).sum(axis=2)
        assert (near < 90).any(axis=0).mean() > 0.5, f"the upper edge of {region.label} is in its colour"
        tag = seen[max(0, top - 12) : max(0, top - 12) + 11, left + 1 : left + 40]
        assert tag.max() - tag.min() > 100, f"the tag of {region.label} can be read"
    node = regions[2]
    assert node.segmentation is not None
    middle = seen[120, 110]
    assert abs(middle - shade).sum() > 60, "the mask is laid over the page"
    assert abs(middle - rgb("node")).sum() > 60, "and the page is seen through it"


def test_the_page_is_left_as_it_was_and_the_bytes_are_the_same(regions: list[Region]) -> None:
    pixels = page(200)
    first = draw_overlay(pixels, regions)
    assert (pixels == 200).all()
    assert draw_overlay(pixels, regions) == first
    assert draw_overlay(pixels, [region.model_copy(update={"score": 0.123}) for region in regions]) != first


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (4000, 20), (3000, 4000)])
def test_pages_of_any_size_are_shown_no_larger_than_needed(regions: list[Region], size: tuple[int, int]) -> None:
    seen = opened(draw_overlay(page(255, size), [each.model_copy(update={"segmentation": None}) for each in regions]))
    assert max(seen.shape[:2]) == min(MAX_SIDE_PX, max(size))


def test_a_mask_in_the_last_column_of_a_page_is_drawn_though_the_shown_page_ends_before_it(
    regions: list[Region],
) -> None:
    width, height = 1035, 2339  # shown 442 pixels wide: the last column lies at 442.07 of them
    pixels = page(255, (width, height))
    seen = opened(draw_overlay(pixels, [regions[2]], [(width - 1, 1000, np.ones((200, 1), bool))]))
    assert abs(seen[430:510, -1] - 255).sum(axis=1).min() > 60, "the last column is tinted where the mask is"


def test_a_page_without_regions_is_the_page() -> None:
    assert abs(opened(draw_overlay(page(77), [])) - 77).max() <= 2


def test_an_overlay_takes_little_processor_time(regions: list[Region], tmp_path: Path) -> None:
    pixels = page(255, (1240, 1755))
    cv2.putText(pixels, "some text", (100, 1500), cv2.FONT_HERSHEY_SIMPLEX, 4, (0, 0, 0), 5)
    many = [each.model_copy(update={"segmentation": None}) for each in regions * 8]
    draw_overlay(pixels, many)
    took_s = least_s(lambda: draw_overlay(pixels, many), 0.12)
    assert took_s < 0.12, "0.03 s on the reference machine, with a margin for a busy one"
