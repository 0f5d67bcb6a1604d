"""One line of a log, opened out: JSON indented, a traceback whole, a long line in full."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from console.models.log_buffer import LogBuffer
from console.words import visible

SHOWN_CHARACTERS = 20_000
"""Of what is opened out; more is never read on a screen, and costs it dearly."""
JSON_CHARACTERS = 200_000
TRACEBACK_LINES = 400
"""How far from a line the beginning and the end of its traceback are looked for."""
BEGIN = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Details:
    """What the side pane shows of a line."""

    kind: str
    """`text`, `json` or `traceback`."""
    text: str
    """Several lines; control characters are spelled out."""
    numbers: tuple[int, int]
    """The first and the last line that it is of."""


def details_of(buffer: LogBuffer, number: int) -> Details:
    """Open out one line. Touches at most some hundred lines, so it may be called for every move of the cursor."""
    found = _traceback(buffer, number)
    if found is not None:
        first, last = found
        source = buffer.source_index(number)
        lines = [buffer.whole(line) for line in range(first, last + 1) if buffer.source_index(line) == source]
        return Details("traceback", _cut("\n".join(map(_plain, lines))), found)
    line = buffer.whole(number)
    pretty = _json(line)
    if pretty is not None:
        return Details("json", _cut(pretty), (number, number))
    return Details("text", _cut(_plain(line)), (number, number))


def _json(line: str) -> str | None:
    """The JSON that a line is, or that it ends with after other words, indented; None if there is none."""
    start = min((at for at in (line.find("{"), line.find("[{")) if at >= 0), default=-1)
    if start < 0 or len(line) > JSON_CHARACTERS or line.rstrip()[-1:] not in ("}", "]"):
        return None
    try:
        value = orjson.loads(line[start:])
    except orjson.JSONDecodeError:
        return None
    indented = "\n".join(map(visible, orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().split("\n")))
    before = line[:start].strip()
    return f"{_plain(before)}\n{indented}" if before else indented


def _traceback(buffer: LogBuffer, number: int) -> tuple[int, int] | None:
    """The first and the last line of the traceback that a line belongs to, among the lines of its source."""
    source = buffer.source_index(number)
    first = _beginning(buffer, number, source)
    if first is None:
        return None
    last = first
    for line in range(first + 1, min(buffer.end, first + TRACEBACK_LINES)):
        if buffer.source_index(line) != source:
            continue
        text = buffer.text(line)
        last = line
        if text and not text[0].isspace() and BEGIN not in text and not _joins(text):
            break  # the error itself
    return (first, last) if number <= last else None


def _beginning(buffer: LogBuffer, number: int, source: int) -> int | None:
    for line in range(number, max(buffer.first, number - TRACEBACK_LINES) - 1, -1):
        if buffer.source_index(line) != source:
            continue
        text = buffer.text(line)
        if BEGIN in text:
            return line
        if line != number and text and not text[0].isspace() and not _joins(text):
            return None
    return None


def _joins(text: str) -> bool:
    """A line between two tracebacks of one chain."""
    return text.startswith(("During handling of the above", "The above exception was"))


def _plain(line: str) -> str:
    return visible(line.expandtabs())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}\n… ({len(text):,} characters)"
