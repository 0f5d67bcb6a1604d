"""Rent a machine and see it verified, or leave nothing behind: the state machine between an offer and a usable box."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ulid import ULID

from remote.arrival import Arrival
from remote.cloud import (
    Cloud,
    Instance,
    InstanceSpec,
    Offer,
    OfferGone,
    OutcomeUnknown,
    Price,
    RateLimited,
)
from remote.ending import Ending
from remote.keys import KeyPair
from remote.ledger import Ledger
from remote.money import midnight_before
from remote.offers import everything, explain_empty
from remote.owner import owner_here
from remote.progress import Report, silent
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

LABEL_PREFIX = "spotter-op-"


class Provisioner:
    """Rents, verifies, adopts and destroys instances of one cloud, with every step on the ledger first."""

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        key: KeyPair,
        pins: Path,
        *,
        ssh_user: str = "root",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._key = key
        self._pins = pins
        self._ssh_user = ssh_user
        self._limits = limits or (LOOPBACK_LIMITS if cloud.emulated else Limits())
        self._clock = clock
        self._sleep = sleep
        self._ending = Ending(cloud, ledger, pins, self._limits, clock, sleep)

    def provision(self, request: RentRequest, report: Report = silent) -> Rental:
        """Search, rent, wait until it lets us in, verify. Interrupted anywhere, it leaves no instance.

        Raises:
            NoOffers, OverBudget: nothing was rented.
            ProvisionFailed: every rental failed and was destroyed.
            NotDestroyed: one that failed could not be destroyed.
            CloudError: the cloud refuses us or does not answer.
        """
        request_id = self._ledger.open_request(self._cloud.name, _wanted(request), run_id=request.run_id)
        track = Track(self._ledger, self._cloud.name, request_id, report)
        attempts: list[Attempt] = []
        try:
            self._refuse_spent(request)
            offers = self._offers(request, track)
            track.enter(
                State.SEARCHED, f"{len(offers)} offers, from ${self._price(offers[0], request).usd_per_hour:.3f}/h"
            )
            return self._rent_one_of(offers, request, track, attempts)
        except BaseException as error:
            if track.state in (State.PLANNED, State.SEARCHED, State.CLAIMING, State.RECONCILING, State.GONE):
                self._ledger.transition(request_id, State.FAILED.value, message=str(error) or type(error).__name__)
            raise

    def adopt(self, instance_id: int, report: Report = silent) -> Rental:
        """Take over a living instance (of an earlier session, or an orphan): wait, attach our key, verify.

        Raises:
            ProvisionFailed: it is gone or unusable; it is not destroyed.
            WrongCloud: it is rented on another cloud.
        """
        self._ending.refuse_other_cloud(instance_id)
        instance = self._cloud.instance(instance_id)
        if instance is None:
            raise ProvisionFailed(f"instance {instance_id} is gone: the {self._cloud.name} cloud does not know it")
        request_id = self._ledger.open_request(self._cloud.name, {"adopt": instance_id, "owner": owner_here()})
        self._ending.remember(instance, request_id=request_id)
        self._ledger.hand_over(self._cloud.name, instance_id, request_id)
        track = Track(self._ledger, self._cloud.name, request_id, report)
        track.enter(State.ALLOCATED, f"taking over instance {instance_id}", instance_id=instance_id)
        try:
            arrived = self._arrival(instance_id).wait(track, instance_id, image_gb=0)
        except Unusable as error:
            raise ProvisionFailed(f"instance {instance_id} cannot be taken over: {error}") from error
        row = self._ledger.instance(self._cloud.name, instance_id)
        assert row is not None
        price = Price(row.gpu_usd_per_hour, row.disk_usd_per_hour, 0.0)
        return Rental(request_id, arrived.instance, None, price, arrived.endpoint, instance.label)

    def reconcile(self, report: Report = silent) -> list[Instance]:
        """Settle what earlier sessions left: finish half-done destroys, close rows of instances that are gone,
        destroy what an unanswered create or a half-way rental left under our label.

        Returns the instances that are still alive and known.
        """
        return self._ending.reconcile(report)

    def destroy(self, instance_id: int, report: Report = silent) -> None:
        """Destroy and see the cloud confirm it, then close the ledger's row. Works for an orphan; twice is no error.

        Raises:
            NotDestroyed: the cloud still shows it after the limit.
            WrongCloud: it is rented on another cloud, which must be configured first.
        """
        self._ending.destroy(instance_id, report)

    def orphans(self) -> list[Instance]:
        """Instances under our label that the ledger does not know to be alive."""
        known = {row.instance_id for row in self._ledger.instances(alive_only=True, cloud=self._cloud.name)}
        return [
            each for each in self._cloud.instances() if each.label.startswith(LABEL_PREFIX) and each.id not in known
        ]

    # money

    def _price(self, offer: Offer, request: RentRequest) -> Price:
        return offer.price(request.ordered_disk_gb, traffic_gb=request.image_gb)

    def _refuse_spent(self, request: RentRequest) -> None:
        cap = request.max_usd_per_day
        if cap is None:
            return
        spent = self._ledger.spent_usd(midnight_before(self._ledger.clock.time()), cloud=self._cloud.name)
        if spent >= cap:
            raise OverBudget(
                f"${spent:.2f} were spent today (UTC) and the cap is ${cap:g} a day: raise max_usd_per_day"
            )

    def _refuse_over_budget(self, request: RentRequest, offer: Offer) -> None:
        alive = self._ledger.instances(alive_only=True, cloud=self._cloud.name)
        burn = sum(row.usd_per_hour for row in alive)
        price = self._price(offer, request)
        together = burn + price.usd_per_hour
        with_them = f" with {len(alive)} already rented (${burn:.3f}/h)" if alive else ""
        renting = f"renting {offer.gpu_name} (offer {offer.id}) at ${price.usd_per_hour:.3f}/h{with_them}"
        hour, day = request.max_usd_per_hour, request.max_usd_per_day
        if hour is not None and together > hour:
            raise OverBudget(f"{renting} makes ${together:.3f}/h, above the cap of ${hour:g}/h: raise max_usd_per_hour")
        if day is not None and together * 24 > day:
            raise OverBudget(
                f"{renting} makes ${together * 24:.2f} a day, above the cap of ${day:g}: raise max_usd_per_day, "
                "or destroy an instance first"
            )

    # the market

    def _offers(self, request: RentRequest, track: Track) -> list[Offer]:
        track.tell("asking the market")
        query = replace(request.query, disk_gb=request.ordered_disk_gb)
        if request.offer_id is not None:
            market = self._cloud.search(everything(query))
            chosen = [each for each in market if each.id == request.offer_id and each.disk_gb >= query.disk_gb]
            if not chosen:
                raise NoOffers(
                    f"offer {request.offer_id} is not on the market with {query.gpu_count} GPU and "
                    f"{query.disk_gb:g} GB of disk: somebody rented it, or it was withdrawn; search again"
                )
            return chosen
        offers = self._cloud.search(query)
        if not offers:
            raise NoOffers(explain_empty(self._cloud.search(everything(query)), query))
        return offers

    def _rent_one_of(self, offers: list[Offer], request: RentRequest, track: Track, attempts: list[Attempt]) -> Rental:
        began = self._clock()
        queue = deque(offers)
        machines: set[int] = set()
        gone: set[int] = set()
        may_search_again = request.offer_id is None
        while True:
            if not queue and gone and may_search_again:
                may_search_again = False
                queue.extend(each for each in self._offers(request, track) if each.id not in gone)
            self._stop_at_limits(queue, began, attempts, gone)
            offer = queue.popleft()
            if offer.machine_id in machines:
                continue
            self._refuse_over_budget(request, offer)
            claim = Claim(f"{LABEL_PREFIX}{str(ULID()).lower()}")
            try:
                rental = self._rent(offer, claim, request, track, attempts)
            except BaseException as error:
                if not isinstance(error, NotDestroyed):
                    self._ending.leave_nothing(track, claim, error)
                raise
            if rental is not None:
                return rental
            if claim.instance_id is not None:
                machines.add(offer.machine_id)
            elif isinstance(claim.error, RateLimited):
                queue.appendleft(offer)
            else:
                gone.add(offer.id)

    def _rent(
        self, offer: Offer, claim: Claim, request: RentRequest, track: Track, attempts: list[Attempt]
    ) -> Rental | None:
        """One offer, from its claim to a verified box; None when it did not work out and the next may."""
        started = self._clock()
        if not self._claim(track, request, offer, claim):
            return None
        assert claim.instance_id is not None
        try:
            arrived = self._arrival(claim.instance_id).wait(track, claim.instance_id, request.image_gb)
        except Unusable as unusable:
            state = track.state
            self._ending.discard(track, claim, str(unusable))
            attempts.append(self._attempt(offer, claim, state, str(unusable), self._clock() - started))
            if unusable.our_fault:
                raise ProvisionFailed(f"no machine can start this image:\n{table_of(attempts)}", attempts) from None
            track.enter(State.SEARCHED, "taking the next offer")
            return None
        price = self._price(offer, request)
        return Rental(track.request_id, arrived.instance, offer, price, arrived.endpoint, claim.label, tuple(attempts))

    def _stop_at_limits(self, queue: deque[Offer], began: float, attempts: list[Attempt], gone: set[int]) -> None:
        spent = sum(each.usd for each in attempts)
        reason = None
        if not queue:
            reason = "no offer is left" + (f" ({len(gone)} were rented by others meanwhile)" if gone else "")
        elif len(attempts) >= self._limits.rentals:
            reason = f"{len(attempts)} rentals failed, which is the limit of one request"
        elif spent >= self._limits.rentals_usd:
            reason = f"${spent:.2f} were spent on machines that failed, which is the limit of one request"
        elif self._clock() - began > self._limits.rentals_s:
            reason = f"{self._limits.rentals_s / 60:.0f} minutes passed, which is the limit of one request"
        if reason is not None:
            table = f":\n{table_of(attempts)}" if attempts else "; search again"
            raise ProvisionFailed(f"no machine was had: {reason}{table}", attempts)

    def _attempt(self, offer: Offer, claim: Claim, state: State, reason: str, seconds: float) -> Attempt:
        usd = (
            self._ledger.spent_usd(cloud=self._cloud.name, instance_id=claim.instance_id)
            if claim.instance_id is not None
            else 0.0
        )
        return Attempt(offer, claim.instance_id, state.value, reason, seconds, usd)

    # one rental

    def _claim(self, track: Track, request: RentRequest, offer: Offer, claim: Claim) -> bool:
        """Send one create, never twice; whether an instance is ours now (its id is in `claim`)."""
        price = self._price(offer, request)
        track.enter(State.CLAIMING, f"renting {offer.gpu_name} in {offer.location} at ${price.usd_per_hour:.3f}/h")
        intent = self._ledger.record_intent(
            "create",
            cloud=self._cloud.name,
            request_id=track.request_id,
            label=claim.label,
            detail={"offer_id": offer.id, "usd_per_hour": price.usd_per_hour, "owner": owner_here()},
        )
        spec = InstanceSpec(
            request.image, request.ordered_disk_gb, claim.label, request.onstart, dict(request.environment)
        )

        def send() -> None:
            try:
                claim.instance_id = self._cloud.create(offer.id, spec)
                self._open(claim.instance_id, track, request, offer, claim.label)
                self._ledger.record_outcome(intent, "ok", instance_id=claim.instance_id)
            except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
                claim.error = error
            finally:
                claim.answered.set()

        # In a thread of its own a Ctrl-C cannot cut the call short and leave its outcome unknown.
        claim.sent = True
        threading.Thread(target=send, name=f"create {claim.label}").start()
        claim.answered.wait()
        if claim.error is None:
            track.enter(State.ALLOCATED, f"instance {claim.instance_id}", instance_id=claim.instance_id)
            return True
        if claim.instance_id is not None:
            raise claim.error  # it was rented, only not written down: the intent stays open until it is destroyed
        if isinstance(claim.error, OutcomeUnknown):
            self._ledger.record_outcome(intent, "unknown", detail=str(claim.error))
            return self._find_claimed(track, request, offer, claim, intent)
        claim.settled = True
        self._ledger.record_outcome(intent, "refused", detail=str(claim.error))
        if isinstance(claim.error, OfferGone):
            track.enter(State.SEARCHED, f"offer {offer.id} is gone; taking the next one")
            return False
        if isinstance(claim.error, RateLimited):
            wait_s = claim.error.retry_after_s or self._limits.poll_s
            track.enter(State.SEARCHED, f"{claim.error}; waiting {wait_s:.0f} s")
            self._sleep(wait_s)
            return False
        raise claim.error

    def _find_claimed(self, track: Track, request: RentRequest, offer: Offer, claim: Claim, intent: int) -> bool:
        """After a create without an answer: adopt what appears under its label, the oldest if several."""
        track.enter(State.RECONCILING, f"{claim.error}; looking for it by its label")
        hits = self._ending.find(claim.label)
        if not hits:
            claim.settled = True
            self._ledger.record_outcome(intent, "absent", detail="nothing appeared under the label")
            track.enter(State.SEARCHED, "nothing was rented; taking the next offer")
            return False
        kept, *surplus = sorted(hits, key=lambda each: (each.started_at or 0.0, each.id))
        claim.instance_id = kept.id
        self._open(kept.id, track, request, offer, claim.label)
        self._ledger.record_outcome(intent, "ok", instance_id=kept.id)
        track.enter(State.ALLOCATED, f"instance {kept.id} had been rented after all", instance_id=kept.id)
        for each in surplus:
            self._ending.remember(each)
            self._ending.destroy(each.id, silent)
        return True

    def _open(self, instance_id: int, track: Track, request: RentRequest, offer: Offer, label: str) -> None:
        price = self._price(offer, request)
        self._ledger.open_instance(
            self._cloud.name,
            instance_id,
            label=label,
            gpu_name=offer.gpu_name,
            gpu_usd_per_hour=price.gpu_usd_per_hour,
            disk_usd_per_hour=price.disk_usd_per_hour,
            download_usd_per_gb=offer.download_usd_per_gb,
            upload_usd_per_gb=offer.upload_usd_per_gb,
            machine_id=offer.machine_id,
            offer_id=offer.id,
            request_id=track.request_id,
            run_id=request.run_id,
        )

    def _arrival(self, instance_id: int) -> Arrival:
        self._pins.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Arrival(
            self._cloud,
            self._ledger,
            self._key,
            self._pins / str(instance_id),
            self._ssh_user,
            self._limits,
            self._clock,
            self._sleep,
        )


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
