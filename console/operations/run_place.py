"""Where a planned run would work, and what an hour there costs: nothing is rented, nothing is started."""

from __future__ import annotations

from dataclasses import dataclass

from console.operations import offers
from console.operations.run_terms import named_instance
from console.operations.session import Session
from console.words import usd_per_hour


@dataclass(frozen=True, slots=True)
class RunPlace:
    """This machine, an instance that is rented already, or the cheapest machine that is on offer."""

    words: str
    """For a sentence about the plan."""
    usd_per_hour: float | None = None
    """None where nothing is billed, and where no machine is on offer."""
    rents: bool = False
    """Whether a machine would be rented."""
    instance_id: int | None = None
    """The instance that was named."""


def run_place(
    session: Session, profile_name: str | None = None, instance_id: int | None = None, *, here: bool = False
) -> RunPlace:
    """Where a run with these wishes would work.

    Raises:
        InstanceTaken: there is no such instance.
        SettingsError: there is no such profile.
        remote.cloud.CloudError: the cloud does not answer.
    """
    if here:
        return RunPlace("it rents nothing: this machine does the work")
    if instance_id is not None:
        named = named_instance(session, instance_id)
        cards = f"{named.gpu_count}× " if named.gpu_count > 1 else ""
        words = f"it rents nothing: instance {named.id} does the work, {cards}{named.gpu_name}"
        return RunPlace(f"{words}, {usd_per_hour(named.usd_per_hour)}", named.usd_per_hour, instance_id=named.id)
    found = offers.find_offers(session, profile_name)
    if not found.offers:
        return RunPlace(f"no machine on offer: {found.note}", rents=True)
    best = found.offers[0]
    price = best.price(found.disk_gb).usd_per_hour
    return RunPlace(f"cheapest machine: {best.gpu_name}, {usd_per_hour(price)}", price, rents=True)
