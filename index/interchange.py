"""NDJSON in and out: one JSON object a line, `{id, text, vector, meta, provider, model}`, exact to the last bit.

`vector` holds the numbers, or `vector_b64` their little-endian bytes with `dim` and `dtype` beside it. Numbers become
float32 on the way in and are written with the shortest digits that give the same float32 again.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import ValidationError

from index.vectors import Matrix
from pipeline.core.records import Record, RecordFormatError

MAX_LINE_BYTES = 32 * 1024 * 1024
"""A longer line is no record: 3,072 numbers with all their digits take 70 kB."""
VectorForm = Literal["floats", "b64", "none"]
_DTYPES = {"float32": "<f4", "f32": "<f4", "<f4": "<f4", "float16": "<f2", "f16": "<f2", "<f2": "<f2"}
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """One line of an NDJSON file."""

    number: int
    """1-based."""
    record: Record
    """Without its vector."""
    meta: dict[str, Any]
    """The metadata as it stands in the line: unknown keys, order and nulls included."""
    vector: Matrix | None
    """(dim,) float32 as it came, perhaps zero or not finite; None when the line has none."""
    digest: str
    """128 bits of content: equal for equal records, whichever file or run delivers them, in whichever vector form."""


def read_lines(path: Path) -> Iterator[Line]:
    """Stream the records of an NDJSON file, gzipped or not (told by its first bytes).

    Raises:
        RecordFormatError: naming file, line and field, at the first line that is not a record.
    """
    number = 0
    try:
        with _opened(path) as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise RecordFormatError(f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes")
                if number == 1:
                    raw = raw.removeprefix(_BOM)
                if raw.strip():
                    yield _line(raw, number, f"{path}, line {number}")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordFormatError(
            f"{path}, after line {number}: the gzip data is damaged or cut off ({error})"
        ) from error


def count_lines(path: Path) -> int:
    """How many lines of an NDJSON file hold something."""
    try:
        with _opened(path) as file:
            return sum(1 for line in file if line.strip())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RecordFormatError(f"{path}: the gzip data is damaged or cut off") from error


def to_line(
    record_id: str, text: str, meta: Mapping[str, Any], vector: Matrix, provider: str, model: str, form: VectorForm
) -> bytes:
    """One line, newline included, in the order id, text, vector, meta, provider, model.

    Without a vector there is no provider and no model either, because they say whose the vector is.
    """
    line: dict[str, Any] = {"id": record_id, "text": text}
    if form == "floats":
        line["vector"] = np.ascontiguousarray(vector, dtype=np.float32)
    elif form == "b64":
        line["vector_b64"] = base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()
        line["dim"] = len(vector)
        line["dtype"] = "float32"
    line["meta"] = meta
    if form != "none":
        line["provider"], line["model"] = provider, model
    return orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _opened(path: Path) -> BufferedReader | gzip.GzipFile:
    file = path.open("rb")
    if file.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
        return file
    file.close()
    return gzip.open(path, "rb")


def _line(raw: bytes, number: int, place: str) -> Line:
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RecordFormatError(f"{place}: not JSON ({error})") from error
    if not isinstance(data, dict):
        raise RecordFormatError(f"{place}: not a JSON object")
    vector = _vector(data, place)
    try:
        record = Record.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordFormatError(f"{place}: {where}: {first['msg']}") from error
    meta: dict[str, Any] = data["meta"]
    said = {key: value for key, value in data.items() if value is not None}
    try:
        content = hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS) + b"\n", digest_size=16)
    except TypeError as error:
        raise RecordFormatError(f"{place}: meta: nested too deeply to be written again") from error
    if vector is not None:
        content.update(vector.tobytes())
    return Line(number, record, meta, vector, content.hexdigest())


def _vector(data: dict[str, Any], place: str) -> Matrix | None:
    """Take the vector out of a line's object, in whichever form it is."""
    numbers, encoded = data.pop("vector", None), data.pop("vector_b64", None)
    dim, dtype = data.pop("dim", None), data.pop("dtype", None)
    if numbers is not None and encoded is not None:
        raise RecordFormatError(f"{place}: it has both vector and vector_b64; one is enough")
    if numbers is None and encoded is None:
        return None
    vector = _of_numbers(numbers, place) if encoded is None else _of_bytes(encoded, dtype, place)
    if dim is not None and dim != len(vector):
        raise RecordFormatError(f"{place}: dim: says {dim}, but the vector holds {len(vector)} numbers")
    if not len(vector):
        raise RecordFormatError(f"{place}: vector: it holds no numbers")
    return vector


def _of_numbers(numbers: Any, place: str) -> Matrix:
    if not isinstance(numbers, list) or not {type(number) for number in numbers} <= {int, float}:
        raise RecordFormatError(f"{place}: vector: not a list of numbers")
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float64).astype(np.float32)


def _of_bytes(encoded: Any, dtype: Any, place: str) -> Matrix:
    stored = _DTYPES.get(dtype if dtype is not None else "float32") if isinstance(dtype, str | None) else None
    if stored is None:
        raise RecordFormatError(f"{place}: dtype: {dtype!r} is neither float32 nor float16")
    try:
        raw = base64.b64decode(encoded, validate=True)
        return np.frombuffer(raw, dtype=stored).astype(np.float32)
    except (binascii.Error, TypeError, ValueError) as error:
        raise RecordFormatError(f"{place}: vector_b64: not base64 of {dtype or 'float32'} numbers ({error})") from error
