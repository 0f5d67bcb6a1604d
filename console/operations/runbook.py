"""Where each run stands, as the laptop knows it: one small JSON file a run, replaced whole at every step."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from console.errors import WrongInput
from console.workspace import Workspace


class RunNotFound(WrongInput):
    """No run has this id."""


HOLD_PATIENCE_S = 0.5
DRIVES = "drives"


class RunBusy(Exception):
    """Another process works on this run."""


class Phase(StrEnum):
    """How far a run has come; each phase is entered after its effect is on disk."""

    PLANNED = "planned"
    RENTED = "rented"
    READY = "ready"
    PUSHED = "pushed"
    LAUNCHED = "launched"
    ENDED = "ended"
    PULLED = "pulled"
    COMPLETED = "completed"
    INGESTED = "ingested"
    DONE = "done"

    def reached(self, other: Phase) -> bool:
        """Whether this phase is `other` or a later one."""
        order = list(Phase)
        return order.index(self) >= order.index(other)


class RunEntry(BaseModel):
    """One run, seen from the laptop."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    run_id: str
    pipeline: str
    plan_key: str
    phase: Phase = Phase.PLANNED
    profile: str | None = None
    instance_id: int | None = None
    keep_instance: bool = False
    """Leave the instance rented when the run is done: it was there before, or the operator asked."""
    instances: int = 1
    """How many machines it is spread over."""
    sharded: bool = False
    """Whether it is worked on in shards: on several machines, or by several processes of one with several GPUs."""
    boxes: tuple[int, ...] = ()
    """Instances that work on a sharded run now, or hold results of it that are not here."""
    replace: bool = True
    """Rent another machine by itself when one is lost."""
    replacements: int = 0
    """How often it did."""
    here: bool = False
    """Whether it is worked on by this machine alone, and none is rented for it."""
    laptop_stages: tuple[str, ...] = ()
    """Stages that are done on this machine, when its boxes are through and gone."""
    secrets: tuple[str, ...] = ()
    """Variables of the environment that those want."""
    box_state: str | None = None
    """How the box's stages ended, once their results are here."""
    job_id: str | None = None
    attempt: int = 0
    interpreter: str | None = None
    exit_code: int | None = None
    state: str = "queued"
    """What became of the pipeline: queued, running, succeeded, incomplete, failed, cancelled, interrupted."""
    problem: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    freed_at: float | None = None
    """When it wanted nothing more of its machines (unix seconds, here); None while it does. What a kept one costs from
    then on is not the run's."""

    @property
    def machines(self) -> tuple[int, ...]:
        """Every instance that it works on or has results on."""
        one = () if self.instance_id is None else (self.instance_id,)
        return (*one, *(box for box in self.boxes if box != self.instance_id))

    @property
    def may_rent(self) -> bool:
        """Whether going on with it can cost a machine that it has not got."""
        through = self.phase is Phase.DONE and self.state == "succeeded"
        only_laptop = bool(self.laptop_stages) and self.box_state == "succeeded"
        return not (self.here or self.machines or through or only_laptop)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that works on a run, as it wrote itself down."""

    pid: int
    start: str
    """By which it is told from another process that had the number before or has it later; empty when unknown."""
    drives: bool
    """Whether it takes the run to its end; others fetch, cancel or move it, and are through soon."""


class Runbook:
    """The runs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.state / "runs"

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"

    def write(self, entry: RunEntry) -> RunEntry:
        """Keep `entry`, replacing what was there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        freed_at = (entry.freed_at or now) if entry.phase.reached(Phase.PULLED) else None
        entry = entry.model_copy(update={"updated_at": now, "freed_at": freed_at})
        path = self._path(entry.run_id)
        staged = path.with_suffix(f".{os.getpid()}.tmp")
        with staged.open("wb") as handle:
            handle.write(entry.model_dump_json(indent=1).encode())
            handle.flush()
            os.fsync(handle.fileno())
        staged.replace(path)
        return entry

    def update(self, run_id: str, **changes: Any) -> RunEntry:
        """Change some fields of one run."""
        return self.write(self.read(run_id).model_copy(update=changes))

    def read(self, run_id: str) -> RunEntry:
        """One run.

        Raises:
            RunNotFound: there is none with this id.
        """
        try:
            return RunEntry.model_validate(orjson.loads(self._path(run_id).read_bytes()))
        except FileNotFoundError:
            raise RunNotFound(f"no run {run_id!r} in this workspace: `spotter runs` lists them") from None
        except (orjson.JSONDecodeError, ValidationError) as error:
            raise RunNotFound(f"{self._path(run_id)} is damaged ({error}); remove it to forget the run") from error

    def forget(self, run_id: str) -> None:
        """Leave a run out of the book; its folder stays."""
        self._path(run_id).unlink(missing_ok=True)

    def resolve(self, text: str) -> RunEntry:
        """The run whose id is `text`, ends in it, or starts with it; `last` is the newest.

        Raises:
            RunNotFound: none fits, or several do; of no text too, which is a variable of a script that was not set.
        """
        if not text:
            raise RunNotFound("name a run: `spotter runs` lists them")
        entries = self.entries()
        if text == "last" and entries:
            return entries[0]
        matches = [entry for entry in entries if entry.run_id == text] or [
            entry for entry in entries if entry.run_id.endswith(text) or entry.run_id.startswith(text)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise RunNotFound(f"{text!r} fits {len(matches)} runs: {', '.join(entry.run_id for entry in matches[:5])}")
        raise RunNotFound(f"no run {text!r} in this workspace: `spotter runs` lists them")

    def entries(self) -> list[RunEntry]:
        """All runs, newest first; damaged files are left out (reading one by id names it)."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                found.append(RunEntry.model_validate(orjson.loads(path.read_bytes())))
            except (orjson.JSONDecodeError, ValidationError, FileNotFoundError):
                continue
        return sorted(found, key=lambda entry: entry.created_at, reverse=True)

    @contextmanager
    def hold(self, run_id: str, *, drives: bool = False) -> Iterator[None]:
        """Be the one process that works on this run; `drives`: takes it to its end, and lets go of it when asked.

        Raises:
            RunBusy: naming the process that does already.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{run_id}.lock").open("a+") as handle:
            if not _take(handle):
                handle.seek(0)
                holder = handle.readline().strip() or "another process"
                raise RunBusy(
                    f"run {run_id} is already driven by process {holder}; watch it with `spotter logs -f {run_id}`"
                )
            handle.truncate(0)
            handle.write(f"{os.getpid()}\n{_start_of(os.getpid())}\n{DRIVES if drives else ''}\n")
            handle.flush()
            try:
                yield
            finally:
                handle.truncate(0)

    def holder(self, run_id: str) -> int | None:
        """The process that works on this run now, if any. Looking never keeps a driver out for longer than a moment."""
        found = self.held_by(run_id)
        return found.pid if found is not None else None

    def held_by(self, run_id: str) -> Holder | None:
        """The same with what else it wrote of itself."""
        try:
            with (self._folder / f"{run_id}.lock").open("r") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    pid, start, role, *_rest = (*handle.read().split("\n"), "", "", "")
                    return Holder(int(pid), start, role == DRIVES) if pid.isdigit() else None
        except FileNotFoundError:
            return None
        return None


def _start_of(pid: int) -> str:
    from remote.agent import process

    found = process.row(pid)
    return found.start if found is not None else ""


def _take(handle: TextIO) -> bool:
    """Lock for writing; a process that only looks holds it for microseconds, so a refusal is tried again a while."""
    deadline = time.monotonic() + HOLD_PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            return True
