"""Search while it is typed: the newest question is answered, those that it overtook are not.

One thread asks the index, so that a slow machine never has a queue of old questions. Where a query's vector costs a
request, words answer at once; the request goes out when nothing was typed for a moment, from a thread of its own, and
its answer joins the list.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from console.operations.search import by_vectors, open_searcher

if TYPE_CHECKING:
    from console.workspace import Workspace
    from index.search import Mode, Searcher, SearchResult

VECTOR_REST_S = 0.25
"""A query that costs a request is sent when nothing was typed for so long; until then words answer."""
HITS = 50

Way = Literal["hybrid", "words", "vectors"]
"""Words and vectors joined · words alone · vectors alone."""
WAYS: tuple[Way, ...] = ("hybrid", "words", "vectors")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question."""

    query: str
    mode: Mode = "balanced"
    way: Way = "hybrid"
    facets: bool = False
    hits: int = HITS


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question: a result, or a sentence that says why there is none."""

    asked: Asked
    result: SearchResult | None
    problem: str = ""


class LiveSearch:
    """Answers the newest of many questions. `ask` never waits; `answered` is called in other threads."""

    def __init__(self, workspace: Workspace, answered: Callable[[Answered], None]) -> None:
        self._workspace = workspace
        self._answered = answered
        self._searcher: Searcher | None = None
        self._changed = threading.Condition()
        self._newest: Asked | None = None
        self._number = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, asked: Asked) -> None:
        """Ask; what was asked before and is not answered yet never will be."""
        with self._changed:
            self._newest, self._number = asked, self._number + 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, daemon=True, name="search")
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of the index; the thread ends by itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        number = 0
        while not self._overtaken(number, None):
            with self._changed:
                asked, number = self._newest, self._number
            assert asked is not None, "a number was given with it"
            result = self._look(asked, number)
            if result is not None and result.vector_pending and not self._overtaken(number, VECTOR_REST_S):
                self._fetch(asked, number)
        self._let_go()

    def _overtaken(self, number: int, within_s: float | None) -> bool:
        """Wait for a newer question, at most so long; returns whether the thread should not go on with this one.

        Without a limit it returns whether there is nothing to be done any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > number, within_s)
            return self._closed or (within_s is not None and self._number > number)

    def _let_go(self) -> None:
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None

    def _look(self, asked: Asked, number: int) -> SearchResult | None:
        try:
            if self._searcher is None:
                self._searcher = open_searcher(self._workspace)
            result = search_once(self._searcher, asked)
        except Exception as error:  # noqa: BLE001 - a failed search becomes a visible sentence
            self._let_go()  # it may be mended meanwhile: the next question opens it anew
            self._tell(Answered(asked, None, trouble(error)), number)
            return None
        self._tell(Answered(asked, result), number)
        return result

    def _fetch(self, asked: Asked, number: int) -> None:
        """Get the query's vector beside this thread, so that what is typed meanwhile is answered."""
        searcher = self._searcher
        if searcher is None:
            return

        def fetch() -> None:
            try:
                searcher.query_vector(asked.query)
                answer = Answered(asked, search_once(searcher, asked))
            except Exception as error:  # noqa: BLE001 - the words' answer stays, and it is said why no vector joined
                answer = Answered(asked, None, str(error))
                try:
                    words = search_once(searcher, replace(asked, way="words"))
                    answer = Answered(asked, replace(words, note=f"{words.note} {error}".strip()))
                except Exception as worse:  # noqa: BLE001
                    answer = Answered(asked, None, trouble(worse))
            self._tell(answer, number)

        threading.Thread(target=fetch, daemon=True, name="query vector").start()

    def _tell(self, answer: Answered, number: int) -> None:
        with self._changed:
            overtaken = self._closed or self._number != number
        if not overtaken:
            self._answered(answer)


def search_once(searcher: Searcher, asked: Asked) -> SearchResult:
    """One question to an open index; never waits for a network."""
    found = searcher.search(
        asked.query,
        asked.hits,
        mode=asked.mode,
        boosts=by_vectors(searcher.boosts) if asked.way == "vectors" else None,
        fusion="convex" if asked.way == "vectors" else None,
        vector=None if asked.way == "words" else "ready",
        facets=asked.facets,
    )
    if asked.way == "vectors" and replace(searcher.boosts, lexical_share=None).is_neutral:
        return replace(found, boosts_note="")  # the share of words is the way of asking, no boost
    return found


def trouble(error: Exception) -> str:
    """Why the index does not answer, with the command that mends it."""
    from console.errors import WrongInput
    from index.errors import IndexProblem

    said = str(error) or type(error).__name__
    if isinstance(error, WrongInput | IndexProblem) and "spotter" in said:
        return said
    return f"{said} — spotter index doctor tells what is wrong with the index, --repair mends it"
