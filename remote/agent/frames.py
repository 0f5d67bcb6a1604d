"""How laptop and box talk over a pipe: a line of JSON, then as many raw bytes as its `payload` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MAX_HEADER_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
PAYLOAD_ONLY = b'{"payload":'
"""What the header of a file's content is: thousands of them come in a row, so it is read without a JSON parser."""


class BrokenFrame(Exception):
    """The other side ended in the middle, or sent what is no frame."""


def frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame. Names that are not valid UTF-8 survive, as escaped surrogates."""
    if payload:
        header = dict(header, payload=len(payload))
    return json.dumps(header, separators=(",", ":")).encode("ascii") + b"\n" + payload


class FrameReader:
    """Reads frames from `read(max_bytes)`, which gives b"" at the end."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        max_header_bytes: int = MAX_HEADER_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._read = read
        self._chunk_bytes = chunk_bytes
        self._buffer = bytearray()
        self._max_header_bytes = max_header_bytes

    def read_with(self, read: Callable[[int], bytes]) -> None:
        """Go on with another source of the same bytes, such as one with another time limit."""
        self._read = read

    def header(self) -> dict[str, Any] | None:
        """The next frame's header; None at the end. Its payload, if any, must be read before the next header."""
        line = self._line()
        if line is None:
            return None
        if line.startswith(PAYLOAD_ONLY) and line[len(PAYLOAD_ONLY) : -1].isdigit() and line.endswith(b"}"):
            return {"payload": int(line[len(PAYLOAD_ONLY) : -1])}
        try:
            value = json.loads(line.decode("ascii"))
        except ValueError as error:
            raise BrokenFrame(f"not a frame: {line[:200]!r}") from error
        if not isinstance(value, dict):
            raise BrokenFrame(f"not a frame: {line[:200]!r}")
        return value

    def skip_until(self, prefix: bytes, limit_bytes: int = 64 * 1024) -> None:
        """Drop lines until one that starts with `prefix`: a login shell may print greetings first."""
        dropped = 0
        while dropped <= limit_bytes:
            line = self._line()
            if line is None:
                raise BrokenFrame("it ended before its greeting")
            if line.startswith(prefix):
                self._buffer[:0] = line + b"\n"
                return
            dropped += len(line)
        raise BrokenFrame(f"no greeting within {limit_bytes} bytes")

    def some(self, max_bytes: int) -> bytes:
        """At least one byte and at most `max_bytes` of a payload."""
        if not self._buffer:
            data = self._read(min(max_bytes, self._chunk_bytes))
            if not data:
                raise BrokenFrame("it ended in the middle of a payload")
            if len(data) <= max_bytes:
                return data
            self._buffer += data
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        return data

    def exactly(self, size: int) -> bytes:
        """A payload of `size` bytes."""
        parts = []
        while size > 0:
            parts.append(self.some(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def _line(self) -> bytes | None:
        start = 0
        while True:
            end = self._buffer.find(b"\n", start)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            start = len(self._buffer)
            if start > self._max_header_bytes:
                raise BrokenFrame(f"a line longer than {self._max_header_bytes} bytes")
            data = self._read(self._chunk_bytes)
            if not data:
                if self._buffer:
                    raise BrokenFrame("it ended in the middle of a line")
                return None
            self._buffer += data
