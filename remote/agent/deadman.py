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
STILL_HERE_S = 300.0
"""A process that outlives the confirmed end of its box has been told wrong: so long later it asks again."""
GO_ON_AFTER_S = 5.0
ARM_ATTEMPTS = 3
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
        self._confirmed = False
        self._message = ""
        self._troubles: set[str] = set()

    def run(self) -> None:
        """Until the box ends, and this process with it. Neither what goes wrong nor the cloud's word ends it."""
        self._samples.keep()
        self.note(f"guarding: {self._order}")
        if self._was_stopped:
            self.note(f"somebody started the box again after its deadline: {RETURN_GRACE_S:.0f} s to arm it anew")
        while True:
            time.sleep(self._tick_or_go_on())

    def _tick_or_go_on(self) -> float:
        """A full table of files or no memory for a moment is told, and then the box is guarded on."""
        try:
            return self.tick(Moment.now())
        except Exception as error:  # noqa: BLE001 - nothing starts it again where it would end
            self._tell_once(f"could not look or act: {type(error).__name__}: {error}")
            return GO_ON_AFTER_S

    def tick(self, now: Moment) -> float:
        """Look once and do what is due; seconds until the next look."""
        facts = self._look(now)
        found = decide(self._order, facts)
        if found is not None and (self._decision is None or self._is_graver(found, self._decision)):
            self._begin(found, now)
        elif self._decision is not None and self._decision.cause == "idle" and found is None and not self._is_ending:
            self.note("standing down: the box is in use again")
            self._decision, self._confirmed, self._accepted = None, False, False
        if self._decision is not None and self._drained(now) and self._may_ask(now):
            self._confirmed = self._act(self._decision.action, now)
            if self._confirmed:
                self._backoff_s = STILL_HERE_S
                self.note(f"done: the cloud confirms it; asking again in {STILL_HERE_S:.0f} s if this box still lives")
        self._write_status(facts, now, self._state())
        return self._pause_s(facts, now)

    def note(self, text: str) -> None:
        """Add a line to the log of decisions."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n"
        # neither a full disk nor a full memory may keep the box from being given back
        with contextlib.suppress(OSError, MemoryError), (self._folder / "log").open("a", encoding="utf-8") as log:
            log.write(line)

    def _tell_once(self, trouble: str) -> None:
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            self.note(trouble)

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
            self._tell_once(f"cannot look at the {what}: {type(error).__name__}: {error}")
            return unknown

    # acting

    @staticmethod
    def _is_graver(found: Decision, decision: Decision) -> bool:
        """A stop for idleness that the cloud refuses again and again is no reason to miss the deadline."""
        return found.cause == "deadline" and decision.cause != "deadline"

    @property
    def _is_ending(self) -> bool:
        """Whether the cloud took the request; once it called it done and this box lives on, that was not so."""
        return self._accepted and not self._confirmed

    def _begin(self, decision: Decision, now: Moment) -> None:
        self._decision, self._decided, self._asked, self._backoff_s = decision, now, None, 0.0
        self._accepted = self._confirmed = False
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

    def _may_ask(self, now: Moment) -> bool:
        return self._asked is None or now.seconds_since(self._asked) >= self._backoff_s

    def _act(self, action: str, now: Moment) -> bool:
        """Ask once; True when the cloud confirms the end."""
        self._asked, self._confirmed = now, False
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

    def _state(self) -> str:
        if self._decision is None:
            return "armed"
        if self._confirmed:
            return "done"
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
        with contextlib.suppress(OSError, MemoryError):  # as for the log
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
    write_resume_script(root, program)
    for _attempt in range(ARM_ATTEMPTS):
        _end(folder)
        status = start(root, program)
        proven = status.proof is not None and status.proof.ok
        if status.order == order and (proven or not proof.ok):
            break  # else another one came up meanwhile: by the order before, or without the key of this login
    return status


def _end(folder: Path) -> None:
    before = status_on_disk(folder)
    if before is not None:
        if process.alive(before["process"]):
            process.send_signal([before["process"]["pid"]], signal.SIGKILL)
        (folder / "status.json").unlink(missing_ok=True)


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
            with contextlib.suppress(OSError):  # a full disk: then the next one begins from the wall clock again
                armed.write(folder)
        try:
            own: OwnInstance | None = OwnInstance.of_this_box()
        except NoOwnKey as error:  # looked for again when it is needed
            own, armed = None, replace(armed, proof=DeadmanProof(False, now.at, None, str(error)))
        for name in SECRET_NAMES:
            os.environ.pop(name, None)
        with contextlib.suppress(OSError):  # an ordinary login may not ask to be spared when memory runs out
            Path("/proc/self/oom_score_adj").write_text("-500")
        while True:
            try:
                Deadman(root, program, armed, own).run()
            except Exception as error:  # noqa: BLE001 - it did not even begin: no files or memory left for a moment
                print(f"the dead-man begins again: {error}", file=sys.stderr, flush=True)
                time.sleep(GO_ON_AFTER_S)


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
