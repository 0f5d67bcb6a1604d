"""Which lines a query finds, kept up as lines come and go.

Big searches are jobs: `job()` captures what to search, `Job.run()` does it in a thread, `take()` puts the answer in
force unless something else was asked meanwhile. New lines are looked at as they come.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from console.models.filter import FilterError
from console.models.log_buffer import LogBuffer, Snapshot
from console.models.log_query import NOTHING, Line, LogQuery, lines_of

SMALL = 2_000
"""So many lines are searched at once, on the loop; more are a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A search through lines that stand still."""

    number: int
    query: LogQuery
    snapshot: Snapshot
    only: tuple[int, ...] | None
    """Numbers that are worth a look, when an earlier answer holds all that can be found."""

    def run(self, stop: Callable[[], bool] = lambda: False) -> Hits:
        """Search; `stop` is asked now and then, and ends it early."""
        lines: Iterable[Line] = lines_of(self.snapshot)
        if self.only is not None:
            lines = self._picked(self.only)
        end = self.snapshot.start + len(self.snapshot.texts)
        try:
            return Hits(self.number, end, self.query.kept(lines, stop))
        except FilterError as error:
            return Hits(self.number, end, [], str(error))

    def _picked(self, numbers: Iterable[int]) -> Iterable[Line]:
        here = self.snapshot
        for number in numbers:
            index = number - here.start
            if 0 <= index < len(here.texts):
                yield Line(number, here.texts[index], here.levels[index], here.names[here.sources[index]])


@dataclass(frozen=True, slots=True)
class Hits:
    """The answer to a job."""

    number: int
    end: int
    """Lines from here on were not looked at."""
    numbers: list[int]
    problem: str = ""
    """Why the search was given up."""


class HitList:
    """The hits of one query. Not thread-safe: it belongs to the screen's loop."""

    def __init__(self, buffer: LogBuffer) -> None:
        self._buffer = buffer
        self.query = NOTHING
        """What was asked for last."""
        self.answers = NOTHING
        """What `numbers` are the hits of; another one than `query` while a job is under way."""
        self.numbers: list[int] = []
        self.searching = False
        self.problem = ""
        """Why the last search was given up; then nothing is looked for."""
        self._asked = 0
        self._looked = 0

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self.numbers, number)
        return index < len(self.numbers) and self.numbers[index] == number

    def ask(self, query: LogQuery) -> None:
        """Look for something else; at once when there is little to search, else `job` has it."""
        self._asked += 1
        self.query, self.problem = query, ""
        self.searching = bool(query) and len(self._buffer) > SMALL
        if not self.searching:
            self.numbers, self.answers, self._looked = [], query, self._buffer.first
            self.look()

    def ask_again(self) -> None:
        """Look for the same among lines that came before the first; what was found stays until the answer is here."""
        if self.query:
            self._looked = self._buffer.first
            self.ask(self.query)

    def job(self) -> Job | None:
        """The search that is to be done in a thread; None when there is none to do."""
        if not self.searching:
            return None
        refines = self.query.narrows(self.answers) and self._looked >= self._buffer.end
        return Job(self._asked, self.query, self._buffer.snapshot(), tuple(self.numbers) if refines else None)

    def was_asked(self, number: int) -> bool:
        """Whether this job's answer is still wanted; for `stop`, from any thread."""
        return number == self._asked

    def take(self, hits: Hits) -> bool:
        """Put an answer in force; False when something else was asked meanwhile."""
        if hits.number != self._asked:
            return False
        self.searching = False
        if hits.problem:
            self._give_up(hits.problem)
            return True
        self.numbers = hits.numbers[bisect_left(hits.numbers, self._buffer.first) :]
        self.answers, self._looked = self.query, hits.end
        self.look()
        return True

    def look(self) -> list[int]:
        """Hits among the lines that nobody has looked at yet; they are in `numbers` too."""
        start, end = max(self._looked, self._buffer.first), self._buffer.end
        self._looked = end
        if not self.answers or start >= end:
            return []
        try:
            new = self.answers.kept(lines_of(self._buffer.snapshot(start)), lambda: False)
        except FilterError as error:
            self._give_up(str(error))
            return []
        self.numbers += new
        return new

    def _give_up(self, problem: str) -> None:
        self.problem, self.query, self.answers, self.numbers = problem, NOTHING, NOTHING, []

    def forget_before(self, first: int) -> None:
        """Lines before this one are gone."""
        if self.numbers and self.numbers[0] < first:
            del self.numbers[: bisect_left(self.numbers, first)]
