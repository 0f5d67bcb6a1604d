"""The rest of a run on another machine of the market: cheaper or dearer, and how much later it would be done."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.language import _
from console.models.run_cost import pace_of
from console.models.run_view import RunView
from console.spoken import duration, usd_per_hour
from console.words import usd
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from console.operations.session import Session
    from remote.cloud import Offer, OfferQuery
    from remote.money import RunCost

SECONDS_PER_HOUR = 3600.0
LOOK_EVERY_S = 30.0
OLDEST_S = 3600.0
"""An older answer of the market tells nothing of what could be rented now."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the rest of a run would cost and take on another offer with the same GPU, the move included."""

    offer_id: int
    gpu: str
    usd_per_hour: float
    usd_saved: float
    """Negative when it is dearer."""
    seconds_later: float
    """What the move takes: the pace is the same, as the GPU is."""

    def words(self) -> str:
        """`offer 7 (RTX 4090, $0.310/h): $0.42 cheaper, 12m 00s later`."""
        much = _("{usd} cheaper") if self.usd_saved >= 0 else _("{usd} dearer")
        return _("offer {id} ({gpu}, {price}): {much}, {time} later").format(
            id=self.offer_id,
            gpu=self.gpu,
            price=usd_per_hour(self.usd_per_hour),
            much=much.format(usd=usd(abs(self.usd_saved))),
            time=duration(self.seconds_later),
        )


def best_elsewhere(
    offers: Iterable[Offer], query: OfferQuery, gpu_name: str, *, seconds_left: float, usd_to_finish: float
) -> Elsewhere | None:
    """The offer on which the rest costs least; None without one that has this GPU.

    Only machines with the same GPU are compared: of another one nobody knows the pace.
    """
    from remote.offers import expected_cost

    found = []
    for offer in offers:
        if offer.gpu_name != gpu_name or offer.gpu_count != query.gpu_count or not offer.rentable:
            continue
        cost = expected_cost(offer, query)
        moving_s = cost.pull_hours * SECONDS_PER_HOUR
        price = cost.price.usd_per_hour
        there = (moving_s + seconds_left) * price / SECONDS_PER_HOUR + cost.price.traffic_usd
        found.append(Elsewhere(offer.id, offer.gpu_name, price, usd_to_finish - there, moving_s))
    return max(found, key=lambda each: each.usd_saved, default=None)


class MarketReader:
    """Looks into what the market answered this workspace lately; it never asks the market itself."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._session: Session | None = None
        self._looked_at = -LOOK_EVERY_S
        self._known: Elsewhere | None = None

    def elsewhere(self, entry: RunEntry, view: RunView, cost: RunCost | None) -> Elsewhere | None:
        """The best other offer for the rest of a run that works on one machine, looked up twice a minute."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return self._known
        self._looked_at = time.monotonic()
        left = pace_of(view).eta_s
        if cost is None or not cost.usd_to_finish or not left or len(entry.machines) != 1:
            self._known = None
        else:
            self._known = self._look(entry, left, cost.usd_to_finish)
        return self._known

    def _look(self, entry: RunEntry, seconds_left: float, usd_to_finish: float) -> Elsewhere | None:
        from console.operations.offers import market_cache, query_of
        from console.operations.session import open_session

        session = self._session = self._session or open_session(self._workspace)
        row = next((each for each in session.living_rentals() if each.instance_id == entry.machines[0]), None)
        cloud = session.living_cloud()
        if row is None or cloud is None:
            return None
        query = query_of(session, entry.profile)
        kept = market_cache(session).kept(cloud, query)
        if kept is None or session.clock.time() - kept.at > OLDEST_S:
            return None
        others = [offer for offer in kept.offers if offer.machine_id != row.machine_id]
        return best_elsewhere(others, query, row.gpu_name, seconds_left=seconds_left, usd_to_finish=usd_to_finish)
