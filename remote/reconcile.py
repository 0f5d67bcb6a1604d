"""After a restart and now and then: what dead sessions left is settled, what vanished closed, what strays told."""

from __future__ import annotations

from remote.account import settle_account
from remote.cloud import CloudError, Instance, InstanceStatus
from remote.desk import Desk
from remote.ending import Ending
from remote.ledger import IntentRow, RentedInstance, RequestRow
from remote.look import OUT_OF_CREDIT, is_another_price, note_billed, was_stopped, why_stopped
from remote.money import reconcile_charges
from remote.owner import is_alive
from remote.progress import Progress, Report
from remote.rental import NotDestroyed
from remote.states import ASTRAY, IN_USE, State

HALF_WAY = frozenset(
    state.value
    for state in (
        State.ALLOCATED,
        State.PULLING,
        State.BOOTING,
        State.REACHABLE,
        State.AUTHED,
        State.DISCARD,
        State.DESTROYING,
    )
)
"""States in which a rental is of no use to anybody once the process that rented it is dead."""
WITHOUT_INSTANCE = frozenset({State.PLANNED.value, State.SEARCHED.value, State.CLAIMING.value, State.RECONCILING.value})
"""States of a request that ends as failed when its process is dead and nothing appeared under its labels."""
BILLS_OPEN_S = 7 * 86400.0
WATCHED = frozenset(state.value for state in IN_USE | ASTRAY)


class Reconciler:
    """Brings the ledger and the cloud to one truth."""

    def __init__(self, desk: Desk, ending: Ending) -> None:
        self._desk = desk
        self._cloud = desk.cloud
        self._ledger = desk.ledger
        self._ending = ending

    def reconcile(self, report: Report) -> list[Instance]:
        """Settle what dead sessions left; see `Provisioner.reconcile`.

        One instance that resists keeps no other from being settled, nor a new one from being rented: it stays on the
        ledger, and is told at the end.

        Raises:
            WrongCloud: another account is configured than the one that rented what is alive.
            CloudError: the cloud does not list what it knows.
        """
        settle_account(self._desk)
        living = {each.id: each for each in self._cloud.instances()}
        resisting: list[Exception] = []
        self._settle_creates(living, resisting, report)
        for row in self._alive():
            try:
                self._settle(row, living, report)
            except (NotDestroyed, CloudError) as error:
                resisting.append(error)
        self._settle_rest()
        self.look_after(report, list(living.values()))
        self._settle_bills(report)
        for each in resisting:
            report(Progress("settling", str(each)))
        known = {row.instance_id for row in self._alive()}
        return [each for each in living.values() if each.id in known]

    def _settle(self, row: RentedInstance, living: dict[int, Instance], report: Report) -> None:
        """One row that the ledger holds for alive."""
        if self._is_abandoned(row.instance_id) and self._was_being_adopted(row):
            self._give_back(row, report)
        elif self._is_abandoned(row.instance_id):
            self._ending.destroy(row.instance_id, report)
            living.pop(row.instance_id, None)
        elif row.instance_id not in living and self._is_gone(row):
            self._ending.close_vanished(row, report)

    def _settle_bills(self, report: Report) -> None:
        """Bring the ledger to the cloud's own bill; a cloud that does not tell it now tells it next time."""
        try:
            differences = reconcile_charges(self._cloud, self._ledger, self._desk.clock, since=self._bills_since)
        except CloudError as error:
            report(Progress("settling", f"the bill could not be compared: {error}"))
            return
        for each in differences:
            what = "is settled" if each.settled else "is open"
            report(
                Progress(
                    "settling",
                    f"instance {each.instance_id}: the cloud charged ${each.charged_usd:.4f}, the ledger had "
                    f"${each.ledger_usd:.4f}; the difference of ${each.usd:+.4f} {what}",
                )
            )

    @property
    def _bills_since(self) -> float:
        """Bills older than this are closed: a week is more than a cloud takes to book."""
        return self._desk.clock.time() - BILLS_OPEN_S

    def look_after(self, report: Report, listed: list[Instance] | None = None) -> list[Instance]:
        """Follow every box in use: its bill, and whether it was stopped, is lost, or is back.

        One list call covers all of them; `listed` saves it when the caller has just asked.
        """
        found = self._cloud.instances() if listed is None else listed
        rows = {row.instance_id: row for row in self._alive()}
        for instance in found:
            row = rows.get(instance.id)
            if row is not None:
                note_billed(self._desk, instance)
                self._note_price(row, instance, report)
                if row.state in WATCHED:
                    self._follow(row, instance, report)
        return found

    # boxes in use

    def _note_price(self, row: RentedInstance, instance: Instance, report: Report) -> None:
        """A price that changed while it is rented counts from now on, and is told, to its history too."""
        if row.state in HALF_WAY or not is_another_price(instance, row.usd_per_hour, self._desk.limits):
            return
        disk = min(row.disk_usd_per_hour, instance.usd_per_hour)
        self._ledger.price_from_now(
            self._desk.cloud_name,
            instance.id,
            gpu_usd_per_hour=instance.usd_per_hour - disk,
            disk_usd_per_hour=disk,
        )
        what = f"its price changed from ${row.usd_per_hour:.3f}/h to ${instance.usd_per_hour:.3f}/h"
        self._desk.enter(State(row.state), None, instance.id, what, report)

    def _follow(self, row: RentedInstance, instance: Instance, report: Report) -> None:
        if instance.status is InstanceStatus.OFFLINE:
            since = self._ledger.offline_since(self._desk.cloud_name, instance.id)
            away_s = 0.0 if since is None else self._desk.clock.time() - since
            if away_s > self._desk.limits.offline_s and row.state != State.LOST:
                message = (
                    f"its host is away for {away_s / 60:.0f} minutes: it is not billed meanwhile, and may come back"
                )
                self._desk.enter(State.LOST, row.request_id, row.instance_id, message, report)
        elif was_stopped(instance):
            if row.state != State.STOPPED:
                why = why_stopped(self._desk)
                advice = "add credit before its data is deleted" if why == OUT_OF_CREDIT else "its disk is still billed"
                message = f"the cloud stopped it: {why}; {advice}"
                self._desk.enter(State.STOPPED, row.request_id, row.instance_id, message, report)
        elif instance.status is InstanceStatus.EXITED:
            if row.state != State.STOPPED:
                message = (
                    f"its container ended ({instance.status_message or 'no reason given'}); its disk is still billed"
                )
                self._desk.enter(State.STOPPED, row.request_id, row.instance_id, message, report)
        elif instance.status is InstanceStatus.RUNNING and row.state in ASTRAY:
            back = self._state_before(row) or State.VERIFIED
            self._desk.enter(back, row.request_id, row.instance_id, "it is back", report)

    def _state_before(self, row: RentedInstance) -> State | None:
        """The last state in which it was of use; None when it never was."""
        for each in reversed(self._ledger.history(self._desk.cloud_name, row.instance_id)):
            if each.state in IN_USE:
                return State(each.state)
        return None

    # what dead sessions left

    def _alive(self) -> list[RentedInstance]:
        return self._ledger.instances(alive_only=True, cloud=self._desk.cloud_name)

    def _is_gone(self, row: RentedInstance) -> bool:
        """Whether the cloud does not know it, and is not only late to show what was just rented."""
        age_s = self._desk.clock.time() - row.opened_at
        may_be_shown_later = row.seen_at is None and age_s < self._desk.limits.reconciling_s
        return not may_be_shown_later and self._cloud.instance(row.instance_id) is None

    def _is_abandoned(self, instance_id: int) -> bool:
        """Whether it stands half-way and nobody is at it; read anew, for another session may just have adopted it."""
        row = self._ledger.instance(self._desk.cloud_name, instance_id)
        return row is not None and row.alive and row.state in HALF_WAY and not _in_progress(self._request_of(row))

    def _was_being_adopted(self, row: RentedInstance) -> bool:
        request = self._request_of(row)
        return request is not None and "adopt" in request.wanted and row.state not in (State.DISCARD, State.DESTROYING)

    def _give_back(self, row: RentedInstance, report: Report) -> None:
        """Undo half an adoption: the box was somebody's before, and may hold what nobody has elsewhere."""
        state = self._state_before(row) or State.LOST
        self._ledger.transition(row.request_id, State.FAILED.value, message="its console was ended")
        self._desk.enter(state, None, row.instance_id, "its adoption was cut short: it is left as it was", report)

    def _request_of(self, row: RentedInstance) -> RequestRow | None:
        return self._ledger.request(row.request_id) if row.request_id is not None else None

    def _settle_creates(self, living: dict[int, Instance], resisting: list[Exception], report: Report) -> None:
        """Creates of dead sessions: nothing of them may live that the ledger does not know.

        Also creates whose outcome was taken for settled are looked through: an answer that nobody got may have rented
        long after anybody looked.
        """
        known = {row.instance_id for row in self._alive()}
        by_label: dict[str, list[Instance]] = {}
        for each in living.values():
            by_label.setdefault(each.label, []).append(each)
        for intent in self._ledger.intents(cloud=self._desk.cloud_name):
            if intent.operation != "create":
                continue
            hits = [each for each in by_label.get(intent.label, ()) if each.id not in known]
            for each in [each for each in hits if self._was_lost_from_sight(each.id)]:
                self._open_again(each, report)
                hits.remove(each)
            if _owner_lives(intent):
                continue
            for each in hits:
                try:
                    self._ending.remember(each)
                    self._ending.destroy(each.id, report)
                    living.pop(each.id)
                except (NotDestroyed, CloudError) as error:
                    resisting.append(error)
            if intent.outcome in (None, "unknown") and not any(each.id in living for each in hits):
                old = self._desk.clock.time() - intent.at > self._desk.limits.reconciling_s
                if hits or old:
                    said = f"{len(hits)} found and destroyed"
                    self._ledger.record_outcome(intent.intent_id, "absent", detail=said)

    def _was_lost_from_sight(self, instance_id: int) -> bool:
        """Whether its row was closed only because the cloud did not show it, although somebody worked with it.

        A cloud forgets for a moment, or is asked with another key. What was destroyed on purpose is another matter.
        """
        row = self._ledger.instance(self._desk.cloud_name, instance_id)
        if row is None or row.alive:
            return False
        states = [each.state for each in self._ledger.history(self._desk.cloud_name, instance_id)]
        on_purpose = State.DESTROYING.value in states[-2:]
        return not on_purpose and self._state_before(row) is not None

    def _open_again(self, instance: Instance, report: Report) -> None:
        row = self._ledger.instance(self._desk.cloud_name, instance.id)
        assert row is not None
        self._ledger.hand_over(self._desk.cloud_name, instance.id, row.request_id)
        note_billed(self._desk, instance)
        state = self._state_before(row) or State.VERIFIED
        message = (
            f"it was taken for gone, and is rented at ${row.usd_per_hour:.3f}/h: it is kept as {state.value}; "
            f"`spotter destroy {instance.id}` ends it"
        )
        self._desk.enter(state, row.request_id, instance.id, message, report)

    def _settle_rest(self) -> None:
        """Close what is left open of dead sessions: calls about instances that are gone, requests without one."""
        for intent in self._ledger.intents(unsettled_only=True, cloud=self._desk.cloud_name):
            if intent.operation != "create" and intent.instance_id is not None:
                row = self._ledger.instance(self._desk.cloud_name, intent.instance_id)
                if row is None or not row.alive:
                    self._ledger.record_outcome(intent.intent_id, "moot", detail="the instance is gone")
        unsettled = {intent.request_id for intent in self._ledger.intents(unsettled_only=True)}
        kept = {row.request_id for row in self._alive()}
        for request in self._ledger.requests(open_only=True):
            unfinished = request.state in WITHOUT_INSTANCE | HALF_WAY and not _in_progress(request)
            here = request.cloud == self._desk.cloud_name
            if here and unfinished and request.request_id not in unsettled | kept:
                self._ledger.transition(request.request_id, State.FAILED.value, message="its console was ended")


def _owner_lives(intent: IntentRow) -> bool:
    owner = intent.detail.get("owner")
    return isinstance(owner, dict) and is_alive(owner)


def _in_progress(request: RequestRow | None) -> bool:
    owner = request.wanted.get("owner") if request is not None else None
    return isinstance(owner, dict) and is_alive(owner)
