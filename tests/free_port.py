"""Ports of loopback for servers that must be told theirs."""

from __future__ import annotations

import contextlib
import random
import socket

PORTS = range(15_000, 32_000)
"""Below those that the system gives to whoever asks for any, which may be asked for before this one is used."""


def free_port() -> int:
    """One that nobody listens at, and that nobody is given who asks for any."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
