"""What the console remembers of its looks from one session to the next: a small JSON file of the workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.workspace import remembers

FILE = "console.json"


def read_state(folder: Path) -> dict[str, Any]:
    """What was remembered; nothing when there is no file or it is broken, for nothing hangs on it."""
    try:
        said = json.loads((folder / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def write_state(folder: Path, news: Mapping[str, Any]) -> None:
    """Remember `news` beside what was remembered before; nothing in a folder without workspace.

    Raises:
        OSError: it cannot be written.
    """
    if not remembers(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{FILE}.{os.getpid()}"
    temporary.write_text(json.dumps({**read_state(folder), **news}, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(folder / FILE)
