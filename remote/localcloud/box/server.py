"""The SSH server of a box: keys read anew at every login, files, port forwarding to loopback, and a proxy beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import asyncssh

from remote.localcloud.box.commands import Commands
from remote.localcloud.box.settings import HOST_KEY_NAME, KEYS_NAME

USER = "root"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", ""})
BACKLOG = 64


class Door(asyncssh.SSHServer):
    """Who is let in, and where a tunnel may lead."""

    def __init__(self, keys_file: Path) -> None:
        self._keys_file = keys_file

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


class Endpoints:
    """Two listening ports of a box: `direct` is the SSH server itself, `proxy` a forwarder to it.

    Ports are bound at once and listened on when `open` is called: until then they refuse connections.
    """

    def __init__(self) -> None:
        self._direct = _bound()
        self._proxy = _bound()

    @property
    def direct_port(self) -> int:
        """Port of the SSH server."""
        return int(self._direct.getsockname()[1])

    @property
    def proxy_port(self) -> int:
        """Port of the forwarder."""
        return int(self._proxy.getsockname()[1])

    async def open(self, directory: Path, commands: Commands) -> None:
        """Let clients in."""
        await asyncssh.listen(
            sock=_listening(self._direct),
            server_factory=lambda: Door(directory / KEYS_NAME),
            server_host_keys=[host_key(directory)],
            process_factory=commands.run,
            sftp_factory=True,
            encoding=None,
            line_editor=False,
            server_version="SpotterEmulated",
            login_timeout=30,
        )
        await asyncio.start_server(self._forward, sock=_listening(self._proxy))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.direct_port)
        except OSError:
            writer.close()
            return
        for each in (writer, inner_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


def host_key(directory: Path) -> asyncssh.SSHKey:
    """The box's own ed25519 key, made at its first start."""
    path = directory / HOST_KEY_NAME
    if not path.exists():
        path.touch(mode=0o600)
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    return asyncssh.read_private_key(path)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        writer.transport.abort()
        return
    finally:
        with contextlib.suppress(OSError):
            writer.close()


def _bound() -> socket.socket:
    """A port of loopback that refuses connections until somebody listens."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    return made


def _listening(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock
