"""Render: a page's picture and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import ItemError
from pipeline.core.files import sha256_file
from pipeline.core.manifest import Source
from pipeline.core.stage import MapStage, Output, Site, Task
from pipeline.docparse.documents import draw_page, kept_open
from pipeline.docparse.elements import ELEMENTS_FILE, JSON, page_elements
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.words import PageText

if TYPE_CHECKING:
    import numpy

WORDS_FILE = "words.json"
OCR_FILE = "ocr.json"
"""Written by the `ocr` stage for a page that it read. A run names OCR or does not, for all of its life: the file never
stands there from another run."""
PNG_LEVEL = 1
"""Writing is what costs: level 1 is several times faster than 6 and a little larger. Rows go unfiltered: filters are
for photographs; without them pages of text, plots and scans take half the time, no more bytes, and decode faster."""


class SourceChanged(ItemError):
    """A source file is not the one that was planned."""


class RenderStage(MapStage):
    """Writes `page.png` and `words.json` for every page, and `elements.json` where its document has elements attached.

    Hands on the page's size and where its text comes from.
    """

    name = "render"
    version = "3"
    done_word = "rendered"
    reads_sources = True

    def __init__(self, params: DocparseParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """Resolution and limit, and which library draws."""
        return self._params.stage_values("dpi", "max_page_pixels", "renderer")

    def libraries(self) -> Mapping[str, str]:
        """The libraries that draw."""
        drawer = {"mupdf": "pymupdf", "pdfium": "pypdfium2"}[self._params.renderer]
        return {name: version(name) for name in (drawer, "pillow", "opencv-python-headless")}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Draw pages; raises ItemError for one that cannot be drawn."""
        return [self._render(task) for task in batch]

    def _render(self, task: Task) -> Output:
        page, params = task.item.page, self._params
        assert page is not None
        path = planned_source(task.site, task.item.source)
        drawn = draw_page(path, task.item.source.media_type, page, params.dpi, params.max_page_pixels, params.renderer)
        height, width = drawn.pixels.shape[:2]
        text = PageText(width, height, drawn.dpi, drawn.words)
        task.writer.write("page.png", encode_png(drawn.pixels), "page-image")
        task.writer.write(WORDS_FILE, text.to_json(), "words")
        notes = self._elements(task, (width, height))
        return Output(
            {
                "width": width, "height": height, "dpi": drawn.dpi, "text_source": text.source,
                "words": len(drawn.words), "renderer": params.renderer, "redraw": drawn.quick,
            },
            metrics={"words": len(drawn.words), f"pages_text_{text.source}": 1, **notes},
        )  # fmt: skip

    def _elements(self, task: Task, size_px: tuple[int, int]) -> Mapping[str, float]:
        """Write the page's share of an attached file of elements; returns counts of them."""
        item = task.item
        assert item.page is not None
        for attached in item.attached:
            if attached.media_type != JSON:
                continue
            file = planned_source(task.site, attached)
            document = kept_open(planned_source(task.site, item.source), item.source.media_type, self._params.renderer)
            name = PurePosixPath(item.source.path).name
            found = page_elements(file, name, item.page, document.page_count(), size_px)
            task.writer.write(ELEMENTS_FILE, found.to_json(attached.path), "elements")
            return found.notes
        return {}


def planned_source(site: Site, source: Source) -> Path:
    """Where a source lies, once it is known to be the file that was planned.

    Raises:
        SourceChanged: it is another one.
    """
    path = site.sources.path(source)
    if _sha256_once(path, path.stat().st_mtime_ns) != source.sha256:
        raise SourceChanged(f"{source.path!r} was changed after planning: plan the run again")
    return path


@lru_cache(maxsize=64)
def _sha256_once(path: Path, mtime_ns: int) -> str:
    return sha256_file(path)


def encode_png(pixels: numpy.ndarray[Any, Any]) -> bytes:
    """Blue-green-red pixels as a PNG file."""
    import cv2

    how = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    ok, data = cv2.imencode(".png", pixels, how)
    assert ok, "OpenCV encodes any 8-bit image"
    return bytes(data)


def read_page(run_dir: Path, folder: str) -> tuple[numpy.ndarray[Any, Any], PageText]:
    """A page from its files: (pixels, the words that count)."""
    return _decoded(run_dir, folder), read_text(run_dir, folder)


def page_pixels(task: Task) -> numpy.ndarray[Any, Any]:
    """The pixels that render drew of a page, for a stage that requires `render`: uint8, (height, width, 3), BGR.

    A page of text is drawn from its document again, which costs a fraction of decoding `page.png`; any other page is
    decoded. Both give the same bytes: the cache key of render holds the libraries that draw.
    """
    drawn = task.inputs["render"]
    if drawn["redraw"]:
        try:
            path = planned_source(task.site, task.item.source)
        except (OSError, SourceChanged):
            return _decoded(
                task.site.run_dir, task.item.folder
            )  # the page was drawn when the source was there; its picture is what counts
        assert task.item.page is not None
        source = kept_open(path, task.item.source.media_type, drawn["renderer"])
        return source.pixels(task.item.page, drawn["dpi"] or 0)
    return _decoded(task.site.run_dir, task.item.folder)


def _decoded(run_dir: Path, folder: str) -> numpy.ndarray[Any, Any]:
    import cv2

    pixels: numpy.ndarray[Any, Any] | None = cv2.imread(str(run_dir / folder / "page.png"), cv2.IMREAD_COLOR)
    assert pixels is not None, f"{folder}/page.png was written whole"
    return pixels


def read_text(run_dir: Path, folder: str) -> PageText:
    """The words of a page that count: those that the `ocr` stage read, where it did, else those of the text layer."""
    read = run_dir / folder / OCR_FILE
    return PageText.from_json((read if read.exists() else run_dir / folder / WORDS_FILE).read_bytes())
