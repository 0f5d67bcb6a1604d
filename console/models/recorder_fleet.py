"""What the recorder notes of the fleet: every change from one look to the next, and what burned. Pure functions.

Texts are kept in English, whatever the interface speaks when they are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.models.recorder import MoneyPoint, RecordedEvent

if TYPE_CHECKING:
    from console.models.fleet import FleetView, InstanceView

SAMPLED_STATES = frozenset({"running", "reachable", "authed", "verified", "bootstrapped", "ready", "draining"})
"""In which a box answers, or should."""


def fleet_changes(before: FleetView | None, after: FleetView, at: float) -> list[RecordedEvent]:
    """What changed between two good looks at the fleet; nothing at the first one, which changes nothing.

    Args:
        before: the look before.
        after: this one.
        at: Unix seconds of this machine.
    """
    if before is None or before.error is not None or after.error is not None:
        return []
    known = {each.id: each for each in before.instances if each.billed}
    found = []
    for now in after.instances:
        if not now.billed:
            continue
        was = known.pop(now.id, None)
        if was is None:
            found.append(RecordedEvent(at, "money", f"rented: {now.gpu} at ${now.usd_per_hour:.3f}/h", now.id))
        else:
            found += _changes(was, now, at)
    found += [
        RecordedEvent(at, "money", f"gone: its bill ended at ${gone.spent_usd:.4f}", gone.id) for gone in known.values()
    ]
    return found


def _changes(was: InstanceView, now: InstanceView, at: float) -> list[RecordedEvent]:
    found = []
    if was.state != now.state:
        message = f": {now.message}" if now.message else ""
        found.append(RecordedEvent(at, "state", f"{was.state} → {now.state}{message}", now.id, now.run_id))
    if was.usd_per_hour != now.usd_per_hour:
        words = f"${was.usd_per_hour:.3f}/h → ${now.usd_per_hour:.3f}/h"
        found.append(RecordedEvent(at, "money", words, now.id, now.run_id))
    proven, was_proven = (one.guard is not None and one.guard.proven for one in (now, was))
    if proven != was_proven:
        problem = now.guard.problem if now.guard is not None else "there is none"
        words = "its guard is proven" if proven else f"its guard is not proven: {problem}"
        found.append(RecordedEvent(at, "guard", words, now.id, now.run_id))
    if was.run_id != now.run_id:
        words = f"run {now.run_id} works on it" if now.run_id else f"run {was.run_id} is over"
        found.append(RecordedEvent(at, "run", words, now.id, now.run_id or was.run_id))
    return found


def money_of(view: FleetView, at: float) -> MoneyPoint | None:
    """What burned at a look; None when nobody knew."""
    if view.money is None or view.error is not None:
        return None
    return MoneyPoint(at, view.money.burn_usd_per_hour, view.money.today_usd, view.money.credit_usd)


def to_sample(view: FleetView) -> tuple[int, ...]:
    """The boxes that are worth asking how busy they are."""
    return tuple(each.id for each in view.instances if each.standing == "ours" and each.state in SAMPLED_STATES)
