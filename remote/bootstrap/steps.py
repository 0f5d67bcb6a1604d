"""What a bootstrap step is, and the error of one that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.bootstrap.box import Box


@dataclass(frozen=True, slots=True)
class Step:
    """One idempotent piece of making a box ready. It is done only when `check` passes after `run`.

    `check` returns its evidence (text by name) or raises StepUnmet; `run` is None for a step that only looks.
    """

    id: str
    inputs_hash: str
    check: Callable[[Box], Mapping[str, str]]
    run: Callable[[Box], None] | None
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step that is done. `outcome`: kept (recorded with the same inputs) | found (right without running) | ran."""

    id: str
    inputs_hash: str
    outcome: str
    evidence: Mapping[str, str]
    elapsed_s: float


class StepUnmet(Exception):
    """A check found that its step is not done; the text says what it saw."""


class BootstrapFailed(Exception):
    """A step could not be done; `step`, `command` and `last_lines` say where it stopped."""

    def __init__(self, step: str, command: str, last_lines: str) -> None:
        super().__init__(f"bootstrap step {step!r} failed at `{command}`: {last_lines or 'it printed nothing'}")
        self.step = step
        self.command = command
        self.last_lines = last_lines
