"""The slow line: its round trip, its bandwidth, its losses, and that it carries every byte in order."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from remote.localcloud.link import DelayProxy

MEGABYTE = 1_000_000


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Echoes what begins with e; answers s with the digest of all that followed; answers d with 5 MB."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            kind = client.recv(1)
            if kind == b"e":
                while data := client.recv(65536):
                    client.sendall(data)
            elif kind == b"s":
                digest = hashlib.sha256()
                while data := client.recv(1 << 20):
                    digest.update(data)
                client.sendall(digest.digest())
            else:
                client.sendall(bytes(5 * MEGABYTE))

    def accept() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def opened(line: DelayProxy, kind: bytes) -> socket.socket:
    connection = socket.create_connection((line.host, line.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(kind)
    return connection


def round_trips_ms(connection: socket.socket, count: int) -> list[float]:
    found = []
    for _ in range(count):
        started = time.perf_counter()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        found.append((time.perf_counter() - started) * 1000)
    return found


@pytest.mark.parametrize("process", [False, True])
def test_a_round_trip_takes_what_was_asked_for(server: tuple[str, int], process: bool) -> None:
    with DelayProxy(server, rtt_ms=40, process=process) as line, opened(line, b"e") as connection:
        taken = round_trips_ms(connection, 12)
    assert 40 <= min(taken[1:]) < 60, "the least: what the rest take more is the machine's, which others share"


def test_bandwidth_is_shared_by_all_connections_and_nothing_is_lost(server: tuple[str, int]) -> None:
    payload = random.Random(1).randbytes(2 * MEGABYTE)
    answers: list[bytes] = []

    def send(line: DelayProxy) -> None:
        with opened(line, b"s") as connection:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
            answers.append(connection.recv(64))

    def both_take_s() -> float:
        with DelayProxy(server, rtt_ms=20, mbit_per_s=40) as line:
            started = time.monotonic()
            threads = [threading.Thread(target=send, args=(line,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.monotonic() - started

    took = [both_take_s()]
    while took[-1] >= 3 and len(took) < 4:  # other processes share the machine
        took.append(both_take_s())
    assert answers == [hashlib.sha256(payload).digest()] * 2 * len(took)
    assert 0.8 <= min(took) < 3, "4 MB at 40 Mbit/s are 0.8 s"


async def test_the_other_way_is_as_fast_and_a_receiver_that_waits_loses_nothing(server: tuple[str, int]) -> None:
    async with DelayProxy(server, rtt_ms=10, mbit_per_s=200) as line:
        with opened(line, b"d") as connection:
            time.sleep(0.3)
            received = 0
            while data := connection.recv(65536):
                received += len(data)
    assert received == 5 * MEGABYTE


def test_a_lost_packet_is_a_pause(server: tuple[str, int]) -> None:
    with DelayProxy(server, rtt_ms=10, loss=0.3, seed=4) as line, opened(line, b"e") as connection:
        taken = round_trips_ms(connection, 15)
    assert min(taken) < 60
    assert max(taken) >= 200


def test_a_server_that_is_not_there_and_a_line_that_is_cut_end_the_connection(server: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nowhere = gone.getsockname()
    with DelayProxy(nowhere) as line, socket.create_connection((line.host, line.port), timeout=10) as connection:
        assert connection.recv(1) == b""
    cut = DelayProxy(server, rtt_ms=5).start()
    with opened(cut, b"e") as connection:
        assert round_trips_ms(connection, 1)
        cut.close()
        assert connection.recv(1) == b""
