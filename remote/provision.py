"""Rent a machine and see it verified, or leave nothing behind: the state machine between an offer and a usable box."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote.arrival import Arrival
from remote.budget import Budget
from remote.claim import Claims
from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Cloud, Instance, NoCredit, Offer, OfferQuery, Price, RateLimited, SearchQuota
from remote.desk import Desk
from remote.ending import Ending
from remote.keys import KeyPair
from remote.labels import is_foreign, is_ours, new_label
from remote.ledger import Ledger
from remote.offers import everything, explain_empty, just
from remote.owner import owner_here
from remote.progress import Report, silent
from remote.reconcile import Reconciler
from remote.rental import (
    Attempt,
    Claim,
    NoOffers,
    NotDestroyed,
    OverBudget,
    ProvisionError,
    ProvisionFailed,
    Rental,
    RentRequest,
    Unusable,
    WrongCloud,
    table_of,
)
from remote.states import LOOPBACK_LIMITS, Limits, State
from remote.track import Track

__all__ = [
    "Attempt",
    "NoOffers",
    "NotDestroyed",
    "OverBudget",
    "ProvisionError",
    "ProvisionFailed",
    "Provisioner",
    "RentRequest",
    "Rental",
    "WrongCloud",
]

SILENT_MACHINES = 2
"""From so many on, machines that all do not answer are taken for one fault, on our side."""


class Provisioner:
    """Rents, verifies, adopts, watches and destroys instances of one cloud, with every step on the ledger first."""

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        key: KeyPair,
        pins: Path,
        *,
        ssh_user: str = "root",
        limits: Limits | None = None,
        clock: Clock = SYSTEM_CLOCK,
        claims: Path | None = None,
    ) -> None:
        """`claims`: lock file of the account, shared by all workspaces that use it; beside the ledger without one."""
        self._desk = Desk(
            cloud,
            ledger,
            key,
            pins,
            ssh_user,
            limits or (LOOPBACK_LIMITS if cloud.emulated else Limits()),
            clock,
            claims or ledger.path.with_name(f"create-{cloud.name}.lock"),
        )
        self._ending = Ending(self._desk)
        self._reconciler = Reconciler(self._desk, self._ending)

    def provision(self, request: RentRequest, report: Report = silent) -> Rental:
        """Search, rent, wait until it lets us in, verify. Interrupted anywhere, it leaves no instance.

        Raises:
            NoOffers, OverBudget: nothing was rented.
            ProvisionFailed: every rental failed and was destroyed.
            NotDestroyed: one that failed could not be destroyed.
            CloudError: the cloud refuses us or does not answer.
        """
        wanted = _wanted(request)
        request_id = self._desk.ledger.open_request(self._desk.cloud_name, wanted, run_id=request.run_id)
        track = Track(self._desk.ledger, self._desk.cloud_name, request_id, report)
        try:
            Budget(self._desk, request).refuse_spent()
            return _Renting(self._desk, self._ending, request, track).rent()
        except BaseException as error:
            if track.state in (State.PLANNED, State.SEARCHED, State.CLAIMING, State.RECONCILING, State.GONE):
                self._desk.ledger.transition(request_id, State.FAILED.value, message=str(error) or type(error).__name__)
            raise

    def adopt(self, instance_id: int, report: Report = silent) -> Rental:
        """Take over a living instance (of an earlier session, or an orphan): wait, attach our key, verify.

        One that will not do is left as it was, alive and on the ledger: it is not destroyed, rebooted or made anew.

        Raises:
            ProvisionFailed: it is gone or unusable.
            WrongCloud: it is rented on another cloud.
        """
        ledger, cloud_name = self._desk.ledger, self._desk.cloud_name
        self._ending.refuse_other_cloud(instance_id)
        instance = self._desk.cloud.instance(instance_id)
        if instance is None:
            raise ProvisionFailed(f"instance {instance_id} is gone: the {cloud_name} cloud does not know it")
        before = ledger.instance(cloud_name, instance_id)
        request_id = ledger.open_request(cloud_name, {"adopt": instance_id, "owner": owner_here()})
        self._ending.remember(instance, request_id=request_id)
        ledger.hand_over(cloud_name, instance_id, request_id)
        track = Track(ledger, cloud_name, request_id, report)
        try:
            track.enter(State.ALLOCATED, f"taking over instance {instance_id}", instance_id=instance_id)
            arrived = Arrival(self._desk, may_mend=False).wait(track, instance_id, image_gb=0)
        except BaseException as error:
            ledger.transition(request_id, State.FAILED.value, message=str(error) or type(error).__name__)
            ledger.hand_over(cloud_name, instance_id, before.request_id if before else None)
            state = State(before.state) if before and before.alive else State.LOST
            ledger.transition(
                None, state.value, cloud=cloud_name, instance_id=instance_id, message=f"not taken over: {error}"
            )
            if isinstance(error, Unusable):
                raise ProvisionFailed(f"instance {instance_id} cannot be taken over: {error}") from error
            raise
        row = ledger.instance(cloud_name, instance_id)
        assert row is not None
        price = Price(row.gpu_usd_per_hour, row.disk_usd_per_hour, 0.0)
        return Rental(request_id, arrived.instance, None, price, arrived.endpoint, instance.label)

    def reconcile(self, report: Report = silent) -> list[Instance]:
        """Settle what earlier sessions left: finish half-done destroys, close rows of instances that are gone,
        destroy what an unanswered create or a half-way rental left under our label.

        Returns the instances that are still alive and known.
        """
        return self._reconciler.reconcile(report)

    def look_after(self, report: Report = silent, listed: list[Instance] | None = None) -> list[Instance]:
        """Follow every box in use with one list call (or with `listed`, just asked for): its bill, and whether it was
        stopped (outbid, no credit), is lost (its host away for five minutes), or is back.

        Returns what the cloud lists.
        """
        return self._reconciler.look_after(report, listed)

    def destroy(self, instance_id: int, report: Report = silent) -> None:
        """Destroy and see the cloud confirm it, then close the ledger's row. Works for an orphan; twice is no error.

        Raises:
            NotDestroyed: the cloud still shows it after the limit.
            WrongCloud: it is rented on another cloud, which must be configured first.
        """
        self._ending.destroy(instance_id, report)

    def orphans(self, listed: list[Instance] | None = None) -> list[Instance]:
        """Instances that this workspace rented and its ledger does not know to be alive; each costs `usd_per_hour`."""
        mark = self._desk.ledger.mark
        return [each for each in self._unknown(listed) if is_ours(each.label, mark)]

    def foreign(self, listed: list[Instance] | None = None) -> list[Instance]:
        """Instances that another workspace of this account rented: to be shown, and left alone."""
        mark = self._desk.ledger.mark
        return [each for each in self._unknown(listed) if is_foreign(each.label, mark)]

    def _unknown(self, listed: list[Instance] | None) -> list[Instance]:
        alive = self._desk.ledger.instances(alive_only=True, cloud=self._desk.cloud_name)
        known = {row.instance_id for row in alive}
        found = self._desk.cloud.instances() if listed is None else listed
        return [each for each in found if each.id not in known]


@dataclass(slots=True)
class _Renting:
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
                if not isinstance(error, NotDestroyed):
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
        if instance.usd_per_hour <= 0 or _close(instance.usd_per_hour, agreed.usd_per_hour, self.desk.limits):
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


def _close(now_usd_per_hour: float, agreed_usd_per_hour: float, limits: Limits) -> bool:
    return abs(now_usd_per_hour - agreed_usd_per_hour) <= limits.price_tolerance * agreed_usd_per_hour


def _above(cap: float | None, value: float) -> bool:
    return cap is not None and value > cap


def _wanted(request: RentRequest) -> dict[str, object]:
    return {
        "gpu_names": list(request.query.gpu_names),
        "gpu_count": request.query.gpu_count,
        "disk_gb": request.ordered_disk_gb,
        "image": request.image,
        "offer_id": request.offer_id,
        "max_usd_per_hour": request.max_usd_per_hour,
        "max_usd_per_day": request.max_usd_per_day,
        "owner": owner_here(),
    }
