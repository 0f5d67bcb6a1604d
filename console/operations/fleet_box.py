"""One box of a run in shards, from the wish for it until it is given back: a thread that drives it, and one that pulls.

The box works on by itself whatever becomes of this thread. What the thread does on each contact: fetch events and log,
ask the queue, hand shards over or bring new ones, see that every worker lives, and let go of a box with nothing left.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from console.operations.bootstrap import bootstrap
from console.operations.destroy import destroy
from console.operations.events import OperationEvent, Report, Step
from console.operations.fleet_book import Box
from console.operations.fleet_pull import Puller
from console.operations.fleet_work import FleetWork
from console.operations.fleet_workers import BoxFailed, Workers
from console.operations.guard import guard
from console.operations.loss import BoxLost, await_box, start_if_stopped, was_destroyed_here
from console.operations.prepare import push_code
from console.operations.pull import SESSION_FILES, NotPulled
from console.operations.rent import rent
from console.operations.run_needs import box_needs_of
from console.operations.runbook import Runbook
from console.operations.session import InstanceGone, Session
from console.operations.watch import FOLLOW_WAIT_S
from console.words import count

if TYPE_CHECKING:
    from pipeline.core.shards import Listing
    from remote.jobs import Agent
    from remote.transport import Transport

QUEUE_EVERY_S = 2.0
PULL_ATTEMPTS = 3
MAX_KILLED = 3
"""How often a short command on a box may be killed before the box counts as failed."""

EndKind = Literal["done", "lost", "failed", "absent", "stopped"]


@dataclass(frozen=True, slots=True)
class BoxEnd:
    """How a box's part in the run ended."""

    kind: EndKind
    """`absent`: no machine could be had. `lost`: it is gone. `failed`: it cannot do the work."""
    error: Exception | None = None
    deliberate: bool = False
    """The operator destroyed it."""


class BoxThread:
    """Drives one box. `end` is set when the thread is through."""

    def __init__(self, work: FleetWork, box: Box) -> None:
        self.name = box.name
        self.end: BoxEnd | None = None
        self.stop = threading.Event()
        """Set: cancel its jobs, fetch what is finished, give it back."""
        self.may_start = True
        """Whether its box, if it is stopped, may be started again."""
        self._work = work
        self._session: Session = work.session.until(self.stop)
        self._report: Report = work.report_of(box.name)
        self._workers = Workers(work, box.name, self._say)
        self.files = 0
        """Fetched from it so far."""
        self._thread = threading.Thread(target=self._run, name=f"box-{box.name}", daemon=True)
        work.shards.join(box.name, worked=box.state == "working")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    @property
    def running(self) -> bool:
        """Whether it was started and is not through."""
        return self._thread.is_alive()

    @property
    def box(self) -> Box:
        """As it stands in the book."""
        return self._work.book.box(self.name)

    @property
    def holds_work(self) -> bool:
        """Whether something may be lost when it goes now."""
        return self.box.state == "working"

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))

    # its life

    def _run(self) -> None:
        from remote.cloud import CloudError
        from remote.provision import ProvisionError

        try:
            end = self._live()
        except KeyboardInterrupt:
            end = BoxEnd("stopped")
        except (InstanceGone, BoxLost) as error:
            end = BoxEnd("lost", error, was_destroyed_here(self._session, self.box.instance_id or 0))
        except (ProvisionError, CloudError) as error:
            end = BoxEnd("absent" if self.box.instance_id is None else "failed", error)
        except Exception as error:  # noqa: BLE001 - whatever happens to one box, the others go on
            end = BoxEnd("failed", error)
        try:
            self._settle_end(end)
        except Exception as error:  # noqa: BLE001 - the book could not be written; whoever waits must hear the end
            self._say(f"how it ended could not be noted: {error}")
        finally:
            self.end = end

    def _settle_end(self, end: BoxEnd) -> None:
        """Give the machine back, whatever happened; then say so in the book, and only then to the others."""
        box = self.box
        problem = None if end.error is None else str(end.error) or type(end.error).__name__
        state: Any = {"done": "gone", "stopped": "gone", "lost": "lost"}.get(end.kind, "failed")
        begun = box.state == "working" and bool(box.launches)
        unfetched = begun and end.kind == "failed" and not isinstance(end.error, BoxFailed)
        if unfetched and not self.stop.is_set():
            self._work.book.update(self.name, problem=problem)
            return  # it may hold results that are nowhere else
        try:
            kept = box.kept or (end.kind == "done" and self._work.entry.keep_instance)
            if box.instance_id is not None and not kept:
                destroy(self._work.session, box.instance_id, force=True, report=self._report)
            elif kept and end.kind == "done":
                self._report(OperationEvent("destroy", "finished", f"instance {box.instance_id} is kept, and billed"))
        except Exception as error:  # noqa: BLE001 - the coordinator tries again, and names what is still billed
            problem, state = str(error) or type(error).__name__, "leaving"
        self._work.book.update(self.name, state=state, problem=problem)
        self._work.note_boxes()

    def _live(self) -> BoxEnd:
        if self.box.instance_id is None:
            self._rent()
        elif not self.stop.is_set():
            work = self._work
            start_if_stopped(work.session, self.box.instance_id, work.entry, self._say, may=self.may_start)
        if self.box.state != "working":
            self._prepare()
        killed = 0
        while True:
            from remote.cloud import CloudUnreachable, RateLimited
            from remote.jobs import Agent
            from remote.transport import CommandFailed, ConnectionLost, SshRefused, SshSilent

            assert self.box.instance_id is not None
            reach = self._work.session.reacher(self.box.instance_id)
            root = self._session.settings.cloud.remote_root
            try:
                with reach() as transport, Agent.start(transport, root, reconnect=reach) as agent:
                    return self._contact(agent)
            except (ConnectionLost, SshRefused, SshSilent, CloudUnreachable, RateLimited) as error:
                if self.stop.is_set():
                    return BoxEnd("stopped", error)
                await_box(self._work.session, self.box.instance_id, self.stop)
            except CommandFailed as error:  # a box that is taken away may kill a command before it hangs up
                killed += 1
                if error.exit_code != -1 or killed > MAX_KILLED or self.stop.is_set():
                    raise
                await_box(self._work.session, self.box.instance_id, self.stop)

    def _rent(self) -> None:
        rental = rent(self._session, self._work.entry.profile, run_id=self._work.run_id, report=self._report)
        workers = max(1, rental.instance.gpu_count)
        self._work.book.update(self.name, state="rented", instance_id=rental.instance.id, workers=workers)
        self._work.note_boxes()

    def _prepare(self) -> None:
        """Code, libraries, sources, a folder for each worker: everything that the box needs to work alone."""
        from remote.sync.push import push_blobs, push_run

        work, box, session = self._work, self.box, self._session
        assert box.instance_id is not None
        root = session.settings.cloud.remote_root
        with work.session.reach(box.instance_id) as transport:
            release = push_code(session, transport, self._report)
            self._stop_here()
            needs = box_needs_of(session, work.run_id, self._report)
            interpreter = bootstrap(session, transport, box.instance_id, release, self._report, needs=needs)
            self._stop_here()
            work.note_ready(box.instance_id)
            self._report(OperationEvent("push", "started", f"sending {count(len(work.sources), 'source')}"))
            push_blobs(transport, root, work.sources)
            for worker in range(box.workers):
                self._stop_here()
                push_run(transport, root, work.seed(box.name, worker))
            self._report(OperationEvent("push", "finished", f"{count(len(work.sources), 'source')} there"))
            box = work.book.update(self.name, interpreter=interpreter, release=release.path)
            remote_run = f"{root}/runs/{work.part_id(box.name, 0)}"
            told = self._pipeline(transport, ["keys", work.entry.pipeline, "--run-dir", remote_run])
        if not work.begin(told["keys"], tuple(told["stages"])):
            raise BoxFailed("it would compute other results than the other boxes: its libraries or its code differ")
        work.book.update(self.name, state="working")

    def _stop_here(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _pipeline(self, transport: Transport, arguments: Sequence[str], stdin: bytes | None = None) -> dict[str, Any]:
        """One short command of the worker's code on the box; its answer is one JSON line."""
        box = self.box
        assert box.interpreter is not None
        assert box.release is not None
        models = f"MODEL_DIR={self._session.settings.cloud.remote_root}/models"
        words = ["env", f"PYTHONPATH={box.release}", models, box.interpreter, "-m", "pipeline"]
        done = transport.check(shlex.join([*words, *arguments]), stdin=stdin, timeout_s=120)
        answer: dict[str, Any] = orjson.loads(done.stdout.strip().splitlines()[-1])
        return answer

    # contact

    def _contact(self, agent: Agent) -> BoxEnd:
        """Stay in contact until the box has nothing left, then fetch the rest."""
        work, box = self._work, self.box
        assert box.instance_id is not None
        guard(self._session, agent, box.instance_id, self._report)
        mirrors = [mirror for worker in range(box.workers) for mirror in self._workers.mirrors(agent, worker)]
        for worker in range(box.workers):
            work.follow(work.part_id(box.name, worker), work.book.part(box.name, worker) / "events.jsonl")
        asked = 0.0
        failure: BoxFailed | None = None
        with Puller(self._work, self.name, self.pull, self._say):
            while not self.stop.is_set():
                for mirror in mirrors:
                    mirror.advance()
                if time.monotonic() - asked >= QUEUE_EVERY_S:
                    try:
                        if self._mind_queue(agent):
                            break
                    except BoxFailed as error:
                        failure = error
                        break
                    asked = time.monotonic()
                self.stop.wait(FOLLOW_WAIT_S)
        stopped = self.stop.is_set()
        if stopped or failure is not None:
            self._workers.cancel(agent)
        while any(mirror.advance() for mirror in mirrors):
            pass
        self._fetch_rest(agent, orderly=not stopped and failure is None)
        if failure is not None:
            raise failure
        return BoxEnd("stopped" if stopped else "done")

    def _mind_queue(self, agent: Agent) -> bool:
        """Hand over, fetch new shards, keep workers alive; True when the box has nothing left to do."""
        shards = self._work.shards
        statuses = self._workers.statuses(agent)
        robbed = shards.to_hand_over(self.name)
        listing = self._queue(agent, ["--steal", str(robbed)] if robbed else [])
        if robbed:
            shards.handed_over(self.name, listing)
        else:
            shards.note(self.name, listing)
        waits = False
        if not listing.pending:
            if fresh := shards.take(self.name):
                listing = self._queue(agent, ["--add"], orjson.dumps(fresh))
                shards.note(self.name, listing)
            else:
                waits = shards.rob_for(self.name)
        alive = self._workers.keep_alive(agent, statuses, listing)
        return not alive and not waits and shards.is_finished(self.name)

    def _queue(self, agent: Agent, options: Sequence[str], stdin: bytes | None = None) -> Listing:
        from pipeline.core.shards import Listing

        arguments = ["shards", "--queue", self._work.queue_path(agent.root), *options]
        return Listing.of(self._pipeline(agent.transport, arguments, stdin))

    def _fetch_rest(self, agent: Agent, *, orderly: bool) -> None:
        """Everything that is listed on the box, verified and merged.

        Raises:
            NotPulled: something could not be had, and the box must not be destroyed for it.
        """
        box, work = self.box, self._work
        assert box.instance_id is not None
        self._report(OperationEvent("pull", "started", "fetching what is left"))
        done = self._queue(agent, []).done
        for attempt in range(PULL_ATTEMPTS):
            missing = self.pull(agent, agent.transport)
            missing = [path for path in missing if orderly or Path(path).name not in SESSION_FILES]
            if not missing:
                break
            if attempt == PULL_ATTEMPTS - 1:
                raise NotPulled(f"{count(len(missing), 'file')} did not arrive, the first: {missing[0]}")
        work.shards.settle(done)
        self._report(OperationEvent("pull", "finished", f"{count(len(done), 'shard')} of instance {box.instance_id}"))

    def pull(self, agent: Agent, transport: Transport) -> list[str]:
        """Fetch and merge what every worker of the box made so far; what is listed but did not arrive."""
        from remote.sync.live import pull_live

        missing: list[str] = []
        for worker in range(self.box.workers):
            part = self._work.part_id(self.name, worker)
            local = self._work.book.part(self.name, worker)
            if self.box.launches.get(str(worker)):
                pulled = pull_live(agent, transport, f"{agent.root}/runs/{part}", local)
                self.files += pulled.files
                missing += pulled.missing
                self._work.merge(part, local)
        return missing


def pull_parts(session: Session, run_id: str, report: Report) -> int:
    """Fetch and merge what the boxes of a run that nobody drives made so far; returns how many files came.

    Raises:
        RunBusy: a process drives it, and fetches by itself.
        InstanceGone, remote.transport.TransportError: a box cannot be reached.
    """
    from remote.jobs import Agent

    files = 0
    runbook = Runbook(session.workspace)
    with runbook.hold(run_id), Step("pull", "fetching what the run made", report) as step:
        work = FleetWork(session, runbook, run_id, report)
        try:
            for box in work.book.fleet.boxes:
                if box.state == "working" and box.instance_id is not None:
                    thread = BoxThread(work, box)
                    reach = session.reacher(box.instance_id)
                    root = session.settings.cloud.remote_root
                    with reach() as transport, Agent.start(transport, root, reconnect=reach) as agent:
                        thread.pull(agent, agent.transport)
                    files += thread.files
        finally:
            work.close()
        step.summary = f"{count(files, 'file')} in this pull, all verified"
    return files
