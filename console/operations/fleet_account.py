"""The run's own account while its boxes work: their events in one file, what is told of it, and how much failed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from console.operations.events import Report
from console.operations.fleet_events import FleetEvents
from console.operations.fleet_work import FleetWork
from console.operations.watch import StageReporter
from console.words import count

if TYPE_CHECKING:
    from console.models.run_view import EventFile


class Account:
    """Keeps `events.jsonl` of a run in shards; closed until work begins, and again when it is over."""

    def __init__(self, work: FleetWork, report: Report) -> None:
        self._work = work
        self._report = report
        self._events: FleetEvents | None = None
        self._file: EventFile | None = None
        self._stages: StageReporter | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is being written."""
        return self._events is not None

    def open(self, boxes: int) -> None:
        """Begin, or go on where an earlier process was."""
        from console.models.run_view import EventFile

        path = self._work.folder / "events.jsonl"
        self._file = EventFile(path)
        self._file.catch_up()
        self._events = FleetEvents(self._work.folder, self._work.run_id, self._work.manifest)
        self._stages = StageReporter(self._report, self._file.view)
        if self._file.view.state != "running":
            attempt = self._work.book.fleet.attempt
            again = f", attempt {attempt}" if attempt > 1 else ""
            self._events.begin(f"{count(boxes, 'box', 'boxes')}{again}")

    def take_in(self) -> None:
        """What the boxes said since the last time."""
        assert self._events is not None
        stages = self._work.book.fleet.stages
        self._events.expect([str(stage["name"]) for stage in stages if stage["kind"] == "map"])
        for part, path in self._work.parts().items():
            self._events.follow(part, path)
        self._events.advance()

    def tell_stages(self) -> None:
        """Report how far the stages are by what is written."""
        assert self._file is not None
        assert self._stages is not None
        self._file.refresh()
        self._stages.tell(self._file.view)

    def note(self, level: str, message: str) -> None:
        """Write a sentence down; there is nowhere to while it is closed."""
        if self._events is not None:
            self._events.note(level, message)

    @property
    def too_many_failed(self) -> bool:
        """Whether more of the run's items failed than it may go on with; nothing is known while it is closed."""
        rate = self._max_error_rate
        return self._events is not None and rate is not None and self._events.failed_share > rate

    @cached_property
    def _max_error_rate(self) -> float | None:
        params = yaml.safe_load((self._work.folder / "params.yaml").read_text("utf-8"))
        return None if params.get("max_error_rate") is None else float(params["max_error_rate"])

    def close(self) -> None:
        """Close the file."""
        if self._events is not None:
            self._events.close()
            self._events = None
