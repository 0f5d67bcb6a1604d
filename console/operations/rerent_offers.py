"""Which offer takes a machine's place: the same terms, ranked by what the work will cost and by how hosts served us."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.operations.offers import Wishes, find_offers, query_of, wanted_profile
from console.operations.session import Session
from remote.offers import expected_cost

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from remote.cloud import Offer, OfferQuery
    from remote.ledger import RentedInstance

HOURS_PER_DAY = 24.0
MOST_TRIED = 3
"""Offers that are tried in turn: the best may have gone between the search and the deal."""
SERVED_S = 1800.0
"""A machine that ran for us this long without a word served; most that fail do so within minutes."""
SERVED_FACTOR = 0.95
"""A host that is known to work is worth this discount: a failed rental costs minutes and cents, a lost one hours."""
FAILED_FACTOR = 1.25
"""One that failed us before, though not so lately that it is left out."""


@dataclass(frozen=True, slots=True)
class MachineHistory:
    """What we know of one machine of the market."""

    rentals: int = 0
    served_s: float = 0.0
    """The longest that it ran for us in one rental."""
    failures: int = 0

    @property
    def factor(self) -> float:
        """By which its expected cost is weighed."""
        factor = SERVED_FACTOR if self.served_s >= SERVED_S else 1.0
        return factor * (FAILED_FACTOR if self.failures else 1.0)

    @property
    def words(self) -> str:
        """For a table."""
        if not self.rentals:
            return "never rented"
        failed = f", failed {self.failures}×" if self.failures else ""
        return f"rented {self.rentals}×, {self.served_s / 3600:.1f} h at most{failed}"


@dataclass(frozen=True, slots=True)
class RankedOffer:
    """An offer, its full price, and what we know of its machine."""

    offer: Offer
    usd_per_hour: float
    expected_usd: float
    history: MachineHistory


def same_terms(session: Session, row: RentedInstance, *, max_usd_per_hour: float | None = None) -> Wishes:
    """What was asked for when an instance was rented, to ask it again: cards, image and disk."""
    request = session.ledger.request(row.request_id) if row.request_id is not None else None
    wanted = request.wanted if request is not None else {}
    names = wanted.get("gpu_names")
    gpu = tuple(str(name) for name in names) if isinstance(names, list) else (row.gpu_name,)
    gpu_count, disk_gb, image = wanted.get("gpu_count"), wanted.get("disk_gb"), wanted.get("image")
    return Wishes(
        gpu=gpu,
        gpu_count=gpu_count if isinstance(gpu_count, int) else None,
        disk_gb=float(disk_gb) if isinstance(disk_gb, int | float) else None,
        image=image if isinstance(image, str) else None,
        max_usd_per_hour=max_usd_per_hour,
    )


def histories(session: Session) -> dict[int, MachineHistory]:
    """Every machine that we rented on this cloud, by its number."""
    ledger, name = session.ledger, session.cloud_name
    rentals: defaultdict[int, int] = defaultdict(int)
    served_s: defaultdict[int, float] = defaultdict(float)
    for row in ledger.instances(cloud=name):
        rentals[row.machine_id] += 1
        if row.running_at is not None:
            end = row.closed_at if row.closed_at is not None else session.clock.time()
            served_s[row.machine_id] = max(served_s[row.machine_id], end - row.running_at)
    bad = ledger.bad_machines(name)
    return {
        machine: MachineHistory(rentals[machine], served_s[machine], bad[machine].failures if machine in bad else 0)
        for machine in {*rentals, *bad} - {0}
    }


def ranked(
    offers: Sequence[Offer], query: OfferQuery, known: Mapping[int, MachineHistory], *, without: int = 0
) -> list[RankedOffer]:
    """`offers` by expected cost and history, the best first; `without`: the machine that is left."""
    rows = [
        RankedOffer(offer, cost.price.usd_per_hour, cost.expected_usd, known.get(offer.machine_id, MachineHistory()))
        for offer, cost in ((offer, expected_cost(offer, query)) for offer in offers)
        if offer.machine_id != without or not without
    ]
    return sorted(rows, key=lambda each: (each.expected_usd * each.history.factor, each.offer.id))


def offers_like(
    session: Session, row: RentedInstance, run: RunEntry | None, wishes: Wishes, offer_id: int | None = None
) -> tuple[list[RankedOffer], str]:
    """Offers on the same terms, ranked, and the market's words about them.

    Raises:
        console.settings.SettingsError: the run's profile is not in the settings any more.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.offers import just

    profile = run.profile if run is not None else None
    known = histories(session)
    if offer_id is not None:
        query = query_of(session, profile, wishes)
        offers = session.cloud.search(just(query, offer_id))
        why = f"offer {offer_id} is not on the market: somebody rented it, or it was withdrawn"
        return ranked(offers, query, known), "" if offers else why
    found = find_offers(session, profile, wishes)
    return ranked(found.offers, found.query, known, without=row.machine_id), found.note


def in_turn(
    offers: Sequence[RankedOffer], most_usd_per_hour: float, look_again: Callable[[], Sequence[RankedOffer]]
) -> Iterator[RankedOffer]:
    """Offers to try, a few in all: those at hand, the best first, and when they are gone what the market has then.

    The first was agreed to as it is; none of the others may cost more than `most_usd_per_hour`.
    """
    tried: set[int] = set()
    looks: tuple[Callable[[], Sequence[RankedOffer]], ...] = (lambda: offers, look_again)
    for look in looks:
        for each in look():
            if len(tried) == MOST_TRIED:
                return
            agreed = bool(offers) and each is offers[0]
            if each.offer.id not in tried and (agreed or each.usd_per_hour <= most_usd_per_hour):
                tried.add(each.offer.id)
                yield each
        if len(tried) == MOST_TRIED:
            return


def has_room(
    session: Session, each: RankedOffer, run: RunEntry | None, wishes: Wishes, *, without: RentedInstance | None = None
) -> bool:
    """Whether the day's cap has room for an offer, as renting itself counts; `without`: once that machine is gone."""
    from remote.money import hours_to_midnight, money_now

    cap = session.settings.money.max_usd_per_day
    profile = wanted_profile(session, run.profile if run is not None else None, wishes)
    price = each.offer.price(profile.disk_gb, traffic_gb=profile.image_gb)
    money = money_now(session.ledger, session.cloud_name, None, session.clock)
    others = money.burn_usd_per_hour - (_billed_usd_per_hour(session, without) if without is not None else 0.0)
    together = max(0.0, others) + price.usd_per_hour
    until_midnight = together * hours_to_midnight(session.clock.time())
    return together * HOURS_PER_DAY <= cap and money.today_usd + price.traffic_usd + until_midnight <= cap


def _billed_usd_per_hour(session: Session, row: RentedInstance) -> float:
    """What its end saves: a stopped machine costs its disk, one whose host is away nothing."""
    meters = session.ledger.meters(session.cloud_name, row.instance_id)
    running = {meter.kind for meter in meters if meter.ended_at is None}
    gpu = row.gpu_usd_per_hour if row.running_at is None or "gpu" in running else 0.0
    return gpu + (row.disk_usd_per_hour if "disk" in running else 0.0)
