"""The int8 copy of the vector file, by which a scan finds out what it need not read.

Row for row beside `vectors.f32`, with its row numbers, appended and never changed: `vectors.i8` holds q(x) =
round(x / scale) with scale = max|x| / 127, `vectors.i8.bounds` holds for every row the scale, the length of the
rounding error ‖x − scale·q(x)‖ and the length ‖x‖, the last two rounded up. They are made from the float32 rows alone, so
they can be deleted at any time: readers then scan float32, and the next writer makes them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """The int8 copy of so many rows of the vector file."""

    values: npt.NDArray[np.int8]
    """(rows, dim), mapped into memory read-only."""
    scales: npt.NDArray[np.float32]
    """(rows,)"""
    errors: npt.NDArray[np.float32]
    """‖x − scale·values‖, rounded up, (rows,)."""
    lengths: npt.NDArray[np.float32]
    """‖x‖, rounded up, (rows,)."""


def quantise(vectors: Matrix) -> Quantised:
    """The int8 copy of some rows, (rows, dim)."""
    raise NotImplementedError


def append(folder: Path, committed_rows: int, vectors: Matrix) -> None:
    """Write the copies of rows behind the committed ones and wait until the disk has them."""
    raise NotImplementedError


def complete(folder: Path, rows: int, dim: int) -> int:
    """Make the copies that are missing of the committed rows; returns how many. For the writer only."""
    raise NotImplementedError


def opened(folder: Path, rows: int, dim: int) -> Quantised | None:
    """The copies of the committed rows; None when they are missing or too short, as after an update of Spotter."""
    raise NotImplementedError
