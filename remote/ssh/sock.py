"""The TCP socket under an SSH connection: no Nagle delay, keepalive, and a memory of when it last heard its peer."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

from remote.cloud import Endpoint
from remote.ssh.errors import SshRefused, SshSilent

KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 15, 5, 3
USER_TIMEOUT_MS = 15_000
READ_AHEAD_BYTES = 256 * 1024


class WatchedSocket(socket.socket):
    """A socket that remembers when it last heard its peer, how much it carried, and whether the peer hung up."""

    last_heard_at: float = 0.0
    """Monotonic seconds."""
    sent_bytes: int = 0
    received_bytes: int = 0
    hung_up: bool = False
    _ahead: memoryview = memoryview(b"")
    """What was read and not yet asked for."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As socket.recv, reading ahead: paramiko asks for a packet's head and body one after the other."""
        if not self._ahead:
            self._ahead = memoryview(self._receive(max(size, READ_AHEAD_BYTES), flags))
        data, self._ahead = bytes(self._ahead[:size]), self._ahead[size:]
        return data

    def _receive(self, size: int, flags: int) -> bytes:
        try:
            data = super().recv(size, flags)
        except ConnectionError:
            self.hung_up = True
            raise
        if data:
            self.last_heard_at = time.monotonic()
            self.received_bytes += len(data)
        else:
            self.hung_up = True
        return data

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        """As socket.send."""
        sent = super().send(data, flags)
        self.sent_bytes += sent
        return sent

    def unacknowledged_bytes(self) -> int:
        """Bytes that the kernel still keeps because the peer has not taken them; 0 where the system cannot tell."""
        if not sys.platform.startswith("linux"):
            return 0
        import fcntl
        import termios

        with contextlib.suppress(OSError, ValueError):
            packed = fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
            return int(struct.unpack("i", packed)[0])
        return 0


def open_socket(endpoint: Endpoint, timeout_s: float) -> WatchedSocket:
    """Connect to `endpoint`; every address of its name is tried within `timeout_s`.

    Raises:
        SshRefused: a machine answers that nothing listens there.
        SshSilent: nothing answers, or the name is unknown.
    """
    deadline = time.monotonic() + timeout_s
    try:
        addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SshSilent(f"{endpoint}: the host name cannot be resolved ({error}); is this machine online?") from error
    failure: Exception | None = None
    for family, kind, protocol, _name, address in addresses:
        sock = WatchedSocket(family, kind, protocol)
        try:
            sock.settimeout(max(0.1, deadline - time.monotonic()))
            sock.connect(address)
            _tune(sock)
        except OSError as error:
            sock.close()
            failure = error
            continue
        sock.last_heard_at = time.monotonic()
        return sock
    if isinstance(failure, ConnectionError):
        raise SshRefused(f"{endpoint} refuses the connection: its SSH server is still starting, or died") from failure
    raise SshSilent(f"{endpoint} does not answer within {timeout_s:g} s ({failure})") from failure


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPALIVE": KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": USER_TIMEOUT_MS,
        "TCP_CONNECTIONTIMEOUT": USER_TIMEOUT_MS // 1000,
    }
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):  # a name that this kernel lacks; the watchdog does not depend on it
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
