"""OCR: words from pixels, by Tesseract's command line, and only where the parameters name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import PipelineError, StageCrash
from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.documents import kept_open
from pipeline.docparse.media import PDF
from pipeline.docparse.ocr_params import TesseractParams
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.render import OCR_FILE, WORDS_FILE, planned_source
from pipeline.docparse.tesseract import Reading, installed, read_words
from pipeline.docparse.words import PageText, Word

if TYPE_CHECKING:
    import numpy

MAX_SIDE_PX = 32_000
"""Tesseract refuses pictures with a side above 32,767 pixels."""
SMALL_SIDE_PX = 2_000
"""An image whose longer side is shorter, and that names no resolution, is a screenshot: its letters are some ten pixels
tall, half of what Tesseract reads well, so it is doubled."""


class OcrStage(MapStage):
    """Writes `ocr.json`, in the form of `words.json`, for every page that is to be read.

    A page that keeps the words of its text layer gets no file. What later stages take is told by `render.read_text`.
    A scan on which there are only stray words is read; it is counted (`pages_with_stray_words`).
    """

    name = "ocr"
    version = "2"
    requires = ("render",)
    done_word = "read"
    reads_sources = True

    def __init__(self, params: DocparseParams) -> None:
        assert isinstance(params.ocr, TesseractParams), "the stage is there only when Tesseract is named"
        self._params = params
        self._ocr = params.ocr

    def key_parts(self) -> Mapping[str, Any]:
        """What Tesseract is told."""
        told = self._ocr.model_dump(mode="json", exclude={"timeout_s"})
        return {"ocr": told, "max_page_pixels": self._params.max_page_pixels}

    def libraries(self) -> Mapping[str, str]:
        """Tesseract's version and its language data.

        Raises:
            UsageError: Tesseract or a language is not installed; the sentence names the command that mends it.
        """
        found = installed(self._ocr.languages)
        return {"tesseract": found["tesseract"], **found["languages"]}

    def setup(self) -> None:
        """Make sure that Tesseract is there."""
        try:
            installed(self._ocr.languages)
        except PipelineError as error:
            raise StageCrash(str(error)) from error

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Read pages; raises ItemError for one that cannot be read."""
        return [self._read(task) for task in batch]

    def _read(self, task: Task) -> Output:
        drawn = task.inputs["render"]
        stray = bool(drawn["words"]) and self._ocr.pages == "without-text"
        if stray and not self._only_stray_words(task):
            return Output({"text_source": drawn["text_source"], "words": drawn["words"], "read": False})
        source, page = task.item.source, task.item.page
        assert page is not None
        path = planned_source(task.site, source)
        pixels, dpi = self._picture(path, source.media_type, page, drawn)
        reading = read_words(pixels, dpi, self._ocr)
        across, down = drawn["width"] / pixels.shape[1], drawn["height"] / pixels.shape[0]
        words = [_scaled(word, across, down) for word in reading.words]
        text = PageText(drawn["width"], drawn["height"], drawn["dpi"], words, "ocr")
        task.writer.write(OCR_FILE, text.to_json(), "words")
        return Output(
            {"text_source": text.source, "words": len(words), "read": True, "dpi": dpi},
            metrics={**_figures(reading), "pages_with_stray_words": stray},
        )

    def _only_stray_words(self, task: Task) -> bool:
        """Whether the words of the text layer are next to nothing, on a page that pictures cover."""
        drawn = task.inputs["render"]
        layer = PageText.from_json((task.site.run_dir / task.item.folder / WORDS_FILE).read_bytes())
        words_px = sum((word.box[2] - word.box[0]) * (word.box[3] - word.box[1]) for word in layer.words)
        if words_px >= self._ocr.stray_words_share * layer.width * layer.height:
            return False
        source, page = task.item.source, task.item.page
        assert page is not None
        document = kept_open(planned_source(task.site, source), source.media_type, drawn["renderer"])
        return document.pictures_share(page) >= self._ocr.scan_share

    def _picture(
        self, path: Path, media_type: str, page: int, drawn: Mapping[str, Any]
    ) -> tuple[numpy.ndarray[Any, Any], int | None]:
        """(grey pixels as Tesseract likes them, their resolution), finer than the page's, within the run's limit."""
        import cv2

        source = kept_open(path, media_type, drawn["renderer"])
        if media_type == PDF:
            dpi = self._dpi_that_fits(drawn)
            return cv2.cvtColor(source.pixels(page, dpi), cv2.COLOR_BGR2GRAY), dpi
        grey = cv2.cvtColor(source.pixels(page, 0), cv2.COLOR_BGR2GRAY)
        longest = max(grey.shape)
        if longest > MAX_SIDE_PX:
            factor = MAX_SIDE_PX / longest
            grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        elif longest < SMALL_SIDE_PX and drawn["dpi"] is None:
            grey = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        return grey, drawn["dpi"]

    def _dpi_that_fits(self, drawn: Mapping[str, Any]) -> int:
        """The resolution asked for, or the highest at which the page stays within pixels and sides."""
        width, height, own = int(drawn["width"]), int(drawn["height"]), int(drawn["dpi"])
        by_pixels = own * (self._params.max_page_pixels / (width * height)) ** 0.5
        by_side = own * MAX_SIDE_PX / max(width, height)
        return max(min(own, int(by_side)), int(min(self._ocr.dpi, by_pixels, by_side)))


def _scaled(word: Word, across: float, down: float) -> Word:
    left, top, right, bottom = word.box
    box = left * across, top * down, right * across, bottom * down
    return Word(word.text, box, word.block, word.line, word.confidence)


def _figures(reading: Reading) -> dict[str, float]:
    return {
        "pages_read": 1, "pages_read_without_a_word": not reading.words, "words": len(reading.words),
        "words_unsure": reading.unsure,
    }  # fmt: skip
