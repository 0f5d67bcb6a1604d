"""OCR: words of a scan, where they stand; and one clear sentence where Tesseract is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import psutil
import pymupdf
import pytest
from PIL import Image, ImageFilter

from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.errors import StageCrash, UsageError
from pipeline.core.files import sha256_file
from pipeline.core.manifest import Item, Source
from pipeline.core.sources import Sources
from pipeline.core.stage import Output, Site, Task
from pipeline.docparse import tesseract
from pipeline.docparse.documents import open_source
from pipeline.docparse.media import PDF, PNG
from pipeline.docparse.ocr import OcrStage
from pipeline.docparse.pages.covering import covered_share
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.render import RenderStage, read_text
from pipeline.docparse.tesseract import NotReadable, installed, parse
from pipeline.docparse.words import PageText
from tests.pipeline.documents import new_page, save, write

ENGLISH = "A platform joins people who make things with people who need them and keeps their trust"
RUSSIAN = "Платформа соединяет тех кто создаёт вещи с теми кому они нужны и хранит доверие обеих сторон"


def letter(document: Any) -> None:
    page = new_page(document, 420, 300)
    write(page, (40, 40, 380, 90), ENGLISH, 12)
    write(page, (40, 140, 380, 190), RUSSIAN, 12)


def scan_of(pdf: Path, target: Path, dpi: int = 300) -> Path:
    """The first page as a scanner gives it: softened grey pixels in a PDF without text."""
    source = open_source(pdf, PDF)
    sheet = Image.fromarray(source.pixels(1, dpi)[:, :, ::-1].copy()).convert("L").filter(ImageFilter.GaussianBlur(1))
    source.close()
    sheet.rotate(0.4, fillcolor=245, resample=Image.Resampling.BICUBIC).save(target, "PDF", resolution=dpi, quality=70)
    return target


class Table:
    """Runs stages on one page as a worker does."""

    def __init__(self, root: Path, file: Path, media_type: str, **params: Any) -> None:
        self.params = DocparseParams.model_validate({"sources": ["."], "ocr": {"name": "tesseract"}} | params)
        source = Source(path=file.name, sha256=sha256_file(file), bytes=file.stat().st_size, media_type=media_type)
        self.item = Item(item_id="page", group="document", source=source, page=1)
        self.site = Site(root / "run", Sources(file.parent, by_content=False))
        self.drawn = self.do(RenderStage(self.params), {}).data

    def do(self, stage: Any, inputs: dict[str, Any]) -> Output:
        stage.setup()
        task = Task(
            self.item, inputs, self.site, ArtifactWriter(self.site.run_dir, self.item.folder, stage.name, "page")
        )
        (output,) = stage.process([task])
        assert isinstance(output, Output)
        return output

    def read(self) -> Output:
        return self.do(OcrStage(self.params), {"render": self.drawn})

    @property
    def text(self) -> PageText:
        return read_text(self.site.run_dir, self.item.folder)


def recognised(text: PageText, truth: str) -> float:
    """Share of the true words that were read in their order."""
    found, true = [word.text.strip(".,") for word in text.words], truth.split()
    return sum(block.size for block in SequenceMatcher(None, found, true, False).get_matching_blocks()) / len(true)


def test_words_of_a_russian_and_english_scan_are_read_where_they_stand(tmp_path: Path) -> None:
    pdf = save(tmp_path / "letter.pdf", letter)
    table = Table(tmp_path, scan_of(pdf, tmp_path / "scan.pdf"), PDF)
    assert (table.drawn["text_source"], table.text.source) == ("none", "none")
    output = table.read()
    assert output.data["read"]
    assert output.metrics["pages_read"] == 1
    assert table.text.source == "ocr"
    assert recognised(table.text, f"{ENGLISH} {RUSSIAN}") >= 0.9
    truth = open_source(pdf, PDF)
    exact = {word.text: word.box for word in truth.words(1, table.params.dpi)}
    truth.close()
    read = {word.text: word for word in table.text.words}
    for name in ("platform", "Платформа"):
        middle = read[name].centre
        left, top, right, bottom = exact[name]
        assert left < middle[0] < right
        assert top < middle[1] < bottom
        assert 0.3 <= (read[name].confidence or 0) <= 1
    assert read["platform"].block != read["Платформа"].block


def test_a_page_with_a_text_layer_keeps_it_unless_all_are_to_be_read(tmp_path: Path) -> None:
    pdf = save(tmp_path / "letter.pdf", letter)
    table = Table(tmp_path, pdf, PDF)
    assert table.read().data == {"text_source": "pdf", "words": table.drawn["words"], "read": False}
    assert (table.text.source, recognised(table.text, ENGLISH)) == ("pdf", 1.0)
    everything = Table(tmp_path / "all", pdf, PDF, ocr={"name": "tesseract", "pages": "all"})
    assert everything.read().data["read"]
    assert everything.text.source == "ocr"


@pytest.mark.parametrize("renderer", ["mupdf", "pdfium"])
def test_a_stray_word_on_a_scan_does_not_keep_it_from_being_read(tmp_path: Path, renderer: str) -> None:
    def with_words(*, text: str, part: float = 1.0) -> Path:
        """A scan on its side, turned upright by the page, in a form as scanners' software lays it there."""
        scan = scan_of(save(tmp_path / "letter.pdf", letter), tmp_path / "scan.pdf", 200)
        target = tmp_path / f"{len(text)}-{part}.pdf"
        with pymupdf.open(scan) as sheet, pymupdf.open() as document:
            page = document.new_page(width=300, height=420)
            page.show_pdf_page(pymupdf.Rect(0, 0, 300 * part, 420), sheet, 0, rotate=90, keep_proportion=False)
            page.insert_htmlbox(pymupdf.Rect(6, 6, 294, 90), f'<p style="font-size:8px">{text}</p>')
            page.set_rotation(90)
            document.save(target)
        return target

    def read(file: Path, **ocr: Any) -> Output:
        table = Table(tmp_path / file.stem, file, PDF, renderer=renderer, ocr={"name": "tesseract", **ocr})
        assert table.drawn["text_source"] == "pdf"
        return table.read()

    stray = read(with_words(text="Scanned"))
    assert (stray.data["read"], stray.data["text_source"]) == (True, "ocr")
    assert stray.data["words"] > 20
    assert stray.metrics["pages_with_stray_words"] == 1
    assert not read(with_words(text="Scanned"), stray_words_share=0).data["read"]
    assert not read(with_words(text=ENGLISH)).data["read"], "a paragraph is a text layer"
    assert not read(with_words(text="Scanned", part=0.6)).data["read"], "a figure is no scan"


def test_boxes_cover_a_page_once_and_only_where_it_is() -> None:
    page = (0, 0, 200, 100)
    assert covered_share([], page) == 0
    assert covered_share([(0, 0, 100, 100), (50, 0, 100, 100)], page) == 0.5
    assert covered_share([(-500, -500, 500, 500)], page) == 1
    assert covered_share([(300, 0, 400, 100)], page) == 0
    assert covered_share([(0, 75, 200, 100)], (0, 100, 200, 0)) == 0.25
    assert covered_share([(0, 0, 9, 9)], (0, 0, 0, 0)) == 0
    assert covered_share(((0, y, 200, y + 1) for y in range(100)), page) == 1


def test_a_page_with_nothing_to_read_says_so(tmp_path: Path) -> None:
    Image.new("L", (300, 200), 255).save(tmp_path / "blank.png")
    table = Table(tmp_path, tmp_path / "blank.png", PNG)
    output = table.read()
    assert (output.data["text_source"], table.text.source, table.text.words) == ("none", "none", [])
    assert output.metrics["pages_read_without_a_word"] == 1


def test_the_same_page_is_read_into_the_same_bytes(tmp_path: Path) -> None:
    pdf = scan_of(save(tmp_path / "letter.pdf", letter), tmp_path / "scan.pdf", 150)
    files = []
    for run in ("a", "b"):
        table = Table(tmp_path / run, pdf, PDF)
        table.read()
        files.append((table.site.run_dir / table.item.folder / "ocr.json").read_bytes())
    assert files[0] == files[1]


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = DocparseParams.model_validate(
        {"sources": ["."], "ocr": {"name": "tesseract", "languages": ["yor", "rus"]}}
    )
    told = r"no data for 'yor' here, only for .*eng, .*rus.*: apt-get install tesseract-ocr-yor$"
    with pytest.raises(UsageError, match=told):
        OcrStage(params).libraries()
    with pytest.raises(StageCrash, match=told):
        OcrStage(params).setup()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt-get install tesseract-ocr tesseract-ocr-rus tesseract-ocr-chi-sim"):
        installed(("rus", "chi_sim"))


@pytest.mark.parametrize(("language", "meant"), [("klingon", ""), ("english", r" \(did you mean eng\?\)")])
def test_a_language_that_nobody_packaged_is_not_to_be_installed(language: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        installed((language, "rus"))
    said = str(caught.value)
    assert re.search(
        rf"no data for '{language}' here, only for .*eng.*: Debian has no package .*'{language}'{meant}, ", said
    )
    assert "mend ocr.languages, or put such data into /" in said
    assert "apt-get install" not in said
    assert "osd" not in said


def test_the_key_holds_what_changes_the_words_and_not_the_patience(tmp_path: Path) -> None:
    def stage(**ocr: Any) -> OcrStage:
        return OcrStage(DocparseParams.model_validate({"sources": ["."], "ocr": {"name": "tesseract"} | ocr}))

    assert stage().key_parts() == stage(timeout_s=5).key_parts()
    assert stage().key_parts() != stage(languages=["eng"]).key_parts()
    libraries = dict(stage().libraries())
    assert libraries.pop("tesseract")[0].isdigit()
    assert set(libraries) == {"rus", "eng"}
    assert all(len(digest) == 64 for digest in libraries.values())


def test_a_page_that_takes_too_long_fails_alone_and_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    Image.new("L", (30, 20), 255).save(tmp_path / "blank.png")
    table = Table(tmp_path, tmp_path / "blank.png", PNG, ocr={"name": "tesseract", "timeout_s": 0.2})
    monkeypatch.setattr(tesseract, "BINARY", str(slow))
    with pytest.raises(NotReadable, match=r"longer than 0\.2 s.*raise ocr\.timeout_s or lower ocr\.dpi"):
        OcrStage(table.params).process(
            [Task(table.item, {"render": table.drawn}, table.site, ArtifactWriter(tmp_path, "x", "ocr", "page"))]
        )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_worker_that_is_killed_takes_the_reader_along(tmp_path: Path) -> None:
    started = tmp_path / "started"
    slow = tmp_path / "slow"
    tell = f"echo $$ > {started}.part && mv {started}.part {started}"
    slow.write_text(f"#!/bin/sh\ncat > /dev/null\n{tell}\nexec sleep 600\n")
    slow.chmod(0o755)
    code = (
        "import numpy; from pipeline.docparse import tesseract as reader;"
        f"reader.BINARY = {str(slow)!r};"
        "reader.read_words(numpy.zeros((20, 30), numpy.uint8), None, reader.TesseractParams())"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as worker:
        until(started.exists)
        reader = psutil.Process(int(started.read_text()))
        worker.kill()
    until(lambda: gone(reader))


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_doubtful_words_are_left_out_and_counted() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    rows = [
        "1\t1\t0\t0\t0\t0\t0\t0\t90\t90\t-1\t",
        "5\t1\t1\t1\t1\t1\t10\t20\t30\t8\t96.5\tslug",
        "5\t1\t1\t1\t1\t2\t50\t20\t30\t8\t12\t§§",
        '5\t1\t1\t2\t1\t1\t10\t40\t30\t8\t80\t"quoted',
        "5\t1\t1\t2\t2\t1\t1\t1\t1\t1\t95\t ",
    ]
    reading = parse("\n".join([head, *rows]), 0.3)
    assert [(word.text, word.block, word.line, word.box) for word in reading.words] == [
        ("slug", 0, 0, (10, 20, 40, 28)),
        ('"quoted', 1, 0, (10, 40, 40, 48)),
    ]
    assert reading.unsure == 1
