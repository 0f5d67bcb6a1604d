"""One run as it grows, read from this machine's files off the screen's loop: its state, what failed, new lines."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from console.models.item_names import ItemNames
from console.models.run_cost import CostReader
from console.models.run_coverage import Coverage, CoverageReader
from console.models.run_market import Elsewhere, MarketReader
from console.models.run_outputs import Outputs, OutputsReader
from console.models.run_parameters import ParametersMissing, read_parameters
from console.models.run_view import EventFile, RunView
from console.operations.runbook import Phase, Runbook, RunEntry
from console.workspace import Workspace

if TYPE_CHECKING:
    from remote.money import RunCost

LOG_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class NamedFailure:
    """A failed item by the name that its owner knows."""

    name: str
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunNews:
    """What one look at a run brought."""

    entry: RunEntry
    view: RunView
    failures: tuple[NamedFailure, ...]
    """The first of them."""
    failed: int
    """How many there are."""
    new_lines: tuple[str, ...]
    """Lines of the laptop's steps and of the job's log since the look before."""
    cost: RunCost | None = None
    """None before anything was rented for it."""
    coverage: tuple[Coverage, ...] = ()
    """A line a document; empty while there is no manifest."""
    outputs: Outputs = field(default_factory=Outputs)
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Path → value; empty when they are not here any more."""
    driver: int | None = None
    """The process that drives it now, if any."""
    elsewhere: Elsewhere | None = None
    """The same work on another offer; None when nothing is known of the market or there is nothing left to do."""

    @property
    def state(self) -> str:
        """One word: how it ended, or the pipeline's own state."""
        return self.entry.state if self.entry.phase is Phase.DONE else self.view.state


class RunReader:
    """Follows one run. Not thread-safe: one look at a time. `detailed` also counts documents, files and the market."""

    def __init__(self, workspace: Workspace, run_id: str, *, failures_shown: int = 12, detailed: bool = False) -> None:
        folder = workspace.run_folder(run_id)
        self.run_id = run_id
        self._folder = folder
        self._detailed = detailed
        self._coverage = CoverageReader(folder)
        self._outputs = OutputsReader(folder)
        self._market = MarketReader(workspace)
        self._parameters: Mapping[str, str] = {}
        self._runbook = Runbook(workspace)
        self._events = EventFile(folder / "events.jsonl", self._coverage.fold if detailed else None)
        self._names = ItemNames(folder)
        self._logs = folder / "logs"
        self._offsets: dict[Path, int] = {}
        self._failures_shown = failures_shown
        self._costs = CostReader(workspace)

    def look(self) -> RunNews:
        """Read what was appended since the last look.

        Raises:
            RunNotFound: the run was forgotten.
        """
        entry = self._runbook.read(self.run_id)
        self._events.refresh()
        failures = self._events.failures
        shown = tuple(
            NamedFailure(self._names.of(failure), failure.stage, failure.reason)
            for failure in islice(failures.values(), self._failures_shown)
        )
        cost = self._costs.of(entry, self._events.view)
        news = RunNews(entry, self._events.view, shown, len(failures), tuple(self._new_lines()), cost)
        return self._with_details(news) if self._detailed else news

    def _with_details(self, news: RunNews) -> RunNews:
        if not self._parameters:
            try:
                self._parameters = read_parameters(self._folder)
            except ParametersMissing:
                self._parameters = {}  # the view says so
        ended = news.entry.phase is Phase.DONE
        return replace(
            news,
            coverage=self._coverage.look(ended=ended),
            outputs=self._outputs.look(),
            parameters=self._parameters,
            driver=None if ended else self._runbook.holder(self.run_id),
            elsewhere=None if ended else self._market.elsewhere(news.entry, news.view, news.cost),
        )

    def _new_lines(self) -> list[str]:
        lines = [journal_line(line) for line in self._appended(self._logs / "operations.jsonl")]
        for path in sorted(self._logs.glob("job-*.log")):
            lines += self._appended(path)
        return lines

    def _appended(self, path: Path) -> list[str]:
        """Whole lines since the last look; of a long file the first look takes only the end."""
        offset = self._offsets.get(path)
        try:
            with path.open("rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                cut = offset is None and size > LOG_CHUNK
                offset = size - LOG_CHUNK if cut else offset or 0
                handle.seek(offset)
                chunk = handle.read(LOG_CHUNK)
        except FileNotFoundError:
            return []
        whole = chunk.rfind(b"\n") + 1 or (len(chunk) if len(chunk) == LOG_CHUNK else 0)
        self._offsets[path] = offset + whole
        lines = chunk[:whole].decode("utf-8", "replace").splitlines()
        return lines[1:] if cut else lines


def journal_line(line: str) -> str:
    """One line of the run's operations journal as the log shows it; one that a crash tore is shown as it is."""
    try:
        event = orjson.loads(line)
        clock = time.strftime("%H:%M:%S", time.localtime(event["ts"]))
        mark = {"started": "…", "finished": "✓", "failed": "✗"}.get(event["state"], "·")
        return f"{clock} {mark} {event['operation']}: {event['message']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return line
