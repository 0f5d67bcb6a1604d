"""One authenticated SSH connection: commands and streams on it, and what to say when it breaks."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from remote.cloud import Endpoint
from remote.ssh.errors import CommandFailed, CommandTimeout, ConnectionLost, PortClosed, TransportError, brief
from remote.ssh.liveness import Watchdog
from remote.ssh.stream import STEP_S, Completed, Stream
from remote.ssh.tally import Note, Tally

if TYPE_CHECKING:
    import paramiko

    from remote.ssh.sock import WatchedSocket

MAX_CHANNELS = 8
"""OpenSSH allows ten sessions on a connection by default."""
REFUSED_S = 10.0
"""So long may a box count commands that ended: a busy one buries them late, and refuses the next until then."""
REFUSED_PAUSE_S = 0.05
BULK_WINDOW_BYTES = 4 << 20
"""How far the box may send ahead of us: twice what a line of 200 Mbit/s and 80 ms holds. Four times as much was slower
(`benchmarks/sync.py`, small files over the slow line)."""


class Transport:
    """One authenticated connection to one box. Safe to use from several threads; at most eight commands at once."""

    def __init__(self, wire: paramiko.Transport, sock: WatchedSocket, endpoint: Endpoint, user: str) -> None:
        self.endpoint = endpoint
        self.user = user
        self._wire = wire
        self._sock = sock
        self._tally: Tally | None = None
        self._why_lost: str | None = None
        self._slots = threading.BoundedSemaphore(MAX_CHANNELS)
        self._watchdog = Watchdog(wire, sock, self._lose)
        self._watchdog.start()

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] | None = None,
        timeout_s: float = 60,
    ) -> Completed:
        """Run to the end and collect the output. A sequence is quoted for the shell; a string goes to it as it is.

        Raises:
            CommandTimeout: it did not end within `timeout_s`; its channel was closed.
            ConnectionLost: the connection broke; whether the command ended is unknown.
        """
        deadline = time.monotonic() + timeout_s
        with self.open(command, timeout_s=timeout_s) as stream:
            feeder = _Feeder(stream, stdin, timeout_s)
            feeder.start()
            output = bytearray()
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise CommandTimeout(f"`{stream.command}` did not end within {timeout_s:g} s")
                try:
                    chunk = stream.read(timeout_s=min(left, STEP_S))
                except CommandTimeout:
                    feeder.raise_failure()
                    continue
                if not chunk:
                    break
                output += chunk
            exit_code = stream.wait(timeout_s=max(0.1, deadline - time.monotonic()))
            feeder.raise_failure()
            return Completed(exit_code, bytes(output), stream.stderr)

    def check(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] | None = None,
        timeout_s: float = 60,
    ) -> Completed:
        """Like `run`, but an exit code other than zero raises CommandFailed with the last lines."""
        completed = self.run(command, stdin=stdin, timeout_s=timeout_s)
        if completed.exit_code != 0:
            raise CommandFailed(brief(command), completed.exit_code, completed.last_lines())
        return completed

    def open(self, command: str | Sequence[str], *, timeout_s: float = 20, bulk: bool = False) -> Stream:
        """Start a command and talk to it. The box gets nothing of this machine's environment.

        `bulk` lets the box send far ahead, for a command whose output is files: read all that is there at once.

        Raises:
            CommandTimeout: eight commands are running, or the box did not start it within `timeout_s`.
            ConnectionLost: the connection broke.
        """
        import paramiko

        line = command if isinstance(command, str) else shlex.join(command)
        self._acquire_slot(timeout_s)
        channel: paramiko.Channel | None = None
        try:
            channel = self._open_session(BULK_WINDOW_BYTES if bulk else None, timeout_s)
            with self._watchdog.deadline(timeout_s, channel.close):
                channel.exec_command(line.encode("utf-8", "surrogateescape"))
        except paramiko.ChannelException as error:
            self._slots.release()
            raise TransportError(f"the box refuses another command on this connection: {error.text}") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if channel is not None:
                channel.close()
            self._slots.release()
            lost = self.lost()
            if lost is not None:
                raise lost from error
            raise CommandTimeout(f"`{brief(command)}` was not started within {timeout_s:g} s ({error})") from error
        except BaseException:
            if channel is not None:
                channel.close()
            self._slots.release()
            raise
        return Stream(channel, brief(command), self.lost, self._slots.release)

    def _open_session(self, window_bytes: int | None, timeout_s: float) -> paramiko.Channel:
        """A channel for a command; asked for again while the box refuses it, which hears late that a slot is free."""
        import paramiko

        deadline = time.monotonic() + min(timeout_s, REFUSED_S)
        while True:
            try:
                return self._wire.open_session(window_bytes, timeout=timeout_s)
            except paramiko.ChannelException as error:
                forbidden = error.code == paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
                if forbidden or time.monotonic() >= deadline:
                    raise
            time.sleep(REFUSED_PAUSE_S)

    def open_port(self, host: str, port: int, *, timeout_s: float = 15) -> paramiko.Channel:
        """A byte stream to `host:port` as the box sees it (`direct-tcpip`); it counts as no command.

        Raises:
            PortClosed: nothing listens there, or the box allows no tunnel to it.
            CommandTimeout: the box did not say within `timeout_s` whether it does.
            ConnectionLost: the connection broke.
        """
        import paramiko

        try:
            return self._wire.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout_s)
        except (paramiko.SSHException, EOFError, OSError) as error:
            lost = self.lost()
            if lost is not None:
                raise lost from error
            if "Timeout" in str(error):
                raise CommandTimeout(f"the box did not open {host}:{port} within {timeout_s:g} s") from error
            raise PortClosed(f"nothing listens on {host}:{port} of the box") from error

    def ping(self, *, timeout_s: float = 5) -> float:
        """Ask the SSH server for a sign of life; the round trip in seconds.

        Raises:
            ConnectionLost: none came.
        """
        round_trip_s = self._watchdog.ping(timeout_s) if self.alive else None
        if round_trip_s is None:
            raise self.lost() or ConnectionLost(f"{self.endpoint} did not answer a ping within {timeout_s:g} s")
        return round_trip_s

    def count_traffic(self, note: Note) -> None:
        """Tell `note` of every byte carried from the first on: twice a minute, and at the end. It must not raise."""
        self._tally = Tally(self._sock, note)
        self._watchdog.on_tick = self._tally.tick

    @property
    def alive(self) -> bool:
        """Whether the connection is up as far as we know: a frozen peer is noticed within ten seconds."""
        return self._why_lost is None and self._wire.is_active()

    def lost(self) -> ConnectionLost | None:
        """Why the connection is gone, or None while it is up."""
        if self.alive:
            return None
        return ConnectionLost(f"the connection to {self.endpoint} is lost: {self._why_lost or 'the box hung up'}")

    def close(self) -> None:
        """Hang up. Commands that run on the box see their pipes close."""
        self._lose("it was closed here")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lose(self, why: str) -> None:
        if self._why_lost is None:
            self._why_lost = why
        self._watchdog.stop()
        self._wire.close()
        if self._tally is not None:
            self._tally.tell()

    def _acquire_slot(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._slots.acquire(timeout=STEP_S):
            lost = self.lost()
            if lost is not None:
                raise lost
            if time.monotonic() > deadline:
                raise CommandTimeout(
                    f"{MAX_CHANNELS} commands are already running on the connection to {self.endpoint}"
                )


class _Feeder:
    """Feeds a command's stdin beside its reader, so that neither side can wait for the other for ever."""

    def __init__(self, stream: Stream, stdin: bytes | Iterable[bytes] | None, timeout_s: float) -> None:
        self._stream = stream
        self._stdin = stdin
        self._timeout_s = timeout_s
        self._failure: BaseException | None = None

    def start(self) -> None:
        if self._stdin is None:
            self._stream.close_stdin()
        else:
            threading.Thread(target=self._feed, name="ssh-stdin", daemon=True).start()

    def raise_failure(self) -> None:
        """Raise what the source of the bytes raised."""
        if self._failure is not None:
            raise self._failure

    def _feed(self) -> None:
        chunks = (self._stdin,) if isinstance(self._stdin, bytes) else self._stdin
        try:
            for chunk in chunks or ():
                self._stream.write(chunk, timeout_s=self._timeout_s)
            self._stream.close_stdin()
        except (BrokenPipeError, TransportError):
            return  # the command ended early or the connection broke: the reader sees which, with more to say
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked for it
            self._failure = error
