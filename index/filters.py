"""A query's filters and excluded words as masks over the rows of a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from index.lexical import WordIndex
from index.query import Kind, Query, Token, pages_of
from index.view import Mask, View
from index.words import folded_words

_NAMED = 4
"""Known names that a note lists."""


@dataclass(frozen=True)
class Filters:
    """What narrows a query, kept apart by kind so that a facet can leave out its own."""

    alive: Mask
    by_kind: dict[Kind, Mask]
    note: str = ""

    def mask(self, without: Kind | None = None) -> Mask:
        """Rows that pass everything, or everything but one kind of filter."""
        mask = self.alive
        for kind, wanted in self.by_kind.items():
            if kind != without:
                mask = mask & wanted
        return mask


def filters(
    view: View,
    words: WordIndex,
    query: Query,
    *,
    types: Sequence[str] = (),
    documents: Sequence[str] = (),
    pages: Sequence[int] = (),
) -> Filters:
    """The masks of a query, and of the filters that a caller hands in as exact names."""
    by_kind: dict[Kind, Mask] = {}
    notes: list[str] = []

    def narrow(kind: Kind, mask: Mask) -> None:
        by_kind[kind] = by_kind[kind] & mask if kind in by_kind else mask

    handed_in: tuple[tuple[Kind, Sequence[Any]], ...] = (("type", types), ("doc", documents), ("page", pages))
    for kind, given in handed_in:
        if given:
            narrow(kind, _mask(view, kind, given))
    for kind in dict.fromkeys(token.kind for token in query.filters):
        tokens = [token for token in query.filters if token.kind == kind]
        for negated in (False, True):
            chosen: set[str | int] = set()
            same = [token for token in tokens if token.negated is negated]
            for token in same:
                names = _named(view, token)
                if not names and not token.open and kind != "page":
                    notes.append(_unknown(view, token))
                chosen |= names
            if negated and chosen:
                narrow(kind, ~_mask(view, kind, chosen))
            elif same and not negated and (chosen or not all(_unread(token) for token in same)):
                narrow(kind, _mask(view, kind, chosen) if chosen else np.zeros_like(view.alive))
    said, missing = _said(words, query, len(view.alive))
    if said is not None:
        by_kind["phrase"] = said
    if missing:
        named = ", ".join(f"“{phrase}”" for phrase in missing)
        notes.append(f"Nowhere word by word: {named}; its words are looked for.")
    return Filters(view.alive, by_kind, " ".join(notes))


def _said(words: WordIndex, query: Query, rows: int) -> tuple[Mask | None, list[str]]:
    """Rows that hold every wanted phrase and no excluded word, and the wanted phrases that no record holds.

    None when nothing of the kind is asked; a phrase that is nowhere asks for nothing, its words still rank.
    """
    mask: Mask | None = None
    missing = []
    for token in query.tokens:
        folded = folded_words(token.value) if token.kind in ("word", "phrase") else []
        if not folded or (token.kind == "word" and not token.negated):
            continue
        if token.kind == "word" and len(folded) == 1:
            found = words.holding_stem(folded[0])
        else:
            found = words.holding(folded, open_end=token.open)
        if not len(found) and not token.negated:
            missing.append(token.value.strip())
            continue
        holds = np.zeros(rows, dtype=np.bool_)
        holds[found] = True
        wanted = ~holds if token.negated else holds
        mask = wanted if mask is None else mask & wanted
    return mask, missing


def _unread(token: Token) -> bool:
    """A page filter that names no page is told in the query's note and left out."""
    return token.kind == "page" and pages_of(token) is None


def _mask(view: View, kind: Kind, names: Iterable[Any]) -> Mask:
    match kind:
        case "type":
            return view.mask(types=names)
        case "doc":
            return view.mask(documents=names)
        case "page":
            return view.mask(pages=names)
        case "tag":
            return view.mask(tags=names)
        case _:
            return view.mask(runs=names)


def _known(view: View, kind: Kind) -> list[str]:
    match kind:
        case "type":
            return view.type_names
        case "tag":
            return view.tag_names
        case "doc":
            return list(dict.fromkeys(name for place in view.documents for name in reversed(place) if name))
        case _:
            return sorted(view.run_ids().values())


def _named(view: View, token: Token) -> set[str | int]:
    """What is known by the name that a filter gives: `*` for any letters, case and ё aside.

    Without a `*`, a type is meant by its whole name, a tag by its name or its group's, a document by a part of its name
    or path, a run by its end or beginning; a name being typed by its beginning.
    """
    if token.kind == "page":
        return set(pages_of(token) or ())
    wanted = _folded(token.value)
    return {name for name in _known(view, token.kind) if _means(wanted, _folded(name), token)}


def _means(wanted: str, name: str, token: Token) -> bool:
    if "*" in wanted:
        return fnmatchcase(name, wanted.replace("[", "[[]").replace("?", "[?]"))
    if name == wanted or (token.open and name.startswith(wanted)):
        return True
    match token.kind:
        case "tag":
            return name.startswith(tuple(wanted + separator for separator in ":/="))
        case "doc":
            return wanted in name
        case "run":
            return name.startswith(wanted) or name.endswith(wanted)
        case _:
            return False


def _folded(name: str) -> str:
    return name.casefold().replace("ё", "е")


def _unknown(view: View, token: Token) -> str:
    known = _known(view, token.kind)
    some = ", ".join(known[:_NAMED]) + (" …" if len(known) > _NAMED else "") if known else "none"
    return f"No {token.kind} here is named “{token.value}”; there are: {some}."
