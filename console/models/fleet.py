"""What the fleet view shows: the cloud's instances joined with the ledger's money and the runs on them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.operations.session import Session
    from remote.cloud import Instance
    from remote.ledger import RentedInstance


LISTING_LAG_S = 60.0
"""How long a new instance may be missing from the cloud's list: clouds list what they rent with a delay."""


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance, ready to draw."""

    id: int
    gpu: str
    state: str
    usd_per_hour: float
    spent_usd: float
    started_at: float | None
    label: str
    location: str
    endpoint: str
    message: str
    run_id: str | None
    orphan: bool


@dataclass(frozen=True, slots=True)
class FleetView:
    """All instances at one moment; `error` says why they are older than that."""

    instances: tuple[InstanceView, ...] = ()
    spent_today_usd: float = 0.0
    credit_usd: float | None = None
    emulated: bool = False
    heard_at: float | None = None
    error: str | None = None


def read_fleet(session: Session, previous: FleetView | None = None) -> FleetView:
    """Ask the cloud; when it doesn't answer, the last known rows stay and `error` says so."""
    from console.operations.runbook import Runbook
    from remote.cloud import CloudError

    today = time.time() - time.time() % 86400
    ledger = session.ledger
    cloud_name = session.settings.cloud.name
    try:
        cloud = session.living_cloud()
        instances = cloud.instances() if cloud else []
        credit = cloud.account().credit_usd if cloud and instances else None
    except CloudError as error:
        return replace(previous or FleetView(emulated=session.emulated), error=str(error))
    runs = {
        entry.instance_id: entry.run_id
        for entry in Runbook(session.workspace).entries()
        if entry.instance_id is not None and entry.phase != "done"
    }
    known = {row.instance_id: row for row in session.living_rentals()}
    listed = {instance.id for instance in instances}
    views = [
        _instance_view(
            each, ledger.spent_usd(cloud=cloud_name, instance_id=each.id), runs.get(each.id), known.get(each.id)
        )
        for each in instances
    ]
    views += [
        _missing_view(row, ledger.spent_usd(cloud=cloud_name, instance_id=row.instance_id), runs.get(row.instance_id))
        for row in known.values()
        if row.instance_id not in listed and time.time() - row.opened_at > LISTING_LAG_S
    ]
    return FleetView(
        tuple(sorted(views, key=lambda view: view.id)),
        ledger.spent_usd(since=today, cloud=cloud_name),
        credit,
        session.emulated,
        time.time(),
    )


def _instance_view(instance: Instance, spent: float, run_id: str | None, row: RentedInstance | None) -> InstanceView:
    """An instance that the cloud lists; the ledger knows better than the cloud what a running one is ready for."""
    endpoint = str(instance.endpoints[0]) if instance.endpoints else "–"
    return InstanceView(
        instance.id,
        instance.gpu_name if instance.gpu_count == 1 else f"{instance.gpu_count}× {instance.gpu_name}",
        row.state if row is not None and instance.status == "running" else instance.status.value,
        instance.usd_per_hour,
        spent,
        instance.started_at,
        instance.label,
        instance.location,
        endpoint,
        instance.status_message.strip(),
        run_id,
        row is None,
    )


def _missing_view(row: RentedInstance, spent: float, run_id: str | None) -> InstanceView:
    """An instance that was rented, whose end nobody confirmed, and that the cloud does not list."""
    return InstanceView(
        row.instance_id,
        row.gpu_name,
        "not listed",
        row.usd_per_hour,
        spent,
        row.opened_at,
        row.label,
        "–",
        "–",
        "the cloud does not list it; destroying it settles the ledger",
        run_id,
        orphan=False,
    )
