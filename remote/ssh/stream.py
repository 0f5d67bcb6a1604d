"""A command that runs on the box, as three byte streams with limits on every wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from remote.ssh.errors import CommandTimeout, ConnectionLost

if TYPE_CHECKING:
    import paramiko

KEPT_STDERR_BYTES = 64 * 1024
CHUNK_BYTES = 128 * 1024
PACKET_FRAME_BYTES = 64
"""What paramiko leaves free in a packet for its header (`Channel._send`)."""
STEP_S = 0.5
"""No single wait is longer, so that Ctrl-C and a lost connection are noticed."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. `exit_code` is -1 when a signal ended it."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    def last_lines(self, count: int = 12) -> str:
        """The end of what it printed, stderr if there is any."""
        text = (self.stderr.strip() or self.stdout.strip()).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-count:])


class Stream:
    """A running command: its stdin, stdout and stderr. One thread reads, another may write.

    Both outputs share one SSH window, so whoever waits for one of them also takes the other: a command that fills
    its stderr can never block a reader of its stdout.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        command: str,
        lost: Callable[[], ConnectionLost | None],
        release: Callable[[], None],
    ) -> None:
        from paramiko import SSHException

        self.command = command
        self._failures = (OSError, EOFError, SSHException)
        """What paramiko raises, depending on where it was when the connection broke."""
        self._channel = channel
        self._lost = lost
        self._release: Callable[[], None] | None = release
        self._stderr = bytearray()
        self._news = threading.Event()
        self._closing = threading.Lock()
        channel.settimeout(STEP_S)
        channel.in_buffer.set_event(self._news)
        channel.in_stderr_buffer.set_event(self._news)

    @property
    def packet_bytes(self) -> int:
        """The most that one packet carries: writes in multiples of it leave no small rests to send."""
        return max(1, self._channel.out_max_packet_size - PACKET_FRAME_BYTES)

    @property
    def stderr(self) -> bytes:
        """The last 64 KiB of standard error so far."""
        return bytes(self._stderr)

    def read(self, max_bytes: int = 65536, *, timeout_s: float | None = None) -> bytes:
        """The next bytes of stdout; b"" once the command closed it. Standard error is kept aside meanwhile.

        Raises:
            ConnectionLost: the connection broke before the command ended.
            CommandTimeout: nothing came within `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            over = self._channel.eof_received or self._channel.closed
            self._take_stderr()
            if self._channel.recv_ready():
                return self._take(self._channel.recv, max_bytes)
            if over:
                self._raise_if_lost()
                return b""
            self._news.wait(self._step(deadline, timeout_s, "printed nothing"))

    def write(self, data: bytes, *, timeout_s: float = 60) -> None:
        """Send all of `data` to the command's stdin.

        Raises:
            ConnectionLost: the connection broke.
            BrokenPipeError: the command ended, or closed its stdin.
            CommandTimeout: the command took nothing for `timeout_s`.
        """
        view = memoryview(data)
        deadline = time.monotonic() + timeout_s
        while view:
            try:
                # A packet's worth at a time: handed more, paramiko would copy the rest once for every packet.
                sent = self._channel.send(bytes(view[: self.packet_bytes]))
            except TimeoutError:
                self._step(deadline, timeout_s, "took no input")
                continue
            except self._failures as error:
                self._raise_if_lost(error)
                raise BrokenPipeError(f"`{self.command}` ended before it took all its input") from error
            if sent == 0:
                self._raise_if_lost()
                raise BrokenPipeError(f"`{self.command}` ended before it took all its input")
            view = view[sent:]
            deadline = time.monotonic() + timeout_s

    def close_stdin(self) -> None:
        """Tell the command that nothing more comes."""
        try:
            self._channel.shutdown_write()
        except self._failures as error:
            self._raise_if_lost(error)

    def wait(self, *, timeout_s: float = 60) -> int:
        """The exit code, once the command ended; -1 when a signal ended it. Output that was not read is dropped."""
        deadline = time.monotonic() + timeout_s
        while not self._channel.exit_status_ready():
            self._take_stderr()
            if self._channel.recv_ready():
                self._take(self._channel.recv, CHUNK_BYTES)
                continue
            step = self._step(deadline, timeout_s, "did not end")
            over = self._channel.eof_received or self._channel.closed
            (self._channel.status_event if over else self._news).wait(min(step, 0.1))
        self._take_stderr()
        exit_code = int(self._channel.exit_status)
        if exit_code == -1:
            self._raise_if_lost()
        return exit_code

    def close(self) -> None:
        """Close the channel; the command sees its pipes close."""
        with self._closing:
            release, self._release = self._release, None
        if release is None:
            return
        try:
            self._channel.close()
        except self._failures:
            return  # the connection is gone, and the channel with it
        finally:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_stderr(self) -> None:
        while self._channel.recv_stderr_ready():
            self._stderr += self._take(self._channel.recv_stderr, CHUNK_BYTES)
            del self._stderr[:-KEPT_STDERR_BYTES]

    def _take(self, receive: Callable[[int], bytes], max_bytes: int) -> bytes:
        """Receive what is ready; paramiko then tells the box to send more, which fails on a broken connection."""
        try:
            return receive(max_bytes)
        except self._failures as error:
            self._raise_if_lost(error)
            raise ConnectionLost(f"the connection broke while `{self.command}` sent its output") from error

    def _raise_if_lost(self, cause: BaseException | None = None) -> None:
        """Tell a command that ended from one whose connection did: paramiko closes the channel in both cases."""
        if self._channel.exit_status != -1:
            return
        until = time.monotonic() + (0.2 if self._channel.eof_received else 1.0)
        while True:
            lost = self._lost()
            if lost is not None:
                raise lost from cause
            if self._channel.exit_status != -1 or time.monotonic() > until:
                return
            time.sleep(0.02)

    def _step(self, deadline: float | None, timeout_s: float | None, what: str) -> float:
        if deadline is None:
            return STEP_S
        left = deadline - time.monotonic()
        if left <= 0:
            raise CommandTimeout(f"`{self.command}` {what} for {timeout_s:g} s")
        return min(STEP_S, left)
