"""Pages: upright 8-bit pixels, and words where they stand on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.docparse.documents import draw_page
from pipeline.docparse.media import JPEG, PDF, PNG, TIFF
from pipeline.docparse.pages.source import PageDamaged, PageTooLarge
from pipeline.docparse.words import PageText
from tests.pipeline.documents import new_page, save, text_page, write

ROOMY = 50_000_000


def dark_box(pixels: np.ndarray[Any, Any]) -> tuple[float, ...]:
    ys, xs = np.nonzero(pixels.min(axis=2) < 128)
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_words_stand_where_their_ink_is_however_the_page_is_turned(tmp_path: Path, rotation: int) -> None:
    def turned(document: Any) -> None:
        page = new_page(document, 400, 300)
        write(page, (60, 40, 200, 60), "Слово", 14)
        page.set_rotation(rotation)

    page = draw_page(save(tmp_path / "turned.pdf", turned), PDF, 1, 150, ROOMY)
    (word,) = page.words
    left, top, right, bottom = dark_box(page.pixels)
    assert word.text == "Слово"
    assert word.box[0] - 2 <= left
    assert word.box[1] - 2 <= top
    assert right <= word.box[2] + 2
    assert bottom <= word.box[3] + 2


def test_a_page_without_a_text_layer_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "white").save(tmp_path / "a.png")
    page = draw_page(tmp_path / "a.png", PNG, 1, 150, ROOMY)
    text = PageText(40, 30, page.dpi, page.words)
    assert (text.source, text.dpi) == ("none", None)
    assert PageText.from_json(text.to_json()) == text


def test_words_read_back_as_they_were_written(tmp_path: Path) -> None:
    page = draw_page(save(tmp_path / "a.pdf", text_page), PDF, 1, 150, ROOMY)
    text = PageText(1240, 1755, 150, page.words)
    again = PageText.from_json(text.to_json())
    assert [word.text for word in again.words] == [word.text for word in page.words]
    assert again.to_json() == text.to_json()


def test_a_page_of_twenty_metres_fails_with_the_numbers_and_the_way_out(tmp_path: Path) -> None:
    side = 20_000 / 25.4 * 72
    path = save(tmp_path / "vast.pdf", lambda document: new_page(document, side, side))
    with pytest.raises(PageTooLarge) as caught:
        draw_page(path, PDF, 1, 150, ROOMY)
    message = str(caught.value)
    for part in ("20000 × 20000 mm", "150 dpi", "max_page_pixels = 50,000,000", "lower dpi or raise max_page_pixels"):
        assert part in message
    Image.new("L", (400, 300)).save(tmp_path / "large.png")
    with pytest.raises(PageTooLarge, match="400 × 300"):
        draw_page(tmp_path / "large.png", PNG, 1, 150, 100_000)


IMAGES = {
    "grey.png": Image.new("L", (8, 6), 200),
    "deep.png": Image.fromarray(np.full((6, 8), 200 * 257, np.uint16)),
    "bilevel.tif": Image.new("1", (8, 6), 1),
    "palette.png": Image.new("RGB", (8, 6), (200, 200, 200)).quantize(4),
    "inks.jpg": Image.new("CMYK", (8, 6), (55, 55, 55, 0)),
    "clear.png": Image.new("RGBA", (8, 6), (0, 0, 0, 0)),
    "float.tif": Image.new("F", (8, 6), 1.0),
}
SHADES = {"bilevel.tif": 255, "clear.png": 255, "float.tif": 255}


@pytest.mark.parametrize("name", IMAGES)
def test_every_kind_of_image_becomes_eight_bit_colour(tmp_path: Path, name: str) -> None:
    IMAGES[name].save(tmp_path / name)
    media_type = {"png": PNG, "jpg": JPEG, "tif": TIFF}[name[-3:]]
    pixels = draw_page(tmp_path / name, media_type, 1, 150, ROOMY).pixels
    assert (pixels.shape, pixels.dtype) == ((6, 8, 3), np.uint8)
    assert abs(int(pixels[3, 4].mean()) - SHADES.get(name, 200)) <= 2


def test_a_photo_is_turned_upright_by_its_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "white").save(tmp_path / "photo.jpg", exif=exif)
    assert draw_page(tmp_path / "photo.jpg", JPEG, 1, 150, ROOMY).pixels.shape == (40, 20, 3)


def test_every_frame_of_a_tiff_is_a_page_of_its_own(tmp_path: Path) -> None:
    frames = [Image.new("L", (30, 20), 0), Image.new("L", (10, 40), 255)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    assert draw_page(tmp_path / "two.tif", TIFF, 2, 150, ROOMY).pixels.shape == (40, 10, 3)


def test_a_cut_off_image_fails_alone(tmp_path: Path) -> None:
    Image.effect_noise((200, 200), 90).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PageDamaged, match="export it again"):
        draw_page(tmp_path / "cut.jpg", JPEG, 1, 150, ROOMY)
