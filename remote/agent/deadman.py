"""The dead-man of a box: a process that gives the box back at its deadline, or when nobody uses it any more.

It needs no laptop. Its folder holds the order, its status (replaced every two seconds), each decision in a log, and
the lock that keeps it single. A new order replaces the process; there is no order to stand down.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from remote.agent import process
from remote.agent.box_samples import BoxSamples
from remote.agent.deadman_order import DEADMAN_ANSWER, DeadmanOrder, DeadmanProof, DeadmanStatus
from remote.agent.deadman_rules import Armed, Decision, Facts, decide
from remote.agent.deadman_status import deadman_status, status_on_disk
from remote.agent.files import write_atomically
from remote.agent.heartbeat import Heartbeat
from remote.agent.jobs import Jobs
from remote.agent.moment import Moment
from remote.agent.own_cloud import SECRET_NAMES, NoOwnKey, OwnInstance
from remote.agent.resume_script import write_resume_script

TICK_S = 2.0
START_LIMIT_S = 20.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
RETURN_GRACE_S = 900.0
"""For a box that was stopped at its deadline and that somebody started again: time to fetch, or to arm it anew."""


class Deadman:
    """The process itself: looks every two seconds, decides, drains, and asks the cloud until it confirms."""

    def __init__(self, root: Path, program: Path, armed: Armed, own: OwnInstance | None) -> None:
        self._folder = root / "deadman"
        self._order = armed.order
        self._armed = armed
        self._own = own
        self._jobs = Jobs(root, program)
        self._samples = BoxSamples(root)
        self._heartbeat = Heartbeat(root)
        self._me = process.identity(os.getpid())
        self._began = self._sign_of_life = self._gpu_busy = Moment.now()
        self._was_stopped = self._acted_before()
        self._decision: Decision | None = None
        self._decided = self._began
        self._asked: Moment | None = None
        self._backoff_s = 0.0
        self._accepted = False
        self._message = ""
        self._troubles: set[str] = set()

    def run(self) -> None:
        """Until the cloud confirmed the end. Nothing that goes wrong here ends it."""
        self._samples.keep()
        self.note(f"guarding: {self._order}")
        if self._was_stopped:
            self.note(f"somebody started the box again after its deadline: {RETURN_GRACE_S:.0f} s to arm it anew")
        while True:
            pause_s = self.tick(Moment.now())
            if pause_s is None:
                return
            time.sleep(pause_s)

    def tick(self, now: Moment) -> float | None:
        """Look once and do what is due; seconds until the next look, None when all is over."""
        facts = self._look(now)
        found = decide(self._order, facts)
        if self._decision is None and found is not None:
            self._begin(found, now)
        elif self._decision is not None and self._decision.cause == "idle" and found is None and not self._accepted:
            self.note("standing down: the box is in use again")
            self._decision = None
        over = self._decision is not None and self._drained(now) and self._act(self._decision.action, now)
        self._write_status(facts, now, "done" if over else self._state(now))
        if over:
            self.note("done: the cloud confirms it")
            return None
        return self._pause_s(facts, now)

    def note(self, text: str) -> None:
        """Add a line to the log of decisions."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n"
        with contextlib.suppress(OSError), (self._folder / "log").open("a", encoding="utf-8") as log:
            log.write(line)  # a full disk must not keep the box from being given back

    # looking

    def _look(self, now: Moment) -> Facts:
        self._careful("queue", lambda: self._jobs.advance(wait=False))
        if self._careful("jobs", self._has_work, unknown=True) or self._careful("heartbeat", self._heartbeat.came):
            self._sign_of_life = now
        gpu_idle_for_s = None
        if self._order.gpu_idle_s is not None:
            busy = self._careful("GPUs", self._gpus_are_busy, unknown=True)
            if busy is not False:
                self._gpu_busy = now
            gpu_idle_for_s = None if busy is None else now.seconds_since(self._gpu_busy)
        left_s = self._armed.left_s(now)
        if self._was_stopped:
            left_s = max(left_s, RETURN_GRACE_S - now.seconds_since(self._began))
        return Facts(left_s, now.seconds_since(self._sign_of_life), gpu_idle_for_s)

    def _pause_s(self, facts: Facts, now: Moment) -> float:
        """Until something may be due, two seconds at most."""
        limits = [TICK_S, facts.deadline_in_s]
        if self._order.idle_s is not None:
            limits.append(self._order.idle_s - facts.idle_for_s)
        if self._decision is not None:
            limits.append(self._order.grace_s - now.seconds_since(self._decided))
        if self._asked is not None:
            limits.append(self._backoff_s - now.seconds_since(self._asked))
        return min(each for each in limits if each > 0)

    def _has_work(self) -> bool:
        jobs = self._jobs.all()
        return any(not job.service and (not job.ended or job.survivors) for job in jobs)

    def _gpus_are_busy(self) -> bool | None:
        """None when nothing is known of them, which never counts as idle."""
        sample = self._samples.latest()
        rows = sample["gpus"] if sample else []
        percents = [row.get("busy_percent") for row in rows]
        if not percents or None in percents:
            return None
        return any(percent >= self._order.gpu_idle_below_percent for percent in percents)

    def _careful(self, what: str, look: Callable[[], Any], unknown: Any = None) -> Any:
        """A look that may fail of a damaged file: told once, and never a reason to miss the deadline."""
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the guard goes on
            trouble = f"cannot look at the {what}: {type(error).__name__}: {error}"
            if trouble not in self._troubles:
                self._troubles.add(trouble)
                self.note(trouble)
            return unknown

    # acting

    def _begin(self, decision: Decision, now: Moment) -> None:
        self._decision, self._decided, self._asked, self._backoff_s = decision, now, None, 0.0
        self.note(f"will {decision.action} the box: {decision.reason}; {self._order.grace_s:g} s of grace")
        if decision.cause != "idle":
            self._careful("jobs", self._cancel_jobs)

    def _cancel_jobs(self) -> None:
        for job in self._jobs.all():
            if not job.ended:
                self.note(f"cancelling job {job.id}")
                self._jobs.cancel(job.id)

    def _drained(self, now: Moment) -> bool:
        """Whether the grace is over, or was not needed: the laptop may come back to an idle box, jobs may end."""
        assert self._decision is not None
        if now.seconds_since(self._decided) >= self._order.grace_s:
            return True
        if self._decision.cause == "idle":
            return False
        return not self._careful("jobs", lambda: any(not job.ended for job in self._jobs.all()), unknown=True)

    def _act(self, action: str, now: Moment) -> bool:
        """Ask once, unless it is too early to ask again; True when the cloud confirms the end."""
        if self._asked is not None and now.seconds_since(self._asked) < self._backoff_s:
            return False
        self._asked = now
        self._backoff_s = min(LONGEST_BACKOFF_S, 2 * self._backoff_s or FIRST_BACKOFF_S)
        self._write_status(self._look(now), now, "acting")  # the answer may not find this process alive
        try:
            self._own = self._own or OwnInstance.of_this_box()
        except NoOwnKey as error:
            self._message = str(error)
            self.note(f"cannot {action} the box: {error}")
            return False
        reply = self._own.ask(action)
        self._message = str(reply)
        self.note(f"asked the cloud to {action} instance {self._own.instance_id}: {reply}")
        over = self._own.is_over(action, reply, self._accepted)
        self._accepted = self._accepted or reply.accepted
        return over

    # status

    def _state(self, now: Moment) -> str:
        if self._decision is None:
            return "armed"
        return "draining" if self._asked is None else "acting"

    def _write_status(self, facts: Facts, now: Moment, state: str) -> None:
        status = DeadmanStatus(
            state=state,
            order=self._order,
            proof=self._armed.proof,
            at=now.at,
            deadline_in_s=round(facts.deadline_in_s, 1),
            idle_for_s=round(facts.idle_for_s, 1),
            gpu_idle_for_s=None if facts.gpu_idle_for_s is None else round(facts.gpu_idle_for_s, 1),
            reason=self._decision.reason if self._decision else "",
            message=self._message,
            log=str(self._folder / "log"),
        )
        data = json.dumps({**status.to_json(), "process": self._me}).encode()
        with contextlib.suppress(OSError):  # a full disk must not keep the box from being given back
            write_atomically(self._folder / "status.json", data, durable=state in ("acting", "done"))

    def _acted_before(self) -> bool:
        """Whether the process before this one stopped the box for this very order."""
        before = status_on_disk(self._folder)
        status = DeadmanStatus.from_json(before) if before else DeadmanStatus()
        over = self._armed.left_s(self._began) <= 0
        return over and status.state in ("acting", "done") and status.order == self._order


def arm(root: Path, program: Path, order: DeadmanOrder) -> DeadmanStatus:
    """Prove the box's own key, keep the order, and put a new process in the place of the one before.

    Raises:
        OSError: the order could not be kept, or the process did not start.
    """
    folder = root / "deadman"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        proof = OwnInstance.of_this_box().prove()
    except NoOwnKey as error:
        proof = DeadmanProof(False, time.time(), None, str(error))
    armed = Armed(order, Moment.now(), proof)
    armed.write(folder)
    before = status_on_disk(folder)
    if before is not None:
        if process.alive(before["process"]):
            process.send_signal([before["process"]["pid"]], signal.SIGKILL)
        (folder / "status.json").unlink()
    write_resume_script(root, program)
    return start(root, program)


def start(root: Path, program: Path) -> DeadmanStatus:
    """Start the process for the order on disk, unless it runs.

    Raises:
        OSError: it did not come up.
    """
    _detach(root, program)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        status = deadman_status(root)
        if status.alive:
            return status
        time.sleep(0.02)
    raise OSError(f"the dead-man did not come up within {START_LIMIT_S:.0f} s; see {root / 'deadman' / 'errors'}")


def _detach(root: Path, program: Path) -> None:
    """Become, in a process of its own session that nobody waits for, the dead-man. Returns in the caller."""
    sys.stdout.flush()
    first = os.fork()
    if first > 0:
        os.waitpid(first, 0)
        return
    code = 1
    try:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _watch(root, program)
        code = 0
    finally:
        os._exit(code)


def _watch(root: Path, program: Path) -> None:
    folder = root / "deadman"
    errors = os.open(folder / "errors", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, nothing), (1, errors), (2, errors)):
        os.dup2(source, target)
    os.chdir("/")
    with (folder / "lock").open("ab") as lock:
        if not _locked_soon(lock):
            return  # another one guards this box
        armed = Armed.read(folder)
        if armed is None:
            return
        now = Moment.now()
        if armed.given.boot != now.boot:  # after a boot the wall clock is all there is; from here on it may move
            armed = replace(armed, given=now)
            armed.write(folder)
        try:
            own: OwnInstance | None = OwnInstance.of_this_box()
        except NoOwnKey:
            own = None  # the proof says so; it is looked for again when it is needed
        for name in SECRET_NAMES:
            os.environ.pop(name, None)
        with contextlib.suppress(OSError):  # an ordinary login may not ask to be spared when memory runs out
            Path("/proc/self/oom_score_adj").write_text("-500")
        Deadman(root, program, armed, own).run()


def _locked_soon(lock: IO[bytes], limit_s: float = 2.0) -> bool:
    """Take the lock; one that was killed just now may hold it for a moment."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def main(root: Path, program: Path) -> int:
    """`deadman ROOT`: arm by the order on stdin, or, without one, guard by the order on disk. Prints the status."""
    text = sys.stdin.buffer.read().strip()
    try:
        status = arm(root, program, DeadmanOrder.from_json(json.loads(text))) if text else start(root, program)
    except (OSError, ValueError, TypeError) as error:
        print(f"{DEADMAN_ANSWER}{json.dumps({'error': f'{type(error).__name__}: {error}'})}", flush=True)
        return 1
    print(f"{DEADMAN_ANSWER}{json.dumps({'ok': status.to_json()})}", flush=True)
    return 0
