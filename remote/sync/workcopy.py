"""The working copy on a box, seen from here: bring it up to date, list it, fetch one file of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.agent.workcopy import COPY
from remote.sync.compare import Side
from remote.sync.pull import receive_ranged
from remote.sync.session import Session
from remote.transport import Transport


@dataclass(frozen=True, slots=True)
class CopyFile:
    """One file that the working copy shall have; `source` is its content below the root: in a release, or a blob."""

    name: str
    mode: int
    sha256: str
    source: str


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What a checkout did. `conflicts` were edited on the box and left alone; `kept` were moved aside, by old name."""

    path: str
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    conflicts: tuple[str, ...]
    kept: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BoxCopy:
    """What lies in the working copy, and what each file was when both machines last agreed (sha256 by name)."""

    path: str
    files: Mapping[str, Side]
    base: Mapping[str, str]


def stamp() -> str:
    """The time as the names of versions that lost carry it."""
    return time.strftime("%Y%m%d-%H%M%S")


def checkout(
    transport: Transport, root: str, files: Sequence[CopyFile], *, take: Sequence[str] = (), partial: bool = False
) -> CheckedOut:
    """Bring `<root>/workspace` to `files`. What was edited there stays, unless `take` names it: then it is kept aside.

    With `partial`, files that are not named stay; otherwise those that were pushed before are removed.

    Raises:
        ConnectionLost, TransferError: call again; every file is the old or the new one.
    """
    rows = [[file.name, file.mode, file.sha256, file.source] for file in files]
    with Session(transport, root, "checkout") as session:
        session.tell({"files": rows, "take": list(take), "partial": partial, "stamp": stamp()})
        done = session.ask()
    return CheckedOut(
        str(done["path"]),
        tuple(done["updated"]),
        tuple(done["removed"]),
        tuple(done["conflicts"]),
        dict(done["kept"]),
    )


def list_copy(transport: Transport, root: str, below: str = "") -> BoxCopy:
    """What lies in the working copy, below a name if one is given; its caches are left out."""
    with Session(transport, root, "list-copy") as session:
        session.tell({"below": below})
        answer = session.ask()
    files = {str(name): Side(int(size), float(mtime), str(sha)) for name, size, mtime, sha in answer["files"]}
    return BoxCopy(str(answer["path"]), files, answer["base"])


def fetch(transport: Transport, root: str, name: str, side: Side, draft: Path) -> bool:
    """Fetch one file of the working copy into `draft`; False when it is not what `side` says any more."""
    with Session(transport, root, "send-run") as session:
        return receive_ranged(session, COPY, name, side.size, side.sha256, draft)


def agree(transport: Transport, root: str, name: str, sha256: str) -> bool:
    """Note on the box that this machine has its version of `name`; False when it was edited there meanwhile."""
    with Session(transport, root, "agree") as session:
        session.tell({"name": name, "sha256": sha256})
        return bool(session.ask()["agreed"])
