"""The terms of a run, the same for one machine and for many: what the operator wishes, and how an end is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.models.run_view import EventFile
from console.operations.runbook import RunEntry
from console.operations.session import InstanceGone, Session

if TYPE_CHECKING:
    from remote.cloud import Instance

STOPPED = "stopped by Ctrl-C"
STATE_OF_EXIT = {0: "succeeded", 1: "failed", 2: "failed", 3: "incomplete", 4: "cancelled", 5: "interrupted"}


class InstanceTaken(WrongInput):
    """The run cannot work on the instance that was named: it works on another one, or that one is gone."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator wants of a run beyond its plan; None leaves things as they are."""

    profile: str | None = None
    instance_id: int | None = None
    """Work on this instance, and keep it."""
    keep: bool = False
    hold_unready: bool = False
    """Keep a machine that cannot be made ready, and billed: somebody will decide about it."""
    instances: int | None = None
    """Spread the run over so many machines; None: as it was begun, or as the settings say."""
    replace: bool | None = None
    """Rent another machine by itself when one is lost."""
    here: bool = False
    """Do it on this machine, and rent none."""
    may_rent: bool = True
    """False: work with the machines that there are, and rent none."""


def named_instance(session: Session, instance_id: int) -> Instance:
    """The instance that the operator named, as the cloud describes it.

    Raises:
        InstanceTaken: there is none.
    """
    try:
        return session.instance(instance_id)
    except InstanceGone as gone:
        raise InstanceTaken(f"{gone}: `spotter ps` lists what is rented") from gone


def only_final_failures(session: Session, entry: RunEntry, say: Callable[[str], None]) -> bool:
    """Whether going on could change nothing: everything else is done, and what failed will fail again."""
    if entry.state != "incomplete":
        return False
    events = EventFile(session.workspace.run_folder(entry.run_id) / "events.jsonl")
    events.catch_up()
    final = bool(events.failures) and not any(failure.retryable for failure in events.failures.values())
    if final:
        say("every page that can be parsed is parsed; --again parses all of them anew")
    return final
