"""One sync command on the box and the conversation with it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.bootstrap.install import install_agent
from remote.transport import ConnectionLost, Transport, TransportError

GREETING = b'{"spotter-transfer":'
START_LIMIT_S = 30.0
SILENCE_LIMIT_S = 600.0
"""The box may hash a large file before it says anything; a dead peer is noticed by the transport much sooner."""
WRITE_BYTES = 256 * 1024


class TransferError(TransportError):
    """The box could not store or send what was asked; the text is its sentence."""


class Session:
    """A sync command on the box: frames and bytes both ways."""

    def __init__(self, transport: Transport, root: str, command: str) -> None:
        self.agent = install_agent(transport, root)
        self._command = command
        self._stream = transport.open(self.agent.command(command, self.agent.root), timeout_s=START_LIMIT_S)
        self._reader = FrameReader(lambda size: self._stream.read(size, timeout_s=SILENCE_LIMIT_S))
        self._unsent = bytearray()

    def __enter__(self) -> Self:
        try:
            self._reader.skip_until(GREETING)
            self._reader.header()
        except BrokenFrame as error:
            self._stream.close()
            raise self._failed(error) from error
        except BaseException:
            self._stream.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def tell(self, header: dict[str, Any]) -> None:
        """Send one frame now."""
        self.feed(frame(header))
        self.flush()

    def feed(self, data: bytes) -> None:
        """Send bytes, gathered into large writes: small ones would cost a packet each."""
        self._unsent += data
        if len(self._unsent) >= WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered.

        Raises:
            TransferError: the box gave up; its own reason.
        """
        data, self._unsent = bytes(self._unsent), bytearray()
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

    def _failed(self, cause: Exception | None) -> TransportError:
        try:
            code = self._stream.wait(timeout_s=5)
        except ConnectionLost as lost:
            return lost
        lines = self._stream.stderr.decode("utf-8", "replace").strip().splitlines()
        why = " | ".join(lines[-3:]) or str(cause or "it printed nothing")
        return TransferError(f"{self._command} on the box ended early (exit code {code}): {why}")
