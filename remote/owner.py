"""Which process made a request: so that another session can tell a rental in progress from one that was killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

START_TOLERANCE_S = 0.5


def owner_here() -> dict[str, float]:
    """This process, by id and start time (ids are used again)."""
    import psutil

    return {"pid": os.getpid(), "created_at": psutil.Process().create_time()}


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether the process that `owner` names still runs."""
    import psutil

    try:
        process = psutil.Process(int(owner["pid"]))
        same = abs(process.create_time() - float(owner["created_at"])) < START_TOLERANCE_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, ValueError):
        return False
