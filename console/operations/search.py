"""Search: the index of a workspace, answered from its ranking snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.workspace import Workspace

if TYPE_CHECKING:
    from index.search import Searcher, SearchResult


class NothingParsed(WrongInput):
    """There is nothing to search yet."""


def open_searcher(workspace: Workspace) -> Searcher:
    """A searcher over the workspace's index.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: it cannot be read.
    """
    from index.errors import IndexEmpty
    from index.search import Searcher

    try:
        return Searcher(workspace.root)
    except IndexEmpty:
        raise NothingParsed(
            f"the index of {workspace.root} holds no records yet: `spotter run` parses what is in data/ and fills it"
        ) from None


def search(
    workspace: Workspace, query: str, *, k: int = 10, types: Sequence[str] = (), documents: Sequence[str] = ()
) -> SearchResult:
    """The best `k` records for `query`.

    Raises:
        NothingParsed: the index is empty or missing.
        index.errors.IndexProblem: it cannot be read.
    """
    with open_searcher(workspace) as searcher:
        return searcher.search(query, k, types=types, documents=documents)
