"""What is looked for in a log: the filter language of every list, over lines; and what in a line it means.

Beside words, `!word`, `~letters` and `/regex/` it knows `level:error`, `level>=2` (0 debug … 3 error), `source:name`.
Any other `word:` is text, since logs are full of colons.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from console.language import _
from console.models.filter import Field, Filter, FilterError, Token, folded, parse, quoted, tokens
from console.models.log_buffer import Snapshot
from console.models.log_regex import CHARACTERS_BY_REPEATS, searched_characters
from console.models.log_stamp import Level

STEP = 64
"""Lines between two looks at the clock of this thread's own work."""
STEP_PATIENCE_S = 2.0
"""Ordinary patterns need less than a millisecond for so many."""
_OF_COLUMN = re.compile(r"(level|source)(?:>=|<=|>|<|:=|:|=)", re.IGNORECASE)


class Line(NamedTuple):
    """A line as the filter sees it."""

    number: int
    text: str
    level: int
    source: str


LEVEL_NAMES = {level: level.name.lower() for level in Level}
_COLUMNS: dict[str, Field[Line]] = {
    "level": Field(lambda line: line.level, lambda line: LEVEL_NAMES[Level(line.level)]),
    "source": Field(lambda line: line.source, lambda line: folded(line.source)),
}


@dataclass(frozen=True)
class LogQuery:
    """Something to look for. Immutable; make one with `read` or `phrase`."""

    text: str
    """As typed."""
    filter: Filter[Line]
    highlights: tuple[re.Pattern[str], ...]
    """What to point at within a line."""
    characters: int
    """Of a line that are searched."""

    @classmethod
    def read(cls, text: str) -> LogQuery:
        """A filter as typed.

        Raises:
            FilterError: a pattern that is none, or could take for ever.
        """
        terms, patterns, characters = [], [], CHARACTERS_BY_REPEATS[0]
        for token in tokens(text):
            term = token.text
            column = None if token.literal else _OF_COLUMN.match(term)
            value = term[column.end() :] if column is not None else term
            is_pattern = not token.literal and not token.quoted_value and value.startswith("/")
            if is_pattern:
                value = value[1:-1] if len(value) > 1 and value.endswith("/") else value[1:]
                characters = min(characters, searched_characters(value))
            terms.append(("!" if token.inverse else "") + _term(token, of_column=column is not None))
            if column is None and not token.inverse and value:
                patterns.append(_highlight(value, token, is_pattern=is_pattern))
        parsed = parse(" ".join(terms), _COLUMNS, lambda line: folded(line.text[:characters]))
        return cls(text.strip(), parsed, tuple(filter(None, patterns)), characters)

    @classmethod
    def phrase(cls, text: str) -> LogQuery:
        """What to find: the very words, spaces and all; a `/regex/` as such.

        Raises:
            FilterError: a pattern that is none, or could take for ever.
        """
        return cls.read(text if text.startswith("/") or not text else quoted(text))

    def __bool__(self) -> bool:
        return bool(self.filter.tests)

    def narrows(self, other: LogQuery) -> bool:
        """Whether all that this keeps, `other` keeps too, as far as the typing shows: a plain word that grew."""
        return (
            bool(other)
            and self.text.startswith(other.text)
            and not any(character in self.text for character in '!~/":=<>')
        )

    def keeps(self, line: Line) -> bool:
        """Whether a line is what is looked for."""
        return self.filter.matches(line)

    def kept(self, lines: Iterable[Line], stop: Callable[[], bool]) -> list[int]:
        """Numbers of the lines that are; `stop` is asked now and then, and ends it early.

        Raises:
            FilterError: it takes so long that the screen would stand still.
        """
        found: list[int] = []
        began = time.thread_time()
        for count, line in enumerate(lines):
            if not count % STEP:
                now = time.thread_time()
                if now - began > STEP_PATIENCE_S:
                    raise FilterError(
                        _("{text} takes too long to search for; use fewer * and +").format(text=self.text)
                    )
                began = now
                if stop():
                    break
            if self.filter.matches(line):
                found.append(line.number)
        return found

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Which characters of a line it means."""
        return [
            found.span()
            for pattern in self.highlights
            for found in pattern.finditer(text, 0, self.characters)
            if found.end() > found.start()
        ]


def lines_of(snapshot: Snapshot) -> Iterable[Line]:
    """The lines of a snapshot as the filter sees them."""
    names, start = snapshot.names, snapshot.start
    rows = zip(snapshot.texts, snapshot.levels, snapshot.sources, strict=True)
    for index, (text, level, source) in enumerate(rows):
        yield Line(start + index, text, level, names[source])


def _term(token: Token, *, of_column: bool) -> str:
    """A term as the filter language reads it, once what only looks like a column is quoted."""
    if token.literal:
        return quoted(token.text)
    if of_column and token.quoted_value:
        end = _OF_COLUMN.match(token.text)
        assert end is not None
        return token.text[: end.end()] + quoted(token.text[end.end() :])
    if of_column or token.text[:1] in ("~", "/"):
        return token.text
    return quoted(token.text) if token.text else ""


def _highlight(value: str, token: Token, *, is_pattern: bool) -> re.Pattern[str] | None:
    """What to point at: nothing for letters in order, which would point at half of the line."""
    if is_pattern:
        try:
            return re.compile(value, re.IGNORECASE)
        except (re.error, OverflowError, RecursionError):
            return None  # the filter itself tells what is wrong with it
    if not token.literal and value.startswith("~"):
        return None
    escaped = "".join("[её]" if letter in "еёЕЁ" else re.escape(letter) for letter in value)
    return re.compile(escaped, re.IGNORECASE)


NOTHING = LogQuery.read("")
