"""Texts cut to what a model takes at once, and gathered to what a server takes in one request.

Tokens are bounded without a tokenizer: the tokenizers of today's models work on bytes or on pieces of at least one
byte, so a text never has more tokens than UTF-8 bytes. A text that might be too long is embedded in pieces, every word
of it in one of them.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence

SEPARATORS = ("\n\n", "\n", ". ", " ")
"""Where a text is cut, the best place first."""
BYTES_PER_TOKEN_OF_PROSE = 3.0
"""For estimates and pacing only: English has about 4.5, Russian about 4 (2 a letter)."""


def normal(text: str) -> str:
    """The text as it is embedded and remembered: in NFC, stray surrogates of file names replaced."""
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def tokens_at_most(text: str) -> int:
    """Most tokens that a text can be."""
    return len(text.encode())


def tokens_about(text_bytes: int) -> int:
    """About how many tokens a text of so many bytes is."""
    return math.ceil(text_bytes / BYTES_PER_TOKEN_OF_PROSE)


def pieces(text: str, max_bytes: int) -> list[str]:
    """The text whole, or cut at paragraphs, lines, sentences or words into pieces of at most `max_bytes` of UTF-8.

    White space where it is cut is left out; nothing else is.
    """
    rest, cut = text, []
    while len(rest.encode()) > max_bytes:
        head = rest.encode()[:max_bytes].decode("utf-8", "ignore")
        end = len(head)
        for separator in SEPARATORS:
            at = head.rfind(separator, end // 2)
            if at >= 0:
                end = at + len(separator)
                break
        cut.append(rest[:end].strip())
        rest = rest[end:]
    cut.append(rest.strip() if cut else rest)
    return [piece for piece in cut if piece]


def requests_of(texts: Sequence[str], max_inputs: int, max_bytes: int) -> Iterator[list[str]]:
    """The texts in order, in groups of at most so many texts and bytes; no text alone may be longer."""
    group: list[str] = []
    group_bytes = 0
    for text in texts:
        size = len(text.encode())
        if group and (len(group) == max_inputs or group_bytes + size > max_bytes):
            yield group
            group, group_bytes = [], 0
        group.append(text)
        group_bytes += size
    if group:
        yield group
