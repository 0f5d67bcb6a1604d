"""Bytes through a box's SSH ports, as the market bills them: counted by the system where it can, else by forwarders."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from remote.localcloud.files import read_json, write_json

NAME = "traffic.json"
TCP_INFO_BYTES = 136
ACKED_AT, RECEIVED_AT = 120, 128
"""Where Linux's `struct tcp_info` keeps `tcpi_bytes_acked` and `tcpi_bytes_received`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes into the box and out of it since it was rented."""

    in_bytes: int = 0
    out_bytes: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.in_bytes + other.in_bytes, self.out_bytes + other.out_bytes)

    def write(self, directory: Path) -> None:
        """Leave it where the marketplace, and the next box of this directory, read it."""
        write_json(directory / NAME, asdict(self), durable=False)

    @classmethod
    def read(cls, directory: Path) -> Traffic:
        """What a box of this directory wrote last."""
        value = read_json(directory / NAME)
        return cls() if value is None else cls(**value)


class TrafficMeter:
    """Adds up what connections carry. A box goes on from what the one before it wrote."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._closed = Traffic.read(directory)
        self._written = self._closed
        self._open: set[socket.socket] = set()

    def watch(self, connection: socket.socket) -> None:
        """Count a TCP connection until `forget`, by a copy of its socket; only Linux tells, elsewhere it counts 0."""
        self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        """The connection has ended: count it for the last time and close the copy."""
        self._open.discard(connection)
        self._closed += _carried(connection)
        connection.close()

    def add(self, in_bytes: int, out_bytes: int) -> None:
        """Count what a forwarder carried."""
        self._closed += Traffic(in_bytes, out_bytes)

    def report(self) -> None:
        """Write it, if it has changed."""
        total = self._closed
        for connection in self._open:
            total += _carried(connection)
        if total != self._written:
            total.write(self._directory)
            self._written = total


def _carried(connection: socket.socket) -> Traffic:
    if sys.platform != "linux":
        return Traffic()
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    if len(info) < TCP_INFO_BYTES:
        return Traffic()
    (acked,) = struct.unpack_from("Q", info, ACKED_AT)
    (received,) = struct.unpack_from("Q", info, RECEIVED_AT)
    return Traffic(received, acked)
