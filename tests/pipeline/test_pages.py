"""Pages: upright 8-bit pixels, and words where they stand on them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pymupdf
import pytest
from PIL import Image, ImageFilter

from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.files import sha256_file
from pipeline.core.manifest import Item, Source
from pipeline.core.sources import Sources
from pipeline.core.stage import Site, Task
from pipeline.docparse.documents import count_pages, draw_page, open_source
from pipeline.docparse.media import JPEG, PDF, PNG, TIFF
from pipeline.docparse.pages.source import DocumentProblem, PageDamaged, PageTooLarge, Renderer
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.render import RenderStage, page_pixels, read_page
from pipeline.docparse.words import PageText
from tests.pipeline.documents import new_page, save, text_page, write

ROOMY = 50_000_000
RENDERERS: tuple[Renderer, ...] = ("mupdf", "pdfium")


def dark_box(pixels: np.ndarray[Any, Any]) -> tuple[float, ...]:
    ys, xs = np.nonzero(pixels.min(axis=2) < 128)
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_words_stand_where_their_ink_is_however_the_page_is_turned(
    tmp_path: Path, rotation: int, renderer: Renderer
) -> None:
    def turned(document: Any) -> None:
        page = new_page(document, 400, 300)
        write(page, (60, 40, 200, 60), "Слово", 14)
        page.set_cropbox(pymupdf.Rect(20, 10, 390, 280))
        page.set_rotation(rotation)

    page = draw_page(save(tmp_path / "turned.pdf", turned), PDF, 1, 150, ROOMY, renderer)
    (word,) = page.words
    left, top, right, bottom = dark_box(page.pixels)
    assert word.text == "Слово"
    assert word.box[0] - 2 <= left
    assert word.box[1] - 2 <= top
    assert right <= word.box[2] + 2
    assert bottom <= word.box[3] + 2


def test_both_renderers_give_pages_of_one_size_and_the_same_words_in_the_same_places(tmp_path: Path) -> None:
    def turned(rotation: int, crop: bool) -> Any:
        def draw(document: Any) -> None:
            page = new_page(document, 400.3, 299.7)
            write(page, (60, 40, 300, 60), "Слово of an office file", 14)
            write(page, (60, 80, 300, 140), "A second paragraph, long enough that it takes two lines, surely.", 12)
            write(page, (60, 200, 300, 260), "A third one, further down", 12)
            if crop:
                page.set_cropbox(pymupdf.Rect(20, 30, 350, 280))
            page.set_rotation(rotation)

        return draw

    papers = [turned(rotation, crop) for rotation in (0, 90, 180, 270) for crop in (False, True)]
    path = save(tmp_path / "papers.pdf", *papers)
    for page in range(1, len(papers) + 1):
        ours, theirs = (draw_page(path, PDF, page, 150, ROOMY, renderer) for renderer in RENDERERS)
        assert ours.pixels.shape == theirs.pixels.shape
        assert ours.quick
        assert theirs.quick
        words = [(word.text, word.block, word.line) for word in ours.words]
        assert words == [(word.text, word.block, word.line) for word in theirs.words]
        assert len(words) > 15
        for one, other in zip(ours.words, theirs.words, strict=True):
            assert one.box == pytest.approx(other.box, abs=0.05)
        ink, other_ink = (page.pixels.min(axis=2) < 128 for page in (ours, theirs))
        near = np.asarray(Image.fromarray(other_ink).filter(ImageFilter.MaxFilter(3)))
        assert (ink & ~near).sum() < 0.01 * ink.sum()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_signs_beyond_sixteen_bits_and_broken_ones_are_text_that_can_be_kept(
    tmp_path: Path, renderer: Renderer
) -> None:
    def mapped(document: Any) -> None:
        page = new_page(document, 400, 300)
        page.insert_text((40, 60), "AC BC", fontname="helv", fontsize=20)
        table = (
            b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
            b"1 begincodespacerange <00> <FF> endcodespacerange "
            b"3 beginbfchar <41> <D835DC65> <42> <D835> <43> <0043> endbfchar endcmap end end"
        )
        number = document.get_new_xref()
        document.update_object(number, "<<>>")
        document.update_stream(number, table)
        document.xref_set_key(page.get_fonts()[0][0], "ToUnicode", f"{number} 0 R")

    page = draw_page(save(tmp_path / "formula.pdf", mapped), PDF, 1, 150, ROOMY, renderer)
    assert [word.text for word in page.words] == ["\U0001d465C", "\ufffdC"]
    text = PageText(833, 625, 150, page.words)
    assert PageText.from_json(text.to_json()).words[0].text == "\U0001d465C"


def test_sizes_agree_with_what_is_drawn_for_any_page(tmp_path: Path) -> None:
    chance = random.Random(4)
    sizes = [(chance.uniform(3, 700), chance.uniform(3, 700)) for _ in range(12)]
    path = save(tmp_path / "sizes.pdf", *(lambda document, size=size: new_page(document, *size) for size in sizes))
    for renderer in RENDERERS:
        source = open_source(path, PDF, renderer)
        for page in range(1, len(sizes) + 1):
            for dpi in (50, 72):
                height, width, _ = source.pixels(page, dpi).shape
                assert source.size_px(page, dpi) == (width, height)
        source.close()


def test_fields_and_annotations_are_drawn_by_both(tmp_path: Path) -> None:
    def form(document: Any) -> None:
        page = new_page(document, 200, 100)
        widget = pymupdf.Widget()
        widget.field_name, widget.field_type = "name", pymupdf.PDF_WIDGET_TYPE_TEXT
        widget.field_value, widget.rect, widget.fill_color = "filled", pymupdf.Rect(10, 10, 90, 40), (0, 0, 1)
        page.add_widget(widget)
        page.add_rect_annot(pymupdf.Rect(110, 10, 190, 40)).update(fill_color=(1, 0, 0))

    path = save(tmp_path / "form.pdf", form)
    for renderer in RENDERERS:
        pixels = draw_page(path, PDF, 1, 72, ROOMY, renderer).pixels
        assert (pixels[12:38, 12:88, 0] > pixels[12:38, 12:88, 2] + 60).mean() > 0.5
        assert (pixels[12:38, 112:188, 2] > pixels[12:38, 112:188, 0] + 60).mean() > 0.5


@pytest.mark.parametrize("renderer", RENDERERS)
def test_documents_that_cannot_be_read_say_why_with_either_renderer(tmp_path: Path, renderer: Renderer) -> None:
    secret = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "user_pw": "u", "owner_pw": "o"}
    locked = save(tmp_path / "locked.pdf", text_page, **secret)
    free = save(tmp_path / "free.pdf", text_page, encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="o")
    assert count_pages(free, PDF, renderer) == 1
    whole = save(tmp_path / "cut.pdf", text_page, text_page).read_bytes()
    (tmp_path / "noise.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    kinds = {"locked.pdf": {"encrypted"}, "noise.pdf": {"damaged", "truncated"}}
    for share in (0.3, 0.6, 0.95):
        name = f"cut-{share}.pdf"
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        kinds[name] = {"truncated", "damaged"}
    for name, expected in kinds.items():
        with pytest.raises(DocumentProblem) as caught:
            count_pages(tmp_path / name, PDF, renderer)
        assert caught.value.kind in expected, name
    assert locked.exists()


def test_pages_past_the_end_and_pages_too_large_fail_alone_with_either_renderer(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pdf", text_page, lambda document: new_page(document, 14_000, 14_000))
    for renderer in RENDERERS:
        with pytest.raises(PageDamaged, match="export the document again"):
            draw_page(path, PDF, 3, 72, ROOMY, renderer)
        with pytest.raises(PageTooLarge, match="lower dpi or raise max_page_pixels"):
            draw_page(path, PDF, 2, 72, ROOMY, renderer)
        assert draw_page(path, PDF, 1, 72, ROOMY, renderer).words


@pytest.mark.parametrize("renderer", RENDERERS)
def test_pixels_for_a_device_are_the_bytes_of_the_picture_on_disk(tmp_path: Path, renderer: Renderer) -> None:
    Image.effect_noise((90, 60), 80).convert("RGB").save(tmp_path / "photo.jpg", quality=80)
    Image.effect_noise((90, 60), 80).save(tmp_path / "plain.png")
    photo = str(tmp_path / "photo.jpg")
    save(
        tmp_path / "pdf.pdf",
        text_page,
        lambda document: new_page(document).insert_image((9, 9, 99, 69), filename=photo),
    )
    params = DocparseParams.model_validate({"sources": ["."], "renderer": renderer})
    redrawn = []
    for name, media_type, page in (
        ("photo.jpg", JPEG, 1),
        ("plain.png", PNG, 1),
        ("pdf.pdf", PDF, 1),
        ("pdf.pdf", PDF, 2),
    ):
        file = tmp_path / name
        source = Source(path=name, sha256=sha256_file(file), bytes=file.stat().st_size, media_type=media_type)
        item = Item(item_id="i", group=f"{name}", source=source, page=page)
        site = Site(tmp_path / "run", Sources(tmp_path, by_content=False))
        writer = ArtifactWriter(site.run_dir, item.folder, "render", "i")
        (output,) = RenderStage(params).process([Task(item, {}, site, writer)])
        task = Task(item, {"render": output.data}, site, writer)
        redrawn.append(output.data["redraw"])
        raw, (decoded, _) = page_pixels(task), read_page(site.run_dir, item.folder)
        assert raw.flags.c_contiguous
        assert np.array_equal(raw, decoded)
        file.touch()  # changed or gone, the picture on disk is what counts
        file.rename(tmp_path / "away")
        assert np.array_equal(page_pixels(task), decoded)
        (tmp_path / "away").rename(file)
    assert redrawn == [True, False, True, False]


def test_thousands_of_documents_leave_no_memory_behind(tmp_path: Path) -> None:
    papers = [
        save(tmp_path / f"{number}.pdf", lambda document, number=number: text_page(document, number % 3 + 1))
        for number in range(4)
    ]
    Image.effect_noise((200, 150), 80).save(tmp_path / "a.tif")

    def some(times: int) -> None:
        for _ in range(times):
            for renderer in RENDERERS:
                for path in papers:
                    draw_page(path, PDF, 1, 40, ROOMY, renderer)
            draw_page(tmp_path / "a.tif", TIFF, 1, 40, ROOMY)

    memory = psutil.Process().memory_info
    open_before = {file.path for file in psutil.Process().open_files()}  # by other tests in this process
    some(12)
    before = memory().rss
    some(36)
    grown_kb = (memory().rss - before) / 1024
    assert grown_kb / (36 * 9) < 8, "kB a document"
    assert len({file.path for file in psutil.Process().open_files()} - open_before) < 20


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


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_a_photo_is_turned_upright_by_its_exif(tmp_path: Path, turn: int, kind: str) -> None:
    upright = Image.new("RGB", (48, 24), "white")
    upright.paste((200, 0, 0), (0, 0, 16, 8))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(back[turn])) if turn > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / f"photo.{kind}", exif=exif, quality=95)
    media_type = {"jpg": JPEG, "png": PNG, "tif": TIFF}[kind]
    source = open_source(tmp_path / f"photo.{kind}", media_type)
    assert source.size_px(1, 0) == (48, 24)
    pixels = source.pixels(1, 0)
    source.close()
    assert pixels.shape == (24, 48, 3)
    assert pixels[3, 8, 1] < 60
    assert pixels[3, 40].min() > 200
    assert pixels[20, 8].min() > 200


def test_a_fax_of_many_pages_is_black_on_white(tmp_path: Path) -> None:
    sheets = []
    for number in range(3):
        sheet = Image.new("1", (240, 320), 1)
        sheet.paste(0, (20, 20, 120 + 40 * number, 60))
        sheets.append(sheet)
    path = tmp_path / "fax.tif"
    sheets[0].save(path, save_all=True, append_images=sheets[1:], compression="group4", dpi=(200, 200))
    assert count_pages(path, TIFF) == 3
    for number in range(3):
        page = draw_page(path, TIFF, number + 1, 150, ROOMY)
        assert page.dpi == 200
        assert sorted(np.unique(page.pixels)) == [0, 255]
        assert dark_box(page.pixels) == (20, 20, 119 + 40 * number, 59)


def test_deep_greys_keep_their_shades_and_negatives_are_turned(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (4, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    black_is_zero, white_is_zero = (bytes([6, 1, 3, 0, 1, 0, 0, 0, meaning, 0]) for meaning in (1, 0))
    whole = (tmp_path / "deep.tif").read_bytes()
    assert black_is_zero in whole
    (tmp_path / "negative.tif").write_bytes(whole.replace(black_is_zero, white_is_zero))
    shades = draw_page(tmp_path / "deep.tif", TIFF, 1, 150, ROOMY).pixels[0, :, 0]
    assert np.abs(shades.astype(int) - np.linspace(0, 255, 64)).max() <= 1
    negative = draw_page(tmp_path / "negative.tif", TIFF, 1, 150, ROOMY).pixels[0, :, 0]
    assert np.array_equal(negative, 255 - shades)


def test_greys_of_32_bits_are_scaled_by_the_largest(tmp_path: Path) -> None:
    steps = np.array([[0, 1_000, 2_000, 4_000]], np.int32)
    Image.fromarray(steps).save(tmp_path / "counts.tif")
    assert draw_page(tmp_path / "counts.tif", TIFF, 1, 150, ROOMY).pixels[0, :, 0].tolist() == [0, 64, 128, 255]
    high = np.array([[0, 2**31, 2**32 - 1]], np.uint32).view(np.int32)
    Image.fromarray(high).save(tmp_path / "signed.tif")
    signed, unsigned = (bytes([83, 1, 3, 0, 1, 0, 0, 0, meaning, 0]) for meaning in (2, 1))
    whole = (tmp_path / "signed.tif").read_bytes()
    assert signed in whole
    (tmp_path / "high.tif").write_bytes(whole.replace(signed, unsigned))
    assert draw_page(tmp_path / "high.tif", TIFF, 1, 150, ROOMY).pixels[0, :, 0].tolist() == [0, 128, 255]


def test_values_that_are_no_numbers_leave_the_rest_of_a_picture_as_it_is(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "heat.tif")
    assert draw_page(tmp_path / "heat.tif", TIFF, 1, 150, ROOMY).pixels[..., 0].tolist() == [[0, 128, 255], [0, 0, 0]]


def test_a_smaller_copy_inside_a_tiff_is_no_page(tmp_path: Path) -> None:
    frames = [Image.new("L", (40, 30), 10), Image.new("L", (10, 8), 99), Image.new("L", (40, 30), 200)]
    frames[1].encoderinfo = {"tiffinfo": {254: 1}}
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    assert count_pages(tmp_path / "two.tif", TIFF) == 2
    assert draw_page(tmp_path / "two.tif", TIFF, 2, 150, ROOMY).pixels[0, 0, 0] == 200


@pytest.mark.parametrize(
    ("told", "kept"),
    [((300, 300), 300), ((299.99, 300.0), 300), (None, None), ((72, 72), None), ((96, 96), None), ((200, 98), None),
     ((2400, 2400), None), ((30000, 30000), None)],
)  # fmt: skip
def test_the_resolution_of_a_scan_is_kept_where_it_can_be_true(tmp_path: Path, told: Any, kept: int | None) -> None:
    for name, media_type in (("a.png", PNG), ("a.jpg", JPEG), ("a.tif", TIFF)):
        Image.new("L", (2480, 1200), 255).save(tmp_path / name, **({"dpi": told} if told else {}))
        assert draw_page(tmp_path / name, media_type, 1, 150, ROOMY).dpi == kept, name


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
