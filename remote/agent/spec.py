"""What a job is and how it stands, in the words that laptop and box share."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

ENDED_STATES = ("exited", "cancelled", "failed", "lost")
RESTARTS = ("never", "on-failure", "always")
MIB = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FIRST_FIELDS = ("id", "argv", "cwd", "env", "secret_files", "log", "cancel_file", "grace_s")
"""Always written; later fields only where they differ from their defaults, so that old specs keep their digests."""


@dataclass(frozen=True)
class Retry:
    """How often a job that failed is begun again, on the same box."""

    max: int = 0
    """Further attempts after the first."""
    backoff_s: float = 5.0
    """Before the second attempt; twice as long before each further one, at most ten minutes."""
    on: tuple[int, ...] = ()
    """Exit codes that are worth another attempt, 128 + n for signal n; empty: every failure."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", tuple(self.on))
        if self.max < 0 or self.backoff_s < 0:
            raise ValueError(f"a retry policy has no negative numbers: {self}")


@dataclass(frozen=True)
class Ready:
    """How to tell that a service can be used: one of `port` and `argv`."""

    port: int | None = None
    """A TCP port of the box's loopback that takes connections."""
    argv: tuple[str, ...] = ()
    """A command that exits 0, with the job's folder and environment."""
    every_s: float = 1.0
    timeout_s: float = 10.0
    """Of one check."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "argv", tuple(self.argv))
        if (self.port is None) == (not self.argv):
            raise ValueError("a ready check is a port or a command, one of the two")


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
    gpu: int | None = None
    """Index of the (first) GPU that it needs for itself: jobs of one GPU run one after another, in launch order."""
    gpus: int = 1
    """How many, from `gpu` on."""
    after: tuple[str, ...] = ()
    """Jobs that must have exited with 0, or services that must be ready, before this one starts."""
    retry: Retry = Retry()
    restart: str = "never"
    """never | on-failure | always: a service is begun again, for as long as nobody cancels it."""
    ready: Ready | None = None
    log_piece_bytes: int = 64 * MIB
    """The log goes on in a new file after this many bytes."""
    log_keep_bytes: int | None = None
    """Old pieces go once the newer ones hold this much; None keeps them all."""

    def __post_init__(self) -> None:
        for name in ("argv", "after"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.retry, Mapping):
            object.__setattr__(self, "retry", Retry(**self.retry))
        if isinstance(self.ready, Mapping):
            object.__setattr__(self, "ready", Ready(**self.ready))
        if not _ID.fullmatch(self.id):
            raise ValueError(f"a job id is letters, digits, '.', '_' and '-', not {self.id!r}")
        if not self.argv:
            raise ValueError(f"job {self.id} has no command")
        if self.restart not in RESTARTS:
            raise ValueError(f"job {self.id}: restart is one of {', '.join(RESTARTS)}, not {self.restart!r}")
        if self.restart != "never" and self.retry.max:
            raise ValueError(f"job {self.id} is a service (restart {self.restart!r}): it needs no retry policy")
        if self.gpus < 1 or (self.gpu is not None and self.gpu < 0) or (self.gpu is None and self.gpus > 1):
            raise ValueError(f"job {self.id} names no GPUs: gpu is the first index, gpus how many from there on")
        if self.id in self.after:
            raise ValueError(f"job {self.id} would wait for itself")
        if self.log_piece_bytes < 1 or (self.log_keep_bytes is not None and self.log_keep_bytes < 0):
            raise ValueError(f"job {self.id}: a log's pieces have a size")

    @property
    def gpu_indexes(self) -> tuple[int, ...]:
        """The GPUs that it needs for itself."""
        return () if self.gpu is None else tuple(range(self.gpu, self.gpu + self.gpus))

    @property
    def is_service(self) -> bool:
        """Whether it runs for ever: it neither ends well nor counts as work that is going on."""
        return self.restart != "never"

    @property
    def not_yet_ready(self) -> bool | None:
        """`JobStatus.ready` of a job that nobody has checked since it began; None says that it has no check."""
        return None if self.ready is None else False

    def to_json(self) -> dict[str, Any]:
        """Plain values; `JobSpec(**…)` reads them back."""
        return {
            each.name: asdict(value) if isinstance(value, (Retry, Ready)) else value
            for each in fields(self)
            for value in [getattr(self, each.name)]
            if each.name in _FIRST_FIELDS or each.default is MISSING or value != each.default
        }

    @property
    def digest(self) -> str:
        """Tells two specs under one id apart."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class JobStatus:
    """How a job stands. Times are unix seconds by the box's clock.

    state: queued (for a GPU, or for other jobs) | starting | running | restarting (between two attempts) | stopping |
    exited | cancelled | failed (could not be started) | lost (its supervisor died, so nobody knows the exit code).
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
    attempt: int = 1
    """The how-manieth start this is: retries, restarts of a service, and what a restart of the container began anew."""
    ready: bool | None = None
    """What the ready check last said, False before it said anything; None without one, and of a job that ended."""
    gpus: tuple[int, ...] = ()
    """The GPUs that it has, or waits for."""
    service: bool = False

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
        for name in ("survivors", "gpus"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)
