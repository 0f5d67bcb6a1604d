"""Names that an operator may want to type: runs, instances, documents; read from this machine's files only, lightly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from console.workspace import Workspace

MOST = 200
"""More names than anybody reads."""
FILES_LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names by what they name, the newest first."""

    runs: tuple[str, ...] = ()
    instances: tuple[int, ...] = ()
    """Those that are rented."""
    documents: tuple[str, ...] = ()
    """Files under `data/`, as parameters write them."""

    def beginning(self, word: str) -> list[str]:
        """All names that begin with `word`; instances first, for they are short and cost money."""
        every = (*map(str, self.instances), *self.runs, *self.documents)
        return [name for name in every if name.casefold().startswith(word.casefold())]


def known_names(workspace: Workspace) -> KnownNames:
    """All of them; what cannot be read has no names."""
    return KnownNames(run_ids(workspace), instance_ids(workspace), documents(workspace))


def run_ids(workspace: Workspace) -> tuple[str, ...]:
    """Runs of the runbook; their ids begin with their time."""
    found = sorted((path.stem for path in (workspace.state / "runs").glob("*.json")), reverse=True)
    return tuple(found[:MOST])


def instance_ids(workspace: Workspace) -> tuple[int, ...]:
    """Instances on the ledger whose destroy is not confirmed. The ledger is only read: nobody who holds it waits."""
    if not workspace.ledger.is_file():
        return ()
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{workspace.ledger.as_uri()}?mode=ro", uri=True, timeout=0.2)) as ledger:
            rows = ledger.execute(
                "SELECT instance_id FROM instances WHERE closed_at IS NULL ORDER BY opened_at DESC LIMIT ?", (MOST,)
            )
            return tuple(int(row[0]) for row in rows)
    except sqlite3.Error:
        return ()  # a ledger of another version, or one that is being made: the command itself says what is wrong


def documents(workspace: Workspace) -> tuple[str, ...]:
    """Sources under `data/`, by name."""
    return tuple(sorted(islice(_files(workspace), MOST)))


def _files(workspace: Workspace) -> Iterator[str]:
    looked_at = 0
    for folder, folders, files in os.walk(workspace.data):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            looked_at += 1
            if looked_at > FILES_LOOKED_AT:
                return
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), workspace.root)  # noqa: PTH118
