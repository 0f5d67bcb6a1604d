"""A run on one machine, from the phase on disk to the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.models.run_view import EventFile
from console.operations.bootstrap import add_way_out, bootstrap
from console.operations.destroy import destroy
from console.operations.events import OperationEvent, Report
from console.operations.giving_back import give_back, rented_for
from console.operations.ingest import ingest_run
from console.operations.job_notes import note_end
from console.operations.laptop_stages import finish_here
from console.operations.loss import BoxLost, await_box, start_if_stopped, was_destroyed_here
from console.operations.plan import planned_sources
from console.operations.prepare import GRACE_S, launch, push_code, push_data
from console.operations.pull import pull
from console.operations.rent import rent
from console.operations.run_needs import box_needs_of
from console.operations.run_terms import (
    STATE_OF_EXIT,
    STOPPED,
    InstanceTaken,
    Wishes,
    named_instance,
    only_final_failures,
)
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import InstanceGone, Session
from console.operations.signals import deaf_to_signals
from console.operations.watch import watch

if TYPE_CHECKING:
    from remote.jobs import Agent, JobStatus

ORDERLY = ("succeeded", "incomplete")
"""How a session ends that did all it could."""
MAX_RELAUNCHES = 2
"""How often a worker that died without a word is started again on the same box before the run is given back."""

SWEEP_S = 15.0
"""From the end of a cancelled job's grace to the end of its last process."""
MAX_REATTACHMENTS = 20
"""How often in one drive a broken connection is simply made anew."""


class SingleDriver:
    """Takes a planned run to its end on one machine; another one takes its place when it is lost."""

    def __init__(self, session: Session, runbook: Runbook, entry: RunEntry, report: Report) -> None:
        self._session = session
        self._runbook = runbook
        self._entry = entry
        self._report = report
        self._may_rent = True
        self._hold_unready = session.settings.bootstrap.on_failure == "hold"

    def _update(self, **changes: object) -> RunEntry:
        self._entry = self._runbook.update(self._entry.run_id, **changes)
        return self._entry

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))

    def grant(self, wishes: Wishes) -> None:
        """Note what the operator wants, where it can still be had."""
        entry = self._entry
        self._hold_unready |= wishes.hold_unready
        self._may_rent = wishes.may_rent
        if wishes.instance_id is not None and wishes.instance_id != entry.instance_id:
            if entry.instance_id is not None and entry.phase is not Phase.DONE:
                raise InstanceTaken(
                    f"run {entry.run_id} works on instance {entry.instance_id}: "
                    f"`spotter cancel {entry.run_id}` stops that first"
                )
            named_instance(self._session, wishes.instance_id)
            if entry.phase is Phase.DONE and entry.state != "succeeded":
                self._start_over()
            self._update(instance_id=wishes.instance_id, phase=Phase.RENTED, job_id=None, keep_instance=True)
        elif wishes.keep:
            self._update(keep_instance=True)
        if wishes.profile is not None and not entry.phase.reached(Phase.RENTED):
            self._update(profile=wishes.profile)

    def drive(self) -> RunEntry:
        """From the phase on disk to the last."""
        if self._entry.phase is Phase.DONE:
            if self._entry.state == "succeeded" or only_final_failures(self._session, self._entry, self._say):
                return self._entry
            self._start_over()
        self._update(problem=None, replacements=0)
        if self._entry.instance_id is not None:
            self._forget_lost_instance()
        if not self._entry.phase.reached(Phase.PULLED):
            if self._entry.instance_id is not None:
                start_if_stopped(self._session, self._entry.instance_id, self._entry, self._say, may=self._may_rent)
            self._until_pulled()
        self._release()
        if not self._entry.phase.reached(Phase.COMPLETED):
            self._finish_here()
        if not self._entry.phase.reached(Phase.INGESTED):
            self._ingest()
        return self._update(phase=Phase.DONE)

    def _until_pulled(self) -> None:
        from remote.cloud import CloudUnreachable, RateLimited
        from remote.transport import ConnectionLost, SshRefused, SshSilent

        for attempt in range(MAX_REATTACHMENTS + 1):
            try:
                self._work_and_pull()
            except (InstanceGone, ConnectionLost, SshRefused, SshSilent, CloudUnreachable, RateLimited) as error:
                if attempt == MAX_REATTACHMENTS:
                    raise
                self._go_on_after(error)
            else:
                return

    def _work_and_pull(self) -> None:
        if not self._entry.phase.reached(Phase.RENTED):
            self._rent()
        if not self._entry.phase.reached(Phase.ENDED):
            self._work()
        assert self._entry.instance_id is not None
        orderly = self._entry.state in ORDERLY
        pull(self._session, self._entry.instance_id, self._entry.run_id, self._report, orderly=orderly)
        self._update(phase=Phase.PULLED, box_state=self._entry.state)

    def _finish_here(self) -> None:
        """Do what the box was not to do, once its results are here and it is given back."""
        if not self._waits_for_the_laptop():
            self._update(phase=Phase.COMPLETED)
            return
        self._update(state="running")
        ended = finish_here(self._session, self._entry, self._report)
        self._update(phase=Phase.COMPLETED, state=ended.state, exit_code=ended.exit_code, problem=ended.problem)

    def _waits_for_the_laptop(self) -> bool:
        """Whether its box is through and stages of this machine are not."""
        entry = self._entry
        return entry.phase is Phase.PULLED and bool(entry.laptop_stages) and entry.box_state in ORDERLY

    def _go_on_after(self, error: Exception) -> None:
        """A box that only lost the connection is reattached; one that is lost is replaced, if it may be.

        Raises:
            Exception: `error`, or why the box is lost, when the operator must decide.
        """
        entry = self._entry
        if entry.instance_id is None or not entry.phase.reached(Phase.LAUNCHED):
            raise error
        try:
            await_box(self._session, entry.instance_id)
        except (InstanceGone, BoxLost) as lost:
            most = self._session.settings.cloud.max_replacements
            ours = entry.keep_instance or was_destroyed_here(self._session, entry.instance_id)
            if ours or not (entry.replace and self._may_rent) or entry.replacements >= most:
                raise
            self._say(f"{lost}; renting another machine ({entry.replacements + 1} of {most} replacements)")
            destroy(self._session, entry.instance_id, force=True, report=self._report)
            self._update(instance_id=None, phase=Phase.PLANNED, job_id=None, replacements=entry.replacements + 1)

    def _start_over(self) -> None:
        if self._only_the_laptop_is_left():
            self._update(phase=Phase.PULLED, state="queued", problem=None, exit_code=None)
            return
        instance = self._entry.instance_id
        self._update(
            phase=Phase.PLANNED if instance is None else Phase.RENTED,
            state="queued",
            problem=None,
            exit_code=None,
            job_id=None,
        )

    def _only_the_laptop_is_left(self) -> bool:
        """Whether another box could change nothing: its stages are through, but for failures that stay."""
        entry = self._entry
        if not entry.laptop_stages or entry.box_state not in ORDERLY:
            return False
        events = EventFile(self._session.workspace.run_folder(entry.run_id) / "events.jsonl")
        events.catch_up()
        return not any(each.retryable and each.stage not in entry.laptop_stages for each in events.failures.values())

    def _forget_lost_instance(self) -> None:
        """A run whose box vanished before its results were pulled goes on with another one, from what is here."""
        assert self._entry.instance_id is not None
        try:
            self._session.instance(self._entry.instance_id)
        except InstanceGone as gone:
            if self._entry.phase.reached(Phase.PULLED):
                self._update(instance_id=None)
                return
            chosen = self._entry.keep_instance
            self._update(instance_id=None, phase=Phase.PLANNED, job_id=None, keep_instance=False)
            if chosen or not self._may_rent:  # the operator named that machine: renting another is a new decision
                raise
            self._say(f"{gone}; the run goes on with another")

    def _rent(self) -> None:
        """Rent, or take up what an earlier, killed process rented for this very run."""
        for row in self._session.living_rentals():
            if row.run_id == self._entry.run_id:
                if row.state in ("verified", "bootstrapped", "ready"):
                    self._update(phase=Phase.RENTED, instance_id=row.instance_id)
                    return
                self._session.provisioner.destroy(row.instance_id)
        rental = rent(self._session, self._entry.profile, run_id=self._entry.run_id, report=self._report)
        self._update(phase=Phase.RENTED, instance_id=rental.instance.id)

    @contextmanager
    def _agent(self) -> Iterator[Agent]:
        from remote.jobs import Agent

        assert self._entry.instance_id is not None
        reach = self._session.reacher(self._entry.instance_id)
        root = self._session.settings.cloud.remote_root
        with reach() as transport, Agent.start(transport, root, reconnect=reach) as agent:
            yield agent

    def _work(self) -> None:
        """Prepare the box, start the job and watch it; a worker that dies without a word is started again."""
        relaunches = 0
        while True:
            if not self._entry.phase.reached(Phase.LAUNCHED):
                self._launch()
            with self._agent() as agent:
                status = watch(self._session, agent, self._entry, self._report)
                if status.state == "lost":  # its worker may live on and would keep the next one out
                    agent.cancel(status.id)
            assert self._entry.instance_id is not None
            note_end(self._session, self._entry.instance_id, status)
            died = _cause_of_death(status)
            if died is None or relaunches == MAX_RELAUNCHES:
                break
            relaunches += 1
            self._say(f"{died}; starting it again, finished items are kept")
            self._update(phase=Phase.READY, job_id=None)
        state = "failed" if died else self._state_of(status)
        problem = died or (self._last_words() if state == "failed" else None)
        self._update(phase=Phase.ENDED, exit_code=status.exit_code, state=state, problem=problem)

    def _state_of(self, status: JobStatus) -> str:
        if status.state == "cancelled" or status.exit_code is None:
            return "cancelled"
        return STATE_OF_EXIT.get(status.exit_code, "failed")

    def _last_words(self) -> str | None:
        """The last line of the job's log: why a worker that ended by itself says it failed."""
        log = self._session.workspace.run_folder(self._entry.run_id) / "logs" / f"job-{self._entry.attempt}.log"
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        return lines[-1] if lines else None

    def _launch(self) -> None:
        assert self._entry.instance_id is not None
        sources = planned_sources(self._session, self._entry.run_id)
        with self._session.reach(self._entry.instance_id) as transport:
            release = push_code(self._session, transport, self._report)
            needs = box_needs_of(self._session, self._entry.run_id, self._report)
            interpreter = bootstrap(
                self._session, transport, self._entry.instance_id, release, self._report, needs=needs
            )
            self._update(phase=Phase.READY, interpreter=interpreter)
            self._note_ready(self._entry.instance_id)
            push_data(self._session, transport, self._entry.run_id, sources, self._report)
        attempt = self._entry.attempt if self._entry.job_id else self._entry.attempt + 1
        # The job's name is on disk before the job exists: whoever comes after a crash launches the same one, once.
        self._update(phase=Phase.PUSHED, attempt=attempt, job_id=f"{self._entry.run_id}-{attempt}")
        with self._agent() as agent:
            launch(self._session, agent, self._entry, release.path, self._report)
        self._update(phase=Phase.LAUNCHED, state="running")

    def _note_ready(self, instance_id: int) -> None:
        ledger, cloud = self._session.ledger, self._session.cloud_name
        row = ledger.instance(cloud, instance_id)
        if row is not None and row.state != "ready":
            for state in ("bootstrapped", "ready"):
                ledger.transition(row.request_id, state, cloud=cloud, instance_id=instance_id)

    def _ingest(self) -> None:
        ingest_run(self._session, self._entry.run_id, self._report)
        self._update(phase=Phase.INGESTED)

    def _release(self) -> None:
        instance_id = self._entry.instance_id
        if instance_id is None:
            return
        if self._entry.keep_instance:
            self._report(OperationEvent("destroy", "finished", f"instance {instance_id} is kept, and billed"))
            return
        destroy(self._session, instance_id, force=True, report=self._report)
        self._update(instance_id=None)

    def wind_down(self) -> None:
        """After Ctrl-C: stop the job, fetch what is finished, give the machine back; a second one skips the fetch."""
        entry = self._entry
        self._say("stopping: cancelling the job, fetching what is done, destroying")
        try:
            if entry.job_id is not None and entry.instance_id is not None and not entry.phase.reached(Phase.PULLED):
                self._save_what_is_done(entry.instance_id, entry.job_id)
        except KeyboardInterrupt:
            self._say("stopped again: what was not fetched is given up")
        finally:
            # However often Ctrl-C is pressed: giving back takes seconds, and it is money.
            with deaf_to_signals():
                left = self._give_back()
                if entry.phase.reached(Phase.PULLED) and not self._waits_for_the_laptop():
                    # Everything is here: a resume only has to index it.
                    self._update(instance_id=left, problem=STOPPED)
                else:
                    self._update(phase=Phase.DONE, instance_id=left, state="cancelled", problem=STOPPED)
                self._say(f"what is finished is kept: `spotter run --resume {entry.run_id}` goes on")

    def _give_back(self) -> int | None:
        """Destroy every machine rented for this run, also one that was not written down yet.

        Returns the instance that this run still has: one that is kept, or that could not be destroyed.
        """
        entry = self._entry
        kept = entry.instance_id if entry.keep_instance else None
        machines = rented_for(self._session, entry)
        left = give_back(
            self._session, machines, spared=(kept,), say_still_rented=self._say_still_rented, report=self._report
        )
        resists = [instance_id for instance_id in left if instance_id != kept]
        return resists[-1] if resists else kept

    def _say_still_rented(self, instance_id: int) -> None:
        self._say(
            f"instance {instance_id} is still rented: `spotter run --resume {self._entry.run_id}` goes on, "
            f"`spotter destroy {instance_id}` gives it up"
        )

    def _save_what_is_done(self, instance: int, job_id: str) -> None:
        from remote.jobs import NoSuchJob

        try:
            with self._agent() as agent:
                agent.cancel(job_id)
                note_end(self._session, instance, agent.wait(job_id, timeout_s=GRACE_S + SWEEP_S))
                watch(self._session, agent, self._entry, self._report)
            pull(self._session, instance, self._entry.run_id, self._report, orderly=False)
        except NoSuchJob:
            return  # it was named, but never launched: there is nothing to fetch
        except Exception as error:  # noqa: BLE001 - the machine must be given back whatever happens here
            self._report(OperationEvent("pull", "failed", f"not everything could be fetched: {error}"))

    def note_failure(self, error: Exception) -> None:
        """Keep the reason; before the job started nothing can be lost, so the machine goes back at once."""
        from remote.bootstrap.steps import BootstrapFailed

        problem = str(error) or type(error).__name__
        if isinstance(error, BootstrapFailed) and self._hold_unready and self._entry.instance_id is not None:
            add_way_out(self._session, error, self._entry.instance_id, self._entry.run_id)
            self._update(state="interrupted", problem=f"{problem}; instance {self._entry.instance_id} is held")
            return
        if not self._entry.phase.reached(Phase.LAUNCHED):
            left = self._give_back()
            self._update(phase=Phase.DONE, state="failed", instance_id=left, problem=problem)
            return
        instance_id = self._entry.instance_id
        if isinstance(error, InstanceGone):
            self._update(phase=Phase.PLANNED, instance_id=None, job_id=None, state="interrupted", problem=problem)
            self._say(f"finished pages are kept: `spotter run --resume {self._entry.run_id}` goes on with another")
            return
        if instance_id is not None:
            self._say_still_rented(instance_id)
        self._update(problem=problem)


def _cause_of_death(status: JobStatus) -> str | None:
    """Why the worker died without ending by itself; None when it ended in order or was cancelled."""
    if status.state == "lost":
        return "the box lost the worker's supervisor"
    if status.state == "exited" and (status.signal or (status.exit_code or 0) < 0):
        return f"the worker was killed by signal {status.signal or -(status.exit_code or 0)}"
    if status.state == "failed":
        return f"the worker could not be started: {status.message}"
    return None
