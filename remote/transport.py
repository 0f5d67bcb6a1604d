"""SSH to one box: connect over the endpoint that answers first, run commands, stream bytes, notice a dead peer.

The face of `remote.ssh`. paramiko is imported by the first `connect`, not by this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remote.cloud import Endpoint, EndpointKind
from remote.ssh.connection import Transport
from remote.ssh.errors import (
    CommandFailed,
    CommandTimeout,
    ConnectionLost,
    HostKeyChanged,
    KeyRejected,
    KeyUnreadable,
    PortClosed,
    SshRefused,
    SshSilent,
    TransportError,
)
from remote.ssh.stream import Completed, Stream

__all__ = [
    "CommandFailed",
    "CommandTimeout",
    "Completed",
    "ConnectionLost",
    "HostKeyChanged",
    "KeyRejected",
    "KeyUnreadable",
    "PortClosed",
    "SshRefused",
    "SshSilent",
    "Stream",
    "Transport",
    "TransportError",
    "connect",
]


def connect(
    endpoints: Sequence[Endpoint],
    *,
    user: str,
    key_path: Path,
    pin_path: Path,
    timeout_s: float = 10,
    first: EndpointKind = "direct",
) -> Transport:
    """Connect to whichever endpoint lets us in first; one starts at once, the other 300 ms later or when it failed.

    Args:
        endpoints: ways to the same box.
        user: login name there.
        key_path: our private key.
        pin_path: file that holds this instance's host key; the first connection writes it.
        timeout_s: limit of each phase of an attempt: TCP, greeting with key exchange, authentication.
        first: the kind of endpoint that starts at once: the one that let us into this machine last time.

    Raises:
        SshRefused, SshSilent, KeyRejected, HostKeyChanged, KeyUnreadable: why none worked. With several endpoints
            the failure that got furthest is raised, its text tells the others too, and `by_endpoint` holds each.
    """
    from remote.ssh.dial import dial

    return dial(endpoints, user=user, key_path=key_path, pin_path=pin_path, timeout_s=timeout_s, first=first)
