"""The layout detector: boxes where the page shows them, labels by the map, and nothing made up on scans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pymupdf
import pytest
from PIL import Image

from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.errors import StageCrash
from pipeline.core.files import sha256_file
from pipeline.core.manifest import Item, Source
from pipeline.core.sources import Sources
from pipeline.core.stage import Site, Task
from pipeline.docparse import mupdf
from pipeline.docparse.detect import DetectStage
from pipeline.docparse.documents import draw_page
from pipeline.docparse.layout import LayoutDetector
from pipeline.docparse.layout_params import LABELS_MAP, LayoutParams
from pipeline.docparse.media import PDF, PNG
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.raw import PageImage, PageOrigin, RawPage
from pipeline.docparse.render import RenderStage, SourceChanged
from pipeline.docparse.words import PageText
from tests.pipeline.documents import flow_page, save, table_page

DPI = 150


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table upright, the same drawn on its side and turned back by /Rotate, a drawing, and a scan of the table."""
    folder = tmp_path_factory.mktemp("layout")

    def turned(document: Any) -> None:
        with pymupdf.open() as source:
            table_page(source)
            page = document.new_page(width=842, height=595)
            page.show_pdf_page(page.rect, source, 0, rotate=90)
        page.set_rotation(90)

    def scanned(document: Any) -> None:
        with pymupdf.open() as source:
            page = document.new_page(width=595, height=842)
            page.insert_image(page.rect, pixmap=table_page(source).get_pixmap(dpi=100))

    return save(folder / "papers.pdf", table_page, turned, flow_page, scanned)


def page_of(path: Path, number: int, media_type: str = PDF) -> PageImage:
    drawn = draw_page(path, media_type, number, DPI, 50_000_000)
    height, width = drawn.pixels.shape[:2]
    text = PageText(width, height, drawn.dpi, drawn.words)
    return PageImage(drawn.pixels, text, origin=PageOrigin(str(path), media_type, number))


def found(path: Path, *numbers: int, **params: Any) -> list[RawPage]:
    detector = LayoutDetector(LayoutParams(**params))
    detector.setup()
    pages = detector.find([page_of(path, number) for number in numbers])
    detector.teardown()
    return pages


def test_boxes_lie_on_their_words_however_the_page_is_turned(papers: Path) -> None:
    for number, raw in zip((1, 2), found(papers, 1, 2), strict=True):
        assert raw.composed is not None
        assert [one.label for one in raw.composed] == ["textbox", "textbox", "table"]
        text = page_of(papers, number).text
        heading, _, table = raw.composed
        assert [text.words[index].text for index in text.inside(heading.box)] == ["Роли", "на", "платформе"]
        cells = {text.words[index].text for index in text.inside(table.box)}
        assert {"Role", "Куратор", "nobody"} <= cells


def test_what_a_picture_is_the_map_must_say(papers: Path) -> None:
    (plain,), (mapped,) = found(papers, 3), found(papers, 3, labels_map={**LABELS_MAP, "picture": "diagram"})
    assert plain.composed is not None
    assert mapped.composed is not None
    assert "diagram" not in {one.label for one in plain.composed}
    assert plain.notes["layout_unmapped_picture"] == sum(one.label == "diagram" for one in mapped.composed) > 0
    assert "layout_unmapped_picture" not in mapped.notes


def test_a_scan_has_no_regions_and_is_counted(papers: Path, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "photo.png")
    (scan,) = found(papers, 4)
    (photo,) = LayoutDetector(LayoutParams()).find([page_of(tmp_path / "photo.png", 1, PNG)])
    for raw in (scan, photo):
        assert raw == RawPage(composed=(), notes={"layout_pages_without_text": 1})


def test_a_document_that_was_changed_after_its_pages_were_drawn_is_not_looked_at(papers: Path, tmp_path: Path) -> None:
    file = tmp_path / "papers.pdf"
    file.write_bytes(papers.read_bytes())
    source = Source(path=file.name, sha256=sha256_file(file), bytes=file.stat().st_size, media_type=PDF)
    item = Item(item_id="i", group="papers", source=source, page=1)
    site = Site(tmp_path / "run", Sources(tmp_path, by_content=False))
    writer = ArtifactWriter(site.run_dir, item.folder, "render", "i")
    params = DocparseParams.model_validate({"sources": ["."], "detector": {"name": "layout"}})
    (drawn,) = RenderStage(params).process([Task(item, {}, site, writer)])
    task, stage = Task(item, {"render": drawn.data}, site, writer), DetectStage(params)
    stage.setup()
    (raw,) = stage.process([stage.prepare(task)])
    assert raw.composed
    file.write_bytes(papers.read_bytes()[:-1] + b" ")  # of the same size
    with pytest.raises(SourceChanged, match="was changed after planning: plan the run again"):
        stage.process([stage.prepare(task)])


def test_the_model_is_loaded_by_nobody_but_its_detector(papers: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.docparse.documents import draw_page;"
        "from pipeline.docparse.layout import LayoutDetector; from pipeline.docparse.layout_params import LayoutParams;"
        f"draw_page(Path({str(papers)!r}), 'application/pdf', 1, 72, 10**7);"
        "LayoutDetector(LayoutParams()).key_parts();"
        "assert not {'pymupdf.layout', 'onnxruntime'} & set(sys.modules); LayoutDetector(LayoutParams()).setup();"
        "assert 'pymupdf.layout' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the process's threads as Linux lists them")
def test_the_model_works_in_one_thread_whatever_the_machine_has() -> None:
    code = (
        "import os, cv2, numpy, onnxruntime; from pipeline.docparse import mupdf; mupdf.load();"
        "count = lambda: len(os.listdir('/proc/self/task')); before, default = count(), onnxruntime.SessionOptions;"
        "mupdf.load_layout();"
        "assert count() == before, (before, count()); assert onnxruntime.SessionOptions is default;"
        "import glob, pymupdf.layout as layout;"
        "model = glob.glob(layout.__path__[0] + '/**/*.onnx', recursive=True)[0];"
        "options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 3;"
        "session = onnxruntime.InferenceSession(model, options);"
        "assert count() > before, 'a session with threads must show here'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_model_that_is_not_installed_is_said_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mupdf, "_LAYOUT", "pymupdf.no_such_layout")
    mupdf.load_layout.cache_clear()
    try:
        with pytest.raises(StageCrash, match="python -m pip install pymupdf-layout"):
            LayoutDetector(LayoutParams()).setup()
    finally:
        mupdf.load_layout.cache_clear()
