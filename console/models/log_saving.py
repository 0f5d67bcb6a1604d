"""The lines on show as text for a file, or as rows for an export."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.models.log_buffer import LogBuffer, Snapshot
from console.models.log_pane import LogPane
from console.models.log_stamp import Level


@dataclass(frozen=True, slots=True)
class ShownLines:
    """Lines on show at one moment; made on the screen's loop, read in a thread."""

    snapshot: Snapshot
    whole: dict[int, str]
    numbers: Sequence[int]
    marks: frozenset[int]

    @classmethod
    def of(cls, pane: LogPane) -> ShownLines:
        """What a pane shows now."""
        buffer: LogBuffer = pane.buffer
        return cls(buffer.snapshot(), buffer.whole_lines(), pane.numbers(), frozenset(buffer.marks))

    def lines(self, *, times: bool, sources: bool) -> Iterator[str]:
        """Each line as a row of a text file: as it came, but on one row, with the columns that stand before it."""
        here = self.snapshot
        for number in self.numbers:
            index = number - here.start
            text = self.whole.get(number, here.texts[index]).replace("\r", " ")
            clock = time.strftime("%Y-%m-%dT%H:%M:%S ", time.localtime(here.stamps[index])) if times else ""
            name = f"{here.names[here.sources[index]]}: " if sources else ""
            yield f"{'* ' if number in self.marks else ''}{clock}{name}{text}"

    def rows(self) -> Iterator[tuple[float, str, str, str]]:
        """Time (Unix seconds), source, level and text of each line."""
        here = self.snapshot
        for number in self.numbers:
            index = number - here.start
            level = Level(here.levels[index]).name.lower()
            yield here.stamps[index], here.names[here.sources[index]], level, here.texts[index]


def save(shown: ShownLines, folder: Path, name: str, moment: float, *, times: bool, sources: bool) -> Path:
    """Write the lines to a new file `name-<time>.log` in `folder`; returns it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(moment))}"
    path, tries = folder / f"{stem}.log", 1
    while path.exists():
        tries += 1
        path = folder / f"{stem}-{tries}.log"
    with path.open("x", encoding="utf-8", errors="backslashreplace") as out:
        for line in shown.lines(times=times, sources=sources):
            out.write(line)
            out.write("\n")
    return path
