"""One sync command on the box and the conversation with it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.bootstrap.install import install_agent, known_agent, learn_agent, start_line
from remote.ssh.connection import BULK_WINDOW_BYTES
from remote.transport import ConnectionLost, Transport, TransportError

GREETING = b'{"spotter-transfer":'
STARTED = b'{"spotter-start":'
START_LIMIT_S = 30.0
SILENCE_LIMIT_S = 600.0
"""The box may hash a large file before it says anything; a dead peer is noticed by the transport much sooner."""
WRITE_BYTES = 256 * 1024
PACKETS_TOGETHER = 16


class TransferError(TransportError):
    """The box could not store or send what was asked; the text is its sentence."""


class Session:
    """A sync command on the box: frames and bytes both ways."""

    def __init__(self, transport: Transport, root: str, command: str) -> None:
        """Start the command and wait for its greeting; the agent is put on the box first if it is not there.

        Raises:
            ConnectionLost, TransferError, remote.bootstrap.install.NoInterpreter: it did not come up.
        """
        self._command = command
        self._unsent = bytearray()
        self._start(transport, root)
        try:
            self._reader.skip_until(GREETING)
            self._reader.header()
        except BrokenFrame as error:
            self._stream.close()
            raise self._failed(error) from error
        except BaseException:
            self._stream.close()
            raise

    def _start(self, transport: Transport, root: str) -> None:
        agent = known_agent(transport, root)
        if agent is None:  # the first command of this connection: ask and start with the same round trip
            self._open(transport, start_line(root, self._command))
            try:
                self._reader.skip_until(STARTED)
                found = (self._reader.header() or {})["spotter-start"]
            except BrokenFrame:
                found = {"installed": False}
            except BaseException:
                self._stream.close()
                raise
            if found["installed"]:
                learn_agent(transport, root, found)
                return
            self._stream.close()
            agent = install_agent(transport, root)
        self._open(transport, agent.command(self._command, agent.root))

    def _open(self, transport: Transport, line: str) -> None:
        self._stream = transport.open(line, timeout_s=START_LIMIT_S, bulk=True)
        self._reader = FrameReader(
            lambda size: self._stream.read(size, timeout_s=SILENCE_LIMIT_S), chunk_bytes=BULK_WINDOW_BYTES
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the command on the box ends."""
        self._stream.close()

    def tell(self, header: dict[str, Any]) -> None:
        """Send one frame now."""
        self.feed(frame(header))
        self.flush()

    @property
    def chunk_bytes(self) -> int:
        """How much to feed at a time: whole packets, about 512 KiB."""
        return PACKETS_TOGETHER * self._stream.packet_bytes

    def feed(self, data: bytes) -> None:
        """Send bytes, gathered into large writes: small ones would cost a packet each."""
        if not self._unsent and len(data) >= WRITE_BYTES:
            self._write(data)
            return
        self._unsent += data
        if len(self._unsent) >= WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered.

        Raises:
            TransferError: the box gave up; its own reason.
        """
        data, self._unsent = bytes(self._unsent), bytearray()
        self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data, timeout_s=SILENCE_LIMIT_S)
        except BrokenPipeError as error:
            self.ask()  # the box said why before it ended
            raise self._failed(error) from error

    def ask(self) -> dict[str, Any]:
        """The box's next frame.

        Raises:
            TransferError: it is an error.
            ConnectionLost: the connection broke.
        """
        try:
            header = self._reader.header()
        except BrokenFrame as error:
            raise self._failed(error) from error
        if header is None:
            raise self._failed(None)
        if "error" in header:
            raise TransferError(f"{self._command} on the box: {header['error']['message']}")
        return header

    def some(self, max_bytes: int) -> bytes:
        """Bytes of a payload, at least one."""
        try:
            return self._reader.some(max_bytes)
        except BrokenFrame as error:
            raise self._failed(error) from error

    def exactly(self, size: int) -> bytes:
        """A payload of `size` bytes."""
        try:
            return self._reader.exactly(size)
        except BrokenFrame as error:
            raise self._failed(error) from error

    def _failed(self, cause: Exception | None) -> TransportError:
        try:
            code = self._stream.wait(timeout_s=5)
        except ConnectionLost as lost:
            return lost
        lines = self._stream.stderr.decode("utf-8", "replace").strip().splitlines()
        why = " | ".join(lines[-3:]) or str(cause or "it printed nothing")
        return TransferError(f"{self._command} on the box ended early (exit code {code}): {why}")
