"""Rent: provision a machine of a profile until it is verified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.models.fleet import LISTING_LAG_S, ListingDoubted
from console.operations.events import Report, Step, relay, silent
from console.operations.guard import guard_rented, onstart_line
from console.operations.offers import NO_WISHES, Wishes, query_of, wanted_profile
from console.operations.run_needs import machine_needs_of
from console.operations.session import Session
from console.operations.signals import deaf_to_signals
from console.words import usd_per_hour

if TYPE_CHECKING:
    from remote.cloud import Instance
    from remote.provision import Rental


def rent(
    session: Session,
    profile_name: str | None = None,
    *,
    offer_id: int | None = None,
    run_id: str | None = None,
    wishes: Wishes = NO_WISHES,
    agreed_usd_per_hour: float | None = None,
    report: Report = silent,
) -> Rental:
    """Rent a machine, see it verified and guarded; stopped by Ctrl-C, it leaves none behind.

    `agreed_usd_per_hour`: what an offer that is named by `offer_id` may cost at most, disk and all.

    Raises:
        console.models.fleet.ListingDoubted: the cloud lists none of what it knows: what is rented cannot be told.
        console.operations.guard.Unguarded: it cannot end its own bill, and the settings allow no such machine.
        remote.provision.ProvisionFailed: no machine could be had; the text is the table of what failed where.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.provision import RentRequest

    profile = wanted_profile(session, profile_name, wishes)
    with_torch = run_id is not None and machine_needs_of(session, run_id).stack != "cpu"
    query = query_of(session, profile_name, wishes, with_torch=with_torch)
    request = RentRequest(
        query=query,
        image=profile.image,
        disk_gb=profile.disk_gb,
        image_gb=profile.image_gb,
        max_usd_per_day=session.settings.money.max_usd_per_day,
        offer_id=offer_id,
        agreed_usd_per_hour=agreed_usd_per_hour,
        run_id=run_id,
        onstart=onstart_line(session.settings.cloud.remote_root),
    )
    where = f"the {session.settings.cloud.name} cloud" + (" (EMULATED)" if session.emulated else "")
    rental: Rental | None = None
    try:
        with Step("rent", f"renting on {where}", report) as step:
            refuse_unlisted(session, session.provisioner.reconcile(relay("rent", report)))
            rental = session.provisioner.provision(request, relay("rent", report))
            instance = rental.instance
            step.summary = f"instance {instance.id}: {instance.gpu_name}, {usd_per_hour(rental.price.usd_per_hour)}"
        guard_rented(session, instance.id, report)
    except BaseException:
        if rental is not None:
            with deaf_to_signals():
                session.to_the_end().provisioner.destroy(rental.instance.id, relay("rent", report))
        raise
    return rental


def refuse_unlisted(session: Session, listed: Sequence[Instance]) -> None:
    """See that a list without any instance is no list to rent by: whoever believes one rents again and again.

    Settling has just closed the rows of what the cloud, asked for each alone, knows no more. What is left alive and old
    enough to be listed is known to it, so that an empty list is wrong.

    Raises:
        ListingDoubted: naming what is rented all the same.
    """
    if listed:
        return
    now = session.clock.time()
    old = [row.instance_id for row in session.living_rentals() if now - row.opened_at > LISTING_LAG_S]
    if old:
        raise ListingDoubted(
            f"the cloud lists no instance at all, but knows {', '.join(map(str, old))}: nothing more is rented until "
            "its list can be believed"
        )
