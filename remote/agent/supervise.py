"""The supervisor of one job: starts it, outlives every connection, records how it ended, leaves nothing behind.

It begins the job again where its spec says so (a retry policy, a service), tells whether a service can be used, and
lets the queue advance when all is over. What the job prints goes through a pipe to a process that writes the log.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from remote.agent import process
from remote.agent.attempts import Attempts
from remote.agent.box_samples import SAMPLE_S, BoxSamples
from remote.agent.deadman_keep import keep_guarded_until
from remote.agent.environment import clean_environment
from remote.agent.files import write_atomically
from remote.agent.jobs import JOB_MARK, Jobs, log_path, read_json, read_spec, touch
from remote.agent.logs import LogWriter, make_pipe
from remote.agent.ready import ReadyCheck
from remote.agent.samples import Sampler, append_to_ring
from remote.agent.spec import JobSpec, JobStatus

TICK_S = 0.2
HEARTBEAT_S = 1.0
LEFTOVER_GRACE_S = 2.0
KILL_LIMIT_S = 10.0
LOG_END_LIMIT_S = 5.0


def supervise(root: Path, program: Path, folder: Path, gpu_locks: Sequence[int] = ()) -> None:
    """Detach from whoever started this process, and supervise the job in `folder` to its end. Returns in the caller.

    `gpu_locks` are open files; the GPUs are free again when this process and the job's last one closed them.
    """
    if os.fork() > 0:
        return
    os.setsid()
    life, _held_for_life = os.pipe()  # the writing end is the supervisor's, and closes with it however it ends
    if os.fork() > 0:
        _keep_box_guarded(root, program, life, [_held_for_life, *gpu_locks])
    os.close(life)
    code = 1
    try:
        with (folder / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / "claim").mkdir()
            except (BlockingIOError, FileExistsError):
                os._exit(0)  # another supervisor has it, or had it
            Supervisor(root, folder).run()
        for each in gpu_locks:
            os.close(each)
        Jobs(root, program).advance()
        code = 0
    finally:
        os._exit(code)


def _keep_box_guarded(root: Path, program: Path, life: int, not_ours: Sequence[int]) -> None:
    """Leave a process that starts a killed dead-man again while the supervisor lives. Never returns.

    The supervisor cannot do it: it adopts orphans and ends them with its job, the dead-man and all that this one
    starts among them.
    """
    try:
        if os.fork() == 0:
            for each in not_ours:
                os.close(each)
            keep_guarded_until(life, root, program)
    finally:
        os._exit(0)


class Supervisor:
    """One job's process and all its descendants, over all its attempts."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self._spec = read_spec(folder)
        self._log = log_path(root, folder, self._spec)
        before = read_json(folder / "status.json") or {}
        self._attempts = Attempts(self._spec, int(before.get("attempt", 1)))
        self._child: subprocess.Popen[bytes] | None = None
        self._wait_status: int | None = None
        self._check: ReadyCheck | None = None
        self._told_to_stop = False
        self._wake_read, self._wake_write = os.pipe()
        self._log_source, self._log_sink = make_pipe()
        self._log_writer = 0
        status = JobStatus(
            self._spec.id,
            "starting",
            str(self._log),
            attempt=self._attempts.number,
            ready=self._spec.not_yet_ready,
            gpus=self._spec.gpu_indexes,
            service=self._spec.is_service,
        )
        self._values: dict[str, Any] = status.to_json()
        self._values.update(supervisor=process.identity(os.getpid()), child=None)

    def run(self) -> None:
        """To the end of the job."""
        process.adopt_orphans()
        self._listen_to_signals()
        self._record(durable=True, started_at=time.time())
        if self._cancelled:
            message = "cancelled before it started"
            self._record(durable=True, state="cancelled", ended_at=time.time(), message=message, ready=None)
            return
        try:
            self._start_log_writer()
            self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._end_log()
            self._record_failed_start(error)
            return
        threading.Thread(target=self._sample_for_ever, daemon=True).start()
        while True:
            self._wait_for_the_end()
            pause_s = self._pause_before_next()
            if pause_s is None or not self._rest_before_next(pause_s):
                break
            try:
                self._start()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                self._end_log()
                self._record_failed_start(error)
                return
        self._end_log()
        self._record_end()

    @property
    def _cancelled(self) -> bool:
        return (self._folder / "cancel").exists()

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._note_sigterm)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _note_sigterm(self, _number: int, _frame: object) -> None:
        self._told_to_stop = True

    # attempts

    def _start(self) -> None:
        environment = _environment(self._root, self._folder, self._spec)
        self._wait_status = None
        self._child = subprocess.Popen(
            self._spec.argv,
            cwd=self._root / self._spec.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log_sink,
            stderr=self._log_sink,
            start_new_session=True,
        )
        self._attempt_began = time.monotonic()
        if self._spec.ready is not None:
            self._check = ReadyCheck(self._spec.ready, self._root / self._spec.cwd, environment)
        self._record(
            durable=True,
            state="running",
            attempt=self._attempts.number,
            pid=self._child.pid,
            child=process.identity(self._child.pid),
            ready=self._spec.not_yet_ready,
        )

    def _pause_before_next(self) -> float | None:
        """Seconds until the next attempt; None when this was the last."""
        if self._cancelled or self._told_to_stop:
            return None
        assert self._wait_status is not None
        return self._attempts.pause_s(_code(self._wait_status), time.monotonic() - self._attempt_began)

    def _rest_before_next(self, pause_s: float) -> bool:
        """Wait; False when the job was cancelled meanwhile."""
        assert self._wait_status is not None
        how = _words(self._wait_status)
        message = f"attempt {self._attempts.number} {how}; the next one follows in {pause_s:g} s"
        self._record(durable=True, state="restarting", message=message, pid=None, ready=self._spec.not_yet_ready)
        until = time.monotonic() + pause_s
        while (left_s := until - time.monotonic()) > 0:
            self._rest(min(TICK_S, left_s))
            self._reap()
            if self._cancelled or self._told_to_stop:
                return False
        self._attempts.number += 1
        self._values["message"] = f"attempt {self._attempts.number - 1} {how}"
        return True

    def _wait_for_the_end(self) -> None:
        """Until the process and all below it ended."""
        stop_deadline: float | None = None
        while not self._reap():
            if stop_deadline is None and (self._cancelled or self._told_to_stop):
                stop_deadline = time.monotonic() + self._spec.grace_s
                self._ask_to_stop()
            if stop_deadline is not None and time.monotonic() >= stop_deadline:
                self._signal_group(signal.SIGKILL)
            self._look_whether_ready()
            self._rest()
        if self._check is not None:
            self._check.stop()
        self._sweep(stop_deadline or time.monotonic() + LEFTOVER_GRACE_S)

    def _ask_to_stop(self) -> None:
        if self._cancelled and self._spec.cancel_file:
            touch(self._root, self._spec.cancel_file)
        self._record(state="stopping")
        self._signal_group(signal.SIGTERM)

    def _look_whether_ready(self) -> None:
        if self._check is None:
            return
        self._check.tick()
        if self._check.ready != self._values["ready"]:
            self._record(ready=self._check.ready)

    # processes

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
        return sorted(found - {os.getpid(), self._log_writer, *process.helpers})

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
            elif self._check is not None and pid == self._check.pid:
                self._check.ended(status)
            elif pid == self._log_writer:
                self._start_log_writer()
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

    # log

    def _start_log_writer(self) -> None:
        """Fork the process that copies the pipe into the log; it ends when nobody has the pipe open any more."""
        writer = LogWriter(self._log, self._spec.log_piece_bytes, self._spec.log_keep_bytes)
        self._log_writer = os.fork()
        if self._log_writer > 0:
            writer.close()
            return
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self._log_sink)
            writer.copy(self._log_source)
        finally:
            os._exit(0)

    def _end_log(self) -> None:
        """Let everything that was printed arrive in the log before the end is told."""
        os.close(self._log_sink)
        deadline = time.monotonic() + LOG_END_LIMIT_S
        while self._log_writer and time.monotonic() < deadline:
            try:
                if os.waitpid(self._log_writer, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(0.005)

    # status

    def _record_end(self) -> None:
        assert self._wait_status is not None
        cancelled = self._cancelled
        by_signal = os.WTERMSIG(self._wait_status) if os.WIFSIGNALED(self._wait_status) else None
        message = self._values["message"] if self._values["state"] != "restarting" else ""
        if self._told_to_stop and not cancelled:
            message = message or "stopped because its supervisor got SIGTERM"
        self._record(
            durable=True,
            state="cancelled" if cancelled else "exited",
            exit_code=None if by_signal else os.WEXITSTATUS(self._wait_status),
            signal=by_signal,
            ended_at=time.time(),
            message=message,
            ready=None,
        )

    def _record_failed_start(self, error: Exception) -> None:
        message = f"could not be started: {error}"
        self._record(durable=True, state="failed", ended_at=time.time(), message=message, ready=None)

    def _record(self, durable: bool = False, **changes: Any) -> None:
        self._values.update(changes, heartbeat_at=time.time())
        try:
            write_atomically(self._folder / "status.json", json.dumps(self._values).encode(), durable=durable)
        except OSError:
            if durable:
                raise  # what must be known is not; a mere heartbeat may be missed on a full disk

    def _sample_for_ever(self) -> None:
        box = BoxSamples(self._root)
        box.keep()
        sampler = Sampler(self._root, box.gpus)
        while True:
            append_to_ring(self._folder / "stats.jsonl", box.latest() or sampler.sample())
            time.sleep(SAMPLE_S)


def _environment(root: Path, folder: Path, spec: JobSpec) -> dict[str, str]:
    secrets = {name: (root / path).read_text(encoding="utf-8").rstrip("\n") for name, path in spec.secret_files.items()}
    environment = {**clean_environment(), **spec.env, **secrets}
    if spec.gpu_indexes:
        environment["CUDA_VISIBLE_DEVICES"] = _visible(spec.gpu_indexes, environment.get("CUDA_VISIBLE_DEVICES"))
    return {**environment, "SPOTTER_JOB_ID": spec.id, JOB_MARK: os.path.realpath(folder)}


def _visible(gpus: tuple[int, ...], all_of_them: str | None) -> str:
    """What CUDA shall see; on a box that names its own GPUs, an index counts in that list."""
    names = [name.strip() for name in (all_of_them or "").split(",") if name.strip()]
    return ",".join(names[gpu] if gpu < len(names) else str(gpu) for gpu in gpus)


def _code(wait_status: int) -> int:
    return 128 + os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else os.WEXITSTATUS(wait_status)


def _words(wait_status: int) -> str:
    if os.WIFSIGNALED(wait_status):
        return f"was ended by signal {os.WTERMSIG(wait_status)}"
    return f"exited with {os.WEXITSTATUS(wait_status)}"
