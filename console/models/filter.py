"""The filter language of every list: `4090 !idle gpu:rtx usd<0.6 ~mchr /rtx (40|50)90/`, all terms together.

| term | keeps rows |
|---|---|
| `word` | that say it anywhere; `"two words"` for a space, or for characters that mean something here |
| `~fuzz` | in which a cell has these letters in this order |
| `/regex/` | of which some cell matches; the closing slash may be left out |
| `column:value` | whose column says it; also `column=value`, `column:~fuzz`, `column:/regex/` |
| `column:=value` | whose column says just that |
| `column>5` | `>`, `<`, `>=`, `<=`; `5`, `$5`, `50%`, `90s`, `15m`, `2h`, `3d` |
| `!term` | that the term would not keep |

Large and small letters are the same, ё and е too. A term that is not finished keeps everything.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from console.language import _

Subject = TypeVar("Subject")
Value = str | float

_COMPARED = re.compile(r"([^\W\d][\w/$%.-]*|\$[\w/]*|%[\w/]*)(>=|<=|>|<|:=|:|=)(.*)", re.DOTALL)
_NUMBER = re.compile(r"\$?(-?\d+(?:\.\d*)?|-?\.\d+)\s*(%|[smhd])?")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_IN_TEXT = re.compile(r"-?\d[\d,]*\.?\d*")


class FilterError(ValueError):
    """The filter cannot be understood; the text is one sentence for the operator."""


def folded(text: str) -> str:
    """Text as it is compared: small letters, composed characters, е for ё."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).casefold().replace("ё", "е")


@dataclass(frozen=True, slots=True)
class Field(Generic[Subject]):
    """A column as the filter sees it."""

    value: Callable[[Subject], Value | None]
    """What is compared with `<` and `>`; None where a row has nothing."""
    text: Callable[[Subject], str]
    """What is searched, `folded`."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Subject]):
    """What was asked, as tests that must all hold."""

    text: str
    tests: tuple[Callable[[Subject], bool], ...]

    def matches(self, subject: Subject) -> bool:
        """Whether a row is kept."""
        return all(test(subject) for test in self.tests)

    def kept(self, subjects: Iterable[Subject]) -> list[Subject]:
        """The rows that are kept, in their order."""
        left = list(subjects)
        for test in self.tests:
            left = [subject for subject in left if test(subject)]
        return left


def parse(
    text: str,
    columns: Mapping[str, Field[Subject]],
    words_of: Callable[[Subject], str],
) -> Filter[Subject]:
    """Read a filter.

    Args:
        text: as typed.
        columns: by name.
        words_of: all of a row's words, `folded`, cells parted by line ends.

    Raises:
        FilterError: a column that is not there, a regex that is none, a comparison with what is no number.
    """
    by_name = {folded(name): each for name, each in columns.items()}
    tests = []
    for token in tokens(text):
        test = _term(token, by_name, words_of)
        if test is not None:
            tests.append(test)
    return Filter(text, tuple(tests))


@dataclass(frozen=True, slots=True)
class Token:
    """One term as typed. What stood in quotes is meant letter by letter."""

    text: str
    literal: bool = False
    """All of it stood in quotes."""
    inverse: bool = False
    quoted_value: bool = False
    """What comes behind the column stood in quotes."""


def tokens(text: str) -> list[Token]:
    """The terms of a filter: parted by spaces outside of quotes and slashes."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        inverse = False
        while at < len(text) and text[at] == "!":
            inverse, at = not inverse, at + 1
        token, at = _token(text, at)
        found.append(Token(token.text, token.literal, inverse, token.quoted_value))
    return found


def quoted(word: str) -> str:
    """A filter that looks for this very word, whatever characters it has."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _token(text: str, start: int) -> tuple[Token, int]:
    """One term from `start` on, without its `!`, and where the next begins."""
    if start < len(text) and text[start] == '"':
        word, at = _in_quotes(text, start)
        return Token(word, literal=True), at
    head = _COMPARED.match(text, start)
    pattern_at = start
    if head is not None:
        pattern_at = head.start(3)
        if pattern_at < len(text) and text[pattern_at] == '"':
            word, at = _in_quotes(text, pattern_at)
            return Token(text[start:pattern_at] + word, quoted_value=True), at
    if pattern_at < len(text) and text[pattern_at] == "/":
        end = _end_of_pattern(text, pattern_at)
        return Token(text[start:end]), end
    at = start
    while at < len(text) and not text[at].isspace():
        at += 1
    return Token(text[start:at]), at


def _in_quotes(text: str, start: int) -> tuple[str, int]:
    """What stands in quotes, `\\"` for a quote; quotes that do not close go on to the end."""
    said: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in '\\"':
            at += 1
        said.append(text[at])
        at += 1
    return "".join(said), at + 1


def _end_of_pattern(text: str, start: int) -> int:
    """Behind the slash that closes a pattern: one that a space or the end follows. Without one, all that is left."""
    at = start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "/" and (at + 1 == len(text) or text[at + 1].isspace()):
            return at + 1
        at += 1
    return len(text)


def _term(
    token: Token,
    columns: Mapping[str, Field[Subject]],
    words_of: Callable[[Subject], str],
) -> Callable[[Subject], bool] | None:
    """One term as a test; None when it is not finished and keeps everything."""
    test: Callable[[Subject], bool] | None = None
    compared = None if token.literal else _COMPARED.fullmatch(token.text)
    if compared is not None:
        column = _column(compared[1], columns)
        if compared[2] in ("<", ">", "<=", ">="):
            test = _comparison(column, compared[2], compared[3], token.text)
        else:
            test = _in_column(column, compared[2], compared[3], literal=token.quoted_value)
    elif not token.literal and token.text[:1] in ("<", ">"):
        raise FilterError(_("{term} needs a column before it, as in usd{term}").format(term=token.text))
    else:
        says = _says(token.text, literal=token.literal)
        if says is not None:
            said: Callable[[str], bool] = says
            test = lambda subject: said(words_of(subject))  # noqa: E731
    if test is None or not token.inverse:
        return test
    positive: Callable[[Subject], bool] = test
    return lambda subject: not positive(subject)


def _column(name: str, columns: Mapping[str, Field[Subject]]) -> Field[Subject]:
    wanted = folded(name)
    if wanted in columns:
        return columns[wanted]
    near = get_close_matches(wanted, columns, n=1)
    known = ", ".join(columns)
    if near:
        message = _("There is no column {name}: do you mean {near}? Quotes look for the text itself.")
        raise FilterError(message.format(name=name, near=near[0]))
    message = _("There is no column {name}; there are {known}. Quotes look for the text itself.")
    raise FilterError(message.format(name=name, known=known))


def _says(wanted: str, *, literal: bool = False) -> Callable[[str], bool] | None:
    """A test of folded text: a word, `~` letters in order, or a pattern between slashes."""
    if not literal and wanted.startswith("~"):
        letters = folded(wanted[1:])
        return _fuzzy(letters) if letters else None
    if not literal and wanted.startswith("/"):
        pattern = wanted[1:-1] if len(wanted) > 1 and wanted.endswith("/") else wanted[1:]
        return _pattern(pattern) if pattern else None
    word = folded(wanted)
    return (lambda text: word in text) if word else None


def _fuzzy(letters: str) -> Callable[[str], bool]:
    """Letters in this order within one line; a pattern, because it is searched in C, that never tries twice."""
    rest = "".join(f"[^\n{re.escape(letter)}]*{re.escape(letter)}" for letter in letters[1:])
    search = re.compile(re.escape(letters[0]) + rest).search
    return lambda text: search(text) is not None


def _pattern(pattern: str) -> Callable[[str], bool]:
    """A regular expression. The text has small letters, so the pattern is told to make no difference."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a later Python would read otherwise is no news for the screen
            search = re.compile(pattern.replace("ё", "е").replace("Ё", "Е"), re.IGNORECASE | re.MULTILINE).search
    except (re.error, OverflowError, RecursionError) as error:
        message = _("/{pattern}/ is not a regular expression: {reason}")
        raise FilterError(message.format(pattern=pattern, reason=error)) from None
    return lambda text: search(text) is not None


def _in_column(column: Field[Subject], sign: str, wanted: str, *, literal: bool) -> Callable[[Subject], bool] | None:
    """A column that says something; with `:=`, just that."""
    if sign == ":=":
        return _is(column, wanted) if wanted or literal else None
    says = _says(wanted, literal=literal)
    if says is None:
        return None
    said: Callable[[str], bool] = says
    return lambda subject: said(column.text(subject))


def _is(column: Field[Subject], wanted: str) -> Callable[[Subject], bool]:
    exact, number = folded(wanted), _number(wanted)

    def holds(subject: Subject) -> bool:
        value = column.value(subject)
        if isinstance(value, str):
            return folded(value) == exact
        return (value is not None and value == number) or column.text(subject) == exact

    return holds


def _comparison(column: Field[Subject], sign: str, wanted: str, term: str) -> Callable[[Subject], bool] | None:
    """A column against a number; a row without one is not kept."""
    if wanted in ("", "$", "-", ".", "-."):
        return None
    limit = _number(wanted)
    if limit is None:
        message = _("{term}: {value} is not a number; write 5, $5, 50%, 15m or 2h")
        raise FilterError(message.format(term=term, value=wanted))
    bound: float = limit

    def holds(subject: Subject) -> bool:
        value = _as_number(column.value(subject))
        if value is None:
            return False
        if sign == ">":
            return value > bound
        if sign == "<":
            return value < bound
        return value >= bound if sign == ">=" else value <= bound

    return holds


def _number(text: str) -> float | None:
    """`5`, `$5`, `50%`, and times in seconds: `15m`."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    return float(found[1]) * _UNIT_S.get(found[2] or "", 1.0)


def _as_number(value: Value | None) -> float | None:
    """A value, or the first number in what a cell says."""
    if value is None or not isinstance(value, str):
        return value
    found = _IN_TEXT.search(value)
    return float(found[0].replace(",", "")) if found else None
