"""How far a re-rent has come, on disk before each step, so that the same command goes on after any crash."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from console.operations.session import Session


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

    def _write(self, entry: RerentEntry) -> RerentEntry:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(entry.old_id)
        staged = path.with_suffix(f".{os.getpid()}.tmp")
        with staged.open("wb") as handle:
            handle.write(entry.model_dump_json(indent=1).encode())
            handle.flush()
            os.fsync(handle.fileno())
        staged.replace(path)
        return entry
