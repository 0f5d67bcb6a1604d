"""The supervisor of one job: starts it once, outlives every connection, records how it ended, leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from remote.agent import process
from remote.agent.files import write_atomically
from remote.agent.jobs import JOB_MARK, log_path, read_spec, touch
from remote.agent.samples import Sampler, append_to_ring
from remote.agent.spec import JobSpec, JobStatus

TICK_S = 0.2
HEARTBEAT_S = 1.0
SAMPLE_S = 5.0
LEFTOVER_GRACE_S = 2.0
KILL_LIMIT_S = 10.0
KEPT_ENVIRONMENT = ("HOME", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CONTAINER_ID")


def supervise(root: Path, folder: Path) -> None:
    """Detach from whoever started this process, and supervise the job in `folder` to its end. Returns in the caller."""
    if os.fork() > 0:
        return
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    code = 1
    try:
        with (folder / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / "claim").mkdir()
            except (BlockingIOError, FileExistsError):
                os._exit(0)  # another supervisor has it, or had it
            Supervisor(root, folder).run()
        code = 0
    finally:
        os._exit(code)


class Supervisor:
    """One job's process and all its descendants."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._spec = read_spec(folder)
        self._log = log_path(root, folder, self._spec)
        self._me = process.identity(os.getpid())
        self._child: subprocess.Popen[bytes] | None = None
        self._values: dict[str, Any] = JobStatus(self._spec.id, "starting", str(self._log)).to_json()
        self._values.update(supervisor=self._me, child=None)
        self._wait_status: int | None = None
        self._told_to_stop = False
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> None:
        """To the end of the job."""
        process.adopt_orphans()
        self._listen_to_signals()
        self._record(durable=True, started_at=time.time())
        if (self._folder / "cancel").exists():
            self._record(durable=True, state="cancelled", ended_at=time.time(), message="cancelled before it started")
            return
        try:
            self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            message = f"could not be started: {error}"
            self._record(durable=True, state="failed", ended_at=time.time(), message=message)
            return
        threading.Thread(target=self._sample_for_ever, daemon=True).start()
        cancelled = self._wait_for_the_end()
        self._record_end(cancelled)

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._note_sigterm)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _note_sigterm(self, _number: int, _frame: object) -> None:
        self._told_to_stop = True

    def _start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self._child = subprocess.Popen(
                self._spec.argv,
                cwd=self._root / self._spec.cwd,
                env=_environment(self._root, self._folder, self._spec),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        pid = self._child.pid
        self._record(durable=True, state="running", pid=pid, child=process.identity(pid))

    def _wait_for_the_end(self) -> bool:
        """Until the process and all below it ended; True when it was cancelled."""
        stop_deadline: float | None = None
        cancelled = False
        while not self._reap():
            if stop_deadline is None and ((self._folder / "cancel").exists() or self._told_to_stop):
                cancelled = (self._folder / "cancel").exists()
                stop_deadline = time.monotonic() + self._spec.grace_s
                self._ask_to_stop(cancelled)
            if stop_deadline is not None and time.monotonic() >= stop_deadline:
                self._signal_group(signal.SIGKILL)
            self._rest()
        self._sweep(stop_deadline or time.monotonic() + LEFTOVER_GRACE_S)
        return cancelled

    def _ask_to_stop(self, cancelled: bool) -> None:
        if cancelled and self._spec.cancel_file:
            touch(self._root, self._spec.cancel_file)
        self._record(state="stopping")
        self._signal_group(signal.SIGTERM)

    def _sweep(self, deadline: float) -> None:
        """End what the process left running: asked until `deadline`, then killed."""
        left = self._leftovers()
        process.send_signal(left, signal.SIGTERM)
        kill_deadline = max(deadline, time.monotonic()) + KILL_LIMIT_S
        while left and time.monotonic() < kill_deadline:
            if time.monotonic() >= deadline:
                process.send_signal(left, signal.SIGKILL)
            self._rest(0.05)
            self._reap()
            left = self._leftovers()
        if left:
            self._record(message=f"these processes could not be ended: {left}")

    def _leftovers(self) -> list[int]:
        found = set(process.descendants(os.getpid())) | set(process.marked(JOB_MARK, os.path.realpath(self._folder)))
        assert self._child is not None
        found.update(each.pid for each in process.table() if each.group == self._child.pid and not each.dead)
        return sorted(found - {os.getpid()})

    def _reap(self) -> bool:
        """Bury every dead child, adopted ones too; True once the job's own process ended."""
        assert self._child is not None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._child.pid:
                self._wait_status = status
        return self._wait_status is not None

    def _rest(self, longest_s: float = TICK_S) -> None:
        ready, _, _ = select.select([self._wake_read], [], [], longest_s)
        if ready:
            os.read(self._wake_read, 4096)
        if time.time() - (self._values["heartbeat_at"] or 0) >= HEARTBEAT_S:
            self._record()

    def _signal_group(self, number: int) -> None:
        assert self._child is not None
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            return  # it ended just now; the next look sees it

    def _record_end(self, cancelled: bool) -> None:
        assert self._wait_status is not None
        by_signal = os.WTERMSIG(self._wait_status) if os.WIFSIGNALED(self._wait_status) else None
        message = self._values["message"]
        if self._told_to_stop and not cancelled:
            message = message or "stopped because its supervisor got SIGTERM"
        self._record(
            durable=True,
            state="cancelled" if cancelled else "exited",
            exit_code=None if by_signal else os.WEXITSTATUS(self._wait_status),
            signal=by_signal,
            ended_at=time.time(),
            message=message,
        )

    def _record(self, durable: bool = False, **changes: Any) -> None:
        self._values.update(changes, heartbeat_at=time.time())
        write_atomically(self._folder / "status.json", json.dumps(self._values).encode(), durable=durable)

    def _sample_for_ever(self) -> None:
        sampler = Sampler(self._root)
        while True:
            append_to_ring(self._folder / "stats.jsonl", sampler.sample())
            time.sleep(SAMPLE_S)


def _environment(root: Path, folder: Path, spec: JobSpec) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    secrets = {name: (root / path).read_text(encoding="utf-8").rstrip("\n") for name, path in spec.secret_files.items()}
    return {
        "LANG": "C.UTF-8",
        **kept,
        **spec.env,
        **secrets,
        "SPOTTER_JOB_ID": spec.id,
        JOB_MARK: os.path.realpath(folder),
    }
