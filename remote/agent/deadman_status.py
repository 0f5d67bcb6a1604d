"""What a dead-man last wrote of itself, and whether it still lives; light, since every agent of a laptop loads it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from remote.agent import process
from remote.agent.deadman_order import DeadmanStatus
from remote.agent.deadman_rules import Armed


def deadman_status(root: Path) -> DeadmanStatus:
    """How the dead-man below a root stands; `alive` is looked up now."""
    folder = root / "deadman"
    values = status_on_disk(folder)
    if values is not None:
        return replace(DeadmanStatus.from_json(values), alive=process.alive(values["process"]))
    armed = Armed.read(folder)
    if armed is None:
        return DeadmanStatus()
    return DeadmanStatus("armed", order=armed.order, proof=armed.proof, log=str(folder / "log"))


def status_on_disk(folder: Path) -> dict[str, Any] | None:
    """Its status file; None without a whole one."""
    try:
        values: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return values
