"""The query language: words, "exact phrases", -not, and filters tag: type: doc: page: run: (Russian names, too)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "phrase", "type", "tag", "doc", "page", "run"]


@dataclass(frozen=True)
class Token:
    """One part of a query as typed; text[start:end] is the whole of it, sign and quotes included."""

    kind: Kind
    start: int
    end: int
    value: str
    """What is asked for: a folded phrase keeps its words, a filter its value without key and quotes."""
    negated: bool = False
    open: bool = False
    """Still being typed: an unclosed quote, or the last word with nothing behind it."""


@dataclass(frozen=True)
class Query:
    """A query taken apart. Nothing that can be typed is an error; `note` tells what was left out and why."""

    text: str
    tokens: tuple[Token, ...]
    note: str = ""

    @property
    def words(self) -> str:
        """What ranks: plain words and the words of wanted phrases, as typed."""
        raise NotImplementedError


def parse_query(text: str) -> Query:
    """Take a query apart; never raises."""
    raise NotImplementedError


def token_at(query: Query, position: int) -> Token | None:
    """The token that the cursor stands in or right behind, for completion."""
    raise NotImplementedError


def completed(query: Query, token: Token, value: str) -> str:
    """The query's text with a token's value replaced, quoted where it needs to be; parses back to that value."""
    raise NotImplementedError
