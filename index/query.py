"""The query language: words, "exact phrases", -not, and filters tag: type: doc: page: run: (Russian names, too).

    value stack -canvas tag:Layer/* type:VisualFact doc:map.pdf page:3-7
    "четыре слоя" -"третий слой" тип:Table стр:5

Filters of one kind are alternatives, of different kinds all must hold; a minus excludes. Everything is text until it is
surely more: an open quote is a phrase being typed, an unknown key is a word, a lone minus is nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "phrase", "type", "tag", "doc", "page", "run"]

KEYS: dict[str, Kind] = {
    "type": "type", "тип": "type",
    "tag": "tag", "тег": "tag", "тэг": "tag",
    "doc": "doc", "document": "doc", "file": "doc", "док": "doc", "документ": "doc", "файл": "doc",
    "page": "page", "p": "page", "стр": "page", "страница": "page",
    "run": "run", "запуск": "run", "прогон": "run",
}  # fmt: skip
"""Filter by its key as typed; upper case counts as lower."""

_TOKEN = re.compile(
    r"""(?P<sign>-)?
    (?:(?P<key>[^\W\d_]+):(?:"(?P<quoted>[^"]*)(?P<closed>"?)|(?P<bare>[^\s"]*))
    |["“”](?P<phrase>[^"“”]*)(?P<end>["“”]?)
    |(?P<word>[^\s"“”]+))""",
    re.VERBOSE,
)
_PAGES = re.compile(r"(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?")
_NEEDS_QUOTES = re.compile(r"[\s“”]|^-|^$")
_MOST_PAGES = 100_000


@dataclass(frozen=True)
class Token:
    """One part of a query as typed; text[start:end] is the whole of it, sign and quotes included."""

    kind: Kind
    start: int
    end: int
    value: str
    """What is asked for: a word or phrase as typed, a filter's value without key and quotes."""
    key: str = ""
    """A filter's key as typed."""
    negated: bool = False
    open: bool = False
    """Still being typed: the text ends here, with no quote closed."""


@dataclass(frozen=True)
class Query:
    """A query taken apart. Nothing that can be typed is an error; `note` tells what was left out and why."""

    text: str
    tokens: tuple[Token, ...]
    note: str = ""

    @property
    def words(self) -> str:
        """What ranks: words and wanted phrases as typed; it ends in a letter only while that word is being typed."""
        wanted = [token for token in self.tokens if token.kind in ("word", "phrase") and not token.negated]
        typing = bool(wanted) and wanted[-1] is self.tokens[-1] and wanted[-1].open
        return " ".join(token.value for token in wanted) + ("" if typing else " ")

    @property
    def filters(self) -> tuple[Token, ...]:
        """The tokens that narrow by what a record is, not by what it says; those still without a value are left out."""
        return tuple(token for token in self.tokens if token.kind not in ("word", "phrase") and token.value)


def parse_query(text: str) -> Query:
    """Take a query apart; never raises."""
    tokens: list[Token] = []
    notes: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        assert match is not None, "every character but space begins a token"
        token = _token(match, len(text))
        at = token.end
        if token.kind == "page" and token.value and _pages(token.value) is None:
            notes.append(f"“{token.value}” is no page number; write page:3 or page:3-7.")
        tokens.append(token)
    return Query(text, tuple(tokens), " ".join(notes))


def _token(match: re.Match[str], length: int) -> Token:
    start, end = match.span()
    negated = match["sign"] is not None
    at_end = end == length
    if match["phrase"] is not None:
        return Token("phrase", start, end, match["phrase"], negated=negated, open=at_end and not match["end"])
    if match["key"] is not None and (kind := KEYS.get(match["key"].lower())) is not None:
        quoted = match["quoted"] is not None
        value = match["quoted"] if quoted else match["bare"]
        still = at_end and not (quoted and match["closed"])
        return Token(kind, start, end, value, match["key"], negated, still)
    if match["key"] is not None:  # an unknown key: the word up to a quote, so that the quote opens a phrase
        end = match.start("quoted") - 1 if match["quoted"] is not None else end
        value = match.string[start + len(match["sign"] or "") : end]
        return Token("word", start, end, value, negated=negated, open=end == length)
    return Token("word", start, end, match["word"], negated=negated, open=at_end)


def pages_of(token: Token) -> range | None:
    """The pages that a page filter names; None when it names none."""
    return _pages(token.value)


def _pages(value: str) -> range | None:
    match = _PAGES.fullmatch(value.strip().rstrip("-–"))
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, min(last, first + _MOST_PAGES) + 1) if first <= last else None


def token_at(query: Query, position: int) -> Token | None:
    """The token that the cursor stands in or right behind, for completion."""
    return next((token for token in query.tokens if token.start < position <= token.end), None)


def completed(query: Query, token: Token, value: str) -> str:
    """The query's text with a token's value replaced, in quotes where it needs them.

    Parsed again, the token at this place has this value; only quotes inside it are lost, there is no way to write them.
    """
    bare = (
        value.translate(dict.fromkeys(map(ord, '"“”'))) if token.kind in ("word", "phrase") else value.replace('"', "")
    )
    sign = "-" if token.negated else ""
    if token.kind == "word":
        written = bare
    elif token.kind == "phrase":
        written = f'"{bare}"'
    else:
        written = f'{token.key}:"{bare}"' if _NEEDS_QUOTES.search(bare) else f"{token.key}:{bare}"
    return query.text[: token.start] + sign + written + query.text[token.end :]
