"""Render: a page's picture and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import ItemError
from pipeline.core.files import sha256_file
from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.documents import draw_page
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.words import PageText

if TYPE_CHECKING:
    import numpy

PNG_LEVEL = 1
"""Writing is what costs: level 1 is several times faster than 6 and a little larger."""


class SourceChanged(ItemError):
    """A source file is not the one that was planned."""


class RenderStage(MapStage):
    """Writes `page.png` and `words.json` for every page; hands on the page's size and where its text comes from."""

    name = "render"
    version = "1"
    done_word = "rendered"
    reads_sources = True

    def __init__(self, params: DocparseParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """Resolution, limit, and the libraries that draw."""
        libraries = {name: version(name) for name in ("pymupdf", "pillow", "opencv-python-headless")}
        return {**self._params.stage_values("dpi", "max_page_pixels"), **libraries}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Draw pages; raises ItemError for one that cannot be drawn."""
        return [self._render(task) for task in batch]

    def _render(self, task: Task) -> Output:
        source, page = task.item.source, task.item.page
        assert page is not None
        path = task.site.sources.path(source)
        if _sha256_once(path, path.stat().st_mtime_ns) != source.sha256:
            raise SourceChanged(f"{source.path!r} was changed after planning: plan the run again")
        drawn = draw_page(path, source.media_type, page, self._params.dpi, self._params.max_page_pixels)
        height, width = drawn.pixels.shape[:2]
        text = PageText(width, height, drawn.dpi, drawn.words)
        task.writer.write("page.png", encode_png(drawn.pixels), "page-image")
        task.writer.write("words.json", text.to_json(), "words")
        return Output(
            {"width": width, "height": height, "dpi": drawn.dpi, "text_source": text.source, "words": len(drawn.words)},
            metrics={"words": len(drawn.words)},
        )


@cache
def _sha256_once(path: Path, mtime_ns: int) -> str:
    return sha256_file(path)


def encode_png(pixels: numpy.ndarray[Any, Any]) -> bytes:
    """Blue-green-red pixels as a PNG file."""
    import cv2

    ok, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    assert ok, "OpenCV encodes any 8-bit image"
    return bytes(data)


def read_page(run_dir: Path, folder: str) -> tuple[numpy.ndarray[Any, Any], PageText]:
    """What render wrote about a page: (pixels, text)."""
    import cv2

    pixels = cv2.imread(str(run_dir / folder / "page.png"), cv2.IMREAD_COLOR)
    assert pixels is not None, f"{folder}/page.png was written whole"
    return pixels, read_text(run_dir, folder)


def read_text(run_dir: Path, folder: str) -> PageText:
    """The words that render wrote about a page."""
    return PageText.from_json((run_dir / folder / "words.json").read_bytes())
