"""Rent: find offers by profile, and provision one until it is verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.operations.events import Report, Step, relay, silent
from console.operations.session import Session
from console.settings import Profile
from console.words import count, usd_per_hour

if TYPE_CHECKING:
    from remote.cloud import Offer, OfferQuery
    from remote.provision import Rental


@dataclass(frozen=True, slots=True)
class Found:
    """The market's answer to a profile."""

    offers: list[Offer]
    disk_gb: float
    note: str


def profile_query(profile: Profile, max_usd_per_day: float) -> OfferQuery:
    """What a profile asks of a machine, within the day's cap."""
    from remote.cloud import OfferQuery

    return OfferQuery(
        gpu_names=profile.gpu,
        gpu_count=profile.gpu_count,
        min_gpu_ram_gb=profile.gpu_ram_gb,
        min_cpu_cores=profile.cpu_cores,
        min_ram_gb=profile.ram_gb,
        disk_gb=profile.disk_gb,
        max_usd_per_day=max_usd_per_day,
        min_reliability=profile.min_reliability,
    )


def find_offers(session: Session, profile_name: str | None = None) -> Found:
    """Search the market by a profile of the settings.

    Raises:
        SettingsError: there is no such profile.
        remote.cloud.CloudError: the cloud does not answer.
    """
    profile = session.settings.profile(profile_name)
    name = profile_name or session.settings.cloud.profile
    cap = session.settings.money.max_usd_per_day
    query = profile_query(profile, cap)
    offers = session.cloud.search(query)
    emulated = "EMULATED · " if session.emulated else ""
    if not offers:
        from remote.offers import everything, explain_empty

        return Found([], profile.disk_gb, emulated + explain_empty(session.cloud.search(everything(query)), query))
    note = (
        f"{emulated}{count(len(offers), 'offer')} for profile {name}, priced with {profile.disk_gb:.0f} GB of disk, "
        f"at most ${cap:.2f} a day"
    )
    return Found(offers, profile.disk_gb, note)


def rent(
    session: Session,
    profile_name: str | None = None,
    *,
    offer_id: int | None = None,
    run_id: str | None = None,
    report: Report = silent,
) -> Rental:
    """Rent a machine and see it verified; stopped by Ctrl-C, it leaves none behind.

    Raises:
        remote.provision.ProvisionFailed: no machine could be had; the text is the table of what failed where.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.provision import RentRequest

    profile = session.settings.profile(profile_name)
    cap = session.settings.money.max_usd_per_day
    request = RentRequest(
        query=profile_query(profile, cap),
        image=profile.image,
        disk_gb=profile.disk_gb,
        max_usd_per_day=cap,
        offer_id=offer_id,
        run_id=run_id,
    )
    where = f"the {session.settings.cloud.name} cloud" + (" (EMULATED)" if session.emulated else "")
    with Step("rent", f"renting on {where}", report) as step:
        session.provisioner.reconcile(relay("rent", report))
        rental = session.provisioner.provision(request, relay("rent", report))
        instance = rental.instance
        step.summary = f"instance {instance.id}: {instance.gpu_name}, {usd_per_hour(rental.price.usd_per_hour)}"
    return rental
