"""What is being sent to each box, and what was sent last: a small file a box, which any process can read."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

import orjson

from console.operations.events import OperationEvent, Report, silent
from console.workspace import Workspace

WRITE_EVERY_S = 0.25
"""Ticks come faster than anybody reads them."""
STOP_PATIENCE_S = 20.0

TransferState = Literal["running", "finished", "failed", "broken off"]


class NothingToStop(Exception):
    """Nothing is being sent to this box from here."""


class DoesNotStop(Exception):
    """The process that sends does not end."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The last transfer to a box, or the one that is under way."""

    what: str
    """`push`, or `sync --watch`."""
    pid: int
    state: TransferState
    message: str
    """What it says of itself."""
    started_at: float
    """Unix seconds."""
    updated_at: float
    last_ok_at: float | None = None
    """When something was last sent to its end; None: never from this workspace."""
    step_at: float = 0.0
    """When the step began that `done` and `total` are about."""
    done: float = 0.0
    total: float | None = None
    unit: str = ""

    @property
    def rate(self) -> float | None:
        """Units a second of the step that is under way; None while nothing is known."""
        took = self.updated_at - self.step_at
        return self.done / took if self.state == "running" and self.done and took > 0 else None

    @property
    def fraction(self) -> float | None:
        """How far the step is, 0 to 1; None when that is not known."""
        return self.done / self.total if self.total else None


class TransferNotes:
    """The notes of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.state / "transfers"

    def _note(self, instance_id: int) -> Path:
        return self._folder / f"{instance_id}.json"

    def _lock(self, instance_id: int) -> Path:
        return self._folder / f"{instance_id}.lock"

    def read(self, instance_id: int) -> Transfer | None:
        """The last transfer to a box; one whose process is gone without a word is `broken off`. None: none yet."""
        try:
            found = Transfer(**orjson.loads(self._note(instance_id).read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
            return None
        if found.state == "running" and self.holder(instance_id) is None:
            return replace(found, state="broken off")
        return found

    def holder(self, instance_id: int) -> int | None:
        """The process that sends to a box now, if any."""
        try:
            with self._lock(instance_id).open("r") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    text = handle.read().strip()
                    return int(text) if text.isdigit() else None
        except FileNotFoundError:
            pass
        return None

    @contextmanager
    def noting(self, instance_id: int, what: str) -> Iterator[Report]:
        """A report that keeps the note of a transfer for as long as the block lasts.

        Two transfers to one box may run beside each other; the first one keeps the note. Where none can be kept, the
        transfer goes on without.
        """
        with ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                handle = stack.enter_context(self._lock(instance_id).open("a+"))
                taken = _take(handle)
            except OSError:
                taken = False
            if not taken:
                yield silent
                return
            writer = _Writer(self._note(instance_id), what, self.read(instance_id))
            try:
                yield writer.tell
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                writer.end("failed", "stopped" if stopped else str(error) or type(error).__name__)
                raise
            else:
                writer.end("finished", "")
            finally:
                handle.truncate(0)

    def stop(self, instance_id: int) -> None:
        """Interrupt what is being sent to a box, as Ctrl-C would, and wait until it has ended.

        Raises:
            NothingToStop: nothing is.
            DoesNotStop: it goes on; the text names the process.
        """
        sender = self.holder(instance_id)
        if sender is None:
            raise NothingToStop(f"nothing is being sent to instance {instance_id} from this workspace")
        with suppress(ProcessLookupError):
            os.kill(sender, signal.SIGINT)
        deadline = time.monotonic() + STOP_PATIENCE_S
        while self.holder(instance_id) is not None:
            if time.monotonic() > deadline:
                raise DoesNotStop(f"process {sender} sends to instance {instance_id} and does not stop: kill {sender}")
            time.sleep(0.1)


class _Writer:
    """Keeps one note; what it cannot write, on a full disk, must not end a transfer."""

    def __init__(self, path: Path, what: str, before: Transfer | None) -> None:
        now = time.time()
        last_ok = before.last_ok_at if before is not None else None
        self._path = path
        self._transfer = Transfer(what, os.getpid(), "running", "", now, now, last_ok, now)
        self._written_at = 0.0
        self._write()

    def tell(self, event: OperationEvent) -> None:
        """Take in what an operation says."""
        now = time.time()
        transfer = replace(self._transfer, message=event.message, updated_at=now)
        if event.state == "started":
            transfer = replace(transfer, step_at=now, done=0.0, total=None, unit="")
        elif event.state == "progress":
            transfer = replace(transfer, done=event.done, total=event.total, unit=event.unit)
        elif event.state == "finished" and event.operation == "push":
            transfer = replace(transfer, last_ok_at=now)
        self._transfer = transfer
        if event.state != "progress" or time.monotonic() - self._written_at >= WRITE_EVERY_S:
            self._write()

    def end(self, state: TransferState, message: str) -> None:
        """It is over."""
        self._transfer = replace(
            self._transfer, state=state, message=message or self._transfer.message, updated_at=time.time()
        )
        self._write()

    def _write(self) -> None:
        self._written_at = time.monotonic()
        staged = self._path.with_suffix(f".{os.getpid()}.tmp")
        with suppress(OSError):
            staged.write_bytes(orjson.dumps(asdict(self._transfer)))
            staged.replace(self._path)


def _take(handle: TextIO) -> bool:
    """Lock for writing, and leave our number there; who only looks holds it for microseconds, so try a few times."""
    for _attempt in range(10):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return True
    return False
