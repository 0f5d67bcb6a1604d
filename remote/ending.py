"""How rentals end: destroyed and confirmed, also when nobody knows any more what was rented."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

from remote.account import refuse_other_account
from remote.clock import UncutClock
from remote.cloud import (
    CloudError,
    CloudUnreachable,
    Instance,
    InstanceStatus,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
)
from remote.desk import Desk
from remote.ledger import RentedInstance
from remote.ledger_rows import SECONDS_PER_HOUR
from remote.look import note_billed
from remote.progress import Progress, Report, silent
from remote.rental import Claim, NotDestroyed, WrongCloud
from remote.states import State
from remote.track import Track

ASK_AGAIN_EVERY = 10


class Ending:
    """Destroys, and finds what must be destroyed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cloud = desk.cloud
        self._ledger = desk.ledger
        self._limits = desk.limits
        self._clock = desk.clock

    def refuse_other_cloud(self, instance_id: int) -> None:
        """Raise WrongCloud when the ledger has it on other clouds alone: what this one says of it is void."""
        rows = [self._ledger.instance(cloud, instance_id) for cloud in self._ledger.clouds_of(instance_id)]
        known = sorted((row for row in rows if row is not None), key=lambda row: row.alive, reverse=True)
        if known and all(row.cloud != self._cloud.name for row in known):
            row = known[0]
            name, _, address = row.cloud.partition("@")
            where = f'cloud.name = "{name}"' + (f' and cloud.url = "http://{address}"' if address else "")
            raise WrongCloud(
                f"instance {row.instance_id} {'is' if row.alive else 'was'} rented on the {row.cloud} cloud, but the "
                f"{self._cloud.name} cloud is configured: set {where} in spotter.toml"
            )

    def destroy(self, instance_id: int, report: Report, *, rented_now: bool = False) -> None:
        """Ask, then look until the cloud no longer knows it, then close the ledger's row.

        `rented_now`: a create was just answered with this id, so that a cloud whose reads lag behind may not show it
        yet; it is asked to destroy it all the same.

        Raises:
            NotDestroyed: it is still there after the limit.
            WrongCloud: it is rented on another cloud.
        """
        row = self._ledger.instance(self._cloud.name, instance_id)
        self.refuse_other_cloud(instance_id)
        if row is None or not row.alive:
            instance, readable = self._seen(instance_id)
            if instance is None:
                if rented_now or not readable:
                    self._ask_until_gone(instance_id, report)
                else:
                    refuse_other_account(self._desk)
                return
            if row is None:
                self.remember(instance)
            else:  # it was thought gone, and is billed all the same
                self._ledger.hand_over(self._cloud.name, instance_id, row.request_id)
        request_id = row.request_id if row is not None else None
        intent = self._ledger.record_intent(
            "destroy", cloud=self._cloud.name, request_id=request_id, instance_id=instance_id
        )
        self._desk.enter(State.DESTROYING, request_id, instance_id, "asking the cloud to destroy it", report)
        try:
            was_there = self._ask_until_gone(instance_id, report)
            if not was_there:
                refuse_other_account(self._desk)
        except NotDestroyed as error:
            self._ledger.record_outcome(intent, "failed", detail=str(error))
            raise
        except WrongCloud as error:  # where it lives it was not asked for
            self._ledger.record_outcome(intent, "failed", detail=str(error))
            if row is not None:
                self._desk.enter(State(row.state), request_id, instance_id, "left as it was", report)
            raise
        row = self._ledger.instance(self._cloud.name, instance_id)
        ended_at = None if was_there or row is None else self.end_of_vanished(row)
        self._ledger.close_instance(self._cloud.name, instance_id, at=ended_at)
        self._ledger.record_outcome(intent, "ok")
        self._desk.pin(instance_id).unlink(missing_ok=True)
        spent = self._desk.spent_usd(instance_id)
        self._desk.enter(
            State.GONE, request_id, instance_id, f"gone, confirmed by the cloud; it cost ${spent:.4f}", report
        )

    def close_vanished(self, row: RentedInstance, report: Report) -> None:
        """Close the row of an instance that the cloud does not know any more, at the end of its bill."""
        ended_at = self.end_of_vanished(row)
        self._ledger.close_instance(self._cloud.name, row.instance_id, at=ended_at)
        self._desk.pin(row.instance_id).unlink(missing_ok=True)
        message = "the cloud no longer knows it"
        self._desk.enter(State.GONE, row.request_id, row.instance_id, message, report)

    def end_of_vanished(self, row: RentedInstance) -> float:
        """When an instance that nobody saw end was last billed: by the cloud's charges, or when it was last listed."""
        now = self._clock.time()
        seen_at = row.seen_at if row.seen_at is not None else row.opened_at
        try:
            charges = self._cloud.charges(row.opened_at, now)
        except CloudError:
            return seen_at
        disk_usd = sum(each.usd_by_kind.get("disk", 0.0) for each in charges if each.instance_id == row.instance_id)
        if not disk_usd or not row.disk_usd_per_hour:
            return seen_at
        billed_s = disk_usd / row.disk_usd_per_hour * SECONDS_PER_HOUR
        return min(max(row.opened_at + billed_s, seen_at), now)

    def discard(self, track: Track, claim: Claim, reason: str) -> None:
        """Give up a rental of a request that goes on."""
        instance_id = claim.instance_id
        assert instance_id is not None
        track.enter(State.DISCARD, reason, instance_id=instance_id)
        self.destroy(instance_id, track.report)
        track.state = State.GONE

    def leave_nothing(self, track: Track, claim: Claim, cause: BaseException) -> None:
        """Whatever stopped a rental, see that nothing of it lives; a further Ctrl-C does not cut this short.

        The work is done in a thread, where no interrupt arrives; limits bound it. What could not be destroyed stays
        alive on the ledger and is added to `cause` as a note.
        """
        failures: list[BaseException] = []
        done = threading.Event()
        claim.given_up.set()
        patient = Ending(replace(self._desk, clock=UncutClock(self._clock)))

        def work() -> None:
            try:
                patient._destroy_claimed(claim, failures)
            except BaseException as error:  # noqa: BLE001 (whatever it is, a machine may be billed: it must be told)
                failures.append(error)
            finally:
                done.set()

        threading.Thread(target=work, name=f"end {claim.label}").start()
        try:
            track.tell("stopping: seeing to it that nothing stays rented")
        except BaseException as second:  # noqa: BLE001 (the cause is in flight already)
            cause.add_note(f"telling of it failed: {second!r}")
        _see_through(done)
        for failure in failures:
            words = _words_for(failure, claim)
            cause.add_note(words)
            try:
                track.tell(words)
            except BaseException as second:  # noqa: BLE001 (the cause is in flight already)
                cause.add_note(f"telling of it failed: {second!r}")
        if claim.instance_id is not None and not failures:
            track.state = State.GONE

    def _destroy_claimed(self, claim: Claim, failures: list[BaseException]) -> None:
        """Destroy every instance that the claim may have brought; one that resists does not keep the next alive."""
        if claim.sent:
            claim.answered.wait(self._limits.answered_s)
        doomed = set() if claim.instance_id is None else {claim.instance_id}
        if isinstance(claim.error, OutcomeUnknown) and claim.error.instance_id is not None:
            doomed.add(claim.error.instance_id)
        lost = claim.sent and not claim.answered.is_set()
        if lost or (claim.error is not None and not claim.settled):
            for instance in self.find(claim.label, patient=not doomed):
                doomed.add(instance.id)
        before = len(failures)
        for instance_id in sorted(doomed):
            try:
                self._destroy_in_any_case(instance_id)
            except BaseException as error:  # noqa: BLE001 (whatever it is, a machine may be billed: it must be told)
                failures.append(error)
        if len(failures) > before:
            return
        outcome = "ok" if doomed else "unknown" if lost else "absent"
        try:
            for intent in self._ledger.intents(unsettled_only=True):
                if intent.label == claim.label:
                    self._ledger.record_outcome(
                        intent.intent_id, outcome, detail="given up", instance_id=claim.instance_id
                    )
        except sqlite3.Error as error:
            failures.append(_Unwritten(lost, error))

    def _destroy_in_any_case(self, instance_id: int) -> None:
        """Destroy also while the ledger cannot be used: a machine costs money, a missing row does not."""
        try:
            self.destroy(instance_id, silent, rented_now=True)
        except sqlite3.Error:
            self._ask_until_gone(instance_id, silent)

    def find(self, label: str, *, patient: bool = True) -> list[Instance]:
        """Instances under a label; `patient` looks again until the limit passes, for reads lag behind creates.

        Raises:
            CloudUnreachable: the last look got no answer, so that nothing is known. Silence is not absence.
        """
        deadline = self._clock.monotonic() + (self._limits.reconciling_s if patient else 0)
        while True:
            last = self._clock.monotonic() >= deadline
            try:
                hits = self._cloud.instances(label)
            except (CloudUnreachable, RateLimited) as error:
                hits = []
                if self._clock.monotonic() >= deadline + self._limits.unanswered_s:
                    raise CloudUnreachable(
                        f"whether a machine was rented as {label} is not known, the cloud does not answer ({error}): "
                        "it is looked for again at the next start, and `spotter fleet` shows it"
                    ) from error
                last = False
            if hits or last:
                return hits
            self._clock.sleep(self._limits.reconcile_poll_s)

    def remember(self, instance: Instance, *, request_id: str | None = None) -> None:
        """Put an instance on the ledger that is not there; its disk's part of the price is not told apart."""
        self._ledger.open_instance(
            self._cloud.name,
            instance.id,
            label=instance.label,
            gpu_name=instance.gpu_name,
            gpu_usd_per_hour=instance.usd_per_hour,
            disk_usd_per_hour=0.0,
            machine_id=instance.machine_id,
            request_id=request_id,
            opened_at=instance.started_at,
        )
        if instance.status is InstanceStatus.RUNNING:
            self._ledger.instance_running(self._cloud.name, instance.id, at=instance.started_at)
        note_billed(self._desk, instance)

    def _ask_until_gone(self, instance_id: int, report: Report) -> bool:
        """Ask, look, ask again; returns whether it was there at all.

        An instance that we never saw may only not be shown yet: reads lag behind creates. It counts as gone when it
        was seen and is not any more, or when it could not be seen for as long as a lag may last.
        """
        lag_s = self._limits.reconciling_s
        known = self._was_seen(instance_id, lag_s)
        began = self._clock.monotonic()
        deadline = began + self._limits.destroying_s
        trouble = ""
        looks = 0
        was_there = False
        while True:
            try:
                if looks == 0 and self._seen(instance_id)[0] is not None:
                    was_there = True
                if looks % ASK_AGAIN_EVERY == 0:
                    self._cloud.destroy(instance_id)
                looks += 1
                if self._is_absent(instance_id):
                    if known or was_there or self._clock.monotonic() - began > lag_s:
                        return was_there
                elif not was_there:
                    was_there, looks = True, 0
            except Unauthorized:
                raise
            except CloudError as error:  # also an answer that nobody can read: it confirms nothing
                trouble = f": {error}"
                report(Progress(State.DESTROYING.value, f"{error}; asking again"))
            if self._clock.monotonic() > deadline:
                raise NotDestroyed(
                    f"instance {instance_id} may still be rented: the {self._cloud.name} cloud did not confirm its end "
                    f"within {self._limits.destroying_s:.0f} s{trouble}; destroy it again, or on the cloud's own page",
                    instance_id,
                )
            self._clock.sleep(self._limits.poll_s)

    def _seen(self, instance_id: int) -> tuple[Instance | None, bool]:
        """The instance as the cloud shows it, and whether the cloud's answer could be had and read at all."""
        try:
            return self._cloud.instance(instance_id), True
        except Unauthorized:
            raise
        except CloudError:
            return None, False

    def _is_absent(self, instance_id: int) -> bool:
        """Whether the cloud, asked for it alone and for all of them, knows it no more."""
        return self._cloud.instance(instance_id) is None and all(
            each.id != instance_id for each in self._cloud.instances()
        )

    def _was_seen(self, instance_id: int, lag_s: float) -> bool:
        """Whether it was listed before, or is so old that it must have been; a ledger out of use knows nothing."""
        try:
            row = self._ledger.instance(self._cloud.name, instance_id)
        except sqlite3.Error:
            return False
        return row is not None and (row.seen_at is not None or self._clock.time() - row.opened_at > lag_s)


class _Unwritten(Exception):
    """Everything was done, and confirmed; only the ledger could not be told."""

    def __init__(self, lost: bool, error: sqlite3.Error) -> None:
        done = "nothing appeared under its label" if lost else "nothing stays rented"
        super().__init__(f"{done}, but the ledger could not be written ({error}): it is settled at the next start")


def _words_for(failure: BaseException, claim: Claim) -> str:
    if isinstance(failure, NotDestroyed | CloudError | _Unwritten):
        return str(failure)
    machine = f"instance {claim.instance_id}" if claim.instance_id is not None else "a machine"
    return (
        f"{machine} labelled {claim.label} may still be rented ({type(failure).__name__}: {failure}); "
        "look with `spotter fleet`, or on the cloud's own page"
    )


def _see_through(done: threading.Event) -> None:
    """Wait whatever Ctrl-C says. (An interrupted `Thread.join` takes a living thread for ended; an event does not.)"""
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            continue
