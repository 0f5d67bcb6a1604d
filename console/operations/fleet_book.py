"""Which boxes work on a run in shards, and how far each is: one small JSON file a run, written before each effect.

Which shard lies where is not in it: the boxes' own queues are the truth of that.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from console.workspace import Workspace

BoxState = Literal["wanted", "rented", "working", "leaving", "gone", "lost", "failed"]
"""leaving: its part is over, but its machine could not be destroyed yet, and is billed."""


class Box(BaseModel):
    """One machine of a run, from the wish for it until it is gone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    """`b1`, `b2` … in the order in which they were wanted; never used twice in a run."""
    state: BoxState = "wanted"
    instance_id: int | None = None
    kept: bool = False
    """It was rented before the run, or shall outlive it."""
    workers: int = 1
    """One process a GPU."""
    interpreter: str | None = None
    release: str | None = None
    launches: dict[str, int] = {}
    """Worker → how often it was started; on disk before the job is, so that each start happens once."""
    problem: str | None = None

    @property
    def living(self) -> bool:
        """Whether it may hold something, or cost something."""
        return self.state in ("wanted", "rented", "working", "leaving")


class Fleet(BaseModel):
    """All boxes of a run, and what they agreed on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempt: int = 1
    """Counts how often the run was begun anew: each attempt has queues of its own on the boxes."""
    keys: dict[str, str] = {}
    """Cache keys of the map stages, as the first box told them; a box that tells others is not taken."""
    stages: tuple[dict[str, Any], ...] = ()
    boxes: tuple[Box, ...] = ()


class FleetBook:
    """The fleet of one run on disk. Thread-safe: every box has a thread that writes here."""

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self.folder = workspace.state / "fleet" / run_id
        """The parts that were fetched lie here too, until the run is over."""
        self._path = self.folder / "fleet.json"
        self._lock = threading.Lock()
        self._fleet = Fleet.model_validate_json(self._path.read_bytes()) if self._path.exists() else Fleet()

    @property
    def fleet(self) -> Fleet:
        """As it stands."""
        return self._fleet

    def box(self, name: str) -> Box:
        """One box."""
        return next(box for box in self._fleet.boxes if box.name == name)

    def part(self, name: str, worker: int) -> Path:
        """Where this machine's copy of one worker's folder lies."""
        return self.folder / name / str(worker)

    def want(self, **values: Any) -> Box:
        """Note a further box."""
        with self._lock:
            box = Box(name=f"b{len(self._fleet.boxes) + 1}", **values)
            self._write(boxes=(*self._fleet.boxes, box))
        return box

    def update(self, name: str, **changes: Any) -> Box:
        """Change one box."""
        with self._lock:
            changed = self.box(name).model_copy(update=changes)
            self._write(boxes=tuple(changed if box.name == name else box for box in self._fleet.boxes))
        return changed

    def agree(self, keys: dict[str, str], stages: tuple[dict[str, Any], ...]) -> bool:
        """Take what the first box tells of its stages; whether this box tells the same."""
        with self._lock:
            if not self._fleet.keys:
                self._write(keys=keys, stages=stages)
            return self._fleet.keys == keys

    def begin_again(self) -> None:
        """A new attempt, with what is here and no box; code may have changed, so the keys are asked for anew."""
        with self._lock:
            self._write(attempt=self._fleet.attempt + 1, keys={}, stages=())

    def forget_parts(self) -> None:
        """Remove the fetched parts: the run's own folder holds all of it."""
        for folder in self.folder.glob("b*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, **changes: Any) -> None:
        fleet = self._fleet.model_copy(update=changes)
        self.folder.mkdir(parents=True, exist_ok=True)
        staged = self._path.with_suffix(f".{os.getpid()}.tmp")
        with staged.open("wb") as handle:
            handle.write(fleet.model_dump_json(indent=1).encode())
            handle.flush()
            os.fsync(handle.fileno())
        staged.replace(self._path)
        self._fleet = fleet
