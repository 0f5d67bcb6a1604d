"""Which records hold a word, a stem, or a word that begins so, and how often, as arrays: answers by slicing.

SQLite's word index answers the same (`bm25()` of FTS5), but scores row by row: 0.1 s for a single letter at a hundred
thousand records, with every keystroke. Here the words lie in order, each with its rows, so that all words with one
beginning are one slice. Made from the same table, kept in `postings.npz`, a cache like `columns.npz`; phrases are still
SQLite's.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zipfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

FILE_NAME = "postings.npz"
_FORMAT = 1
_WORTH_KEEPING = 2_000
_MOST_PARTS = 8
_BEHIND_ALL = "\U0010ffff"
_B = 0.75
"""How much a record's length counts, as in SQLite's bm25()."""


@dataclass(frozen=True)
class Part:
    """The words of the records at rows first … end - 1."""

    first: int
    end: int
    words: list[str]
    """Sorted."""
    offsets: npt.NDArray[np.int64]
    """Word w stands in `rows[offsets[w]:offsets[w + 1]]`, `counts` times."""
    rows: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]
    stems: list[str]
    """Sorted."""
    stem_offsets: npt.NDArray[np.int64]
    """Stem s is that of the words `stem_words[stem_offsets[s]:stem_offsets[s + 1]]`."""
    stem_words: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    """Words in each record, (end - first,)."""

    def of_prefix(self, prefix: str) -> Iterator[slice]:
        """Where the words that begin so stand, as ranges of `rows`."""
        begin, end = bisect_left(self.words, prefix), bisect_left(self.words, prefix + _BEHIND_ALL)
        yield slice(self.offsets[begin], self.offsets[end])

    def of_stem(self, stem: str) -> Iterator[slice]:
        """Where the words of this stem stand, as ranges of `rows`."""
        at = bisect_left(self.stems, stem)
        if at < len(self.stems) and self.stems[at] == stem:
            for word in self.stem_words[self.stem_offsets[at] : self.stem_offsets[at + 1]]:
                yield slice(self.offsets[word], self.offsets[word + 1])


class Postings:
    """The words of all records of one revision."""

    def __init__(self, parts: tuple[Part, ...], alive: Mask) -> None:
        self.parts = parts
        self._alive = alive
        lengths = np.concatenate([np.empty(0, dtype=np.int32), *(part.lengths for part in parts)])
        average = lengths[alive].mean() if np.any(alive) else 1.0
        self._room = 1 - _B + _B * lengths / max(float(average), 1.0)

    def of_prefix(self, prefix: str) -> tuple[Rows, Scores]:
        """Rows with words that begin so, and how often for the record's length: tf / (1 - b + b · length / average)."""
        return self._gathered([(part, list(part.of_prefix(prefix))) for part in self.parts])

    def of_stem(self, stem: str) -> tuple[Rows, Scores]:
        """Rows with words of this stem, and how often for the record's length."""
        return self._gathered([(part, list(part.of_stem(stem))) for part in self.parts])

    def _gathered(self, found: list[tuple[Part, list[slice]]]) -> tuple[Rows, Scores]:
        rows = [part.rows[where] for part, ranges in found for where in ranges]
        counts = [part.counts[where] for part, ranges in found for where in ranges]
        if not rows:
            return np.empty(0, dtype=np.int64), np.empty(0)
        times = np.bincount(np.concatenate(rows), np.concatenate(counts), minlength=len(self._alive))
        holding = np.flatnonzero((times > 0) & self._alive)
        return holding, times[holding] / self._room[holding]


def opened(folder: Path, db: sqlite3.Connection, identity: str, alive: Mask) -> Postings:
    """The postings as of now, by way of the file beside the snapshot. Call it inside a read transaction."""
    kept = _read(folder / FILE_NAME, identity)
    if kept is None or len(alive) - kept.end >= _WORTH_KEEPING or kept.end > len(alive):
        kept = read_part(db, 0, len(alive))
        if len(alive) >= _WORTH_KEEPING:
            with contextlib.suppress(OSError):  # a workspace that can't be written can still be read
                _write(folder / FILE_NAME, identity, kept)
    return caught_up((kept,), db, alive)


def caught_up(parts: tuple[Part, ...], db: sqlite3.Connection, alive: Mask) -> Postings:
    """The postings with the rows that were written since. Call it inside a read transaction."""
    if parts[-1].end < len(alive):
        if len(parts) >= _MOST_PARTS:
            parts = parts[:1]
        parts = (*parts, read_part(db, parts[-1].end, len(alive)))
    return Postings(parts, alive)


def read_part(db: sqlite3.Connection, first: int, end: int) -> Part:
    """The words of some rows, from the words and stems that SQLite's word index holds."""
    held = db.execute(
        "SELECT rowid, words, stems FROM lexical WHERE rowid >= ? AND rowid < ? ORDER BY rowid", (first, end)
    ).fetchall()
    spoken = " ".join(words for _, words, _ in held).split()
    base = dict(zip(spoken, " ".join(stems for _, _, stems in held).split(), strict=True))
    counted = np.array([words.count(" ") + 1 if words else 0 for _, words, _ in held], dtype=np.int32)
    at = np.array([row for row, _, _ in held], dtype=np.int64) - first
    lengths = np.zeros(end - first, dtype=np.int32)
    lengths[at] = counted
    words = sorted(base)
    code = {word: number for number, word in enumerate(words)}
    codes = np.fromiter((code[word] for word in spoken), dtype=np.int64, count=len(spoken))
    places, counts = np.unique(codes * (end - first) + np.repeat(at, counted), return_counts=True)
    holders = places // max(end - first, 1)
    by_stem: defaultdict[str, list[int]] = defaultdict(list)
    for number, word in enumerate(words):
        by_stem[base[word]].append(number)
    stems = sorted(by_stem)
    return Part(
        first=first,
        end=end,
        words=words,
        offsets=np.searchsorted(holders, np.arange(len(words) + 1)),
        rows=(places - holders * (end - first) + first).astype(np.int32),
        counts=np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16),
        stems=stems,
        stem_offsets=np.concatenate([[0], np.cumsum([len(by_stem[stem]) for stem in stems])]).astype(np.int64),
        stem_words=np.array([word for stem in stems for word in by_stem[stem]], dtype=np.int32),
        lengths=lengths,
    )


_ARRAYS = ("offsets", "rows", "counts", "stem_offsets", "stem_words", "lengths")


def _read(path: Path, identity: str) -> Part | None:
    """The part of a file; None when there is none of this snapshot and format, or a torn one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            head = orjson.loads(archive["head"].tobytes())
            if (head.pop("format"), head.pop("identity")) != (_FORMAT, identity):
                return None
            names: dict[str, Any] = {name: archive[name].tobytes().decode().split() for name in ("words", "stems")}
            return Part(**head, **names, **{name: archive[name] for name in _ARRAYS})
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError):
        return None


def _write(path: Path, identity: str, part: Part) -> None:
    head = {"format": _FORMAT, "identity": identity, "first": part.first, "end": part.end}
    arrays: dict[str, Any] = {name: getattr(part, name) for name in _ARRAYS}
    for name in ("words", "stems"):
        arrays[name] = np.frombuffer(" ".join(getattr(part, name)).encode(), np.uint8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            np.savez(out, head=np.frombuffer(orjson.dumps(head), dtype=np.uint8), **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
