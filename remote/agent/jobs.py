"""Jobs of one box as folders: claimed once, started once, read and cancelled by anybody.

    jobs/<id>/spec.json  claim/  lock  status.json  log  log.<offset>  cancel  stats.jsonl  supervisor.log

A launch writes the spec into a draft folder and renames it to `jobs/<id>`: the one whose rename succeeds owns the id.
The supervisor holds `lock` for its life and makes `claim` just before it starts the process, so a second supervisor
for the same job ends at once, and a launch that was killed half-way can be finished by the next one. A job that waits
for a GPU or for other jobs is `queued`, without a process, until the queue starts its supervisor.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from remote.agent import process
from remote.agent.attempts import begins_again_after_loss
from remote.agent.environment import clean_environment
from remote.agent.files import resolve_inside, write_atomically
from remote.agent.queueing import Queue, wait_until
from remote.agent.spec import ENDED_STATES, JobSpec, JobStatus

START_LIMIT_S = 15.0
REQUEUE_LIMIT_S = 5.0
SUPERVISOR_DIED = "its supervisor died; it begins again, as its spec asks"
UNSUPERVISED_STATES = ("queued", *ENDED_STATES)
JOB_MARK = "SPOTTER_JOB_FOLDER"
"""In the environment of everything that a job starts. The folder, not the id: emulated boxes share one machine."""


class JobConflict(Exception):
    """The id is taken by a job with another spec."""


class NoSuchJob(Exception):
    """No job with this id."""


class Jobs:
    """The jobs below one Spotter root."""

    def __init__(self, root: Path, program: Path) -> None:
        """`program` is the folder of the agent's code: supervisors run from it."""
        self.root = root
        self._program = program
        self._queue = Queue(root)

    def folder(self, job_id: str) -> Path:
        """`jobs/<id>`, which exists. Raises NoSuchJob."""
        folder = self.root / "jobs" / job_id
        if "/" in job_id or job_id.startswith(".") or not (folder / "spec.json").is_file():
            raise NoSuchJob(f"this box has no job {job_id!r}")
        return folder

    def launch(self, spec: JobSpec) -> JobStatus:
        """Start it, or let it wait for its turn, unless it was launched before; how it stands."""
        for needed in spec.after:
            self.folder(needed)
        folder = self.root / "jobs" / spec.id
        claimed = self._claim(folder, spec)
        if not claimed and read_spec(folder).digest != spec.digest:
            raise JobConflict(f"job {spec.id} exists and was started with another spec; take a new id")
        if waits(spec):
            self.advance()
            return self.status(spec.id)
        if not claimed:
            wait_until((folder / "status.json").exists, 3.0)  # whoever claimed it is starting it
        if not (folder / "status.json").exists():
            self._start_supervisor(folder)
            wait_until((folder / "status.json").exists, START_LIMIT_S)
        return self.status(spec.id)

    def advance(self, *, wait: bool = True) -> None:
        """Start what waits and may start now, and begin again what lost its supervisor, where its spec says so.

        Without `wait`, nothing is done if another process is at it.
        """
        if not self._waiting() and not self._interrupted():
            return
        with self._queue.alone(wait=wait) as alone:
            if alone:
                for folder in self._interrupted():
                    self._requeue(folder)
                self._queue.advance(self._waiting(), self._look_at, self._start_queued, self._refuse)

    def _waiting(self) -> list[tuple[Path, JobSpec]]:
        found = []
        for folder in self.folders():
            values = read_json(folder / "status.json")
            if values and values["state"] == "queued":
                found.append((folder, read_spec(folder)))
        return found

    def _interrupted(self) -> list[Path]:
        """Jobs whose supervisor died and that are to begin again."""
        found = []
        for folder in self.folders():
            values = read_json(folder / "status.json")
            if values and self._begins_again(folder, values):
                found.append(folder)
        return found

    def _begins_again(self, folder: Path, values: dict[str, Any]) -> bool:
        if values["state"] in UNSUPERVISED_STATES or process.alive(values["supervisor"]):
            return False
        return begins_again_after_loss(read_spec(folder), int(values.get("attempt", 1)))

    def _requeue(self, folder: Path) -> None:
        """End at once what is left of it, then let it wait for its turn as one attempt more."""
        values = read_json(folder / "status.json") or {}
        deadline = time.monotonic() + REQUEUE_LIMIT_S
        while (_survivors(folder, values) or _locked(folder)) and time.monotonic() < deadline:
            process.send_signal(_survivors(folder, values), signal.SIGKILL)
            time.sleep(0.02)
        if (folder / "cancel").exists():
            self._refuse(folder, "cancelled after its supervisor had died")
            return
        with contextlib.suppress(FileNotFoundError):
            (folder / "claim").rmdir()
        status = queued(self.root, folder, read_spec(folder), int(values.get("attempt", 1)) + 1)
        write_atomically(folder / "status.json", json.dumps({**status, "message": SUPERVISOR_DIED}).encode())

    def _start_queued(self, folder: Path, locks: tuple[int, ...]) -> None:
        self._start_supervisor(folder, locks)
        wait_until(lambda: (read_json(folder / "status.json") or {}).get("state") != "queued", START_LIMIT_S)

    def _refuse(self, folder: Path, reason: str) -> None:
        note_status(folder, state="cancelled", ended_at=time.time(), message=reason, ready=None)

    def status(self, job_id: str) -> JobStatus:
        """How it stands now; `lost` if its supervisor died. Looking at a job that waits lets the queue advance."""
        status = self._look_at(job_id)
        if status.state in ("queued", "restarting"):
            self.advance(wait=False)
            status = self._look_at(job_id)
        return status

    def _look_at(self, job_id: str) -> JobStatus:
        folder = self.folder(job_id)
        values = read_json(folder / "status.json")
        if values and values["state"] not in UNSUPERVISED_STATES and not process.alive(values["supervisor"]):
            values = read_json(folder / "status.json")  # it may have ended well just now
            if values and self._begins_again(folder, values):
                ready = read_spec(folder).not_yet_ready
                values = dict(values, state="restarting", message=SUPERVISOR_DIED, ready=ready)
            elif values and values["state"] not in UNSUPERVISED_STATES:
                values = dict(
                    values,
                    state="lost",
                    message="its supervisor died, nobody knows the exit code; cancel ends what is left of it",
                    survivors=_survivors(folder, values),
                    ready=None,
                )
        if values:
            return JobStatus.from_json(values)
        spec = read_spec(folder)
        lost = time.time() - folder.stat().st_mtime > START_LIMIT_S and not _locked(folder)
        return JobStatus(
            job_id,
            "lost" if lost else "starting",
            str(log_path(self.root, folder, spec)),
            message="no supervisor was started; launch it again" if lost else "",
            ready=None if lost else spec.not_yet_ready,
            service=spec.is_service,
        )

    def all(self) -> list[JobStatus]:
        """Every job, oldest first."""
        return [self._look_at(folder.name) for folder in self.folders()]

    def folders(self) -> list[Path]:
        """The folder of every job, in launch order."""
        launched = []
        for path in (self.root / "jobs").glob("[!.]*/spec.json"):
            with contextlib.suppress(FileNotFoundError):
                launched.append((path.stat().st_mtime_ns, path.parent))
        return [folder for _at, folder in sorted(launched)]

    def cancel(self, job_id: str) -> JobStatus:
        """Ask its supervisor to end it; without a living supervisor, end what is left of it here."""
        folder = self.folder(job_id)
        status = self._look_at(job_id)
        if status.state == "queued":
            with self._queue.alone():  # nobody starts it meanwhile
                status = self._look_at(job_id)
                if status.state == "queued":
                    self._refuse(folder, "cancelled before it started")
        if status.state == "lost":
            (folder / "cancel").touch()
            self._end_survivors(folder)
        elif status.state not in ("queued", *ENDED_STATES):
            (folder / "cancel").touch()
        self.advance()
        return self._look_at(job_id)

    def _claim(self, folder: Path, spec: JobSpec) -> bool:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{spec.id}.{secrets.token_hex(4)}.draft")
        draft.mkdir(mode=0o700)
        try:
            write_atomically(draft / "spec.json", json.dumps(spec.to_json()).encode())
            if waits(spec):
                write_atomically(draft / "status.json", json.dumps(queued(self.root, folder, spec)).encode())
            os.rename(draft, folder)  # noqa: PTH104 - fails when the folder exists and is not empty, which is the claim
        except OSError:
            if not (folder / "spec.json").is_file():
                raise
            return False
        else:
            return True
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _start_supervisor(self, folder: Path, locks: tuple[int, ...] = ()) -> None:
        argv = [sys.executable, "-S", "-u", str(self._program), "supervise", str(self.root), str(folder)]
        argv += [str(each) for each in locks]
        with (folder / "supervisor.log").open("ab") as log:
            # It detaches itself by a double fork, so this process ends at once. `locks` stay open in what it forks.
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                pass_fds=locks,
                timeout=30,
                check=True,
            )

    def _end_survivors(self, folder: Path) -> None:
        values = read_json(folder / "status.json")
        if values is None:
            return
        pids = _survivors(folder, values)
        spec = read_spec(folder)
        if spec.cancel_file:
            touch(self.root, spec.cancel_file)
        process.send_signal(pids, signal.SIGTERM)
        wait_until(lambda: not _survivors(folder, values), spec.grace_s)
        deadline = time.monotonic() + 10
        while _survivors(folder, values) and time.monotonic() < deadline:
            process.send_signal(_survivors(folder, values), signal.SIGKILL)
            time.sleep(0.05)
        note_status(folder, state="cancelled", ended_at=time.time(), message="cancelled after its supervisor had died")


def read_spec(folder: Path) -> JobSpec:
    """The spec of a claimed job."""
    return JobSpec(**json.loads((folder / "spec.json").read_text(encoding="utf-8")))


def waits(spec: JobSpec) -> bool:
    """Whether it goes through the queue."""
    return bool(spec.gpu_indexes or spec.after)


def queued(root: Path, folder: Path, spec: JobSpec, attempt: int = 1) -> dict[str, Any]:
    """The status of a job that waits for its turn."""
    status = JobStatus(
        spec.id,
        "queued",
        str(log_path(root, folder, spec)),
        attempt=attempt,
        ready=spec.not_yet_ready,
        gpus=spec.gpu_indexes,
        service=spec.is_service,
    )
    return {**status.to_json(), "supervisor": None, "child": None}


def note_status(folder: Path, **changes: Any) -> None:
    """Change the status of a job that no supervisor writes."""
    values = {**(read_json(folder / "status.json") or {}), **changes}
    write_atomically(folder / "status.json", json.dumps(values).encode())


def log_path(root: Path, folder: Path, spec: JobSpec) -> Path:
    """Where its output goes, absolute."""
    return Path(resolve_inside(str(root), spec.log)) if spec.log else folder / "log"


def touch(root: Path, name: str) -> None:
    """Make a file below the root."""
    path = Path(resolve_inside(str(root), name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _survivors(folder: Path, values: dict[str, Any]) -> list[int]:
    found = set(process.marked(JOB_MARK, os.path.realpath(folder)))
    if process.alive(values.get("child")):
        child = int(values["child"]["pid"])
        found.update([child, *process.descendants(child)])
    return sorted(found)


def _locked(folder: Path) -> bool:
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_json(path: Path) -> dict[str, Any] | None:
    """A small JSON file, or None."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value
