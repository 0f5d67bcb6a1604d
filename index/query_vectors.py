"""Vectors of queries: at once when they are here, and otherwise known to be missing, so that typing never waits.

A search answers by words first. `at_once` gives the vector from memory, from the disk, or from an embedder that needs
no network, and None while it would have to be fetched; `fetch` asks the network, in a thread of whoever searches, and
the next search of the same query finds the vector at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from index.embed import Embedder, Matrix

CAPACITY = 512
"""Vectors of queries kept in memory: 6 MB at 3,072 numbers."""


@runtime_checkable
class Remembers(Protocol):
    """An embedder that keeps on disk what it embedded."""

    def remembered(self, query: str) -> Matrix | None:
        """The query's vector, (dim,), if it was embedded before; asks no network."""
        ...


class QueryVectors:
    """Vectors of queries in one space; thread-safe."""

    def __init__(self, embedder: Embedder, capacity: int = CAPACITY) -> None:
        self.embedder = embedder
        self._capacity = capacity
        self._kept: OrderedDict[str, Matrix] = OrderedDict()
        self._lock = threading.Lock()

    def at_once(self, query: str) -> Matrix | None:
        """The query's vector, (dim,) float32 of length 1; None: it has to be fetched. Never asks the network."""
        with self._lock:
            vector = self._kept.get(query)
            if vector is not None:
                self._kept.move_to_end(query)
                return vector
        if not self.embedder.network:
            return self.fetch(query)
        vector = self.embedder.remembered(query) if isinstance(self.embedder, Remembers) else None
        return None if vector is None else self._keep(query, vector)

    def fetch(self, query: str) -> Matrix:
        """The query's vector, asked for if need be; blocks for as long as the server takes.

        Raises:
            IndexProblem: the embedder can't be reached, or refuses (see `index.provider`).
        """
        return self._keep(query, self.embedder.embed([query], kind="query")[0])

    def warm(self, queries: Sequence[str]) -> None:
        """Make the vectors of many queries in few requests; what is here already costs nothing. Raises as `fetch`."""
        if not self.embedder.network:
            return
        missing = [query for query in dict.fromkeys(queries) if query.strip() and self.at_once(query) is None]
        if missing:
            for query, vector in zip(missing, self.embedder.embed(missing, kind="query"), strict=True):
                self._keep(query, vector)

    def _keep(self, query: str, vector: Matrix) -> Matrix:
        with self._lock:
            self._kept[query] = vector
            self._kept.move_to_end(query)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return vector
