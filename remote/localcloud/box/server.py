"""The SSH server of a box: keys read anew at every login, files, port forwarding to loopback, and a proxy beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncssh

from remote.localcloud.box.commands import Commands
from remote.localcloud.box.doorway import Doorway
from remote.localcloud.box.settings import HOST_KEY_NAME, KEYS_NAME, Order
from remote.localcloud.box.traffic import TrafficMeter
from remote.localcloud.line import Line

USER = "root"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", ""})
CHUNK_BYTES = 65536


class Door(asyncssh.SSHServer):
    """Who is let in, and where a tunnel may lead."""

    def __init__(self, keys_file: Path, endpoints: Endpoints, counted: socket.socket | None) -> None:
        self._keys_file = keys_file
        self._endpoints = endpoints
        self._counted = counted
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note who is in."""
        self._connection = conn
        self._endpoints.came(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note who left."""
        if self._connection is not None:
            self._endpoints.left(self._connection, self._counted)

    def begin_auth(self, username: str) -> bool:
        """Everybody must show a key."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys, and nothing else."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether this key is attached now; the list is read anew each time."""
        if username != USER:
            return False
        try:
            lines = self._keys_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        offered = key.export_public_key("openssh").split()[:2]
        return any(line.encode().split()[:2] == offered for line in lines)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Tunnels lead to loopback only."""
        return dest_host in LOOPBACK


class Files(asyncssh.SFTPServer):
    """SFTP, on a disk that may be full."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], commands: Commands) -> None:
        super().__init__(channel)
        self._commands = commands

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write, unless nothing can grow."""
        if self._commands.disk_is_full:
            raise asyncssh.SFTPNoSpaceOnFilesystem("no space left on device")
        written = super().write(file_obj, offset, data)
        assert isinstance(written, int)
        return written


class Endpoints:
    """Two listening ports of a box: `direct` is the SSH server itself, `proxy` a forwarder to it.

    They fail apart from each other; a slow line, when one is ordered, lies before both.
    """

    def __init__(self, directory: Path, commands: Commands) -> None:
        self._keys_file = directory / KEYS_NAME
        self._direct = Doorway(self._come_direct)
        self._proxy = Doorway(self._come_by_proxy)
        self._meter = TrafficMeter(directory)
        self._line: Line | None = None
        self._figures = dict.fromkeys(("rtt_ms", "mbit_per_s", "loss"), 0.0)
        self._line_carried = (0, 0)
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._options = asyncssh.SSHServerConnectionOptions(
            server_host_keys=[host_key(directory)],
            process_factory=commands.run,
            sftp_factory=lambda channel: Files(channel, commands),
            encoding=None,
            line_editor=False,
            server_version="SpotterEmulated",
            login_timeout=30,
        )

    @property
    def direct_port(self) -> int:
        """Port of the SSH server."""
        return self._direct.port

    @property
    def proxy_port(self) -> int:
        """Port of the forwarder."""
        return self._proxy.port

    def become(self, order: Order) -> None:
        """Open, close and slow down as ordered."""
        figures = {"rtt_ms": order.rtt_ms, "mbit_per_s": order.mbit_per_s, "loss": order.loss}
        if figures != self._figures:
            self._count_line()
            old, self._line, self._figures, self._line_carried = self._line, None, figures, (0, 0)
            if any(figures.values()):
                self._line = Line(rtt_ms=order.rtt_ms, mbit_per_s=order.mbit_per_s, loss=order.loss)
            if old is not None:
                old.close()
        self._direct.become(order.direct)
        self._proxy.become(order.proxy)

    def cut(self) -> None:
        """End every SSH connection without a word, as when sshd's child is killed."""
        for connection in list(self._connections):
            connection.abort()

    def report_traffic(self) -> None:
        """Write how much was carried."""
        self._count_line()
        self._meter.report()

    def came(self, connection: asyncssh.SSHServerConnection) -> None:
        """A connection has begun."""
        self._connections.add(connection)

    def left(self, connection: asyncssh.SSHServerConnection, counted: socket.socket | None) -> None:
        """A connection has ended; `counted` is our copy of its socket, by which its bytes are known."""
        self._connections.discard(connection)
        if counted is not None:
            self._meter.forget(counted)

    def _come_direct(self, client: socket.socket) -> None:
        if self._line is not None:
            self._line.join(client, self._inner_end())
        else:
            self._serve(client, counted=True)

    def _come_by_proxy(self, client: socket.socket) -> None:
        if self._line is not None:
            self._line.join(client, self._inner_end())
        else:
            self._start(self._forward(client, self._inner_end()))

    def _inner_end(self) -> socket.socket:
        """A connection to the SSH server that needs no port."""
        outer, inner = socket.socketpair()
        for each in (outer, inner):
            each.setblocking(False)
        self._serve(inner, counted=False)
        return outer

    def _serve(self, client: socket.socket, *, counted: bool) -> None:
        self._start(self._serve_until_let_in(client, client.dup() if counted else None))

    async def _serve_until_let_in(self, client: socket.socket, counted: socket.socket | None) -> None:
        if counted is not None:
            self._meter.watch(counted)
        with contextlib.suppress(OSError, asyncssh.Error):
            await asyncssh.run_server(
                client, options=self._options, server_factory=lambda: Door(self._keys_file, self, counted)
            )

    async def _forward(self, client: socket.socket, inner: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
        await asyncio.gather(
            _pump(reader, inner_writer, lambda size: self._meter.add(size, 0)),
            _pump(inner_reader, writer, lambda size: self._meter.add(0, size)),
        )

    def _count_line(self) -> None:
        if self._line is not None:
            up, down = self._line.sent_up_bytes, self._line.sent_down_bytes
            self._meter.add(up - self._line_carried[0], down - self._line_carried[1])
            self._line_carried = (up, down)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def host_key(directory: Path) -> asyncssh.SSHKey:
    """The box's own ed25519 key, made at its first start."""
    path = directory / HOST_KEY_NAME
    if not path.exists():
        path.touch(mode=0o600)
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    return asyncssh.read_private_key(path)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
            count(len(chunk))
    except OSError:
        writer.transport.abort()
        return
    finally:
        with contextlib.suppress(OSError):
            writer.close()
