"""The vector file: float32 rows, one after another, appended and never changed.

A row counts only once the snapshot's database has committed a row count that includes it; what lies beyond is the
remains of a writer that was killed, and the next writer overwrites it.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index import quantised, row_file
from index.errors import BadVector, IndexCorrupt

Matrix = npt.NDArray[np.float32]

FILE_NAME = "vectors.f32"


def file_bytes(rows: int, dim: int) -> int:
    """Size of a file of so many rows."""
    return rows * dim * 4


def append(path: Path, committed_rows: int, vectors: Matrix) -> None:
    """Write rows behind the committed ones, and their int8 copies, and wait until the disk has them.

    Copies of committed rows that are missing, as after an update of Spotter, are made first.
    """
    data = np.ascontiguousarray(vectors, dtype="<f4")
    row_file.write_behind(path, file_bytes(committed_rows, data.shape[1]), data.data)
    if committed_rows:
        quantised.complete(path.parent, mapped(path, committed_rows, data.shape[1]))
    quantised.append(path.parent, committed_rows, data)


def crc(vector: Matrix) -> int:
    """CRC-32 of a vector's bytes as they lie in the file."""
    return zlib.crc32(np.ascontiguousarray(vector, dtype="<f4").data)


def mapped(path: Path, rows: int, dim: int) -> Matrix:
    """The committed rows, (rows, dim), mapped into memory read-only. Raises IndexCorrupt when the file is too short."""
    size = file_bytes(rows, dim)
    if size == 0:
        return np.empty((0, dim), dtype=np.float32)
    try:
        mapping = row_file.mapped(path, size)
    except FileNotFoundError as error:
        raise IndexCorrupt(f"{path} is missing; {REBUILD}") from error
    if mapping is None:
        raise IndexCorrupt(f"{path} is shorter than its {rows} vectors; {REBUILD}")
    return np.frombuffer(mapping, dtype="<f4").reshape(rows, dim)


def available(path: Path, rows: int, dim: int) -> Matrix:
    """As many of the committed rows as the file holds whole, (at most rows, dim); none when it is missing."""
    size = path.stat().st_size if path.is_file() else 0
    return mapped(path, min(rows, size // (dim * 4)), dim)


def unit(vector: npt.ArrayLike, dim: int, owner: str) -> Matrix:
    """A vector as float32 of length 1; one that has this length already is kept bit for bit.

    Raises:
        BadVector: not `dim` numbers, not finite, or zero; the text names `owner`.
    """
    array = np.asarray(vector, dtype=np.float32)
    if array.shape != (dim,):
        raise BadVector(f"The vector of {owner} has the shape {array.shape} instead of ({dim},).")
    length = float(np.linalg.norm(array.astype(np.float64)))
    if not np.isfinite(length):
        raise BadVector(f"The vector of {owner} holds NaN or infinity.")
    if length < 1e-12:
        raise BadVector(f"The vector of {owner} is zero, so it has no direction to compare.")
    return array if abs(length - 1.0) < 1e-3 else (array / length).astype(np.float32)


REBUILD = "see what is left and have it made again: spotter index doctor --repair"
"""What to do about a snapshot that can't be used."""
