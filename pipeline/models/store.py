"""Where checkpoints lie on this machine, what their files were pinned to, and whether a file is what it must be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.files import sha256_file

ROOT_VARIABLE = "MODEL_DIR"
"""Folder of all checkpoints; a box's bootstrap sets it."""
PINS = "pins.json"
"""Below the root: every file that was fetched, with its size, sha256 and where it came from."""


def default_root() -> Path:
    """`MODEL_DIR`, else `.spotter/checkpoints` of a workspace, else the user's cache."""
    told = os.environ.get(ROOT_VARIABLE)
    if told:
        return Path(told)
    if Path(".spotter").is_dir():
        return Path(".spotter/checkpoints").absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "spotter" / "checkpoints"


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file was when it was first fetched."""

    bytes: int
    sha256: str


def read_pins(root: Path) -> Mapping[str, Pin]:
    """The pins of a root, by `<checkpoint>/<path>`; none when nothing was fetched."""
    try:
        data: dict[str, dict[str, Any]] = orjson.loads((root / PINS).read_bytes())
        return {name: Pin(int(told["bytes"]), str(told["sha256"])) for name, told in data.items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def is_right(path: Path, pin: Pin) -> bool:
    """Whether the file is there and what it must be; it is hashed only when it changed since the last time.

    That it was hashed stands in a note beside it, in the form in which a box's bootstrap writes it too.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != pin.bytes:
        return False
    note = path.with_name(f".{path.name}.verified")
    seen = {"size": pin.bytes, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino, "sha256": pin.sha256}
    with contextlib.suppress(OSError, ValueError):
        if orjson.loads(note.read_bytes()) == seen:
            return True
    if sha256_file(path) != pin.sha256:
        return False
    with contextlib.suppress(OSError):  # a folder that may not be written costs another hashing, no more
        note.write_bytes(orjson.dumps(seen))
    return True


def forget(path: Path) -> None:
    """Let a file be hashed anew, whatever was noted of it."""
    path.with_name(f".{path.name}.verified").unlink(missing_ok=True)
