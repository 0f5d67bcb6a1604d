"""The exact best rows of a weighted vector search: every row counts, none is left out by an approximation.

score(row) = clip(cosine(row), 0) × weight(row); best first, equal scores by row

The cosine of a row is the float32 dot product of that row alone (`np.vecdot`: one call of BLAS's sdot a row), so it
doesn't depend on which rows stand beside it. A matrix product would be as fast, but rounds a row by its place in a
block, and two ways to the same row would disagree in the last bit. A single sdot is also too short for BLAS to split
among threads, so no thread pool of BLAS wakes, whatever the user's environment says: the threads here are our own, and
none outlives the last block.

With quantised vectors (`index/quantised.py`) the scan reads a quarter of the bytes: int8 products give each row an
interval that holds its cosine; only rows whose upper end could reach the k-th score are looked up in float32. The two
ways give the same rows, the same cosines and the same order. All long work releases the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from index.errors import IndexCorrupt
from index.quantised import FILE_NAME, REMAKE, Quantised, quantise

Matrix = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Engine = Literal["int8", "float32"]

_BLOCK_BYTES = 12 << 20
"""A thread takes at most so much at once: long beside a call's cost, short beside a scan, so that all end together."""
_LEAST_BLOCK_BYTES = 1 << 20
_GATHERED_ROWS = 64
"""Rows from all over the file cost page faults and cache misses, which two threads wait for at once."""
_GATHERED_BY_ONE = 256
"""Fewer rows are looked up before another thread has started."""
_LOOKED_UP_AT_ONCE = 64
"""So many rows more than twice those asked for are cheaper to look up than to thin out first."""
_SAMPLED_ONE_IN = 16
"""A part of the rows sorts out most of the others at a fraction of the time."""
_UNDERFLOW = np.float32(2.0**-100)
"""More than products of the smallest numbers can lose."""
_MOST_THREADS = 4
"""More threads than this do not read memory faster on the machines that people have on their desks."""


class Scannable(Protocol):
    """What a scan reads; `View` is one."""

    @property
    def matrix(self) -> Matrix:
        """The vectors, (rows, dim)."""
        ...

    @property
    def quantised(self) -> Quantised | None:
        """The same rows as int8, or None where there are none."""
        ...


@dataclass(frozen=True)
class Nearest:
    """Best rows, best first."""

    rows: Rows
    cosines: Scores
    scores: Scores
    """clip(cosine, 0) × weight."""


class Scan:
    """Searches one state of a view; make a new one when the view has been refreshed.

    One query at a time.
    """

    def __init__(self, view: Scannable, *, engine: Engine | None = None, threads: int | None = None) -> None:
        """Choose how to scan.

        Args:
            view: the vectors.
            engine: by default int8 when the view has quantised vectors and numkong has a kernel for this processor,
                else float32. Both give the same.
            threads: by default as many as this process may run on, up to 4.
        """
        self._matrix = view.matrix
        self._quantised = view.quantised if engine != "float32" and int8_kernel() is not None else None
        if engine == "int8" and self._quantised is None:
            raise ValueError("the view has no quantised vectors, or numkong has no kernel for this processor")
        self._threads = threads or available_threads()
        self.rescored = 0
        """Rows that the last scan looked up in float32; all of them without quantised vectors."""
        nothing = np.zeros(len(self._matrix), dtype=np.float32)
        self.between: tuple[Scores, Scores] = (nothing, nothing)
        """Between what all rows' cosines with the last query lie, each (rows,); equal where they are known."""

    @property
    def engine(self) -> Engine:
        """How rows are scanned."""
        return "float32" if self._quantised is None else "int8"

    def best(
        self, query: Scores, weights: Scores | None, mask: Mask | None, k: int, *, above: float | None = None
    ) -> Nearest:
        """The k best rows under a mask; see `best_of_each`."""
        return self.best_of_each(query, weights, [mask], k, above=above)[0]

    def best_of_each(
        self,
        query: Scores,
        weights: Scores | None,
        masks: Sequence[Mask | None],
        k: int,
        *,
        above: float | None = None,
    ) -> list[Nearest]:
        """The k best rows under each of several masks, in one scan.

        Args:
            query: a vector, (dim,) float32.
            weights: factors of at least 0, (rows,) float32; None: 1 everywhere.
            masks: rows that count, each (rows,); None: all.
            k: how many rows of each mask; there are fewer only when fewer count.
            above: only rows with a greater cosine count; by default all do, also those with a score of 0.
        """
        if k < 1:
            raise ValueError(f"the best {k} rows were asked for")
        query = np.ascontiguousarray(query, dtype=np.float32)
        if query.shape != (self._matrix.shape[1],):
            raise ValueError(f"a query of the shape {query.shape} for vectors of {self._matrix.shape[1]} numbers")
        if weights is None:
            weights = np.ones(len(self._matrix), dtype=np.float32)
        if self._quantised is None:
            return self._by_float32(query, weights, masks, k, above)
        return self._by_int8(self._quantised, query, weights, masks, k, above)

    def _by_float32(
        self, query: Scores, weights: Scores, masks: Sequence[Mask | None], k: int, above: float | None
    ) -> list[Nearest]:
        cosines = np.empty(len(self._matrix), dtype=np.float32)

        def score(start: int, end: int) -> None:
            np.vecdot(self._matrix[start:end], query, out=cosines[start:end])

        step = block_rows(len(cosines), self._matrix.shape[1] * 4, self._threads)
        in_blocks(score, len(cosines), step, self._threads)
        self.rescored = len(cosines)
        self.between = (cosines, cosines)
        found = []
        for mask in masks:
            rows = np.arange(len(cosines)) if mask is None else np.flatnonzero(mask)
            found.append(_best(rows, cosines[rows], weights, k, above))
        return found

    def _by_int8(
        self,
        quantised: Quantised,
        query: Scores,
        weights: Scores,
        masks: Sequence[Mask | None],
        k: int,
        above: float | None,
    ) -> list[Nearest]:
        bounds = _bounds(quantised, query, weights, above, self._threads)
        exact = np.full(len(self._matrix), np.nan, dtype=np.float32)
        self.rescored = 0
        self.between = (bounds.lower, bounds.upper)

        def look_up(rows: Rows) -> None:
            unknown = rows[np.isnan(exact[rows])]
            cosines = self.cosines(unknown, query)
            if np.any((cosines < bounds.lower[unknown]) | (cosines > bounds.upper[unknown])):
                raise IndexCorrupt(f"The file {FILE_NAME} holds copies of other vectors; {REMAKE}")
            exact[unknown] = bounds.lower[unknown] = bounds.upper[unknown] = cosines
            self.rescored += len(unknown)

        found = []
        for mask in masks:
            rows = np.arange(len(exact)) if mask is None else np.flatnonzero(mask)
            rows = bounds.able(rows, k)
            if len(rows) > _LOOKED_UP_AT_ONCE + 2 * k:
                greatest = rows[np.argpartition(bounds.most[rows], -k)[-k:]]
                look_up(greatest)
                worst = _best(greatest, exact[greatest], weights, k, above)
                if len(worst.rows) == k:
                    rows = rows[bounds.most[rows] >= worst.scores[-1]]
            look_up(rows)
            found.append(_best(rows, exact[rows], weights, k, above))
        return found

    def cosines(self, rows: Rows, query: Scores) -> Scores:
        """The exact cosines of some rows with a query."""
        found = np.empty(len(rows), dtype=np.float32)

        def score(start: int, end: int) -> None:
            np.vecdot(self._matrix[rows[start:end]], query, out=found[start:end])

        in_blocks(score, len(rows), _GATHERED_ROWS, self._threads if len(rows) >= _GATHERED_BY_ONE else 1)
        return found


@dataclass(frozen=True)
class _Bounds:
    """Between what every row's cosine and score lie, each (rows,)."""

    lower: Scores
    upper: Scores
    least: Scores
    """Of the score; -1 where the row may not count at all."""
    most: Scores
    """Of the score; -1 where the row surely doesn't count."""

    def able(self, rows: Rows, k: int) -> Rows:
        """Those of some rows that can be among their k best; the k-th score of all is no less than that of a part."""
        for step in (_SAMPLED_ONE_IN, 1):
            part = self.least[rows[::step]]
            floor = np.float32(0) if len(part) < k else max(np.float32(0), np.partition(part, -k)[-k])
            rows = rows[self.most[rows] >= floor]
        return rows


def _bounds(quantised: Quantised, query: Scores, weights: Scores, above: float | None, threads: int) -> _Bounds:
    """Intervals that hold the float32 cosines of all rows, from int8 products alone.

    With x̂ = scale·q(x) and ε = ‖x − x̂‖, likewise for the query y: |x·y − x̂·ŷ| ≤ |(x − x̂)·y| + |x̂·(y − ŷ)|
    ≤ ε_x‖y‖ + (‖x‖ + ε_x)·ε_y (Cauchy and Schwarz). A float32 dot product of n numbers in any order is off by at most
    γ_n‖x‖‖y‖, γ_n = n·u / (1 − n·u), u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, §3.1); γ_(n+16)
    leaves room for the rounding of the integer products and of the bounds themselves.
    """
    dim = len(query)
    one = quantise(query[None])
    cosines = int8_products(quantised, one.values, threads)
    cosines *= quantised.scales
    cosines *= one.scales[0]
    length, error = float(one.lengths[0]), float(one.errors[0])
    rounding = (dim + 16) * 2.0**-24 / (1 - (dim + 16) * 2.0**-24)
    slack = quantised.errors * np.float32((length + error) * (1 + rounding) * (1 + 2.0**-20))
    slack += quantised.lengths * np.float32((error + rounding * (length + error)) * (1 + 2.0**-20))
    slack += _UNDERFLOW
    lower, upper = cosines - slack, cosines + slack
    least = np.maximum(lower, np.float32(0)) * weights
    most = np.maximum(upper, np.float32(0)) * weights
    if above is not None:
        least[lower <= np.float32(above)] = -1
        most[upper <= np.float32(above)] = -1
    return _Bounds(lower, upper, least, most)


def int8_products(quantised: Quantised, vector: npt.NDArray[np.int8], threads: int) -> Scores:
    """The products of all rows with a vector (1, dim), rounded to float32, (rows,): the pass over all bytes."""
    kernel = int8_kernel()
    assert kernel is not None, "a scan by int8 was chosen without a kernel"
    rows, dim = quantised.values.shape
    products: Scores = np.empty(rows, dtype=np.float32)

    def multiply(start: int, end: int) -> None:
        kernel(vector, quantised.values[start:end], products[None, start:end])

    in_blocks(multiply, rows, block_rows(rows, dim, threads), threads)
    return products


def _best(rows: Rows, cosines: Scores, weights: Scores, k: int, above: float | None) -> Nearest:
    """The k best of some rows by their exact cosines."""
    if above is not None:
        kept = cosines > np.float32(above)
        rows, cosines = rows[kept], cosines[kept]
    scores = np.maximum(cosines, np.float32(0)) * weights[rows]
    if len(rows) > k:
        kept = scores >= np.partition(scores, -k)[-k]
        rows, cosines, scores = rows[kept], cosines[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return Nearest(rows[order], cosines[order], scores[order])


def block_rows(rows: int, row_bytes: int, threads: int) -> int:
    """How many rows a thread takes at once when rows are read one after the other."""
    return min(max(-(-rows // (8 * threads)), _LEAST_BLOCK_BYTES // row_bytes, 1), max(_BLOCK_BYTES // row_bytes, 1))


def in_blocks(work: Callable[[int, int], None], rows: int, step: int, threads: int) -> None:
    """Do work(start, end) for all rows, `step` at a time, by several threads; the first error is raised.

    Nobody waits for a thread that has not begun: on a machine whose other processors are busy, the caller does it all.
    """
    starts = iter(range(0, rows, step))
    blocks = -(-rows // step)
    done_by_helpers = threading.Semaphore(0)
    errors: list[BaseException] = []

    def run(done: Callable[[], object]) -> None:
        for start in starts:  # a range's iterator hands every number to one thread only
            try:
                work(start, min(start + step, rows))
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
                errors.append(error)
            done()

    for _ in range(min(threads, blocks) - 1):
        threading.Thread(target=run, args=(done_by_helpers.release,), name="scan", daemon=True).start()
    own: list[None] = []
    run(lambda: own.append(None))
    for _ in range(blocks - len(own)):
        done_by_helpers.acquire()
    if errors:
        raise errors[0]


def available_threads() -> int:
    """Processors that this process may use, up to the number that a scan gains from."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _MOST_THREADS)


@cache
def int8_kernel() -> Callable[[npt.NDArray[np.int8], npt.NDArray[np.int8], Scores], None] | None:
    """Dot products of an int8 vector (1, dim) with int8 rows (n, dim), put into (1, n), rounded to float32 only there.

    None where numkong is missing or has no kernel for this processor.
    """
    try:
        import numkong
    except ImportError:
        return None
    if not any(there for name, there in numkong.get_capabilities().items() if name != "serial"):
        return None

    def dots(vector: npt.NDArray[np.int8], rows: npt.NDArray[np.int8], out: Scores) -> None:
        numkong.cdist(vector, rows, "dot", out=out, out_dtype="float32")

    probe = np.full((2, 4096), -127, dtype=np.int8)
    found = np.zeros((1, 2), dtype=np.float32)
    dots(probe[:1], probe, found)
    return dots if found.tolist() == [[4096.0 * 127 * 127] * 2] else None
