"""Search: the index of a workspace, answered from its ranking snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.workspace import Workspace

if TYPE_CHECKING:
    from index.boosts import Boosts
    from index.search import Fusion, Hit, Mode, Searcher, SearchResult


RECORDS_A_PAGE = 1_000
"""More than any page has, fewer than would take long."""


class NothingParsed(WrongInput):
    """There is nothing to search yet."""


def open_searcher(workspace: Workspace, generation: str | None = None) -> Searcher:
    """A searcher over the workspace's index, or over a generation of it that need not be in use.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: it cannot be read.
    """
    from index.errors import IndexEmpty
    from index.search import Searcher

    try:
        return Searcher(workspace.root, generation=generation)
    except IndexEmpty:
        raise NothingParsed(
            f"the index of {workspace.root} holds no records yet: `spotter run` parses what is in data/ and fills it"
        ) from None


@dataclass(frozen=True)
class SearchRequest:
    """What to look for, and how the list is to be ranked."""

    query: str
    k: int = 10
    mode: Mode = "balanced"
    types: Sequence[str] = ()
    documents: Sequence[str] = ()
    pages: Sequence[int] = ()
    boosts: Path | None = None
    """A file of boosts; None: the workspace's own."""
    prefer_visual: bool = False
    type_weights: str = ""
    """Boosts of types on top, as `Text=1,VisualFact=1.05`."""
    fusion: Fusion | None = None
    words_only: bool = False
    vectors_only: bool = False
    """Rank by what the vectors say alone; needs no more than the default, but another join than `rrf`."""
    generation: str | None = None
    facets: bool = False


def search(workspace: Workspace, request: SearchRequest) -> SearchResult:
    """The best records for a request.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: it, or the boosts, cannot be read.
        WrongInput: the boosts' file is not there.
    """
    if request.vectors_only and (request.words_only or request.fusion == "rrf"):
        raise WrongInput("By vectors alone there are no words to join: leave out --words-only and --fusion rrf.")
    with open_searcher(workspace, request.generation) as searcher:
        return searcher.search(
            request.query,
            request.k,
            mode=request.mode,
            types=request.types,
            documents=request.documents,
            pages=request.pages,
            boosts=by_vectors(_boosts(searcher, request) or searcher.boosts)
            if request.vectors_only
            else _boosts(searcher, request),
            fusion="convex" if request.vectors_only else request.fusion,
            vector=None if request.words_only else "wait",
            facets=request.facets,
        )


def _boosts(searcher: Searcher, request: SearchRequest) -> Boosts | None:
    """The boosts that a request asks for; None: those that the searcher has anyway."""
    from index.boosts import PREFER_VISUAL, parse_overrides, read_boosts

    if request.boosts is None and not request.prefer_visual and not request.type_weights:
        return None
    if request.boosts is not None and not request.boosts.is_file():
        raise WrongInput(f"There is no file {request.boosts} to read boosts from.")
    boosts = searcher.boosts if request.boosts is None else read_boosts(request.boosts)
    if request.prefer_visual:
        boosts = boosts.with_types(PREFER_VISUAL)
    return boosts.with_types(parse_overrides(request.type_weights)) if request.type_weights else boosts


def by_vectors(boosts: Boosts) -> Boosts:
    """The same boosts, with no share for words."""
    return replace(boosts, lexical_share=0.0)


def find_record(workspace: Workspace, document: str | None, page: int | None, record_id: str) -> Hit | None:
    """One record of a page by its id, as a search would show it; None when the index has it no more.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: it cannot be read.
    """
    with open_searcher(workspace) as searcher:
        places = [] if document is None else [document]
        wanted = "page:1-100000" if page is None else f"page:{page}"
        found = searcher.search(wanted, RECORDS_A_PAGE, mode="raw", documents=places, vector=None)
    return next((hit for hit in found.hits if hit.id == record_id), None)
