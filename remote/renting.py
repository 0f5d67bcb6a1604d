"""One request on its way through offers and machines, until one is verified or the limits of a request are reached."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from remote.arrival import Arrival
from remote.budget import Budget
from remote.claim import Claims
from remote.cloud import Instance, NoCredit, Offer, OfferQuery, Price, RateLimited, SearchQuota
from remote.desk import Desk
from remote.ending import Ending
from remote.labels import new_label
from remote.look import is_another_price
from remote.offers import everything, explain_empty, just
from remote.rental import (
    Attempt,
    Claim,
    NoOffers,
    NotDestroyed,
    OverBudget,
    ProvisionFailed,
    Rental,
    RentRequest,
    Unusable,
    table_of,
)
from remote.states import State
from remote.track import Track

SILENT_MACHINES = 2
"""From so many on, machines that all do not answer are taken for one fault, on our side."""


@dataclass(slots=True)
class Renting:
    """One request on its way through offers and machines, with what failed so far."""

    desk: Desk
    ending: Ending
    request: RentRequest
    track: Track
    attempts: list[Attempt] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    """Offers that somebody else rented meanwhile."""
    machines: set[int] = field(default_factory=set)
    """Machines that this request had already."""

    def rent(self) -> Rental:
        """Try offer after offer within the limits of one request."""
        began = self.desk.clock.monotonic()
        offers = self._offers()
        cheapest = self._budget.price(offers[0]).usd_per_hour
        self.track.enter(State.SEARCHED, f"{len(offers)} offers, from ${cheapest:.3f}/h")
        queue = deque(offers)
        may_search_again = self.request.offer_id is None
        while True:
            if not queue and self.gone and may_search_again:
                may_search_again = False
                queue.extend(self._offers_but_gone())
            self._stop_at_limits(queue, began)
            offer = queue.popleft()
            if offer.machine_id in self.machines:
                continue
            claim = Claim(new_label(self.desk.ledger.mark))
            try:
                rental = self._rent(offer, claim)
            except BaseException as error:
                if not (isinstance(error, NotDestroyed) and error.instance_id == claim.instance_id):
                    self.ending.leave_nothing(self.track, claim, error)
                raise
            if rental is not None:
                return rental
            if claim.instance_id is not None:
                self.machines.add(offer.machine_id)
            elif isinstance(claim.error, RateLimited):
                queue.appendleft(offer)
            else:
                self.gone.add(offer.id)

    def _offers_but_gone(self) -> list[Offer]:
        """What came to the market meanwhile; nothing is an answer too, after offers were rented by others."""
        try:
            return [each for each in self._offers() if each.id not in self.gone]
        except NoOffers:
            return []

    @property
    def _budget(self) -> Budget:
        return Budget(self.desk, self.request)

    # the market

    def _offers(self) -> list[Offer]:
        self.track.tell("asking the market")
        bad = self.desk.ledger.bad_machines(self.desk.cloud_name)
        query = replace(self.request.query, disk_gb=self.request.ordered_disk_gb)
        if self.request.offer_id is not None:
            market = self._ask(just(query, self.request.offer_id))
            chosen = [each for each in market if each.id == self.request.offer_id and each.disk_gb >= query.disk_gb]
            if not chosen:
                raise NoOffers(
                    f"offer {self.request.offer_id} is not on the market with {query.gpu_count} GPU and "
                    f"{query.disk_gb:g} GB of disk: somebody rented it, or it was withdrawn; search again"
                )
            price = self._budget.price(chosen[0]).usd_per_hour
            if _above(self.request.agreed_usd_per_hour, price):
                raise OverBudget(
                    f"offer {chosen[0].id} costs ${price:.4f}/h by now, more than the "
                    f"${self.request.agreed_usd_per_hour:.4f}/h that was agreed to: nothing was rented; look again"
                )
            if (known := bad.get(chosen[0].machine_id)) is not None:
                self.track.tell(f"its machine failed not long ago ({known.reason}); it is rented because you chose it")
            return chosen
        query = replace(query, excluded_machines=query.excluded_machines | bad.keys())
        offers = self._ask(query)
        if not offers:
            raise NoOffers(explain_empty(self._ask(everything(query)), query))
        return offers

    def _ask(self, query: OfferQuery) -> list[Offer]:
        """Search; a market that asks for fewer calls is waited for a while, a used-up day is not."""
        clock = self.desk.clock
        deadline = clock.monotonic() + self.desk.limits.unanswered_s
        while True:
            try:
                return self.desk.cloud.search(query)
            except RateLimited as error:
                if isinstance(error, SearchQuota) or clock.monotonic() > deadline:
                    raise
                wait_s = max(error.retry_after_s or 0.0, self.desk.limits.poll_s)
                self.track.tell(f"{error}; asking again in {wait_s:.0f} s")
                clock.sleep(wait_s)

    # one rental

    def _rent(self, offer: Offer, claim: Claim) -> Rental | None:
        """One offer, from its claim to a verified box; None when it did not work out and the next may."""
        started = self.desk.clock.monotonic()
        try:
            if not Claims(self.desk, self.ending, self.request, self.track).send(offer, claim):
                return None
        except NoCredit as error:
            if not self.attempts:
                raise
            raise ProvisionFailed(f"no machine was had: {error}:\n{table_of(self.attempts)}", self.attempts) from error
        assert claim.instance_id is not None
        arrival = Arrival(self.desk, accept=lambda instance: self._accept_price(offer, instance))
        try:
            arrived = arrival.wait(self.track, claim.instance_id, self.request.image_gb)
        except Unusable as unusable:
            self._give_up(offer, claim, unusable, started)
            return None
        row = self.desk.ledger.instance(self.desk.cloud_name, claim.instance_id)
        assert row is not None
        price = Price(row.gpu_usd_per_hour, row.disk_usd_per_hour, self._budget.price(offer).traffic_usd)
        endpoint, attempts = arrived.endpoint, tuple(self.attempts)
        return Rental(self.track.request_id, arrived.instance, offer, price, endpoint, claim.label, attempts)

    def _accept_price(self, offer: Offer, instance: Instance) -> None:
        """A price that changed after the deal is told, and refused above a cap; the ledger counts the real one."""
        agreed = self._budget.price(offer)
        known = self.desk.ledger.instance(self.desk.cloud_name, instance.id)
        usd_per_hour = agreed.usd_per_hour if known is None else known.usd_per_hour
        if not is_another_price(instance, usd_per_hour, self.desk.limits):
            return
        changed = (
            f"the price changed after the deal: ${instance.usd_per_hour:.3f}/h instead of ${agreed.usd_per_hour:.3f}/h"
        )
        self.track.tell(changed)
        try:
            self._budget.refuse_row(instance.id, offer.gpu_name, instance.usd_per_hour)
            if _above(self.request.query.max_usd_per_hour, instance.usd_per_hour) or _above(
                self.request.query.max_usd_per_day, instance.usd_per_hour * 24
            ):
                raise OverBudget("it is dearer than the search allows")
            if _above(self.request.agreed_usd_per_hour, instance.usd_per_hour):
                raise OverBudget("it is dearer than what was agreed to")
        except OverBudget as error:
            raise Unusable(f"{changed}; {error}") from error
        finally:
            disk = min(agreed.disk_usd_per_hour, instance.usd_per_hour)
            self.desk.ledger.reprice(
                self.desk.cloud_name,
                instance.id,
                gpu_usd_per_hour=instance.usd_per_hour - disk,
                disk_usd_per_hour=disk,
            )

    def _give_up(self, offer: Offer, claim: Claim, unusable: Unusable, started: float) -> None:
        """Destroy it, remember why, and go on with the next offer, unless every machine would fail alike."""
        assert claim.instance_id is not None
        state = self.track.state
        if unusable.machine_is_bad:
            self.desk.ledger.note_bad_machine(self.desk.cloud_name, offer.machine_id, str(unusable))
        self.ending.discard(self.track, claim, str(unusable))
        seconds = self.desk.clock.monotonic() - started
        usd = self.desk.spent_usd(claim.instance_id)
        self.attempts.append(
            Attempt(offer, claim.instance_id, state.value, str(unusable), seconds, usd, unusable.unreachable)
        )
        if unusable.our_fault:
            raise ProvisionFailed(
                f"every machine would fail alike, so no other is tried:\n{table_of(self.attempts)}",
                self.attempts,
                our_fault=True,
            )
        self.track.enter(State.SEARCHED, "taking the next offer")

    def _stop_at_limits(self, queue: deque[Offer], began: float) -> None:
        limits, attempts = self.desk.limits, self.attempts
        spent = sum(each.usd for each in attempts)
        reason = None
        if not queue:
            taken = f" ({len(self.gone)} were rented by others meanwhile)" if self.gone else ""
            reason = f"no offer is left{taken}"
        elif len(attempts) >= limits.rentals:
            reason = f"{len(attempts)} rentals failed, which is the limit of one request"
        elif spent >= limits.rentals_usd:
            reason = f"${spent:.2f} were spent on machines that failed, which is the limit of one request"
        elif self.desk.clock.monotonic() - began > limits.rentals_s:
            reason = f"{limits.rentals_s / 60:.0f} minutes passed, which is the limit of one request"
        if reason is not None:
            table = f":\n{table_of(attempts)}" if attempts else "; search again"
            raise ProvisionFailed(f"no machine was had: {reason}{table}{self._blame_the_network()}", attempts)

    def _blame_the_network(self) -> str:
        """When no machine at all answered, the way to all of them is the likelier fault; none is held against them."""
        if len(self.attempts) < SILENT_MACHINES or not all(each.unreachable for each in self.attempts):
            return ""
        for each in self.attempts:
            self.desk.ledger.forgive_machine(self.desk.cloud_name, each.offer.machine_id)
        return (
            "\nnone of them answered at any port: the network of this machine may block high ports; try another "
            "network before renting again"
        )


def _above(cap: float | None, value: float) -> bool:
    return cap is not None and value > cap
