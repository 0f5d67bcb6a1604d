"""The words of a page with their boxes: `words.json`, or `ocr.json` where they were read from pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in page pixels, origin at the page's top left corner."""

TextSource = Literal["pdf", "ocr", "none"]
"""Where a page's words come from: its text layer, its pixels (the `ocr` stage), or nowhere: it has none."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the text layer, or one read from pixels."""

    text: str
    box: Box
    block: int
    """Number of its block (paragraph) on the page."""
    line: int
    """Number of its line in the block."""
    confidence: float | None = None
    """How sure its reader is of it, 0 to 1; None for a word of the text layer, which is exact."""

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of its box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True)
class PageText:
    """What a page says, and how large the page is that it says it on."""

    width: int
    height: int
    """Pixels."""
    dpi: int | None
    """None for an image that does not say how large it is on paper."""
    words: Sequence[Word]
    read_from: Literal["pdf", "ocr"] = "pdf"
    """Where its words were looked for."""

    @property
    def source(self) -> TextSource:
        """Where its words come from; `none` when there are none. Only the `ocr` stage reads text from pixels."""
        return self.read_from if self.words else "none"

    def to_json(self) -> bytes:
        """`words.json` or `ocr.json`; a word's place in its list is its index, which facts name as evidence."""
        return orjson.dumps(
            {
                "width": self.width, "height": self.height, "dpi": self.dpi, "text_source": self.source,
                "words": [
                    {
                        "text": word.text,
                        "bbox_px": [round(word.box[0], 1), round(word.box[1], 1), round(word.box[2] - word.box[0], 1),
                                    round(word.box[3] - word.box[1], 1)],
                        "block": word.block, "line": word.line,
                        **({} if word.confidence is None else {"confidence": round(word.confidence, 3)}),
                    }
                    for word in self.words
                ],
            }
        ) + b"\n"  # fmt: skip

    @classmethod
    def from_json(cls, data: bytes) -> PageText:
        """Read what `to_json` wrote."""
        page: dict[str, Any] = orjson.loads(data)
        words = [_word(entry) for entry in page["words"]]
        read_from: Literal["pdf", "ocr"] = "ocr" if page["text_source"] == "ocr" else "pdf"
        return cls(page["width"], page["height"], page["dpi"], words, read_from)

    def inside(self, box: Box) -> list[int]:
        """Indices of the words whose centre lies in `box`."""
        left, top, right, bottom = box
        # Doubled, and without a call a word: a dense page asks for thousands of words in hundreds of regions.
        left, top, right, bottom = 2 * left, 2 * top, 2 * right, 2 * bottom
        return [
            index
            for index, word in enumerate(self.words)
            if top <= word.box[1] + word.box[3] <= bottom and left <= word.box[0] + word.box[2] <= right
        ]


def _word(entry: dict[str, Any]) -> Word:
    x, y, width, height = entry["bbox_px"]
    box = (x, y, x + width, y + height)
    return Word(entry["text"], box, entry["block"], entry["line"], entry.get("confidence"))
