"""Masks as Label Studio's brush keeps them: run lengths of the picture's four channels, row by row, packed into bits.

The packing is that of the rle-pack format: 32 bits count of values, 5 bits word size less one, four times 4 bits of
run-length sizes less one, then runs. A run is one bit (1: a value repeated, 0: values told one by one), two bits that
choose the size of its length, the length less one, and the value or values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.docparse.run_lengths import BadRunLengths

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

CHANNELS = 4
SIZES = (3, 4, 8, 16)
WORD = 8


def to_brush(left: int, top: int, pixels: Array, width: int, height: int) -> list[int]:
    """Bytes of the brush for a mask's crop, bool (rows, columns) at (left, top) of a page of (width, height) pixels."""
    import numpy as np

    rows, columns = pixels.shape
    padded = np.zeros((rows, columns + 2), np.int8)
    padded[:, 1:-1] = pixels
    steps = np.diff(padded, axis=1)
    rows_in, columns_in = np.nonzero(steps == 1)
    rows_out, columns_out = np.nonzero(steps == -1)
    starts = (top + rows_in) * width + left + columns_in
    ends = (top + rows_out) * width + left + columns_out
    bits = [f"{width * height * CHANNELS:032b}{WORD - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    reached = 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        bits += _run((start - reached) * CHANNELS, 0)
        bits += _run((end - start) * CHANNELS, 255)
        reached = end
    bits += _run((width * height - reached) * CHANNELS, 0)
    packed = "".join(bits)
    packed += "0" * (-len(packed) % 8)
    return list(int(packed, 2).to_bytes(len(packed) // 8, "big"))


def _run(length: int, value: int) -> list[str]:
    bits = []
    while length > 0:
        part = min(length, 1 << SIZES[-1])
        choice = next(number for number, size in enumerate(SIZES) if part <= 1 << size)
        bits.append(f"1{choice:02b}{part - 1:0{SIZES[choice]}b}{value:0{WORD}b}")
        length -= part
    return bits


def from_brush(packed: list[int], width: int, height: int) -> Array:
    """The mask of the whole page, bool (height, width): where the brush is not wholly transparent.

    Raises:
        BadRunLengths: the bytes are no brush of a picture of this size.
    """
    import numpy as np

    try:
        data = bytes(packed)
    except (TypeError, ValueError):
        raise BadRunLengths("holds something else than bytes") from None
    values = np.zeros(0, np.uint8)
    bits = _Bits(data)
    try:
        count = bits.take(32)
        word = bits.take(5) + 1
        sizes = [bits.take(4) + 1 for _ in range(4)]
        if count != width * height * CHANNELS or word != WORD:
            raise BadRunLengths(f"is no brush of a picture of {width} × {height} pixels")
        values = np.zeros(count, np.uint8)
        place = 0
        while place < count:
            repeated = bits.take(1)
            length = bits.take(sizes[bits.take(2)]) + 1
            if repeated:
                values[place : place + length] = bits.take(word)
            else:
                values[place : place + length] = [bits.take(word) for _ in range(min(length, count - place))]
            place += length
    except EOFError:
        raise BadRunLengths("ends before the picture does") from None
    alpha: Array = values.reshape(height, width, CHANNELS)[..., CHANNELS - 1] > 0
    return alpha


class _Bits:
    """Takes bits from bytes, high ones first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> int:
        """The next `count` bits as a number; raises EOFError where there are fewer."""
        end = self._place + count
        if end > 8 * len(self._data):
            raise EOFError
        first, last = self._place // 8, (end + 7) // 8
        number = int.from_bytes(self._data[first:last], "big") >> (8 * last - end)
        self._place = end
        return number & ((1 << count) - 1)
