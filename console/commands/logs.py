"""The command `logs`: a run's log as it is, or as the console's log view shows it, filtered and merged."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import WRONG_INPUT, Json, fail, print_json, workspace
from console.commands.runs import LogPrinter, RunId, follow_log

if TYPE_CHECKING:
    from console.models.log_follower import LogFollower
    from console.models.log_pane import LogPane
    from console.models.log_sources import LogPlace
    from console.workspace import Workspace

LOOK_S = 0.3
EVERYTHING = 1 << 40
"""Bytes and lines without a bound worth the name: what is printed is not kept."""


def logs(
    run_id: RunId = "last",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the run ends.")] = False,
    events: Annotated[bool, typer.Option("--events", help="The events instead of the log.")] = False,
    filter_text: Annotated[
        str, typer.Option("--filter", help="Only lines with these words; !word, ~letters, /regex/, level:error.")
    ] = "",
    context: Annotated[int, typer.Option(min=0, max=1000, help="Lines around each line that the filter keeps.")] = 0,
    last: Annotated[str, typer.Option(help="Only the end: 90s, 5m, 2h before the newest line.")] = "",
    all_runs: Annotated[bool, typer.Option("--all", help="All live runs as one log, by time.")] = False,
    with_events: Annotated[
        bool, typer.Option("--with-events", help="With what the laptop did and what happened to each page.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print a run's log as this machine has it; whoever drives the run keeps it growing."""
    here = workspace()
    if not (filter_text or last or all_runs or with_events or as_json):
        from console.operations.runbook import Runbook

        entry = Runbook(here).resolve(run_id)
        if follow:
            follow_log(here, entry.run_id, events=events)
        else:
            LogPrinter(here, entry.run_id, events=events).more()
        return 0
    if as_json and follow:
        fail("--json prints one value, once; leave --follow out", WRONG_INPUT)
    from console.models.log_sources import LogPlace

    window_s = _seconds(last)
    place = LogPlace() if all_runs else LogPlace(_run_of(here, run_id))
    _Printer(here, place, filter_text, context, window_s, with_events=with_events or events).print(
        follow=follow, as_json=as_json
    )
    return 0


def _seconds(last: str) -> float | None:
    """Seconds of `90s`, `5m`, `2h`, `1d`; None for nothing."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", last.strip())
    if last and found is None:
        fail(f"--last {last}: write 90s, 5m, 2h or 1d", WRONG_INPUT)
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else None


def _run_of(here: Workspace, text: str) -> str:
    from console.models.log_sources import LogPlace, runs_of
    from console.operations.runbook import Runbook

    if not text:
        return Runbook(here).resolve(text).run_id
    found = runs_of(here, LogPlace(text))[0].run_id
    return text if text.isdigit() else found


class _Printer:
    """What the log view shows, as lines on stdout."""

    def __init__(
        self, here: Workspace, place: LogPlace, text: str, context: int, last_s: float | None, *, with_events: bool
    ) -> None:
        from console.models.filter import FilterError
        from console.models.log_buffer import LogBuffer
        from console.models.log_follower import LogFollower
        from console.models.log_pane import LogPane
        from console.models.log_query import LogQuery
        from console.models.log_sources import files_of

        try:
            self._query = LogQuery.read(text)
        except FilterError as error:
            fail(str(error), WRONG_INPUT)
        self._here, self._place, self._last_s = here, place, last_s
        buffer = LogBuffer(capacity=EVERYTHING, max_bytes=EVERYTHING)
        self._pane: LogPane = LogPane(buffer)
        self._follower: LogFollower = LogFollower(
            buffer, lambda: files_of(here, place, events=with_events), backlog=EVERYTHING
        )
        self._pane.set_view(context=context)

    def print(self, *, follow: bool, as_json: bool) -> None:
        """Print what there is and, with `follow`, what comes until nobody works on the runs any more."""
        pane = self._pane
        self._follower.read_backlog()
        self._drain()
        pane.set_filter(self._query)
        job = pane.filtered.job()
        if job is not None:
            pane.take_filtered(job.run())
        if pane.filtered.problem:
            fail(pane.filtered.problem, WRONG_INPUT)
        if as_json:
            self._print_json()
            return
        printed = self._print_from(0)
        while follow:
            ended = not self._working()
            self._follower.read_new()
            self._drain()
            printed = self._print_from(printed)
            if ended:
                return
            time.sleep(LOOK_S)

    def _drain(self) -> None:
        while came := self._pane.buffer.drain():
            self._pane.took(came)

    def _numbers(self) -> list[int]:
        numbers, buffer = self._pane.numbers(), self._pane.buffer
        if self._last_s is None or not numbers:
            return numbers
        oldest = buffer.stamp(buffer.end - 1) - self._last_s
        return [number for number in numbers if buffer.stamp(number) >= oldest]

    def _print_from(self, first: int) -> int:
        from console.words import visible

        buffer, to_people = self._pane.buffer, sys.stdout.isatty()
        numbers = [number for number in self._numbers() if number >= first]
        for number in numbers:
            line = buffer.whole(number)
            name = "" if self._place.run else f"{buffer.source_name(number)}: "
            print(name + (visible(line.expandtabs()) if to_people else line))
        sys.stdout.flush()
        return numbers[-1] + 1 if numbers else first

    def _print_json(self) -> None:
        from console.models.log_stamp import Level

        buffer = self._pane.buffer
        print_json(
            [
                {
                    "time": buffer.stamp(number),
                    "source": buffer.source_name(number),
                    "level": Level(buffer.level(number)).name.lower(),
                    "text": buffer.whole(number),
                }
                for number in self._numbers()
            ]
        )

    def _working(self) -> bool:
        """Whether somebody works on one of the runs."""
        from console.models.log_sources import runs_of
        from console.operations.runbook import Phase, Runbook

        book = Runbook(self._here)
        return any(
            entry.phase is not Phase.DONE and book.holder(entry.run_id) is not None
            for entry in runs_of(self._here, self._place)
        )
