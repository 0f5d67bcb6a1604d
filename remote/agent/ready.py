"""Whether a service can be used: a port of loopback that takes connections, or a command that exits with 0."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from remote.agent.spec import Ready

CONNECT_LIMIT_S = 0.2


class ReadyCheck:
    """Repeats one check without ever blocking its caller, which buries all children itself and tells of ours."""

    def __init__(self, check: Ready, cwd: Path, environment: dict[str, str]) -> None:
        self._check = check
        self._cwd = cwd
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._next_at = 0.0
        self._kill_at = 0.0
        self.ready = False

    @property
    def pid(self) -> int | None:
        """The command that runs now, if any."""
        return self._process.pid if self._process is not None else None

    def tick(self) -> None:
        """Begin a check that is due, end one that takes too long."""
        now = time.monotonic()
        if self._process is not None:
            if now >= self._kill_at:
                self._kill()
            return
        if now < self._next_at:
            return
        self._next_at = now + self._check.every_s
        if self._check.port is not None:
            self.ready = _takes_connections(self._check.port)
            return
        try:
            self._process = subprocess.Popen(
                self._check.argv,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self.ready = False
            return
        self._kill_at = now + self._check.timeout_s

    def ended(self, wait_status: int) -> None:
        """The command was buried with this status."""
        self.ready = os.WIFEXITED(wait_status) and os.WEXITSTATUS(wait_status) == 0
        self._process = None

    def stop(self) -> None:
        """The service ended: nothing is ready any more."""
        self.ready = False
        if self._process is not None:
            self._kill()

    def _kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _takes_connections(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=CONNECT_LIMIT_S):
            return True
    except OSError:
        return False
