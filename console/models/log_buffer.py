"""The lines of a log in memory: a ring of the newest, filled by reader threads, looked at by the screen's loop.

Readers put whole batches into a waiting room under a lock; `drain` moves them into the ring. So a line costs the loop
nothing by itself, and a flood costs lines, which are counted, never the screen. A line has a number that it keeps for
life; numbers grow by one. What was written before what is here comes behind it in time and in front of it in the ring:
`offer_older` and `take_older` give such lines the numbers below the first.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from console.models.log_stamp import Level, StampReader, level_of
from console.words import visible

CAPACITY = 100_000
MAX_BYTES = 64 * 1024 * 1024
"""Of the ring's texts; a hundred thousand lines of 120 characters take a third of it."""
SHOWN_CHARACTERS = 4_000
"""Of one line in the ring; of a longer one the rest is kept aside, for the side pane and for saving."""
WHOLE_CHARACTERS = 1_000_000
WHOLE_BYTES = 16 * 1024 * 1024
DRAIN_LINES = 20_000
"""At one drain, so that a long backlog comes in steps between which keys are answered."""

OLDER_LINES = 1_000
"""Of a batch in the waiting room that older lines are put into."""


@dataclass(slots=True)
class LogBatch:
    """Lines on their way into the ring, column by column."""

    texts: list[str] = field(default_factory=list)
    """As they are shown: on one line, control characters spelled out, cut at `SHOWN_CHARACTERS`."""
    stamps: array[float] = field(default_factory=lambda: array("d"))
    """Unix seconds."""
    sources: array[int] = field(default_factory=lambda: array("H"))
    levels: bytearray = field(default_factory=bytearray)
    vague: bytearray = field(default_factory=bytearray)
    """1 where a line was written some time before its stamp: nobody saw it come, and it tells no time itself."""
    whole: dict[int, str] = field(default_factory=dict)
    """By index: lines whose text above is not all of them, as they came."""

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, line: str, stamp: float, source: int, level: Level, *, vague: bool = False) -> None:
        """One line."""
        shown = shown_text(line)
        if shown is not line:
            self.whole[len(self.texts)] = line[:WHOLE_CHARACTERS]
        self.texts.append(shown)
        self.stamps.append(stamp)
        self.sources.append(source)
        self.levels.append(level)
        self.vague.append(vague)

    def extend(self, other: LogBatch) -> None:
        """All lines of another batch behind these."""
        start = len(self.texts)
        self.texts += other.texts
        self.stamps += other.stamps
        self.sources += other.sources
        self.levels += other.levels
        self.vague += other.vague
        self.whole |= {start + index: line for index, line in other.whole.items()}

    def part(self, start: int, end: int) -> LogBatch:
        """Some of these lines, as a batch of their own."""
        whole = {index - start: line for index, line in self.whole.items() if start <= index < end}
        cut = slice(start, end)
        return LogBatch(self.texts[cut], self.stamps[cut], self.sources[cut], self.levels[cut], self.vague[cut], whole)

    def take(self, other: LogBatch, indices: Iterable[int]) -> None:
        """Lines of another batch behind these."""
        for index in indices:
            if index in other.whole:
                self.whole[len(self.texts)] = other.whole[index]
            self.texts.append(other.texts[index])
            self.stamps.append(other.stamps[index])
            self.sources.append(other.sources[index])
            self.levels.append(other.levels[index])
            self.vague.append(other.vague[index])


def shown_text(line: str) -> str:
    """A line as it is drawn and searched: the same object where nothing had to be changed."""
    if len(line) > SHOWN_CHARACTERS:
        return f"{visible(line[:SHOWN_CHARACTERS].expandtabs())[:SHOWN_CHARACTERS]} … ({len(line):,} characters)"
    return line if line.isprintable() else visible(line.expandtabs())[: SHOWN_CHARACTERS * 2]


def in_order(batches: Sequence[LogBatch]) -> LogBatch:
    """Batches of several sources as one, by time; lines of one batch keep their order whatever their times say."""
    both = LogBatch()
    places: list[tuple[float, int, int]] = []
    for number, batch in enumerate(batches):
        latest = float("-inf")
        for index, stamp in enumerate(batch.stamps):
            latest = max(latest, stamp)
            places.append((latest, number, index))
    places.sort()
    for _, number, index in places:
        both.take(batches[number], (index,))
    return both


class LogBuffer:
    """A ring of lines. `append`, `offer` and `source` are for any thread, everything else for the screen's loop."""

    def __init__(self, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES, first: int = 0) -> None:
        self.capacity = capacity
        self.first = first
        """Number of the oldest line that is here. Where older ones are to come, begin with room for them below."""
        self.dropped = 0
        """Lines that gave way to newer ones."""
        self.names: list[str] = []
        """Sources by their index."""
        self.marks: dict[int, float] = {}
        """Marked lines, and when they were marked (Unix seconds)."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._texts: list[str] = []
        self._stamps: array[float] = array("d")
        self._sources: array[int] = array("H")
        self._levels = bytearray()
        self._vague = bytearray()
        self._whole: dict[int, str] = {}
        self._whole_bytes = 0
        self._lock = threading.Lock()
        self._waiting: deque[LogBatch] = deque()
        self._waiting_lines = 0
        self._lost = 0
        self._older: LogBatch | None = None
        self._drained = False
        self._readers: dict[str, StampReader] = {}

    def source(self, name: str) -> int:
        """The index of a source, new or known."""
        with self._lock:
            if name not in self.names:
                self.names.append(name)
            return self.names.index(name)

    def append(self, lines: Sequence[str], source: str = "", arrived: float | None = None) -> None:
        """Lines as a program wrote them; `arrived` (Unix seconds, default now) is the time of those that tell none."""
        if lines:
            self.offer(self.batch_of(lines, source, arrived))

    def batch_of(
        self, lines: Sequence[str], source: str = "", arrived: float | None = None, *, vague: bool = False
    ) -> LogBatch:
        """Lines with their times and levels; a line that tells no time has that of the line before it in `lines`.

        With `vague`, `arrived` is only the latest that lines without a time can have been written; before the first
        line that tells its time, that one's is.
        """
        index = self.source(source)
        reader = self._readers.setdefault(source, StampReader())
        batch = LogBatch()
        moment = arrived = time.time() if arrived is None else arrived
        for line in lines:
            stamp = reader.read(line, arrived)
            if stamp is not None:
                if vague:
                    batch.stamps = array("d", [stamp]) * len(batch)
                moment, vague = stamp, False
            batch.add(line, moment, index, level_of(line), vague=vague)
        return batch

    def offer(self, batch: LogBatch) -> None:
        """A batch for the next drain; when nobody drains, the oldest batches give way and are counted."""
        if not len(batch):
            return
        with self._lock:
            self._waiting.append(batch)
            self._waiting_lines += len(batch)
            while self._waiting_lines > self.capacity and len(self._waiting) > 1:
                oldest = len(self._waiting.popleft())
                self._waiting_lines -= oldest
                self._lost += oldest

    def offer_older(self, batch: LogBatch) -> None:
        """Lines that were written before all that were offered so far; once only, for the next `take_older`."""
        if not len(batch):
            return
        with self._lock:
            if self._drained:
                self._older = batch
                return
            start = max(0, len(batch) - max(0, self.capacity - self._waiting_lines))
            self._lost += start
            for end in range(len(batch), start, -OLDER_LINES):
                self._waiting.appendleft(batch.part(max(start, end - OLDER_LINES), end))
            self._waiting_lines += len(batch) - start

    @property
    def end(self) -> int:
        """Number that the next line will have."""
        return self.first + len(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def drain(self) -> int:
        """Move what waits into the ring, `DRAIN_LINES` at once at most; returns how many lines came."""
        batches: list[LogBatch] = []
        with self._lock:
            self._drained = self._drained or bool(self._waiting)
            room = DRAIN_LINES
            while self._waiting and (not batches or room >= len(self._waiting[0])):
                batch = self._waiting.popleft()
                room -= len(batch)
                self._waiting_lines -= len(batch)
                batches.append(batch)
            lost, self._lost = self._lost, 0
        self.dropped += lost
        if not batches:
            return 0
        if len(batches) > 1 and len({batch.sources[0] for batch in batches}) > 1:
            batches = [in_order(batches)]
        came = 0
        for batch in batches:
            self._take(batch)
            came += len(batch)
        self._trim()
        return came

    def take_older(self) -> int:
        """Put the older lines that wait, as many as there is room for, before the first; returns how many came."""
        with self._lock:
            older, self._older = self._older, None
        if older is None:
            return 0
        start = max(0, len(older) - max(0, self.capacity - len(self)), len(older) - self.first)
        room = self._max_bytes - self._bytes
        sizes = [text.__sizeof__() for text in older.texts[start:]]
        needed = sum(sizes)
        for size in sizes:
            if needed <= room:
                break
            needed -= size
            start += 1
        self.dropped += start
        older = older.part(start, len(older))
        self.first -= len(older)
        self._bytes += needed
        self._texts[:0], self._stamps[:0], self._sources[:0] = older.texts, older.stamps, older.sources
        self._levels[:0], self._vague[:0] = older.levels, older.vague
        self._whole = {self.first + index: line for index, line in older.whole.items()} | self._whole
        self._whole_bytes += sum(line.__sizeof__() for line in older.whole.values())
        self._trim()
        return len(older)

    def _take(self, batch: LogBatch) -> None:
        start = self.end
        self._texts += batch.texts
        self._stamps += batch.stamps
        self._sources += batch.sources
        self._levels += batch.levels
        self._vague += batch.vague
        self._bytes += sum(map(str.__sizeof__, batch.texts))
        for index, line in batch.whole.items():
            self._whole[start + index] = line
            self._whole_bytes += line.__sizeof__()

    def _trim(self) -> None:
        surplus = max(0, len(self._texts) - self.capacity)
        going = sum(map(str.__sizeof__, self._texts[:surplus]))
        while self._bytes - going > self._max_bytes and surplus < len(self._texts) - 1:
            going += self._texts[surplus].__sizeof__()
            surplus += 1
        if surplus:
            del self._texts[:surplus], self._stamps[:surplus], self._sources[:surplus]
            del self._levels[:surplus], self._vague[:surplus]
            self._bytes -= going
            self.first += surplus
            self.dropped += surplus
            for number in [number for number in self.marks if number < self.first]:
                del self.marks[number]
        while self._whole and (self._whole_bytes > WHOLE_BYTES or next(iter(self._whole)) < self.first):
            self._whole_bytes -= self._whole.pop(next(iter(self._whole))).__sizeof__()

    def clear(self) -> None:
        """Forget every line, mark and count; numbers go on, so that what pointed at a line points at none."""
        with self._lock:
            self._waiting.clear()
            self._older = None
            self._waiting_lines = self._lost = 0
        self.first = self.end
        self.dropped = self._bytes = self._whole_bytes = 0
        self._texts, self._stamps, self._sources, self._levels = [], array("d"), array("H"), bytearray()
        self._vague = bytearray()
        self._whole.clear()
        self.marks.clear()

    def text(self, number: int) -> str:
        """A line as it is shown."""
        return self._texts[number - self.first]

    def whole(self, number: int) -> str:
        """A line as it came, as far as it was kept."""
        return self._whole.get(number) or self._texts[number - self.first]

    def whole_lines(self) -> dict[int, str]:
        """All lines, by number, whose text is not all of them."""
        return dict(self._whole)

    def stamp(self, number: int) -> float:
        """When a line was written, or came (Unix seconds)."""
        return self._stamps[number - self.first]

    def is_vague(self, number: int) -> bool:
        """Whether a line's time is only the latest that it can have been written."""
        return bool(self._vague[number - self.first])

    def level(self, number: int) -> Level:
        """How grave a line is."""
        return Level(self._levels[number - self.first])

    def numbers_of(self, level: Level) -> list[int]:
        """All lines of one level."""
        return [self.first + index for index, each in enumerate(self._levels) if each == level]

    def count_of(self, level: Level) -> int:
        """How many lines are of one level."""
        return self._levels.count(level)

    def source_indices(self) -> array[int]:
        """Of all lines, in their order. Not to be changed."""
        return self._sources

    def source_index(self, number: int) -> int:
        """Which source a line is from."""
        return self._sources[number - self.first]

    def source_name(self, number: int) -> str:
        """The name of a line's source."""
        return self.names[self._sources[number - self.first]]

    def snapshot(self, start: int | None = None) -> Snapshot:
        """The lines from `start` on as they are now, for a thread to search."""
        start = self.first if start is None else max(start, self.first)
        cut = start - self.first
        return Snapshot(
            start,
            self._texts[cut:],
            self._stamps[cut:],
            self._sources[cut:],
            bytes(self._levels[cut:]),
            tuple(self.names),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Some lines of a ring at one moment. Copies references, not texts."""

    start: int
    """Number of the first."""
    texts: list[str]
    stamps: array[float]
    sources: array[int]
    levels: bytes
    names: tuple[str, ...]
