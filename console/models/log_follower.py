"""Brings the lines of growing files into a log's buffer, in one thread that never holds anything up.

One thread for all files of a view: they lie on this machine, so none of them is waited for, and only one thread
competes with the screen's loop. What was written before is read first, from the end of each file, and put in order of
time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from console.models.log_buffer import WHOLE_CHARACTERS, LogBatch, LogBuffer, in_order
from console.models.log_sources import READERS, LogFile
from console.models.log_stamp import level_of

BACKLOG_BYTES = 16 * 1024 * 1024
"""Of what was written before, all files together."""
CHUNK = 128 * 1024
BATCH_LINES = 1_000
LOOK_S = 0.1
IDLE_LOOK_S = 0.5
IDLE_AFTER_S = 10.0
LIST_S = 2.0
"""Between two looks for new files."""
LAST_WORDS_S = 2.0
"""A line without an end that nothing was added to for so long is shown: a killed process ends no line."""


class GrowingFile:
    """One file, read from where it was left. A file that shrank or was replaced is read from its start."""

    def __init__(self, file: LogFile, buffer: LogBuffer, backlog: int) -> None:
        self._file = file
        self._buffer = buffer
        self._backlog = backlog
        self._offset: int | None = None
        self._inode = 0
        self._rest = b""
        self._rest_at = 0.0
        self._cut = False
        self._seen_end = False
        """Whether what comes from now on is seen as it is written."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._file.path

    def read(self) -> LogBatch | None:
        """The next lines; None when nothing new is here. At most `CHUNK` bytes at once.

        Raises:
            OSError: the file cannot be read, for another reason than not being there yet.
        """
        try:
            with self._file.path.open("rb") as handle:
                status = os.fstat(handle.fileno())
                self._find_start(status.st_size, status.st_ino)
                assert self._offset is not None
                handle.seek(self._offset)
                chunk = handle.read(CHUNK)
        except FileNotFoundError:
            self._seen_end = True
            return None
        if not chunk:
            self._seen_end = True
            return self._last_words()
        self._offset += len(chunk)
        arrived = status.st_mtime  # of what grows that is now; of what was written before, nothing better is known
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        self._rest_at = time.monotonic()
        if self._cut and whole:
            whole, self._cut = whole[1:], False
        if len(self._rest) > WHOLE_CHARACTERS:
            whole, self._rest = [*whole, self._rest], b""
        return self._batch(whole, arrived)

    def _find_start(self, size: int, inode: int) -> None:
        if self._offset is None:
            self._offset = max(0, size - self._backlog)
            self._cut = self._offset > 0
        elif size < self._offset or inode != self._inode:
            self._offset, self._rest = 0, b""
        self._inode = inode

    def _last_words(self) -> LogBatch | None:
        if not self._rest or time.monotonic() - self._rest_at < LAST_WORDS_S:
            return None
        rest, self._rest = self._rest, b""
        return self._batch([rest], time.time())

    def _batch(self, raw: list[bytes], arrived: float) -> LogBatch:
        lines = [line.decode("utf-8", "replace").removesuffix("\r") for line in raw]
        if self._file.kind == "job":
            return self._buffer.batch_of(lines, self._file.name, arrived, vague=not self._seen_end)
        read, source, batch, moment = (
            READERS[self._file.kind],
            self._buffer.source(self._file.name),
            LogBatch(),
            arrived,
        )
        for line in lines:
            found = read(line)
            if found is not None:
                text, stamp, level = found
                moment = moment if stamp is None else stamp
                batch.add(text, moment, source, level_of(text) if level is None else level)
        return batch


@dataclass(slots=True)
class LogFollower:
    """Follows the files that `files` names, now and as more come, until `stop` is set."""

    buffer: LogBuffer
    files: Callable[[], list[LogFile]]
    tell: Callable[[str], None] = lambda reason: None
    """Told, from the thread, why there is nothing; empty when there is again."""
    backlog: int = BACKLOG_BYTES
    """How much of what was written before is read."""
    stop: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)
    """Set once everything that was written before is in the buffer's waiting room."""
    _growing: dict[LogFile, GrowingFile] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)
    _told: str = ""

    def start(self) -> None:
        """Begin, in a thread that ends with the process at the latest."""
        threading.Thread(target=self.run, name="log follower", daemon=True).start()

    def run(self) -> None:
        """Follow; returns once `stop` is set."""
        listed, grew = 0.0, time.monotonic()
        while not self.stop.is_set():
            now = time.monotonic()
            if not listed or now - listed >= LIST_S:
                self._list()
                listed = now
            if not self.ready.is_set():
                self._offer_backlog()
                self.ready.set()
            elif self.read_new():
                grew = now
            self.stop.wait(LOOK_S if now - grew < IDLE_AFTER_S else IDLE_LOOK_S)

    def _list(self) -> None:
        try:
            files = self.files()
        except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
            self._note("", str(error) or type(error).__name__)
            return
        self._note("", "")
        for file in files:
            if file not in self._growing:
                self._growing[file] = GrowingFile(file, self.buffer, self.backlog // max(1, len(files)))

    def read_backlog(self) -> None:
        """Read what was written before, without a thread."""
        self._list()
        self._offer_backlog()

    def _offer_backlog(self) -> None:
        """What was written before, of all files, in order of time."""
        batches = []
        for file in list(self._growing.values()):
            whole = LogBatch()
            while not self.stop.is_set() and (batch := self._read(file)) is not None:
                whole.take(batch, range(len(batch)))
                self.stop.wait(0.001)  # lets the screen's loop in
            batches.append(whole)
        backlog = in_order(batches) if len(batches) > 1 else LogBatch() if not batches else batches[0]
        for start in range(0, len(backlog), BATCH_LINES):
            part = LogBatch()
            part.take(backlog, range(start, min(start + BATCH_LINES, len(backlog))))
            self.buffer.offer(part)

    def read_new(self) -> bool:
        """Read what came since the last time; returns whether anything did."""
        came = False
        for file in list(self._growing.values()):
            while not self.stop.is_set() and (batch := self._read(file)) is not None:
                self.buffer.offer(batch)
                came = True
        return came

    def _read(self, file: GrowingFile) -> LogBatch | None:
        file_name = str(file.path)
        try:
            batch = file.read()
        except OSError as error:
            self._note(file_name, f"{file_name}: {error.strerror}")
            return None
        self._note(file_name, "")
        return batch

    def _note(self, about: str, reason: str) -> None:
        """Keep what is wrong with one thing, and tell when it is something else than before."""
        if reason:
            self._problems[about] = reason
        else:
            self._problems.pop(about, None)
        said = "; ".join(self._problems.values())
        if said != self._told:
            self._told = said
            self.tell(said)
