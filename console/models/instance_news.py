"""One instance with all that is known of it here: its price and life from the ledger, its figures from the recorder.

Nothing asks the cloud: what only the cloud tells comes from the fleet's last answer, where there was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.language import _
from console.models.chart import Chart
from console.models.instance_charts import Window, charts_of
from console.models.recorder import RecordedEvent

if TYPE_CHECKING:
    from console.models.fleet import GuardView, InstanceView
    from console.operations.session import Session
    from remote.ledger import BadMachine, IntentRow, JobRow, Meter, RentedInstance, StepRow, TransitionRow

LOG_BYTES = 256 * 1024
"""Of a long log the first look takes only the end, and each look at most so much."""
EVENTS_SHOWN = 500


@dataclass(frozen=True, slots=True)
class HostHistory:
    """What this workspace lived through with the machine that an instance is on."""

    machine_id: int
    rentals: int
    """How often it was rented, this time included."""
    usd: float
    """What it cost in all."""
    bad: BadMachine | None
    """How it failed within the last week."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of an instance's story."""

    at: float
    """Unix seconds in the cloud's time."""
    kind: str
    """state | step | call | job | and those of recorded events."""
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RunHere:
    """A run that works, or worked, on the instance."""

    run_id: str
    pipeline: str
    state: str
    began_at: float
    jobs: tuple[JobRow, ...]


@dataclass(frozen=True, slots=True)
class InstanceNews:
    """Everything that the instance view draws, at one moment."""

    instance_id: int
    now: float
    """Unix seconds of this machine."""
    cloud_now: float
    """Unix seconds in the cloud's time."""
    rented: RentedInstance | None = None
    """None: this workspace never rented it."""
    listed: InstanceView | None = None
    """As the fleet heard it last."""
    spent_usd: float = 0.0
    meters: tuple[Meter, ...] = ()
    endpoints: tuple[str, ...] = ()
    guard: GuardView | None = None
    host: HostHistory | None = None
    charts: tuple[Chart, ...] = ()
    problem: str = ""
    """Why no newer samples came; empty while all is well."""
    newest_at: float | None = None
    """When its newest sample was taken, by this machine's clock."""
    happenings: tuple[Happening, ...] = ()
    """Newest first."""
    runs: tuple[RunHere, ...] = ()
    """Newest first."""
    log: tuple[str, ...] = ()
    """Lines of the newest run's log since the look before, as far as they are here."""
    log_run: str = ""

    @property
    def known(self) -> bool:
        """Whether anything is known of it at all."""
        return self.rented is not None or self.listed is not None


class LogTails:
    """Follows the log of an instance's newest run on this machine. Not thread-safe: one look at a time."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._offset = 0

    def fresh(self, folder: Path) -> tuple[str, ...]:
        """Whole lines since the last look of the newest `job-*.log` in a folder."""
        logs = sorted(folder.glob("job-*.log"), key=lambda path: path.stat().st_mtime)
        if not logs:
            return ()
        cut = False
        with logs[-1].open("rb") as handle:
            if logs[-1] != self._path:
                self._path, self._offset = logs[-1], max(0, handle.seek(0, 2) - LOG_BYTES)
                cut = self._offset > 0
            handle.seek(self._offset)
            chunk = handle.read(LOG_BYTES)
        whole = chunk.rfind(b"\n") + 1 or (len(chunk) if len(chunk) == LOG_BYTES else 0)
        self._offset += whole
        lines = chunk[:whole].decode("utf-8", "replace").split("\n")[:-1]
        return tuple(lines[1:] if cut else lines)


def read_instance(
    session: Session,
    instance_id: int,
    window: Window,
    buckets: int,
    now: float,
    *,
    tails: LogTails | None = None,
    listed: InstanceView | None = None,
    problem: str = "",
) -> InstanceNews:
    """Read all that is known of an instance here.

    Args:
        session: the workspace's session.
        instance_id: the instance, which may be gone by now.
        window: how far back its charts go.
        buckets: values a line of a chart.
        now: Unix seconds of this machine; the charts end there.
        tails: follows its log from look to look; without one there is no log.
        listed: what the fleet heard of it last.
        problem: why no newer samples came.
    """
    from console.models.fleet import guard_view
    from console.operations.whereabouts import KnownWhereabouts

    ledger, cloud = session.ledger, session.cloud_name
    rented = ledger.instance(cloud, instance_id)
    steps = ledger.steps(cloud, instance_id)
    recorder = session.recorder
    cloud_now = session.clock.time()
    over_at = rented.closed_at - (cloud_now - now) if rented is not None and rented.closed_at is not None else None
    end = now if over_at is None else min(now, over_at)
    newest = recorder.latest_of([instance_id], at=end).get(instance_id)
    where = KnownWhereabouts(session.workspace.state / "whereabouts", cloud).recall(instance_id)
    runs = runs_here(session, instance_id)
    log_run = runs[0].run_id if runs else ""
    return InstanceNews(
        instance_id,
        now,
        cloud_now,
        rented=rented,
        listed=listed,
        spent_usd=ledger.spent_usd(cloud=cloud, instance_id=instance_id),
        meters=tuple(ledger.meters(cloud, instance_id)),
        endpoints=listed.endpoints if listed is not None else tuple(map(str, where.endpoints)) if where else (),
        guard=next((guard_view(step.evidence) for step in steps if step.step_id == "deadman"), None),
        host=_host(session, rented) if rented is not None else None,
        charts=charts_of(recorder, instance_id, window, end, buckets, _("its end") if over_at is not None else ""),
        problem=problem,
        newest_at=newest.at if newest is not None else None,
        happenings=happenings_of(
            ledger.history(cloud, instance_id),
            steps,
            [each for each in ledger.intents(cloud=cloud) if each.instance_id == instance_id],
            ledger.jobs(cloud=cloud, instance_id=instance_id),
            recorder.events(instance_id=instance_id, limit=EVENTS_SHOWN),
            cloud_now - now,
        ),
        runs=runs,
        log=tails.fresh(session.workspace.run_folder(log_run) / "logs") if tails is not None and log_run else (),
        log_run=log_run,
    )


def happenings_of(
    transitions: Sequence[TransitionRow],
    steps: Sequence[StepRow],
    intents: Sequence[IntentRow],
    jobs: Sequence[JobRow],
    recorded: Sequence[RecordedEvent],
    ahead_s: float = 0.0,
) -> tuple[Happening, ...]:
    """An instance's story out of all that was written down of it, newest first.

    Args:
        transitions: the states that it went through.
        steps: what was done to make it ready.
        intents: calls that cost or save money.
        jobs: processes of runs on it.
        recorded: what the recorder noted, in this machine's time.
        ahead_s: by how much the cloud's time is ahead of this machine's.
    """
    found = [
        Happening(row.at, "state", f"{row.state}{f': {row.message}' if row.message else ''}", row.state == "failed")
        for row in transitions
    ]
    for step in steps:
        at = step.ended_at if step.ended_at is not None else step.started_at
        took = f" {step.ended_at - step.started_at:.0f} s" if step.ended_at is not None else ""
        found.append(Happening(at, "step", f"{step.step_id} {step.state}{took}", step.state == "failed"))
    for intent in intents:
        words = f"{intent.operation} {intent.outcome or '…'}"
        words += f": {intent.outcome_detail}" if intent.outcome_detail else ""
        found.append(Happening(intent.outcome_at or intent.at, "call", words, intent.outcome in ("failed", "refused")))
    for job in jobs:
        found.append(Happening(job.launched_at, "job", f"{job.job_id} launched"))
        if job.exit_code is not None:
            words = f"{job.job_id} {job.state}, exit code {job.exit_code}"
            found.append(Happening(job.updated_at, "job", words, job.exit_code not in (0, 3)))
    found += [Happening(each.at + ahead_s, each.kind, each.text, each.kind == "failure") for each in recorded]
    return tuple(sorted(found, key=lambda each: -each.at)[:EVENTS_SHOWN])


def runs_here(session: Session, instance_id: int) -> tuple[RunHere, ...]:
    """The runs that have, or had, something to do with an instance, newest first."""
    from console.operations.runbook import Runbook

    ledger, cloud = session.ledger, session.cloud_name
    rented = ledger.instance(cloud, instance_id)
    jobs: dict[str, list[JobRow]] = {}
    for job in ledger.jobs(cloud=cloud, instance_id=instance_id):
        if job.run_id is not None:
            jobs.setdefault(job.run_id, []).append(job)
    found = []
    for entry in Runbook(session.workspace).entries():
        rented_for = rented is not None and rented.run_id == entry.run_id
        if entry.run_id in jobs or rented_for or instance_id in entry.machines:
            state = entry.state if entry.phase.value == "done" else entry.phase.value
            found.append(
                RunHere(entry.run_id, entry.pipeline, state, entry.created_at, tuple(jobs.pop(entry.run_id, ())))
            )
    for run_id, rest in jobs.items():  # forgotten here, known to the ledger
        found.append(RunHere(run_id, "", rest[-1].state, rest[0].launched_at, tuple(rest)))
    return tuple(sorted(found, key=lambda each: -each.began_at))


def _host(session: Session, rented: RentedInstance) -> HostHistory:
    ledger, cloud = session.ledger, session.cloud_name
    rentals = [row for row in ledger.instances(cloud=cloud) if row.machine_id == rented.machine_id]
    usd = sum(ledger.spent_usd(cloud=cloud, instance_id=row.instance_id) for row in rentals)
    bad = ledger.bad_machines(cloud)
    return HostHistory(rented.machine_id, len(rentals), usd, bad.get(rented.machine_id))
