from __future__ import annotations

import hashlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from remote.ssh.forward import LocalPortTaken, Tunnel, open_tunnel
from remote.transport import ConnectionLost, SshRefused, Transport
from tests.remote.sshd import Sshd, Starved, eventually, free_port

MEBIBYTE = 1 << 20


@contextmanager
def served(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that calls `handle` in a thread for each connection; its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            try:
                peer, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer: socket.socket) -> None:
        with peer:
            try:
                handle(peer)
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def echo(peer: socket.socket) -> None:
    while data := peer.recv(65536):
        peer.sendall(data)


def answer_after_end_of_file(peer: socket.socket) -> None:
    """Answers the digest of all that came, once the client has said that this was all."""
    digest = hashlib.sha256()
    while data := peer.recv(65536):
        digest.update(data)
    peer.sendall(digest.hexdigest().encode())


def dial(tunnel: Tunnel) -> socket.socket:
    return socket.create_connection(("127.0.0.1", tunnel.local_port), timeout=30)


def asked(tunnel: Tunnel, question: bytes) -> bytes:
    with dial(tunnel) as client:
        client.sendall(question)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def test_only_loopback_listens(sshd: Sshd) -> None:
    with served(echo) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel:
        mine = [
            each.laddr.ip
            for each in psutil.Process().net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == tunnel.local_port
        ]
        assert mine == ["127.0.0.1"]
        assert asked(tunnel, b"hello") == b"hello"


def test_many_connections_at_once_keep_their_bytes_apart(sshd: Sshd) -> None:
    questions = [os.urandom(200_000) for _ in range(24)]
    answers: list[bytes] = [b""] * len(questions)
    with served(answer_after_end_of_file) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel:

        def ask(number: int) -> None:
            answers[number] = asked(tunnel, questions[number])

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(questions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        eventually(lambda: tunnel.connections == 0, what="every connection ended")
    assert answers == [hashlib.sha256(question).hexdigest().encode() for question in questions]


def test_each_side_may_say_that_it_has_said_everything(sshd: Sshd) -> None:
    with served(answer_after_end_of_file) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel:
        question = os.urandom(3 * MEBIBYTE)
        assert asked(tunnel, question) == hashlib.sha256(question).hexdigest().encode()

    def say_goodbye_and_listen(peer: socket.socket) -> None:
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        heard.append(peer.recv(100))

    heard: list[bytes] = []
    with (
        served(say_goodbye_and_listen) as port,
        open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel,
        dial(tunnel) as client,
    ):
        assert client.recv(100) == b"bye"
        assert client.recv(100) == b""
        client.sendall(b"still here")
        eventually(lambda: heard == [b"still here"], what="the other direction still open")


def test_a_client_that_reads_nothing_stops_the_sender(sshd: Sshd) -> None:
    sent: list[int] = []

    def pour(peer: socket.socket) -> None:
        for _ in range(64):
            peer.sendall(bytes(MEBIBYTE))
            sent.append(MEBIBYTE)

    with served(pour) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel, dial(tunnel) as client:
        client.recv(1)
        before = -1
        while before != len(sent):  # until the sender makes no progress for a second
            before = len(sent)
            time.sleep(1)
        assert before < 48, "64 MiB were taken from a server whose client reads nothing"
        received = 1
        while data := client.recv(MEBIBYTE):
            received += len(data)
        assert received == 64 * MEBIBYTE


def test_a_port_where_nothing_listens_is_a_reset_and_a_sentence(sshd: Sshd) -> None:
    port = free_port()
    with open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel:
        with pytest.raises(ConnectionResetError), dial(tunnel) as client:
            client.recv(1)
        eventually(lambda: tunnel.last_error, what="the reason")
        assert f"nothing listens on 127.0.0.1:{port} of the box" in str(tunnel.last_error)
        with served(echo) as other:
            tunnel.remote_port = other
            assert asked(tunnel, b"hello") == b"hello"


def test_a_killed_session_resets_what_was_open_and_the_next_connection_works(sshd: Sshd) -> None:
    with served(echo) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel:
        before = tunnel.local_port
        with dial(tunnel) as client:
            client.sendall(b"one")
            assert client.recv(10) == b"one"
            sshd.cut()
            with pytest.raises(ConnectionResetError):  # an end of file would pass half an answer off as a whole one
                client.recv(10)
        assert asked(tunnel, b"two") == b"two"
        assert tunnel.local_port == before


def test_a_frozen_box_is_noticed_and_the_next_connection_works_once_it_thaws(sshd: Sshd) -> None:
    with served(echo) as port, open_tunnel(sshd.connect, "127.0.0.1", port) as tunnel, dial(tunnel) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        sessions = sshd.processes()[1:]
        began = time.monotonic()
        for session in sessions:
            session.send_signal(signal.SIGSTOP)
        try:
            with Starved() as starved, pytest.raises(ConnectionResetError):
                client.recv(10)
            assert time.monotonic() - began < starved.longer(10)
            assert not tunnel.alive
            assert asked(tunnel, b"two") == b"two"  # the listener of sshd is alive: a new session serves it
        finally:
            sshd.thaw()


def test_while_the_box_is_away_connections_are_reset_and_the_listener_stays(sshd: Sshd) -> None:
    away = threading.Event()

    def reach() -> Transport:
        if away.is_set():
            raise SshRefused("the box is away")
        return sshd.connect()

    with served(echo) as port, open_tunnel(reach, "127.0.0.1", port) as tunnel:
        assert asked(tunnel, b"one") == b"one"
        away.set()
        sshd.cut()
        eventually(lambda: not tunnel.alive, what="the loss to be noticed")
        for _ in range(3):
            with pytest.raises(ConnectionResetError), dial(tunnel) as client:
                client.recv(1)
        assert tunnel.last_error == "the box is away"
        away.clear()
        assert asked(tunnel, b"two") == b"two"


def test_a_box_that_cannot_be_reached_is_an_error_at_once(sshd: Sshd) -> None:
    def reach() -> Transport:
        raise SshRefused("the box is away")

    port = free_port()
    with pytest.raises(SshRefused, match="the box is away"):
        open_tunnel(reach, "127.0.0.1", 1, local_port=port)
    with socket.create_server(("127.0.0.1", port)):  # given back
        pass


def test_a_local_port_that_is_taken_is_named(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalPortTaken, match=f"127.0.0.1:{port} is taken"):
            open_tunnel(sshd.connect, "127.0.0.1", 1, local_port=port)


def test_closing_ends_open_connections_and_leaves_no_thread_or_descriptor(sshd: Sshd) -> None:
    def round_trip() -> None:
        with served(echo) as port:
            tunnel = open_tunnel(sshd.connect, "127.0.0.1", port)
            clients = [dial(tunnel) for _ in range(8)]
            for client in clients:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            aborting = clients[0]
            aborting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            aborting.close()
            eventually(lambda: tunnel.connections == 7, what="the aborted connection to end")
            tunnel.close()
            for client in clients[1:]:
                with client, pytest.raises(ConnectionResetError):
                    client.recv(1)
            with pytest.raises(ConnectionLost, match="was closed"):
                tunnel.transport()

    others = set(threading.enumerate())

    def left() -> set[threading.Thread]:
        return set(threading.enumerate()) - others

    round_trip()  # what is loaded once is loaded now
    me = psutil.Process()
    eventually(lambda: not left(), what="the threads of the first round to end")
    descriptors = me.num_fds()
    for _ in range(3):
        round_trip()
    eventually(lambda: not left(), what="every thread to end")
    eventually(lambda: me.num_fds() <= descriptors, what="every descriptor to be closed")
