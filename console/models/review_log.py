"""A run's decisions as lines of a file that only ever grows: one line a step, so that a crash loses none of them.

{"do":"decide","at":1790000003.1,"document":"…","page":3,"region":"…","before":{…},"after":{…}}
{"do":"undo","at":1790000009.8}
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from console.errors import WrongInput
from console.models.review_desk import STATUSES, Desk, Said, Step


class ReviewHeld(WrongInput):
    """Another console decides on the regions of this run now."""


class ReviewLogWrong(WrongInput):
    """A file of decisions cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a step, or None where the step before was taken back."""

    at: float
    step: Step | None


def read_log(path: Path) -> list[Entry]:
    """All whole lines; a last one that a crash tore is left out.

    Raises:
        ReviewLogWrong: the file cannot be read, or another line is none of ours.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ReviewLogWrong(f"{path} cannot be read ({error.strerror}): mend its permissions.") from error
    entries: list[Entry] = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        if not line:
            continue
        try:
            entries.append(_entry(orjson.loads(line)))
        except orjson.JSONDecodeError as error:
            if not line.startswith(b'{"do":'):  # a crash cut it short, and the next session began a line behind it
                raise ReviewLogWrong(f"{path}, line {number}, is no decision ({error}): move the file away.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ReviewLogWrong(f"{path}, line {number}, is no decision ({error}): move the file away.") from error
    return entries


def replay(desk: Desk, entries: list[Entry]) -> float:
    """Take the steps of a log; returns when the last of them was made, 0.0 without any."""
    for entry in entries:
        if entry.step is None:
            desk.undo()
        else:
            desk.replay(entry.step)
    return entries[-1].at if entries else 0.0


class DecisionLog:
    """Writes a run's decisions, in their order, in a thread: a key press never waits for the disk."""

    def __init__(self, path: Path, failed: Callable[[str], None]) -> None:
        """Hold the file.

        Args:
            path: made where it is not there.
            failed: told, in the writing thread, why a decision could not be kept.

        Raises:
            ReviewHeld: another process holds it.
            ReviewLogWrong: it cannot be written.
        """
        self.path = path
        self._failed = failed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("ab")
        except OSError as error:
            raise ReviewLogWrong(f"{path} cannot be written ({error.strerror}): mend its permissions.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ReviewHeld(
                f"Another console reviews this run: its decisions stand in {path}. Leave it first."
            ) from None
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._begun = False
        self._sent = 0
        self._done = 0

    @property
    def pending(self) -> int:
        """Steps that are not on the disk yet."""
        return self._sent - self._done

    def settle(self, within_s: float = 5.0) -> None:
        """Wait until what was put is on the disk; call it from a worker."""
        until = time.monotonic() + within_s
        while self.pending and time.monotonic() < until:
            time.sleep(0.005)

    def put(self, step: Step, at: float) -> None:
        """Keep a step."""
        document, page, region = step.key
        self._send(
            {
                "do": "decide", "at": at, "document": document, "page": page, "region": region,
                "before": _told(step.before), "after": _told(step.after),
            }
        )  # fmt: skip

    def put_undo(self, at: float) -> None:
        """Keep that the last step was taken back."""
        self._send({"do": "undo", "at": at})

    def close(self, within_s: float = 5.0) -> None:
        """Let what is under way get to the disk, and let go of the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(within_s)
        try:
            self._file.close()
        except OSError as error:  # the disk was full, and is: what waited for room is lost
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        self._failed(f"A decision could not be kept in {self.path}: {error.strerror}")

    def _send(self, told: dict[str, Any]) -> None:
        self._sent += 1
        self._queue.put(orjson.dumps(told) + b"\n")
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="decisions", daemon=True)
            self._thread.start()

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                if not self._begun:
                    self._mend()
                    self._begun = True
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                self._lost(error)
            self._done += 1

    def _mend(self) -> None:
        """End a line that a crash tore, so that ours is one of its own."""
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) is not None and file.read(1) != b"\n":
                self._file.write(b"\n")


def _told(said: Said) -> dict[str, Any]:
    return {
        "status": said.status,
        **({} if said.label is None else {"label": said.label}),
        **({} if said.box_px is None else {"bbox_px": list(said.box_px)}),
    }


def _entry(line: dict[str, Any]) -> Entry:
    if line["do"] == "undo":
        return Entry(float(line["at"]), None)
    if line["do"] != "decide":
        raise ValueError(f"it does {line['do']!r}")
    key = (str(line["document"]), int(line["page"]), str(line["region"]))
    return Entry(float(line["at"]), Step(key, _said(line["before"]), _said(line["after"])))


def _said(told: dict[str, Any]) -> Said:
    if told["status"] not in STATUSES:
        raise ValueError(f"it decides {told['status']!r}")
    box = told.get("bbox_px")
    if box is not None:
        x, y, width, height = (float(side) for side in box)
        box = (x, y, width, height)
    return Said(told["status"], told.get("label"), box)
