"""What lies in a folder of the box, for an operator who looks around."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from remote.agent.inside import resolve_inside


def folder_of(root: Path, path: str, limit: int) -> dict[str, Any]:
    """The folder's real path, its entries (folders first, each by name; at most `limit`) and how many there are.

    Links are told as links and not followed.

    Raises:
        UnsafePath: it is outside of `root`.
        OSError: it is no folder, or cannot be read.
    """
    where = resolve_inside(str(root), path)
    with os.scandir(where) as scan:
        found = [_entry(each) for each in scan]
    found.sort(key=lambda each: (each["kind"] != "folder", each["name"]))
    return {"path": where, "entries": found[:limit], "count": len(found)}


def _entry(entry: os.DirEntry[str]) -> dict[str, Any]:
    try:
        known = entry.stat(follow_symlinks=False)
    except OSError:  # it went away between the two looks
        return {"name": entry.name, "kind": "other", "size": 0, "mtime": 0.0}
    kinds = ((stat.S_ISLNK, "link"), (stat.S_ISDIR, "folder"), (stat.S_ISREG, "file"))
    kind = next((word for test, word in kinds if test(known.st_mode)), "other")
    return {"name": entry.name, "kind": kind, "size": known.st_size, "mtime": known.st_mtime}
