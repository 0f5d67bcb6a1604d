"""Ports as a box sees them: a free one, whether one answers, and whether it is open to more than loopback."""

from __future__ import annotations

import json

from remote.ssh.forward import LOOPBACK
from remote.transport import CommandFailed, Transport

HTTP_LIMIT_S = 10.0
MARK = "spotter-answer "

FREE_PORT = f"""
import socket
probe = socket.socket()
probe.bind(("{LOOPBACK}", 0))
print({MARK!r} + str(probe.getsockname()[1]))
"""

LISTENERS = f"""
import json, socket, struct, sys
port, found = int(sys.argv[1]), set()
for path, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
    try:
        lines = open(path).read().splitlines()[1:]
    except OSError:
        continue
    for line in lines:
        address, _, hex_port = line.split()[1].partition(":")
        if line.split()[3] != "0A" or int(hex_port, 16) != port:
            continue
        words = [struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)]
        found.add(socket.inet_ntop(family, b"".join(words)))
print({MARK!r} + json.dumps(sorted(found)))
"""


def free_port_on_box(transport: Transport, python: str) -> int:
    """A port of the box's loopback that nothing listens on at this moment; `python` is any interpreter there."""
    return int(_told(transport, [python, "-S", "-c", FREE_PORT]))


def exposed_addresses(transport: Transport, python: str, port: int) -> list[str]:
    """Addresses beyond loopback on which `port` listens on the box; empty is what must be. Linux boxes only."""
    addresses: list[str] = json.loads(_told(transport, [python, "-S", "-c", LISTENERS, str(port)]))
    return [each for each in addresses if not each.startswith(("127.", "::ffff:127.")) and each != "::1"]


def takes_connections(transport: Transport, port: int) -> bool:
    """Whether something listens on the box's loopback. Raises PortClosed when nothing does."""
    transport.open_port(LOOPBACK, port).close()
    return True


def http_status(transport: Transport, port: int, path: str, *, token: str | None = None) -> int:
    """The status of a GET to the box's loopback; 0 when what answers is no HTTP or says nothing in time.

    Raises:
        PortClosed: nothing listens there (yet).
        ConnectionLost: the connection to the box broke.
    """
    lines = [f"GET {path} HTTP/1.0", f"Host: {LOOPBACK}:{port}", "Connection: close"]
    if token is not None:
        lines.append(f"Authorization: token {token}")
    channel = transport.open_port(LOOPBACK, port)
    try:
        channel.settimeout(HTTP_LIMIT_S)
        channel.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n" not in answer and (data := channel.recv(4096)):
            answer += data
    except OSError as error:
        lost = transport.lost()
        if lost is not None:
            raise lost from error
        return 0
    finally:
        channel.close()
    words = answer.partition(b"\r\n")[0].split()
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0


def _told(transport: Transport, command: list[str]) -> str:
    """What a small program says on the box, below whatever a login shell prints."""
    done = transport.check(command)
    told = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith(MARK)]
    if not told:
        raise CommandFailed("look at the box's ports", done.exit_code, done.last_lines())
    return told[-1].removeprefix(MARK)
