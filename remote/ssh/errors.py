"""What can go wrong between this machine and a box, named for what happened."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from remote.cloud import Endpoint


class TransportError(Exception):
    """Something between this machine and a box went wrong; the text says what and what to do."""

    by_endpoint: tuple[tuple[Endpoint, TransportError], ...] = ()
    """After a failed `connect`: why each endpoint, told apart, did not let us in."""


class SshRefused(TransportError):
    """The port refuses, or hangs up before it greets: the box is still starting, or its SSH server died."""


class SshSilent(TransportError):
    """Nothing answers within the limit: wrong address, closed firewall, or a machine that is gone."""


class KeyRejected(TransportError):
    """The box answers, but does not let our key in: it is not attached (yet), or the user name is wrong."""


class KeyUnreadable(TransportError):
    """Our own private key cannot be used: missing, encrypted, or not a key."""


class HostKeyChanged(TransportError):
    """The box shows another host key than the one that was pinned: somebody else answers at this address."""

    def __init__(self, message: str, pin_path: Path) -> None:
        super().__init__(message)
        self.pin_path = pin_path


class ConnectionLost(TransportError):
    """The connection broke, or its peer stopped answering; what was under way has an unknown outcome."""


class CommandTimeout(TransportError):
    """A command on the box did not end within its limit; its channel was closed."""


class PortClosed(TransportError):
    """The box answers, but nothing listens on that port of it: the service is starting, or it ended."""


class CommandFailed(TransportError):
    """A command on the box ended with an exit code other than zero."""

    def __init__(self, command: str, exit_code: int, output: str) -> None:
        super().__init__(f"`{command}` ended with exit code {exit_code} on the box: {output or 'it printed nothing'}")
        self.command = command
        self.exit_code = exit_code
        self.output = output


def brief(command: str | Sequence[str], longest: int = 160) -> str:
    """A command on one short line, for the text of an error."""
    line = " ".join((command if isinstance(command, str) else shlex.join(command)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
