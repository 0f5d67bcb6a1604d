"""One channel to the agent's program: requests from many threads, answers by id, one reader."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.agent.serve import GREETING
from remote.bootstrap.install import InstalledAgent
from remote.transport import CommandTimeout, ConnectionLost, Stream, Transport, TransportError

MAX_ANSWER_HEADER_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Answer:
    """What the agent answered: `header` has `ok` or `error`."""

    header: dict[str, Any]
    payload: bytes


@dataclass(slots=True)
class _Waiter:
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None


class AgentChannel:
    """The agent's program over one SSH channel. Broken for good when the channel ends: open another one."""

    def __init__(self, transport: Transport, agent: InstalledAgent, *, timeout_s: float = 20) -> None:
        """Start the program and wait for its greeting.

        Raises:
            ConnectionLost, CommandTimeout: it did not come up.
        """
        self.transport = transport
        self._stream = transport.open(agent.command("serve", agent.root), timeout_s=timeout_s)
        self._ids = itertools.count(1)
        self._waiters: dict[int, _Waiter] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._broken: TransportError | None = None
        try:
            greeter = FrameReader(lambda size: self._stream.read(size, timeout_s=timeout_s), MAX_ANSWER_HEADER_BYTES)
            greeter.skip_until(GREETING)
            self.greeting = greeter.header() or {}
        except BrokenFrame as error:
            self._stream.close()
            raise ConnectionLost(f"the agent on the box did not come up: {error}{_tail(self._stream)}") from error
        except BaseException:
            self._stream.close()
            raise
        greeter.read_with(lambda size: self._stream.read(size))
        threading.Thread(target=self._read_answers, args=(greeter,), name="agent-answers", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether answers can still come."""
        return self._broken is None and self.transport.alive

    def call(self, operation: str, arguments: dict[str, Any], payload: bytes, *, timeout_s: float) -> Answer:
        """Ask and wait for the answer.

        Raises:
            ConnectionLost: the channel broke; whether the operation was done is unknown.
            CommandTimeout: no answer within `timeout_s`.
        """
        number = next(self._ids)
        waiter = _Waiter()
        with self._lock:
            if self._broken is not None:
                raise self._broken
            self._waiters[number] = waiter
        try:
            self._send(frame({"id": number, "op": operation, "with": arguments}, payload), timeout_s)
            if not waiter.done.wait(timeout_s):
                raise CommandTimeout(f"the agent on the box did not answer {operation!r} within {timeout_s:g} s")
        finally:
            with self._lock:
                self._waiters.pop(number, None)
        if waiter.answer is None:
            raise self._broken or ConnectionLost("the agent's channel was closed")
        return waiter.answer

    def close(self) -> None:
        """End the program; jobs go on."""
        self._break(ConnectionLost("the agent's channel was closed here"))
        self._stream.close()

    def _send(self, data: bytes, timeout_s: float) -> None:
        if not self._writing.acquire(timeout=timeout_s):
            raise CommandTimeout(f"the channel to the agent takes nothing for {timeout_s:g} s")
        try:
            self._stream.write(data, timeout_s=timeout_s)
        except BrokenPipeError as error:
            raise ConnectionLost(f"the agent on the box ended{_tail(self._stream)}") from error
        except CommandTimeout as error:  # part of a request may be out: nothing after it would be understood
            self._break(ConnectionLost(str(error)))
            raise
        finally:
            self._writing.release()

    def _read_answers(self, reader: FrameReader) -> None:
        why: TransportError
        try:
            while True:
                header = reader.header()
                if header is None:
                    why = ConnectionLost(f"the agent on the box ended{_tail(self._stream)}")
                    break
                payload = reader.exactly(int(header.get("payload", 0)))
                with self._lock:
                    waiter = self._waiters.get(int(header.get("id") or 0))
                if waiter is not None:
                    waiter.answer = Answer(header, payload)
                    waiter.done.set()
        except BrokenFrame as error:
            why = ConnectionLost(f"the agent's channel broke: {error}{_tail(self._stream)}")
        except TransportError as error:
            why = error if isinstance(error, ConnectionLost) else ConnectionLost(str(error))
        self._break(why)
        self._stream.close()

    def _break(self, why: TransportError) -> None:
        with self._lock:
            if self._broken is None:
                self._broken = why
            waiters = list(self._waiters.values())
        for waiter in waiters:
            waiter.done.set()


def _tail(stream: Stream) -> str:
    lines = stream.stderr.decode("utf-8", "replace").strip().splitlines()
    return ": " + " | ".join(lines[-3:]) if lines else ""
