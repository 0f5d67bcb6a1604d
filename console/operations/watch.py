"""Watch: replicate a running job's events and log byte for byte, and pull its artifacts while it works."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from console.models.run_view import EventFile, RunView, StageView
from console.operations.events import OperationEvent, Report, silent
from console.operations.runbook import RunEntry
from console.operations.session import Session
from console.words import count

if TYPE_CHECKING:
    from remote.jobs import Agent, JobStatus

STATUS_EVERY_S = 1.0
FIRST_PULL_S = 3.0
PULL_EVERY_S = 15.0
FOLLOW_WAIT_S = 0.5


class Mirror:
    """This machine's copy of one growing file on the box; its size is the offset to ask for, nothing else is kept."""

    def __init__(self, agent: Agent, remote_path: str, local_path: Path) -> None:
        self._agent = agent
        self._remote = remote_path
        self._local = local_path
        local_path.parent.mkdir(parents=True, exist_ok=True)

    def advance(self, wait_s: float = 0.0) -> int:
        """Append what the box has beyond our copy; returns how many bytes that was."""
        handle = os.open(self._local, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            offset = os.fstat(handle).st_size
            chunk = self._agent.follow(self._remote, offset, wait_s=wait_s)
            written = 0
            while written < len(chunk):
                written += os.write(handle, chunk[written:])
            return written
        finally:
            os.close(handle)


class StageReporter:
    """Turns the fold of a run's events into events of its stages, each change once; what was before is not told."""

    def __init__(self, report: Report, before: RunView) -> None:
        self._report = report
        self._seen: dict[str, StageView] = dict(before.stages)

    def tell(self, view: RunView) -> None:
        """Report what changed since the last call."""
        for stage in view.stages.values():
            before = self._seen.get(stage.name)
            if before == stage:
                continue
            if before is None or (before.state == "finished" and stage.state != "finished"):
                begun = time.time() - stage.elapsed_s
                self._report(OperationEvent(stage.name, "started", f"{count(stage.total, 'item')}", ts=begun))
            if stage.state == "finished" and (before is None or before.state != "finished"):
                failed = f", {stage.failed} failed" if stage.failed else ""
                kept = f", {stage.skipped} passed over" if stage.skipped else ""
                words = f"{stage.done} of {count(stage.total, 'item')}{failed}{kept}"
                self._report(OperationEvent(stage.name, "finished", words, stage.done, stage.total, "items"))
            elif stage.state != "finished":
                self._report(OperationEvent(stage.name, "progress", "", stage.done, stage.total, "items"))
            self._seen[stage.name] = stage


class Puller:
    """Pulls artifacts and ledger beside the watching, over a connection of its own: the log never waits for a file."""

    def __init__(self, session: Session, instance_id: int, remote_run: str, local_run: Path, report: Report) -> None:
        self._session = session
        self._instance_id = instance_id
        self._remote_run = remote_run
        self._local_run = local_run
        self._report = report
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="puller", daemon=True)

    def __enter__(self) -> Puller:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._ended.wait(timeout=30)

    def _run(self) -> None:
        pause = FIRST_PULL_S
        while not self._stop.wait(pause):
            pause = PULL_EVERY_S
            try:
                self._pull_until_stopped()
            except Exception as error:  # noqa: BLE001 - told once; the next pull tries again, the final one decides
                self._tell(str(error) or type(error).__name__)
        self._ended.set()

    def _pull_until_stopped(self) -> None:
        """One connection's worth of pulls."""
        from remote.jobs import Agent
        from remote.sync.live import pull_live

        root = self._session.settings.cloud.remote_root
        with self._session.reach(self._instance_id) as transport, Agent.start(transport, root) as agent:
            while transport.alive:
                pull_live(agent, transport, self._remote_run, self._local_run)
                if self._stop.wait(PULL_EVERY_S):
                    return

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._report(OperationEvent("pull", "progress", f"not everything could be fetched just now: {problem}"))


def remote_run_folder(agent: Agent, run_id: str) -> str:
    """Where the run lies on the box."""
    return f"{agent.root}/runs/{run_id}"


def watch(session: Session, agent: Agent, entry: RunEntry, report: Report = silent) -> JobStatus:
    """Follow the run's job to its end; returns how it ended. Calling it again goes on at the byte where it stopped.

    Raises:
        remote.transport.ConnectionLost: the box can't be reached any more.
    """
    assert entry.job_id is not None
    assert entry.instance_id is not None
    folder = session.workspace.run_folder(entry.run_id)
    remote = remote_run_folder(agent, entry.run_id)
    status = agent.status(entry.job_id)
    events = Mirror(agent, f"{remote}/events.jsonl", folder / "events.jsonl")
    log = Mirror(agent, status.log, folder / "logs" / f"job-{entry.attempt}.log")
    reader = EventFile(folder / "events.jsonl")
    reader.catch_up()
    stages = StageReporter(report, reader.view)
    asked = time.monotonic()
    with Puller(session, entry.instance_id, remote, folder, report):
        while True:
            events.advance(FOLLOW_WAIT_S)
            log.advance()
            reader.refresh()
            stages.tell(reader.view)
            if time.monotonic() - asked >= STATUS_EVERY_S:
                status = agent.status(entry.job_id)
                asked = time.monotonic()
                if status.ended:
                    break
        while events.advance() + log.advance():
            pass
        reader.catch_up()
        stages.tell(reader.view)
    return status
