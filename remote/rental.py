"""What is asked of the provisioner, what it hands out, and how it says no."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from remote.cloud import Endpoint, Instance, Offer, OfferQuery, Price


@dataclass(frozen=True, slots=True)
class RentRequest:
    """What to rent, and how much it may cost."""

    query: OfferQuery
    image: str
    disk_gb: float | None = None
    """None orders the disk that `query` asks for."""
    image_gb: float = 10.0
    """Compressed size of the image; the deadline of its pull comes from it."""
    max_usd_per_hour: float | None = None
    """All living instances and the new one together."""
    max_usd_per_day: float | None = None
    """Likewise over 24 hours; nothing more is rented either once as much was spent since UTC midnight."""
    offer_id: int | None = None
    """Rent exactly this offer, and no other."""
    agreed_usd_per_hour: float | None = None
    """What was agreed to with the offer's price in sight; one that is dearer by now, disk and all, is not rented."""
    run_id: str | None = None
    onstart: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    """For the container. Nothing secret: the cloud shows it in its rows."""

    @property
    def ordered_disk_gb(self) -> float:
        """The disk that will be paid for."""
        return self.query.disk_gb if self.disk_gb is None else self.disk_gb


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rental of a request that did not end well."""

    offer: Offer
    instance_id: int | None
    state: str
    reason: str
    seconds: float
    usd: float
    unreachable: bool = False
    """Nothing answered at any of its endpoints, from this network."""


@dataclass(frozen=True, slots=True)
class Rental:
    """A rented machine that let us in and is what was ordered."""

    request_id: str
    instance: Instance
    offer: Offer | None
    """None when it was adopted without a search."""
    price: Price
    endpoint: Endpoint
    """The one that answered."""
    label: str
    attempts: tuple[Attempt, ...] = field(default=())

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every way to reach it."""
        return self.instance.endpoints


@dataclass(slots=True)
class Claim:
    """A create that is about to be sent, was sent, or was answered. The thread that sends it fills it in."""

    label: str
    instance_id: int | None = None
    error: BaseException | None = None
    settled: bool = False
    """It is known that nothing was rented."""
    sent: bool = False
    """The thread that sends it was started, or is about to be."""
    answered: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    """Set once nobody wants it any more: a create that still waits for its turn is not sent then."""


class ProvisionError(Exception):
    """No machine was had; the text says why and what to do."""


class NoOffers(ProvisionError):
    """The market has nothing like it; the text says which filter emptied the list."""


class OverBudget(ProvisionError):
    """Renting would break a cap; nothing was rented."""


class ProvisionFailed(ProvisionError):
    """Every rental failed; the text is the table of what failed where.

    `our_fault`: other machines would fail alike, so there is no use in trying again.
    """

    def __init__(self, message: str, attempts: Sequence[Attempt] = (), *, our_fault: bool = False) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)
        self.our_fault = our_fault


class NotDestroyed(ProvisionError):
    """The cloud did not confirm a destroy: the instance may still cost money."""

    def __init__(self, message: str, instance_id: int) -> None:
        super().__init__(message)
        self.instance_id = instance_id


class WrongCloud(ProvisionError):
    """The instance belongs to a cloud that is not the one configured now, which cannot speak for it."""


class Unusable(Exception):
    """A rented machine will not do; the next one may.

    `our_fault`: the image cannot be had by anybody, or nobody can pay: other machines would fail alike.
    `machine_is_bad`: it is left out of searches for a while.
    `unreachable`: nothing answered at any endpoint, which may be this network's fault.
    """

    def __init__(
        self, reason: str, *, our_fault: bool = False, machine_is_bad: bool = True, unreachable: bool = False
    ) -> None:
        super().__init__(reason)
        self.unreachable = unreachable
        self.our_fault = our_fault
        self.machine_is_bad = machine_is_bad and not our_fault


def table_of(attempts: Sequence[Attempt]) -> str:
    """What failed where, a line each."""
    lines = [
        f"  offer {each.offer.id} ({each.offer.gpu_name}, {each.offer.location}), instance {each.instance_id or '–'}: "
        f"{each.state}: {each.reason}; {each.seconds:.0f} s, ${each.usd:.4f}"
        for each in attempts
    ]
    return "\n".join(lines)
