"""One create, sent once: its intent on the ledger first, alone in its account, and looked for when it got no answer."""

from __future__ import annotations

import threading

from remote.budget import Budget
from remote.cloud import CloudError, Instance, InstanceSpec, NotSent, Offer, OfferGone, OutcomeUnknown, RateLimited
from remote.desk import Desk
from remote.ending import Ending
from remote.mutex import ClaimMutex
from remote.owner import owner_here
from remote.progress import silent
from remote.rental import Claim, NotDestroyed, RentRequest
from remote.states import State
from remote.track import Track


class Claims:
    """Sends the creates of one request."""

    def __init__(self, desk: Desk, ending: Ending, request: RentRequest, track: Track) -> None:
        self._desk = desk
        self._ending = ending
        self._request = request
        self._track = track
        self._budget = Budget(desk, request)

    def send(self, offer: Offer, claim: Claim) -> bool:
        """Send one create, never twice; whether an instance is ours now (its id is in `claim`).

        Raises:
            OverBudget: what another process rented meanwhile leaves no room for it.
            CloudError: the cloud refuses us, or it cannot be known whether something was rented.
        """
        price = self._budget.price(offer)
        what = f"renting {offer.gpu_name} in {offer.location} at ${price.usd_per_hour:.3f}/h"
        self._track.enter(State.CLAIMING, what)
        mutex = ClaimMutex(self._desk.claims, self._desk.limits.create_spacing_s, self._desk.clock)
        mutex.acquire(lambda: self._track.tell("waiting for another rental of this account to be answered"))
        try:
            self._budget.refuse(offer)
            intent = self._desk.ledger.record_intent(
                "create",
                cloud=self._desk.cloud_name,
                request_id=self._track.request_id,
                label=claim.label,
                detail={"offer_id": offer.id, "usd_per_hour": price.usd_per_hour, "owner": owner_here()},
            )
            # In a thread of its own a Ctrl-C cannot cut the call short and leave its outcome unknown.
            sender = threading.Thread(
                target=self._call, args=(offer, claim, intent, mutex), name=f"create {claim.label}"
            )
            claim.sent = True
        except BaseException:
            mutex.release()
            raise
        sender.start()
        claim.answered.wait()
        return self._judge(offer, claim, intent)

    def _call(self, offer: Offer, claim: Claim, intent: int, mutex: ClaimMutex) -> None:
        request = self._request
        spec = InstanceSpec(
            request.image,
            request.ordered_disk_gb,
            claim.label,
            request.onstart,
            dict(request.environment),
            still_wanted=lambda: not claim.given_up.is_set(),
        )
        sent_at = self._desk.clock.time()
        try:
            if claim.given_up.is_set():
                raise NotSent("the request was given up before its create was sent: nothing was rented")
            claim.instance_id = self._desk.cloud.create(offer.id, spec)
            self._open(claim.instance_id, offer, claim.label, sent_at)
            self._desk.ledger.record_outcome(intent, "ok", instance_id=claim.instance_id)
        except NotSent as error:
            claim.error, claim.settled = error, True
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits)
            claim.error = error
        finally:
            try:
                mutex.release()
            finally:
                claim.answered.set()

    def _judge(self, offer: Offer, claim: Claim, intent: int) -> bool:
        if claim.error is None:
            self._track.enter(State.ALLOCATED, f"instance {claim.instance_id}", instance_id=claim.instance_id)
            return True
        if claim.instance_id is not None:
            raise claim.error  # it was rented, only not written down: the intent stays open until it is destroyed
        if isinstance(claim.error, OutcomeUnknown):
            self._desk.ledger.record_outcome(intent, "unknown", detail=str(claim.error))
            if claim.error.instance_id is not None:
                return self._discard_left(offer, claim, intent, claim.error.instance_id)
            return self._find(offer, claim, intent)
        if not isinstance(claim.error, CloudError):  # not a refusal: whatever went wrong, it may have been sent
            self._desk.ledger.record_outcome(intent, "unknown", detail=repr(claim.error))
            raise claim.error
        claim.settled = True
        self._desk.ledger.record_outcome(intent, "refused", detail=str(claim.error))
        if isinstance(claim.error, OfferGone):
            self._track.enter(State.SEARCHED, f"offer {offer.id} is gone; taking the next one")
            return False
        if isinstance(claim.error, RateLimited):
            wait_s = claim.error.retry_after_s or self._desk.limits.poll_s
            self._track.enter(State.SEARCHED, f"{claim.error}; waiting {wait_s:.0f} s")
            self._desk.clock.sleep(wait_s)
            return False
        raise claim.error

    def _find(self, offer: Offer, claim: Claim, intent: int) -> bool:
        """After a create without an answer: adopt what appears under its label, the oldest if several."""
        self._track.enter(State.RECONCILING, f"{claim.error}; looking for it by its label")
        asked_at = next(each.at for each in self._desk.ledger.intents(unsettled_only=True) if each.intent_id == intent)
        hits = self._ending.find(claim.label)
        if not hits:
            claim.settled = True
            self._desk.ledger.record_outcome(intent, "absent", detail="nothing appeared under the label")
            self._track.enter(State.SEARCHED, "nothing was rented; taking the next offer")
            return False
        kept, *surplus = sorted(hits, key=lambda each: (each.started_at or 0.0, each.id))
        claim.instance_id = kept.id
        self._open(kept.id, offer, claim.label, kept.started_at or asked_at)
        self._desk.ledger.record_outcome(intent, "ok", instance_id=kept.id)
        self._track.enter(State.ALLOCATED, f"instance {kept.id} had been rented after all", instance_id=kept.id)
        self._end_surplus(surplus)
        return True

    def _end_surplus(self, surplus: list[Instance]) -> None:
        """Destroy what one create rented beside the one that is kept; one that resists keeps no other alive."""
        resisting: list[NotDestroyed] = []
        for each in surplus:
            self._ending.remember(each)
            try:
                self._ending.destroy(each.id, silent)
            except NotDestroyed as error:
                resisting.append(error)
        if resisting:
            raise resisting[0]

    def _discard_left(self, offer: Offer, claim: Claim, intent: int, instance_id: int) -> bool:
        """After a refusal that left an instance all the same: on the ledger with it, and away, confirmed."""
        claim.instance_id = instance_id
        (asked_at,) = (each.at for each in self._desk.ledger.intents() if each.intent_id == intent)
        self._open(instance_id, offer, claim.label, asked_at)
        self._desk.ledger.record_outcome(intent, "ok", instance_id=instance_id)
        self._track.enter(State.RECONCILING, str(claim.error), instance_id=instance_id)
        self._ending.discard(self._track, claim, "it was refused, and is no use to anybody")
        self._track.enter(State.SEARCHED, f"offer {offer.id} is gone; taking the next one")
        return False

    def _open(self, instance_id: int, offer: Offer, label: str, opened_at: float) -> None:
        price = self._budget.price(offer)
        self._desk.ledger.open_instance(
            self._desk.cloud_name,
            instance_id,
            label=label,
            gpu_name=offer.gpu_name,
            gpu_usd_per_hour=price.gpu_usd_per_hour,
            disk_usd_per_hour=price.disk_usd_per_hour,
            download_usd_per_gb=offer.download_usd_per_gb,
            upload_usd_per_gb=offer.upload_usd_per_gb,
            machine_id=offer.machine_id,
            offer_id=offer.id,
            request_id=self._track.request_id,
            run_id=self._request.run_id,
            opened_at=opened_at,
        )
