"""What a job is and how it stands, in the words that laptop and box share."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

ENDED_STATES = ("exited", "cancelled", "failed", "lost")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class JobSpec:
    """One process to run on a box. Nothing secret belongs in `argv` or `env`.

    Paths are absolute on the box or relative to its Spotter root. The process gets the box's HOME and PATH,
    `env`, the secrets, and SPOTTER_JOB_ID.
    """

    id: str
    argv: tuple[str, ...]
    cwd: str = "."
    env: dict[str, str] = field(default_factory=dict)
    secret_files: dict[str, str] = field(default_factory=dict)
    """Environment name → file on the box that holds its value."""
    log: str | None = None
    """Where stdout and stderr are appended; `jobs/<id>/log` by default."""
    cancel_file: str | None = None
    """Made before SIGTERM on a cancel, so that the process can tell it from an interruption."""
    grace_s: float = 10.0
    """From SIGTERM to SIGKILL."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "argv", tuple(self.argv))
        if not _ID.fullmatch(self.id):
            raise ValueError(f"a job id is letters, digits, '.', '_' and '-', not {self.id!r}")
        if not self.argv:
            raise ValueError(f"job {self.id} has no command")

    def to_json(self) -> dict[str, Any]:
        """Plain values; `JobSpec(**…)` reads them back."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Tells two specs under one id apart."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class JobStatus:
    """How a job stands. Times are unix seconds by the box's clock.

    state: starting | running | stopping | exited | cancelled | failed (could not be started) |
    lost (its supervisor died, so nobody knows the exit code).
    """

    id: str
    state: str
    log: str
    """Absolute on the box."""
    exit_code: int | None = None
    """None until it ended, and when a signal ended it."""
    signal: int | None = None
    pid: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    heartbeat_at: float | None = None
    message: str = ""
    survivors: tuple[int, ...] = ()
    """Processes of a lost job that still live; `cancel` ends them."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will change by itself."""
        return self.state in ENDED_STATES

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobStatus:
        """From `to_json` of this or a newer version: names that are not known here are left out."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        known["survivors"] = tuple(known.get("survivors", ()))
        return cls(**known)
