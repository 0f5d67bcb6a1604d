"""Changing a query as an operator would by typing: a filter put in or taken out, words of a record looked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.facets import Facets
    from index.query import Kind, Query, Token

LIKE_WORDS = 24
"""Words of a record that are looked for when more like it is wanted: enough for its sense, few enough to be read."""
_WORD = re.compile(r"\w[\w’'-]*")


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the facets: a value that the query could be narrowed to, with what it would leave."""

    kind: Kind
    """The filter's key: `doc`, `type`, `tag` or `run`."""
    value: str
    count: int
    chosen: bool
    """Whether the query has it now."""


def choices(facets: Facets, query: str) -> list[Choice]:
    """What can be chosen, kind by kind, most first; what the query asks for and nothing has stands there with 0."""
    from index.query import parse_query

    asked = parse_query(query)
    found: list[Choice] = []
    kinds: tuple[tuple[Kind, dict[str, int]], ...] = (
        ("doc", facets.documents), ("type", facets.types), ("tag", facets.tags), ("run", facets.runs)
    )  # fmt: skip
    for kind, counts in kinds:
        named = [token.value for token in asked.filters if token.kind == kind and not token.negated]
        missing = dict.fromkeys((value for value in named if value not in counts), 0)
        found += [Choice(kind, value, count, value in named) for value, count in (counts | missing).items()]
    return found


def with_filter(query: str, kind: Kind, value: str) -> str:
    """The query with `kind:value` put in at its end, or taken out where it is in."""
    from index.query import Token, completed, parse_query

    asked = parse_query(query)
    there = next((token for token in asked.filters if _is(token, kind, value)), None)
    if there is not None:
        return _without(asked, there)
    begun = query.rstrip()
    if asked.tokens and asked.tokens[-1].open and query.count('"') % 2:
        begun += '"'  # a phrase that is still being typed would swallow the filter
    end = len(begun) + (1 if begun else 0)
    text = f"{begun} " if begun else ""
    token = Token(kind, end, end, "", key=kind)
    return completed(parse_query(text), token, value) + " "


def _is(token: Token, kind: Kind, value: str) -> bool:
    return token.kind == kind and token.value == value.replace('"', "") and not token.negated


def _without(asked: Query, token: Token) -> str:
    before, after = asked.text[: token.start].rstrip(), asked.text[token.end :].lstrip()
    joined = f"{before} {after}" if before and after else before + after
    return joined if not joined or joined.endswith(" ") else joined + " "


def words_like(text: str) -> str:
    """A query for records like one: its first words, each once, without signs that a query reads as its own."""
    words = dict.fromkeys(match[0] for match in _WORD.finditer(text[:4_000]))
    kept: list[str] = []
    for word in words:
        if len(word) > 1 or word.isdigit():
            kept.append(word)
        if len(kept) == LIKE_WORDS:
            break
    return " ".join(kept)
