from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.transport import Transport
from tests.remote.cloud_fixtures import market, own_market, reused_market, shared_market
from tests.remote.sshd import Sshd, eventually, find_sshd, signal_all

__all__ = ["market", "own_market", "reused_market", "shared_market"]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real OpenSSH server; a test that leaves a process in its home fails."""
    if find_sshd() is None:
        pytest.skip("needs OpenSSH's sshd: apt-get install openssh-server")
    server = Sshd(tmp_path / "box").start()
    try:
        yield server
    finally:
        server.stop()
    try:
        eventually(lambda: not server.leftovers(), what="every process of the box ended")
    finally:
        signal_all(server.leftovers(), signal.SIGKILL)


@pytest.fixture
def transport(sshd: Sshd) -> Iterator[Transport]:
    with sshd.connect() as connection:
        yield connection
