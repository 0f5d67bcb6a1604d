"""Operations on a plain terminal: progress bars with rate and time to go on a screen, one line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from console.operations.events import OperationEvent
from console.words import duration, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class PlainReport:
    """One line for each start and end, none for ticks; for logs, pipes and dumb terminals."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started: dict[str, float] = {}
        self._last = ""

    def __enter__(self) -> PlainReport:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __call__(self, event: OperationEvent) -> None:
        """Write what matters."""
        if event.state == "started":
            self._started[event.operation] = event.ts
            self._say("…", event, event.message)
        elif event.state == "finished":
            took = duration(max(0.0, event.ts - self._started.pop(event.operation, event.ts)))
            self._say("ok", event, f"{event.message}  ({took})")
        elif event.state == "failed":
            self._say("FAILED", event, "" if event.raised else event.message)
        elif event.total is None and event.message and event.message != self._last:
            self._last = event.message
            self._say("·", event, event.message)

    def _say(self, mark: str, event: OperationEvent, message: str) -> None:
        print(f"{mark:>6}  {event.operation:<10} {message}", file=self._out, flush=True)


class BarReport:
    """A bar for what is under way, a line for what is done."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self._console = console
        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[operation]:<10}", style="bold"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}", style="dim", markup=False),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> BarReport:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: OperationEvent) -> None:
        """Move a bar, or turn it into a line."""
        from rich.text import Text

        name = event.operation
        if event.state in ("finished", "failed"):
            if name in self._tasks:
                self._progress.remove_task(self._tasks.pop(name))
            took = duration(max(0.0, event.ts - self._started.pop(name, event.ts)))
            mark, style = ("✓", "green") if event.state == "finished" else ("✗", "bold red")
            message = "" if event.raised else event.message
            line = Text.assemble((f"{mark} ", style), (f"{name:<10} ", "bold"), message, (f"  {took}", "dim"))
            self._console.print(line, soft_wrap=True)
            return
        if name == "run" and event.total is None:  # a sentence for the operator, such as what is still rented
            self._console.print(
                Text.assemble(("· ", "yellow"), (f"{name:<10} ", "bold"), event.message), soft_wrap=True
            )
            return
        if event.state == "started":
            self._started[name] = time.time()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task("", total=None, operation=name, figures="")
        figures = ""
        if event.total:
            elapsed = max(0.001, time.time() - self._started.get(name, time.time()))
            pace = event.done / elapsed
            if event.unit == "bytes":
                figures = f"{size(event.done)} of {size(event.total)}, {size(pace)}/s"
            else:
                figures = f"{event.done:.0f}/{event.total:.0f} {event.unit}, {pace:.1f}/s"
        self._progress.update(
            self._tasks[name], completed=event.done, total=event.total, description=event.message, figures=figures
        )


def reporter(*, plain: bool) -> PlainReport | BarReport:
    """Bars on a terminal that can draw them; plain lines on stderr otherwise, or when stdout is for a program."""
    if plain or not sys.stdout.isatty():
        return PlainReport(sys.stderr if plain else sys.stdout)
    from rich.console import Console

    console = Console()
    return PlainReport(sys.stdout) if console.is_dumb_terminal else BarReport(console)


WIDE_COLUMNS = 110


def print_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], note: str, wide: Collection[str] = frozenset()
) -> None:
    """A plain table with a note under it. Columns in `wide` need a wide terminal; a pipe gets all of them, uncut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=500)
    shown = [index for index, title in enumerate(titles) if title not in wide or console.width >= WIDE_COLUMNS]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index in shown:
        table.add_column(titles[index], no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    if rows:
        console.print(table)
    console.print(Text(note, style="dim"), soft_wrap=True)
