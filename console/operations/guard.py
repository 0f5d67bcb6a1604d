"""Guard: give a box the order to give itself back, so that its bill ends with the laptop asleep, lost or dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.operations.events import Report, silent
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.jobs import Agent, DeadmanStatus


class Unguarded(Exception):
    """The box could not prove that it can end its own bill, and the settings do not allow such a box."""


def guard(session: Session, agent: Agent, instance_id: int, report: Report = silent) -> DeadmanStatus:
    """Arm the box's dead-man by the settings and the ledger's price, unless it is armed so; keep the proof on the
    ledger as the step "deadman".

    Raises:
        Unguarded: it cannot be proven, and `[guard] required` is set.
    """
    raise NotImplementedError


def extend(
    session: Session, agent: Agent, instance_id: int, *, usd: float | None = None, hours: float | None = None
) -> DeadmanStatus:
    """Raise what this instance may cost or last in all, and arm its dead-man anew."""
    raise NotImplementedError


def onstart_line(remote_root: str) -> str:
    """What a container's start script runs, so that dead-man, services and queued jobs come back with it."""
    return f'test -x "$HOME/{remote_root}/resume" && "$HOME/{remote_root}/resume"'
