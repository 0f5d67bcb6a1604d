"""The int8 copy of the vector file, by which a scan finds out what it need not read.

Row for row beside `vectors.f32`, with its row numbers, appended and never changed: `vectors.i8` holds q(x) =
round(x / scale) with scale = max|x| / 127; `vectors.i8.bounds` holds for every row the scale, the length of the
rounding error ‖x − scale·q(x)‖ and the length ‖x‖, the last two rounded up. Both are made from the float32 rows alone,
so they can be deleted at any time: readers then scan float32, and the next writer makes them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index import row_file

Matrix = npt.NDArray[np.float32]

FILE_NAME = "vectors.i8"
BOUNDS_NAME = "vectors.i8.bounds"
REMAKE = "have it made again: spotter index doctor --repair"
_BOUNDS_BYTES = 12
_ROUNDED_UP = 1 + 2.0**-20
"""More than float64 arithmetic over some thousand numbers can lose."""
_BLOCK_ROWS = 256
_CACHED_ROWS = 16
_COMPARED_ROWS = 8


@dataclass(frozen=True)
class Quantised:
    """The int8 copy of so many rows of the vector file."""

    values: npt.NDArray[np.int8]
    """(rows, dim)."""
    scales: Matrix
    """(rows,)"""
    errors: Matrix
    """‖x − scale·values‖, rounded up, (rows,)."""
    lengths: Matrix
    """‖x‖, rounded up, (rows,)."""

    def holds(self, rows: npt.NDArray[np.int64], vectors: Matrix) -> npt.NDArray[np.bool_]:
        """Which of these rows are copies of these vectors, (len(rows),)."""
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged vector file may hold anything
            made = quantise(vectors)
        same: npt.NDArray[np.bool_] = np.all(self.values[rows] == made.values, axis=1)
        same &= self.scales[rows] == made.scales
        same &= np.isclose(self.errors[rows], made.errors) & np.isclose(self.lengths[rows], made.lengths)
        return same


def quantise(vectors: Matrix) -> Quantised:
    """The int8 copy of some rows, (rows, dim)."""
    rows, dim = vectors.shape
    made = Quantised(
        np.empty((rows, dim), dtype=np.int8), *(np.empty(rows, dtype=np.float32) for _ in ("scale", "error", "length"))
    )
    for start in range(0, rows, _CACHED_ROWS):
        part = slice(start, start + _CACHED_ROWS)
        given = vectors[part]
        scales = np.maximum(given.max(axis=1, initial=0), -given.min(axis=1, initial=0)) / np.float32(127)
        values = given / np.where(scales > 0, scales, np.float32(np.inf))[:, None]
        np.clip(np.rint(values, out=values), -127, 127, out=values)
        made.values[part] = values
        made.scales[part] = scales
        rest = given - values * scales.astype(np.float64)[:, None]
        made.errors[part] = _rounded_up(np.sqrt(np.vecdot(rest, rest)))
        exact = given.astype(np.float64)
        made.lengths[part] = _rounded_up(np.sqrt(np.vecdot(exact, exact)))
    return made


def _rounded_up(lengths: npt.NDArray[np.float64]) -> Matrix:
    return np.nextafter((lengths * _ROUNDED_UP).astype(np.float32), np.float32(np.inf))


def append(folder: Path, committed_rows: int, vectors: Matrix) -> None:
    """Write the copies of rows behind the committed ones and wait until the disk has them."""
    made = quantise(vectors)
    bounds = np.stack([made.scales, made.errors, made.lengths], axis=1).astype("<f4")
    row_file.write_behind(folder / FILE_NAME, committed_rows * vectors.shape[1], made.values.data)
    row_file.write_behind(folder / BOUNDS_NAME, committed_rows * _BOUNDS_BYTES, bounds.data)


def complete(folder: Path, vectors: Matrix) -> int:
    """Make the copies that are missing of the committed vectors, or all when they belong to others; for the writer.

    Returns how many were made.
    """
    rows, dim = len(vectors), int(vectors.shape[1])
    values_there = row_file.size_of(folder / FILE_NAME) // dim
    bounds_there = row_file.size_of(folder / BOUNDS_NAME) // _BOUNDS_BYTES
    have = min(values_there, bounds_there, rows)
    if have and opened(folder, vectors[:have]) is None:
        have = 0
    for start in range(have, rows, _BLOCK_ROWS):
        append(folder, start, vectors[start : start + _BLOCK_ROWS])
    return rows - have


def opened(folder: Path, vectors: Matrix) -> Quantised | None:
    """The copies of the committed vectors.

    None when they are missing or too short, as after an update of Spotter, or belong to other vectors. Some rows are
    compared, the first and the last among them; the scan compares those that it looks up, `wrong_rows` all.
    """
    found = _mapped(folder, vectors)
    if found is None:
        return None
    rows = len(vectors)
    compared = np.linspace(0, rows - 1, min(rows, _COMPARED_ROWS)).astype(np.int64)
    return found if np.all(found.holds(compared, vectors[compared])) else None


def wrong_rows(folder: Path, vectors: Matrix) -> npt.NDArray[np.int64] | None:
    """Rows whose copies are of other vectors, all compared; None when there are no copies of all rows."""
    found = _mapped(folder, vectors)
    if found is None:
        return None
    blocks = (np.arange(start, min(start + _BLOCK_ROWS, len(vectors))) for start in range(0, len(vectors), _BLOCK_ROWS))
    return np.concatenate([rows[~found.holds(rows, vectors[rows])] for rows in blocks])


def discard(folder: Path) -> None:
    """Delete the copies."""
    for name in (FILE_NAME, BOUNDS_NAME):
        (folder / name).unlink(missing_ok=True)


def _mapped(folder: Path, vectors: Matrix) -> Quantised | None:
    rows, dim = vectors.shape
    if not rows:
        return None
    try:
        values = row_file.mapped(folder / FILE_NAME, rows * dim)
        bounds = row_file.mapped(folder / BOUNDS_NAME, rows * _BOUNDS_BYTES)
    except FileNotFoundError:
        return None
    if values is None or bounds is None:
        return None
    columns = np.frombuffer(bounds, dtype="<f4").reshape(rows, 3)
    return Quantised(
        np.frombuffer(values, dtype=np.int8).reshape(rows, dim),
        *(np.ascontiguousarray(columns[:, at], dtype=np.float32) for at in range(3)),
    )
