"""Brings the lines of growing files into a log's buffer, in one thread that never holds anything up.

One thread for all files of a view: they lie on this machine, so none of them is waited for, and only one thread
competes with the screen's loop. The ends of all files are read first, so that the newest lines are on the screen at
once, however much there is; then the rest of what was written before, which goes in front of them. All of it is put in
order of time.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from console.models.log_buffer import WHOLE_CHARACTERS, LogBatch, LogBuffer, in_order
from console.models.log_sources import READERS, LogFile
from console.models.log_stamp import level_of

BACKLOG_BYTES = 16 * 1024 * 1024
"""Of what was written before, all files together."""
CHUNK = 128 * 1024
TAIL_BYTES = 64 * 1024
"""Of each file, read before anything else: more lines than a screen has rows."""
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
        self._older = (0, 0)
        """From where to where the file's older lines stand."""
        self._older_arrived = 0.0

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._file.path

    @property
    def older_bytes(self) -> int:
        """How much there is before the tail."""
        return self._older[1] - self._older[0]

    def tail(self) -> LogBatch:
        """The last whole lines of the file; `read` goes on behind them, and `older` reads those before.

        Raises:
            OSError: the file cannot be read, for another reason than not being there yet.
        """
        try:
            with self._file.path.open("rb") as handle:
                status = os.fstat(handle.fileno())
                size, begin = status.st_size, max(0, status.st_size - self._backlog)
                length, start, cut, text = TAIL_BYTES, size, -1, b""
                while cut < 0 and start > begin:
                    start, length = max(begin, size - length), length * 2
                    handle.seek(start)
                    text = handle.read(size - start)
                    cut = 0 if start == 0 else text.find(b"\n") + 1 or -1
        except FileNotFoundError:
            self._seen_end = True
            return LogBatch()
        cut = max(0, cut)
        self._older, self._older_arrived = (begin, start + cut if start > begin else begin), status.st_mtime
        self._offset, self._inode, self._rest_at = start + len(text), status.st_ino, time.monotonic()
        *whole, self._rest = text[cut:].split(b"\n")
        batch = self._batch(whole, status.st_mtime)
        self._seen_end = True
        return batch

    def older(self) -> Iterator[tuple[LogBatch, int]]:
        """The lines before the tail, oldest first, in pieces, and how many bytes of the file each is.

        Raises:
            OSError: the file cannot be read.
        """
        at, end = self._older
        rest, cut = b"", at > 0
        with self._file.path.open("rb") as handle:
            if os.fstat(handle.fileno()).st_ino != self._inode:
                return  # another file lies there now; `read` reads that from its start
            handle.seek(at)
            while at < end and (chunk := handle.read(min(CHUNK, end - at))):
                at += len(chunk)
                *whole, rest = (rest + chunk).split(b"\n")
                if cut and whole:
                    whole, cut = whole[1:], False
                if len(rest) > WHOLE_CHARACTERS:
                    whole, rest = [*whole, rest], b""
                yield self._batch(whole, self._older_arrived, vague=True), len(chunk)

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

    def _batch(self, raw: list[bytes], arrived: float, *, vague: bool = False) -> LogBatch:
        if any(len(line) > WHOLE_CHARACTERS for line in raw):
            raw = [piece for line in raw for piece in _pieces(line)]
        lines = [line.decode("utf-8", "replace").removesuffix("\r") for line in raw]
        if self._file.kind == "job":
            return self._buffer.batch_of(lines, self._file.name, arrived, vague=vague or not self._seen_end)
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


def one(batches: list[LogBatch]) -> LogBatch:
    """Batches of several sources as one, by time; a single one as it is."""
    filled = [batch for batch in batches if len(batch)]
    return filled[0] if len(filled) == 1 else in_order(filled)


def _pieces(line: bytes) -> list[bytes]:
    """A line in parts of which each can be kept whole."""
    return [line[at : at + WHOLE_CHARACTERS] for at in range(0, len(line), WHOLE_CHARACTERS)] or [line]


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
    loaded: float = 0.0
    """How much of what was written before is read, from 0 to 1."""
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
        """What was written before, of all files, in order of time: the newest first, then the rest in front of it.

        The newest are those from the moment on of which every file's tail is known; what a tail holds besides waits
        for the lines of other files that go between.
        """
        growing = list(self._growing.values())
        tails = [self._tail(file) for file in growing]
        known = max(
            (tail.stamps[0] for file, tail in zip(growing, tails, strict=True) if file.older_bytes and len(tail)),
            default=float("-inf"),
        )
        cuts = [bisect_left(list(accumulate(tail.stamps, max)), known) for tail in tails]
        newest = one([tail.part(cut, len(tail)) for tail, cut in zip(tails, cuts, strict=True)])
        for start in range(0, len(newest), BATCH_LINES):
            self.buffer.offer(newest.part(start, start + BATCH_LINES))
        total = sum(file.older_bytes for file in growing)
        olds, done = [], 0
        for file, tail, cut in zip(growing, tails, cuts, strict=True):
            old = LogBatch()
            for batch, size in self._older(file):
                old.extend(batch)
                done += size
                self.loaded = done / total
                self.read_new()
                self.stop.wait(0.001)  # lets the screen's loop in
            old.extend(tail.part(0, cut))
            olds.append(old)
        if not self.stop.is_set():
            self.buffer.offer_older(one(olds))

    def _tail(self, file: GrowingFile) -> LogBatch:
        file_name = str(file.path)
        try:
            batch = file.tail()
        except OSError as error:
            self._note(file_name, f"{file_name}: {error.strerror}")
            return LogBatch()
        return batch

    def _older(self, file: GrowingFile) -> Iterator[tuple[LogBatch, int]]:
        file_name = str(file.path)
        try:
            for piece in file.older():
                if self.stop.is_set():
                    return
                yield piece
        except OSError as error:
            self._note(file_name, f"{file_name}: {error.strerror}")

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
