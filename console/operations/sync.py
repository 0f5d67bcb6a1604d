"""Sync by hand: push code and data to a box's working copy, keep it live, and tell or settle what differs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from console.errors import WrongInput
from console.operations.events import Report, silent
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.sync.compare import Difference
    from remote.sync.push import Release
    from remote.transport import Transport

Winner = Literal["box", "laptop"]


class WhichInstance(WrongInput):
    """No instance was named and it is not clear which one is meant."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one push brought to the box; `conflicts` are names that were edited there and were therefore left alone."""

    instance_id: int
    worker_release: str
    code_release: str | None
    code_files: int
    dirty: tuple[str, ...]
    data_files: int
    sent_bytes: int
    conflicts: tuple[str, ...]
    left_out: tuple[str, ...]


def the_instance(session: Session, instance_id: int | None) -> int:
    """`instance_id`, or the only one that is rented.

    Raises:
        WhichInstance: none or several are.
    """
    raise NotImplementedError


def push_workspace_code(session: Session, transport: Transport, report: Report = silent) -> Release | None:
    """Push the workspace's own code as a release beside Spotter's; None when the workspace is no git work tree."""
    raise NotImplementedError


def push(session: Session, instance_id: int, report: Report = silent) -> Pushed:
    """Push Spotter's worker, the workspace's code and `data/`; what was edited on the box is kept and named."""
    raise NotImplementedError


def diff(session: Session, instance_id: int, path: str | None = None) -> list[Difference]:
    """What differs between this workspace and the box's working copy, below `path` if one is given."""
    raise NotImplementedError


def take(session: Session, instance_id: int, path: str, winner: Winner, report: Report = silent) -> str:
    """Make one file the same on both machines; the loser's version stays beside it. Returns the kept one's name."""
    raise NotImplementedError


def live(session: Session, instance_id: int, stop: threading.Event, report: Report = silent) -> None:
    """Push what changes in `data/` and code and index what arrives in `out/`, until `stop` is set."""
    raise NotImplementedError
