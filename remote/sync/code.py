"""Which files are the workspace's own code: what git tracks and what is new or changed, without what is secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.release import ReleaseFile


class NoCode(Exception):
    """The folder is no git work tree, or git cannot be asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class CodeTree:
    """The workspace's code as it lies on this machine now, and the git state it stands at.

    `commit` is None before the first one; `dirty` are names that are not as committed; `left_out` says what was not
    taken and why (`name: reason`).
    """

    files: tuple[ReleaseFile, ...]
    commit: str | None
    dirty: tuple[str, ...]
    left_out: tuple[str, ...]


def workspace_code(folder: Path, *, without: Sequence[Path] = (), secrets: Sequence[str] = ()) -> CodeTree:
    """Tracked, changed and new files of the git work tree below `folder`, as they lie there now; nothing ignored.

    `without` are folders that travel otherwise (data, results, state). A file that looks like a secret, or holds one
    of `secrets`, is left out even if git tracks it.

    Raises:
        NoCode: there is no git here.
    """
    raise NotImplementedError
