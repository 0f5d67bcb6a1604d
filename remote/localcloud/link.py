"""A port of this machine that leads to another over a slow or lossy line (`line.py`): a thread, or a process.

    with DelayProxy(("127.0.0.1", 22), rtt_ms=80, mbit_per_s=200) as line:
        connect(line.host, line.port)

`python -m remote.localcloud.link 127.0.0.1:22 --rtt-ms 80 --mbit-per-s 200` is the same as a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self

from remote.localcloud.line import Line

HOST = "127.0.0.1"


class DelayProxy:
    """A listener on loopback that leads to `target` over a line; in a thread, or with `process` in one of its own."""

    host = HOST

    def __init__(
        self,
        target: tuple[str, int],
        *,
        rtt_ms: float = 0,
        mbit_per_s: float = 0,
        loss: float = 0,
        seed: int = 0,
        port: int = 0,
        process: bool = False,
    ) -> None:
        self._target = target
        self._figures: dict[str, Any] = {"rtt_ms": rtt_ms, "mbit_per_s": mbit_per_s, "loss": loss, "seed": seed}
        self._in_process = process
        self._line: Line | None = None
        self._child: subprocess.Popen[str] | None = None
        self.port = port

    def start(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        if self._in_process:
            self._start_process()
            return self
        listener = socket.create_server((HOST, self.port), backlog=128)
        listener.setblocking(False)
        self.port = int(listener.getsockname()[1])
        self._line = Line(**self._figures)
        self._line.listen(listener, lambda: self._accept(listener))
        return self

    def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._child is not None:
            self._child.terminate()
            self._child.wait()
            assert self._child.stdout is not None
            self._child.stdout.close()
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        assert self._line is not None
        try:
            client, _address = listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        self._line.join(client, server)

    def _start_process(self) -> None:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._figures.items()]
        target = f"{self._target[0]}:{self._target[1]}"
        command = [sys.executable, "-P", "-m", "remote.localcloud.link", target, f"--port={self.port}", *options]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        said = self._child.stdout.readline().split()
        if not said:
            raise OSError(f"the line to {target} did not start: exit code {self._child.wait()}")
        self.port = int(said[-1])


def main() -> int:
    """Serve one line until killed; prints the port that it listens on."""
    parser = argparse.ArgumentParser(
        prog="python -m remote.localcloud.link", description="A slow line to HOST:PORT in user space."
    )
    parser.add_argument("target", metavar="HOST:PORT", help="where the line leads to")
    parser.add_argument("--port", type=int, default=0, help="port to listen on at 127.0.0.1; 0 for any (default)")
    parser.add_argument("--rtt-ms", type=float, default=0, help="round trip in milliseconds")
    parser.add_argument("--mbit-per-s", type=float, default=0, help="bandwidth each way; 0 for no limit (default)")
    parser.add_argument("--loss", type=float, default=0, help="share of packets that are lost, as 0.01")
    parser.add_argument("--seed", type=int, default=0, help="which packets are lost")
    given = parser.parse_args()
    host, _, port = given.target.rpartition(":")
    figures = {"rtt_ms": given.rtt_ms, "mbit_per_s": given.mbit_per_s, "loss": given.loss, "seed": given.seed}
    with DelayProxy((host, int(port)), port=given.port, **figures) as line:
        print(f"listening on {line.port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
