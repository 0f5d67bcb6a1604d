"""How far a re-rent has come, on disk before each step, so that the same command goes on after any crash."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from console.errors import WrongInput
from console.operations.session import Session
from pipeline.core.files import write_atomic


class RerentBusy(WrongInput):
    """Another process replaces this machine already."""


class Step(StrEnum):
    """Entered once its effect is on disk, or, for `RENTING`, right before the call that costs money."""

    BEGUN = "begun"
    HOME = "home"
    """What the run did is here, verified, and nothing of it works on the old machine any more."""
    RENTING = "renting"
    RENTED = "rented"
    MOVED = "moved"
    """The run's own book names the new machine."""

    def reached(self, other: Step) -> bool:
        """Whether this step is `other` or a later one."""
        order = list(Step)
        return order.index(self) >= order.index(other)


class RerentEntry(BaseModel):
    """One re-rent."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    cloud: str
    old_id: int
    run_id: str | None = None
    step: Step = Step.BEGUN
    offer_id: int | None = None
    """What is being rented."""
    renting_at: float = 0.0
    """When that began, in the cloud's time."""
    new_id: int | None = None
    given_up: bool = False
    """Whether the operator gave up what the old machine has and is not here; otherwise all of it is."""


class RerentBook:
    """The re-rents of a workspace that are not through."""

    def __init__(self, session: Session) -> None:
        self._folder = session.workspace.state / "rerent"
        self._cloud = session.cloud_name

    def _path(self, old_id: int) -> Path:
        return self._folder / f"{self._cloud.replace(':', '-')}-{old_id}.json"

    def read(self, old_id: int) -> RerentEntry | None:
        """The one of this instance; None when there is none, or its file is damaged: then it begins anew."""
        try:
            return RerentEntry.model_validate(orjson.loads(self._path(old_id).read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, ValidationError):
            return None

    def begin(self, old_id: int, run_id: str | None) -> RerentEntry:
        """Note that one begins, or go on with the one that did."""
        return self.read(old_id) or self._write(RerentEntry(cloud=self._cloud, old_id=old_id, run_id=run_id))

    def update(self, entry: RerentEntry, **changes: object) -> RerentEntry:
        """Change some fields."""
        return self._write(entry.model_copy(update=changes))

    def forget(self, old_id: int) -> None:
        """It is through."""
        self._path(old_id).unlink(missing_ok=True)

    @contextmanager
    def hold(self, old_id: int) -> Iterator[None]:
        """Be the one process that replaces this machine: two would rent two.

        Raises:
            RerentBusy: another one does.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(old_id).with_suffix(".lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RerentBusy(f"another process puts a machine in place of instance {old_id} already") from None
            yield

    def _write(self, entry: RerentEntry) -> RerentEntry:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(entry.old_id), entry.model_dump_json(indent=1).encode())
        return entry


def where_it_stands(entry: RerentEntry) -> str:
    """For whoever reads why it stopped: what is done, what is billed, and how to go on."""
    again = f"`spotter rerent {entry.old_id}` goes on"
    run = f"run {entry.run_id}" if entry.run_id else "the work"
    resume = f", `spotter run --resume {entry.run_id}` goes on with the old one" if entry.run_id else ""
    match entry.step:
        case Step.BEGUN:
            if entry.run_id is None:
                return f"nothing was rented and instance {entry.old_id} is as it was, and billed; {again}"
            return (
                f"nothing was rented; instance {entry.old_id} is billed on, and nobody follows run {entry.run_id}, "
                f"whose job there may have been ended: {again}{resume}"
            )
        case Step.HOME | Step.RENTING:
            kept = "what it did and is not here was given up" if entry.given_up else "what it did is here"
            return (
                f"{run} is stopped and {kept}; no other machine was rented; instance {entry.old_id} is still billed "
                f"unless it says otherwise above: {again}{resume}, `spotter destroy {entry.old_id}` gives it up"
            )
        case _:
            return f"instance {entry.new_id} is rented in place of {entry.old_id}: {again}"
