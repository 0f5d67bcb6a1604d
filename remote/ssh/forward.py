"""Tunnels: a port of this machine's loopback that leads to a port as the box sees it, over any number of transports."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from remote.ssh.connection import Transport
from remote.ssh.errors import ConnectionLost, TransportError

if TYPE_CHECKING:
    import paramiko

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 128
"""More wait in the listener's queue: a runaway client must not eat this process's threads."""
CHUNK_BYTES = 64 * 1024
STEP_S = 1.0
"""How long a wait on a local socket may go without a look at whether its connection is still wanted."""
ACCEPT_STEP_S = 0.2
BLOCKED_PAUSE_S = 0.5


class LocalPortTaken(TransportError):
    """Another program of this machine listens on the wanted port; choose another."""


class Tunnel:
    """A listener on 127.0.0.1 whose every connection goes to one port as the box sees it. Thread-safe.

    The listener outlives its transport: a lost one is replaced at the next connection. Connections that were under
    way end with a reset, never with an end of file, so that nobody takes half an answer for a whole one.
    """

    def __init__(
        self, transport_factory: Callable[[], Transport], remote_host: str, remote_port: int, local_port: int
    ) -> None:
        """Use `open_tunnel`."""
        self.remote_host = remote_host
        self.remote_port = remote_port
        self._factory = transport_factory
        self._transport: Transport | None = None
        self._connecting = threading.Lock()
        self._failure: tuple[float, Exception] | None = None
        self._closed = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self.last_error: str | None = None
        """Why the newest connection that failed did; None while none has."""
        self._listener = _listen(local_port)
        self.local_port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name=f"tunnel-{self.local_port}", daemon=True)

    @property
    def local_address(self) -> str:
        """`127.0.0.1:port` on this machine."""
        return f"{LOOPBACK}:{self.local_port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        with self._lock:
            return len(self._connections)

    @property
    def alive(self) -> bool:
        """Whether the transport under it is up; a new connection makes a new one when it is not."""
        transport = self._transport
        return transport is not None and transport.alive

    def transport(self) -> Transport:
        """The living transport, made anew if need be. Many who ask at once cause one attempt.

        Raises:
            TransportError: the box cannot be reached, or the tunnel was closed.
        """
        asked_at = time.monotonic()
        with self._connecting:
            if self._closed.is_set():
                raise ConnectionLost("this tunnel was closed")
            if self._transport is not None and self._transport.alive:
                return self._transport
            if self._failure is not None and self._failure[0] >= asked_at:
                raise self._failure[1]
            if self._transport is not None:
                self._transport.close()
            try:
                self._transport = self._factory()
            except Exception as error:
                self._failure = (time.monotonic(), error)
                raise
            if self._closed.is_set():
                self._transport.close()
                raise ConnectionLost("this tunnel was closed")
            return self._transport

    def close(self) -> None:
        """Stop listening, reset what is open, hang up. Returns when the tunnel's threads have ended."""
        self._closed.set()
        if self._acceptor.ident is not None:
            self._acceptor.join()  # at most one step; nobody may wait on a socket that is closed
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.abort()
        if self._transport is not None:
            self._transport.close()
        for connection in connections:
            connection.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Reach the box once, so that what is wrong shows now, then take connections."""
        try:
            self.transport()
        except BaseException:
            self._listener.close()
            raise
        self._acceptor.start()
        return self

    def _accept(self) -> None:
        while not self._closed.is_set():
            if not self._slots.acquire(timeout=ACCEPT_STEP_S):
                continue
            try:
                sock, _peer = self._listener.accept()
            except OSError as error:
                self._slots.release()
                if not isinstance(error, TimeoutError) and not self._closed.is_set():
                    self.last_error = f"{self.local_address} cannot take a connection: {error.strerror}"
                    self._closed.wait(BLOCKED_PAUSE_S)
                continue
            connection = _Connection(sock, self._open_channel, self._ended)
            with self._lock:
                self._connections.add(connection)
            connection.start()

    def _open_channel(self) -> paramiko.Channel:
        """A stream to the port; a transport that turns out to be lost is replaced once."""
        try:
            return self.transport().open_port(self.remote_host, self.remote_port)
        except ConnectionLost:
            return self.transport().open_port(self.remote_host, self.remote_port)

    def _ended(self, connection: _Connection, error: Exception | None) -> None:
        if error is not None:
            self.last_error = str(error) or type(error).__name__
        with self._lock:
            self._connections.discard(connection)
        self._slots.release()


class _Connection:
    """One local connection and its channel: a thread each way, so that each end's slowness is felt by the other."""

    def __init__(
        self,
        sock: socket.socket,
        open_channel: Callable[[], paramiko.Channel],
        ended: Callable[[_Connection, Exception | None], None],
    ) -> None:
        self._sock = sock
        self._open_channel = open_channel
        self._ended = ended
        self._channel: paramiko.Channel | None = None
        self._broken: tuple[type[Exception], ...] = (OSError, EOFError)
        self._aborted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tunnel-up", daemon=True)

    def start(self) -> None:
        """Begin; the local end waits while the channel is opened."""
        self._sock.settimeout(STEP_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread.start()

    def abort(self) -> None:
        """Reset both ends; both threads leave."""
        self._aborted.set()
        with contextlib.suppress(OSError):  # a peer that is gone already
            self._sock.shutdown(socket.SHUT_RD)  # wakes the reader, and unlike SHUT_WR tells the client nothing
        channel = self._channel
        if channel is not None:
            channel.close()

    def join(self, timeout_s: float) -> None:
        """Wait for its threads."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        from paramiko import SSHException

        self._broken = (OSError, EOFError, SSHException)
        failure: Exception | None = None
        try:
            self._channel = channel = self._open_channel()
            if self._aborted.is_set():
                channel.close()
            down = threading.Thread(target=self._pump_down, args=(channel,), name="tunnel-down", daemon=True)
            down.start()
            self._pump_up(channel)
            down.join()
            channel.close()
        except Exception as error:  # noqa: BLE001 - told to whoever asks the tunnel for its last error
            failure = error
            self._aborted.set()
        finally:
            if self._aborted.is_set():
                with contextlib.suppress(OSError):
                    self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.close()
            self._ended(self, failure)

    def _pump_up(self, channel: paramiko.Channel) -> None:
        """From the client to the box; its end of file goes on as such."""
        try:
            while not self._aborted.is_set():
                try:
                    data = self._sock.recv(CHUNK_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    if not self._aborted.is_set():
                        channel.shutdown_write()
                    return
                channel.sendall(data)
        except self._broken:
            self.abort()

    def _pump_down(self, channel: paramiko.Channel) -> None:
        """From the box to the client; paramiko shows a lost connection as an end too, which the client must not see."""
        try:
            while data := channel.recv(CHUNK_BYTES):
                self._send_down(data)
            if channel.eof_received and not self._aborted.is_set():
                self._sock.shutdown(socket.SHUT_WR)
            else:
                self.abort()
        except self._broken:
            self.abort()

    def _send_down(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._aborted.is_set():
                raise ConnectionAbortedError
            with contextlib.suppress(TimeoutError):
                rest = rest[self._sock.send(rest) :]


def open_tunnel(
    transport_factory: Callable[[], Transport], remote_host: str, remote_port: int, local_port: int = 0
) -> Tunnel:
    """Listen on 127.0.0.1 and lead every connection to `remote_host:remote_port` as the box sees it.

    Args:
        transport_factory: makes a connection to the box; the tunnel owns what it makes. Called again when it is lost.
        remote_host: usually 127.0.0.1, the box's own loopback.
        remote_port: the port there; that something listens is not checked.
        local_port: 0 takes a free one.

    Raises:
        LocalPortTaken: something on this machine listens on `local_port`.
        TransportError: the box cannot be reached.
    """
    return Tunnel(transport_factory, remote_host, remote_port, local_port).start()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(MAX_CONNECTIONS)
        listener.settimeout(ACCEPT_STEP_S)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = "is taken on this machine" if error.errno == errno.EADDRINUSE else "needs more rights than we have"
            raise LocalPortTaken(f"{LOOPBACK}:{port} {why}; choose another port, or none for a free one") from error
        raise
    return listener
