"""What a bootstrap step is, and the error of one that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.bootstrap.box import Box

LAST_LINES = 12
"""How much of a failed command's output is kept and shown."""


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
    """For one try: its check, run and check again."""
    retries: int = 0
    """How often it is tried again; more than none where a network takes part."""
    optional: bool = False
    """A box without it still does the main job: a failure is kept as evidence, and the next step begins."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step that was gone through.

    outcome: kept (recorded with the same inputs) | found (right without running) | ran |
    skipped (an optional one, impossible on this box) | failed (an optional one).
    """

    id: str
    inputs_hash: str
    outcome: str
    evidence: Mapping[str, str]
    elapsed_s: float


class StepUnmet(Exception):
    """A check found that its step is not done; the text says what it saw."""


class StepHopeless(StepUnmet):
    """The step cannot be done on this box, however often it is tried; the text says why."""


class BootstrapFailed(Exception):
    """A step could not be done; `step`, `command` and `last_lines` say where it stopped."""

    def __init__(self, step: str, command: str, last_lines: str, *, inputs_hash: str = "", tries: int = 1) -> None:
        often = f", tried {tries} times" if tries > 1 else ""
        super().__init__(f"bootstrap step {step!r} failed at `{command}`{often}: {last_lines or 'it printed nothing'}")
        self.step = step
        self.command = command
        self.last_lines = last_lines
        self.inputs_hash = inputs_hash
        self.tries = tries
