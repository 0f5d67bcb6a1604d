"""The `layout` detector: PyMuPDF's own layout model, on the processor, with nothing to download.

It reads the document, not the page's pixels, and knows a page by its text: on a scan it finds nothing, whatever OCR
read there. Then the page has no regions and is counted (`layout_pages_without_text`); nothing else steps in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.docparse import mupdf
from pipeline.docparse.labels import Label
from pipeline.docparse.layout_params import LayoutParams
from pipeline.docparse.media import PDF
from pipeline.docparse.pages.source import POINTS_PER_INCH, PageDamaged, flat
from pipeline.docparse.raw import PageImage, RawPage
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box

SURE = 1.0
"""The score of everything that it finds: the model tells none."""


class LayoutDetector:
    """Boxes of PyMuPDF's layout model in its own reading order, with its labels told in ours.

    `text`, `section-header`, `title`, `list-item` and `caption` are `textbox`, `table` is `table`. What a `picture` is
    the model does not know, so it is left out and counted (`layout_unmapped_picture`) unless `labels_map` says what
    it is to be taken for; the same with every other label that the map does not name.
    """

    name = "layout"
    version = "1"
    device = False
    reads_words = False
    batch_size = 1

    def __init__(self, params: LayoutParams) -> None:
        self._map: Mapping[str, Label] = {str(theirs): ours for theirs, ours in params.labels_map.items()}
        self._path = ""
        self._document: Any = None

    def key_parts(self) -> Mapping[str, Any]:
        """The map of labels."""
        return {"labels_map": dict(sorted(self._map.items()))}

    def libraries(self) -> Mapping[str, str]:
        """The libraries that hold the model and run it."""
        return {name: version(name) for name in ("pymupdf", "pymupdf-layout", "onnxruntime")}

    def setup(self) -> None:
        """Load the model.

        Raises:
            StageCrash: its package is not installed.
        """
        mupdf.load_layout()

    def teardown(self) -> None:
        """Close the document."""
        if self._document is not None:
            self._document.close()
        self._path, self._document = "", None

    def find(self, pages: Sequence[PageImage]) -> list[RawPage]:
        """Composed detections of every page; raises PageDamaged for one that cannot be read."""
        return [self._find(page) for page in pages]

    def _find(self, page: PageImage) -> RawPage:
        assert page.origin is not None, "the layout detector reads documents, so it must be told which"
        if page.origin.media_type != PDF:
            return RawPage(composed=(), notes={"layout_pages_without_text": 1})
        assert page.text.dpi is not None
        zoom = page.text.dpi / POINTS_PER_INCH
        try:
            boxes = self._boxes(page.origin.path, page.origin.page)
        except (RuntimeError, ValueError) as error:
            raise PageDamaged(f"the layout of the page cannot be read ({flat(error)}): export it again") from error
        if not boxes and page.text.source != "pdf":
            return RawPage(composed=(), notes={"layout_pages_without_text": 1})
        notes: Counter[str] = Counter()
        found = []
        for box, label in boxes:
            if label in self._map:
                left, top, right, bottom = (side * zoom for side in box)
                inside = max(0.0, left), max(0.0, top), min(page.text.width, right), min(page.text.height, bottom)
                if inside[2] > inside[0] and inside[3] > inside[1]:
                    found.append(Detection(self._map[label], inside, SURE))
            else:
                notes[f"layout_unmapped_{label.replace('-', '_')}"] += 1
        return RawPage(composed=found, notes={name: float(count) for name, count in sorted(notes.items())})

    def _boxes(self, path: str, page: int) -> list[tuple[Box, str]]:
        """(box in points on the page as it is displayed, label), in reading order."""
        pymupdf = mupdf.load_layout()
        if self._path != path:
            self.teardown()
            self._document = pymupdf.open(Path(path), filetype="pdf")
            self._path = path
        loaded = self._document.load_page(page - 1)
        if not loaded.rotation:
            return _layout(loaded)
        # The model reads text in the page's own space, where that of a turned page stands on its side or head.
        with pymupdf.open() as upright:
            upright.insert_pdf(
                self._document, from_page=page - 1, to_page=page - 1, links=False, annots=False, widgets=False
            )
            copy = upright[0]
            crop, media = copy.cropbox, copy.mediabox
            copy.set_mediabox(pymupdf.Rect(crop.x0, media.y1 - crop.y1, crop.x1, media.y1 - crop.y0))
            copy.remove_rotation()
            return _layout(upright.reload_page(copy))


def _layout(loaded: Any) -> list[tuple[Box, str]]:
    loaded.get_layout()
    return [
        ((float(x0), float(y0), float(x1), float(y1)), str(label))
        for x0, y0, x1, y1, label, *_ in loaded.layout_information or ()
    ]
