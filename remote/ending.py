"""How rentals end: destroyed and confirmed, also when nobody knows any more what was rented."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from remote.cloud import Cloud, CloudError, CloudUnreachable, Instance, InstanceStatus, OutcomeUnknown, RateLimited
from remote.ledger import IntentRow, Ledger, RequestRow
from remote.owner import is_alive
from remote.progress import Progress, Report, silent
from remote.rental import Claim, NotDestroyed, WrongCloud
from remote.states import Limits, State
from remote.track import Track

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
ASK_AGAIN_EVERY = 10


class Ending:
    """Destroys, and finds what must be destroyed."""

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        pins: Path,
        limits: Limits,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._pins = pins
        self._limits = limits
        self._clock = clock
        self._sleep = sleep

    def refuse_other_cloud(self, instance_id: int) -> None:
        """Raise WrongCloud when the ledger has it on other clouds alone: what this one says of it is void."""
        rows = [self._ledger.instance(cloud, instance_id) for cloud in self._ledger.clouds_of(instance_id)]
        known = sorted((row for row in rows if row is not None), key=lambda row: row.alive, reverse=True)
        if known and all(row.cloud != self._cloud.name for row in known):
            row = known[0]
            raise WrongCloud(
                f"instance {row.instance_id} {'is' if row.alive else 'was'} rented on the {row.cloud} cloud, but the "
                f'{self._cloud.name} cloud is configured: set cloud.name = "{row.cloud}" in spotter.toml'
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
            instance = self._cloud.instance(instance_id)
            if instance is None:
                if rented_now:
                    self._ask_until_gone(instance_id, report)
                return
            self.remember(instance)
        request_id = row.request_id if row is not None else None
        intent = self._ledger.record_intent(
            "destroy", cloud=self._cloud.name, request_id=request_id, instance_id=instance_id
        )
        self._enter(State.DESTROYING, request_id, instance_id, "asking the cloud to destroy it", report)
        try:
            self._ask_until_gone(instance_id, report)
        except NotDestroyed as error:
            self._ledger.record_outcome(intent, "failed", detail=str(error))
            raise
        self._ledger.close_instance(self._cloud.name, instance_id)
        self._ledger.record_outcome(intent, "ok")
        (self._pins / str(instance_id)).unlink(missing_ok=True)
        spent = self._ledger.spent_usd(cloud=self._cloud.name, instance_id=instance_id)
        self._enter(State.GONE, request_id, instance_id, f"gone, confirmed by the cloud; it cost ${spent:.4f}", report)

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
        failures: list[Exception] = []
        done = threading.Event()

        def work() -> None:
            try:
                self._destroy_claimed(claim, failures)
            except Exception as error:  # noqa: BLE001 (whatever it is, a machine may be billed: it must be told)
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

    def _destroy_claimed(self, claim: Claim, failures: list[Exception]) -> None:
        """Destroy every instance that the claim may have brought; one that resists does not keep the next alive."""
        if claim.sent:
            claim.answered.wait(self._limits.answered_s)
        doomed = set() if claim.instance_id is None else {claim.instance_id}
        lost = claim.sent and not claim.answered.is_set()
        if lost or (isinstance(claim.error, OutcomeUnknown) and not claim.settled):
            for instance in self.find(claim.label, patient=not doomed):
                doomed.add(instance.id)
        before = len(failures)
        for instance_id in sorted(doomed):
            try:
                self._destroy_in_any_case(instance_id)
            except Exception as error:  # noqa: BLE001 (whatever it is, a machine may be billed: it must be told)
                failures.append(error)
        if len(failures) > before:
            return
        outcome = "ok" if doomed else "unknown" if lost else "absent"
        for intent in self._ledger.intents(unsettled_only=True):
            if intent.label == claim.label:
                self._ledger.record_outcome(intent.intent_id, outcome, detail="given up", instance_id=claim.instance_id)

    def _destroy_in_any_case(self, instance_id: int) -> None:
        """Destroy also while the ledger cannot be written: a machine costs money, a missing row does not."""
        try:
            self.destroy(instance_id, silent, rented_now=True)
        except sqlite3.Error:
            self._ask_until_gone(instance_id, silent)

    def find(self, label: str, *, patient: bool = True) -> list[Instance]:
        """Instances under a label; `patient` looks again until the limit passes, for reads lag behind creates."""
        deadline = self._clock() + (self._limits.reconciling_s if patient else 0)
        while True:
            try:
                hits = self._cloud.instances(label)
            except (CloudUnreachable, RateLimited):
                hits = []
            if hits or self._clock() >= deadline:
                return hits
            self._sleep(self._limits.reconcile_poll_s)

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

    def reconcile(self, report: Report) -> list[Instance]:
        """Settle what dead sessions left; see `Provisioner.reconcile`."""
        living = {each.id: each for each in self._cloud.instances()}
        ours = {each.request_id for each in self._ledger.requests() if each.cloud == self._cloud.name}
        for intent in self._ledger.intents(unsettled_only=True):
            if intent.request_id in ours:
                self._settle(intent, living, report)
        for row in self._ledger.instances(alive_only=True, cloud=self._cloud.name):
            if row.instance_id not in living and self._cloud.instance(row.instance_id) is None:
                self._ledger.close_instance(self._cloud.name, row.instance_id)
                self._enter(State.GONE, row.request_id, row.instance_id, "the cloud no longer knows it", report)
            elif self._is_abandoned(row.instance_id):
                self.destroy(row.instance_id, report)
                living.pop(row.instance_id, None)
        unsettled = {intent.request_id for intent in self._ledger.intents(unsettled_only=True)}
        for request in self._ledger.requests(open_only=True):
            abandoned = request.state in WITHOUT_INSTANCE and not _in_progress(request)
            if request.cloud == self._cloud.name and abandoned and request.request_id not in unsettled:
                self._ledger.transition(request.request_id, State.FAILED.value, message="its console was ended")
        known = {row.instance_id for row in self._ledger.instances(alive_only=True, cloud=self._cloud.name)}
        return [each for each in living.values() if each.id in known]

    def _is_abandoned(self, instance_id: int) -> bool:
        """Whether it stands half-way and nobody is at it; read anew, for another session may just have adopted it."""
        row = self._ledger.instance(self._cloud.name, instance_id)
        if row is None or row.state not in HALF_WAY:
            return False
        return not _in_progress(self._ledger.request(row.request_id) if row.request_id is not None else None)

    def _settle(self, intent: IntentRow, living: dict[int, Instance], report: Report) -> None:
        """A create without a known outcome, of a session that is dead: nothing of it may live."""
        owner = intent.detail.get("owner")
        if intent.operation != "create" or (isinstance(owner, dict) and is_alive(owner)):
            return
        hits = [each for each in living.values() if each.label == intent.label]
        for each in hits:
            self.remember(each)
            self.destroy(each.id, report)
            living.pop(each.id)
        if hits or self._ledger.clock.time() - intent.at > self._limits.reconciling_s:
            self._ledger.record_outcome(intent.intent_id, "absent", detail=f"{len(hits)} found and destroyed")

    def _ask_until_gone(self, instance_id: int, report: Report) -> None:
        deadline = self._clock() + self._limits.destroying_s
        trouble = ""
        looks = 0
        while True:
            try:
                if looks % ASK_AGAIN_EVERY == 0:
                    self._cloud.destroy(instance_id)
                looks += 1
                if self._cloud.instance(instance_id) is None:
                    return
            except (CloudUnreachable, RateLimited, OutcomeUnknown) as error:
                trouble = f": {error}"
                report(Progress(State.DESTROYING.value, f"{error}; asking again"))
            if self._clock() > deadline:
                raise NotDestroyed(
                    f"instance {instance_id} may still be rented: the {self._cloud.name} cloud did not confirm its end "
                    f"within {self._limits.destroying_s:.0f} s{trouble}; destroy it again, or on the cloud's own page",
                    instance_id,
                )
            self._sleep(self._limits.poll_s)

    def _enter(self, state: State, request_id: str | None, instance_id: int, message: str, report: Report) -> None:
        self._ledger.transition(
            request_id, state.value, cloud=self._cloud.name, instance_id=instance_id, message=message
        )
        report(Progress(state.value, f"instance {instance_id}: {message}"))


def _words_for(failure: Exception, claim: Claim) -> str:
    if isinstance(failure, NotDestroyed | CloudError):
        return str(failure)
    if isinstance(failure, sqlite3.Error):
        return f"nothing stays rented, but the ledger could not be written ({failure}): it is settled at the next start"
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


def _in_progress(request: RequestRow | None) -> bool:
    owner = request.wanted.get("owner") if request is not None else None
    return isinstance(owner, dict) and is_alive(owner)
