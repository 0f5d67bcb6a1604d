"""Giving back: every machine of a run goes, also one that was not written down yet; what stays is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from console.operations.destroy import destroy
from console.operations.events import Report
from console.operations.runbook import RunEntry
from console.operations.session import Session


def rented_for(session: Session, entry: RunEntry) -> list[int]:
    """Machines that are rented for this run or that it works on, as the ledger has them."""
    return [
        row.instance_id
        for row in session.living_rentals()
        if row.run_id == entry.run_id or row.instance_id in entry.machines
    ]


def give_back(
    session: Session,
    machines: Iterable[int],
    *,
    spared: Collection[int | None],
    say_still_rented: Callable[[int], None],
    report: Report,
) -> list[int]:
    """Destroy `machines` but those that are `spared`; one that resists is told of, and the next must go too.

    Returns those that stay: spared, or still there.
    """
    left = []
    for instance_id in machines:
        if instance_id in spared:
            left.append(instance_id)
            continue
        try:
            destroy(session, instance_id, force=True, report=report)
        except Exception:  # noqa: BLE001 - the operation has reported it; the next machine must go too
            left.append(instance_id)
            say_still_rented(instance_id)
    return left
