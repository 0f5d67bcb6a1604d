"""A run in shards: one run over several boxes, or over the GPUs of one, that ends in the very folder of a simple run.

The design, in short:

- The manifest is cut into up to 256 shards by a stable hash of the item's id (`pipeline.core.shards`). A box gets an
  ordered list of them as files of a queue and works alone: laptop asleep, nothing waits. Taking a shard, finishing it
  and stealing it are renames on the box, so each has one winner.
- Each worker, one process a GPU, writes a run folder of its own on the box: a *part*. The laptop copies the part's
  events byte by byte, pulls its artifacts and ledger, and merges them (`pipeline.core.merge`) into the run's folder:
  files first, then the list, then the ledger. Merging twice changes nothing; an item that two boxes made counts once.
- Nothing on the laptop says who has which shard: the queues do (`console.operations.shards`). A shard is free when it
  is not settled and no living box holds it. So a lost box's shards are free at once, a console killed at any moment
  asks the boxes again, and a shard that was stolen but not yet brought to its thief is simply free.
- A box that runs out asks for more: first what is free, then half of what the slowest box has not begun. With nothing
  to be had it is pulled, checked and destroyed at once, while the others go on.
- A box that is lost is replaced, within the caps and `[cloud] max_replacements`; one that the operator destroyed is
  not. When some boxes cannot be had, the run goes on with those that it has.
- When all shards are settled, the closing session (`pipeline.core.closing`) reduces and reports on this machine, with
  the cache keys that the boxes told: records, report, COCO and end state are made by the code that always makes them.
- `fleet.json` holds which boxes there are and how far each is, written before each effect. Killed and started again,
  the driver takes up what is rented, and destroys what is of no use.
"""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from console.operations.destroy import destroy
from console.operations.events import OperationEvent, Report
from console.operations.fleet_book import Box
from console.operations.fleet_box import BoxThread
from console.operations.fleet_close import close_run
from console.operations.fleet_events import FleetEvents
from console.operations.fleet_work import FleetWork
from console.operations.ingest import ingest
from console.operations.prepare import GRACE_S
from console.operations.run_terms import STOPPED, only_final_failures
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.operations.signals import deaf_to_signals
from console.operations.watch import StageReporter
from console.words import count

if TYPE_CHECKING:
    from console.models.run_view import EventFile
    from console.operations.run_terms import Wishes

TICK_S = 0.2
SAVING_S = GRACE_S + 90.0
"""How long boxes may take to cancel, to hand out what is finished and to go, after a stop."""
RENTING_S = 120.0
"""How long a create that is in flight may take to be answered and undone."""
USABLE = ("verified", "bootstrapped", "ready")
TOO_MANY_FAILED = "too many failed"


class BoxesLost(Exception):
    """No box is left, and shards are; a resume goes on from what is here."""


class FleetDriver:
    """Takes a planned run to its end over several boxes, from wherever it stands."""

    def __init__(self, session: Session, runbook: Runbook, entry: RunEntry, report: Report) -> None:
        self._session = session
        self._run_id = entry.run_id
        self._report = report
        self._work = FleetWork(session, runbook, entry.run_id, report)
        self._threads: dict[str, BoxThread] = {}
        self._handled: set[str] = set()
        self._events: FleetEvents | None = None
        self._problem: Exception | None = None
        self._may_rent = True
        self._account: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def _entry(self) -> RunEntry:
        return self._work.entry

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))

    def grant(self, wishes: Wishes) -> None:
        """Note what the operator wants, where it can still be had."""
        self._may_rent = wishes.may_rent
        if wishes.keep:
            self._work.update(keep_instance=True)
        if wishes.profile is not None and not self._entry.phase.reached(Phase.RENTED):
            self._work.update(profile=wishes.profile)
        if wishes.instance_id is not None and wishes.instance_id not in self._entry.machines:
            instance = self._session.instance(wishes.instance_id)
            if self._entry.phase is Phase.DONE and self._entry.state != "succeeded":
                self._start_over()
            workers = max(1, instance.gpu_count)
            self._work.book.want(state="rented", instance_id=wishes.instance_id, kept=True, workers=workers)
            self._work.update(instances=1)

    # to the end

    def drive(self) -> RunEntry:
        """From the phase on disk to the last."""
        if self._entry.phase is Phase.DONE:
            if self._entry.state == "succeeded" or only_final_failures(self._session, self._entry, self._say):
                return self._entry
            self._start_over()
        self._work.update(problem=None, replacements=0)
        if not self._entry.phase.reached(Phase.PULLED):
            self._do_shards()
            self._close()
        if not self._entry.phase.reached(Phase.INGESTED):
            self._ingest()
        self._work.book.forget_parts()
        self._send_off()
        return self._work.update(phase=Phase.DONE)

    def _start_over(self) -> None:
        self._work.book.begin_again()
        self._work.update(phase=Phase.PLANNED, state="queued", problem=None, exit_code=None)

    def _do_shards(self) -> None:
        """Until every shard is settled and every box gone.

        Raises:
            BoxesLost: no box is left.
            Exception: what kept the only box, or each of them, from working.
        """
        self._take_up()
        self._want_boxes()
        if self._threads:
            self._work.update(phase=Phase.LAUNCHED, state="running")
            self._keep_account()
        self._say_what_is_left()

    def _keep_account(self) -> None:
        """Tell what the boxes do, and tend them, until all are gone.

        A thread writes: a Ctrl-C, which only the main thread hears, must not fall between an event and its number.
        """
        failure: list[BaseException] = []

        def keep() -> None:
            try:
                events = self._open_events()
                stages = StageReporter(self._report, events.view)
                while not self._stopping.is_set():
                    self._tick(events, stages)
                    if self._handled == self._threads.keys() and not self._finish_what_was_freed_late():
                        return
                    self._stopping.wait(TICK_S)
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                failure.append(error)

        self._account = threading.Thread(target=keep, name="account", daemon=True)
        self._account.start()
        while self._account.is_alive():
            self._account.join(TICK_S)
        if failure:
            raise failure[0]

    def _tick(self, events: EventFile, stages: StageReporter) -> None:
        self._take_in()
        events.refresh()
        stages.tell(events.view)
        for thread in list(self._threads.values()):
            if thread.end is not None and thread.name not in self._handled and not self._stopping.is_set():
                self._handled.add(thread.name)
                self._note_end(thread)
        if self._work.shards.left == 0 or self._too_many_failed():
            for thread in self._threads.values():
                if not thread.holds_work or self._too_many_failed():
                    thread.stop.set()  # it is rented or prepared for nothing

    def _take_in(self) -> None:
        """What the boxes said since the last time."""
        assert self._events is not None
        stages = self._work.book.fleet.stages
        self._events.expect([str(stage["name"]) for stage in stages if stage["kind"] == "map"])
        for part, path in self._work.parts().items():
            self._events.follow(part, path)
        self._events.advance()

    def _too_many_failed(self) -> bool:
        assert self._events is not None
        rate = self._max_error_rate
        return rate is not None and self._events.failed_share > rate

    @cached_property
    def _max_error_rate(self) -> float | None:
        params = yaml.safe_load((self._work.folder / "params.yaml").read_text("utf-8"))
        return None if params.get("max_error_rate") is None else float(params["max_error_rate"])

    def _open_events(self) -> EventFile:
        from console.models.run_view import EventFile

        path = self._work.folder / "events.jsonl"
        before = EventFile(path)
        before.catch_up()
        self._events = FleetEvents(self._work.folder, self._run_id, self._work.manifest)
        if before.view.state != "running":
            again = f", attempt {self._work.book.fleet.attempt}" if self._work.book.fleet.attempt > 1 else ""
            self._events.begin(f"{count(len(self._threads), 'box', 'boxes')}{again}")
        return before

    # boxes

    def _take_up(self) -> None:
        """Boxes of an earlier process go on; what it rented and did not write down is used, or destroyed."""
        for shared in ("cloud", "ledger", "key"):
            getattr(self._session, shared)  # opened once, before any thread has a session of its own
        book = self._work.book
        known = {box.instance_id for box in book.fleet.boxes if box.living}
        wanted = [box for box in book.fleet.boxes if box.state == "wanted"]
        for row in self._session.living_rentals():
            if row.run_id != self._run_id or row.instance_id in known:
                continue
            if wanted and row.state in USABLE:
                instance = self._session.cloud.instance(row.instance_id)
                workers = 1 if instance is None else max(1, instance.gpu_count)
                book.update(wanted.pop(0).name, state="rented", instance_id=row.instance_id, workers=workers)
            else:
                self._session.provisioner.destroy(row.instance_id)
        fleet = book.fleet
        if fleet.keys:
            self._work.begin(fleet.keys, fleet.stages)
        for box in book.fleet.boxes:
            useful = self._may_rent and self._work.shards.left != 0
            if box.state in ("rented", "working") or (box.state == "wanted" and useful):
                self._add(box)
            elif box.state == "wanted":
                book.update(box.name, state="failed", problem="nothing was left for it")
        self._work.note_boxes()

    def _want_boxes(self) -> None:
        """Rent as many as are wished for, but no more than there are shards."""
        left = self._work.shards.left
        if left is None:
            left = sum(item.problem is None for item in self._work.manifest)
        wanted = min(self._entry.instances, left) - len(self._threads) if self._may_rent else 0
        for _ in range(wanted):
            self._add(self._work.book.want())
        for thread in self._threads.values():
            thread.start()

    def _add(self, box: Box) -> BoxThread:
        thread = BoxThread(self._work, box)
        thread.may_start = self._may_rent
        self._threads[box.name] = thread
        return thread

    def _note_end(self, thread: BoxThread) -> None:
        """A box's part is over: what it did not finish is free; say why, and replace it if that is right."""
        end = thread.end
        assert end is not None
        freed = self._work.shards.drop(thread.name)
        if end.error is None:
            return
        self._problem = end.error
        words = str(end.error) or type(end.error).__name__
        others = any(other.end is None for other in self._threads.values())
        goes_on = f"; the other boxes take over its {count(freed, 'shard')}" if others and freed else ""
        if end.kind == "absent":
            had = sum(other.end is None or other.end.kind != "absent" for other in self._threads.values())
            goes_on = (
                f"; the run goes on with {count(had, 'box', 'boxes')} of {self._entry.instances}" if others else ""
            )
        self._say(f"{thread.name} · {words}{goes_on}")
        if self._events is not None and others:
            self._events.note("warning", f"{thread.name}: {words}{goes_on}")
        if end.kind == "lost" and not end.deliberate:
            self._replace(thread.box)

    def _replace(self, lost: Box) -> bool:
        """Rent another machine for one that was lost, if that is allowed and of use; whether it is."""
        entry, most = self._entry, self._session.settings.cloud.max_replacements
        if not (entry.replace and self._may_rent) or lost.kept or entry.replacements >= most:
            return False
        left, others = self._work.shards.left, sum(thread.running for thread in self._threads.values())
        if left is not None and left <= others:
            return False  # the others are through before another machine is ready
        self._work.update(replacements=entry.replacements + 1)
        self._say(f"renting another machine for {lost.name} ({entry.replacements + 1} of {most} replacements)")
        self._add(self._work.book.want()).start()
        return True

    def _finish_what_was_freed_late(self) -> bool:
        """A box may be lost while the last other one is leaving: then its shards still want a machine."""
        ends = [(thread.box, thread.end) for thread in self._threads.values()]
        lost = [box for box, end in ends if end is not None and end.kind == "lost" and not end.deliberate]
        return bool(lost and self._work.shards.left) and self._replace(lost[-1])

    def _say_what_is_left(self) -> None:
        """Raise what stopped the run, when it did not come to its end."""
        stuck = [box for box in self._work.book.fleet.boxes if box.state == "working"]
        if stuck and self._problem is not None:
            raise self._problem
        left = self._work.shards.left
        if left == 0 or self._too_many_failed() or self._is_complete():
            return
        lost = [thread for thread in self._threads.values() if thread.end is not None and thread.end.kind == "lost"]
        if lost:
            words = str(self._problem) if self._problem is not None else "every box was lost"
            raise BoxesLost(f"{words}; {count(left or 0, 'shard')} left" if left else words)
        if self._problem is not None and left is None:
            raise self._problem

    def _is_complete(self) -> bool:
        """Whether there was nothing to do for any box."""
        return all(item.problem is not None for item in self._work.manifest)

    # the end

    def _close(self) -> None:
        """Reduce and report over what is merged."""
        if self._events is not None:
            self._events.close()
            self._events = None
        self._work.close()
        closed = close_run(self._work, self._problem if self._work.shards.left else None, self._report)
        self._work.update(phase=Phase.PULLED, state=closed.state, exit_code=closed.exit_code, problem=closed.problem)

    def _send_off(self) -> None:
        """Destroy again what could not be destroyed when its part was over; what still resists is named."""
        book = self._work.book
        for box in book.fleet.boxes:
            if box.state != "leaving" or box.instance_id is None:
                continue
            try:
                destroy(self._session, box.instance_id, force=True, report=self._report)
            except Exception as error:  # noqa: BLE001 - the run is over; its results are here
                words = f"instance {box.instance_id} is still rented and billed: {error}"
                self._say(f"{words}; `spotter destroy {box.instance_id}` gives it up")
                self._work.update(problem=self._entry.problem or words)
            else:
                book.update(box.name, state="gone")
        self._work.note_boxes()

    def _ingest(self) -> None:
        if any((self._work.folder / "records").glob("*.ndjson")):
            ingest(self._session, [self._work.folder], self._report)
        else:
            self._report(OperationEvent("ingest", "finished", "the run made no records"))
        self._work.update(phase=Phase.INGESTED)

    # stopped

    def wind_down(self) -> None:
        """After Ctrl-C: cancel every job, fetch what is finished, give every machine back; again skips the fetch."""
        entry = self._entry
        self._say("stopping: cancelling the jobs, fetching what is done, destroying")
        self._problem = None
        try:
            if not entry.phase.reached(Phase.PULLED):
                self._save_what_is_done()
        except KeyboardInterrupt:
            self._say("stopped again: what was not fetched is given up")
        finally:
            with deaf_to_signals():
                self._join(RENTING_S, holding=False)
                left = self._give_back()
                if entry.phase.reached(Phase.PULLED) or self._close_cancelled():
                    self._work.update(boxes=left, problem=STOPPED)  # everything is here: a resume only has to index it
                else:
                    self._work.update(phase=Phase.DONE, boxes=left, state="cancelled", problem=STOPPED)
                self._say(f"what is finished is kept: `spotter run --resume {entry.run_id}` goes on")

    def _save_what_is_done(self) -> None:
        if not self._threads:  # another process drove it, and is gone
            for box in self._work.book.fleet.boxes:
                if box.state == "working":
                    thread = self._add(box)
                    thread.stop.set()
                    thread.start()
        for thread in list(self._threads.values()):
            thread.stop.set()
        self._join(SAVING_S, holding=True)

    def _join(self, timeout_s: float, *, holding: bool) -> None:
        """Wait for those threads that hold work, or for the others, together no longer than `timeout_s`."""
        self._stopping.set()
        if self._account is not None:
            self._account.join(timeout_s)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads.values():
            thread.stop.set()
            while thread.running and (thread.holds_work or not holding) and time.monotonic() < deadline:
                thread.join(TICK_S)

    def _close_cancelled(self) -> bool:
        """Say in the run's own account that it was cancelled; whether it had come to its end after all.

        Before the first box was ready there is nothing to say, and no account.
        """
        if not self._work.book.fleet.keys:
            if self._events is not None:
                self._events.close()
            self._work.close()
            return False
        (self._work.folder / "cancel").touch()
        try:
            if self._events is None:
                self._open_events()
            self._take_in()
            self._close()
        except Exception as error:  # noqa: BLE001 - the machines are given back; the results stay as they are
            self._say(f"the run could not be closed in order: {error}")
        return self._entry.state in ("succeeded", "incomplete")

    def _give_back(self, *, but_working: bool = False) -> tuple[int, ...]:
        """Destroy every machine of this run, or all `but_working`; returns those that stay, and those that resist."""
        spared = [box for box in self._work.book.fleet.boxes if box.kept or (but_working and box.state == "working")]
        kept = {box.instance_id for box in spared}
        ours = set(self._entry.machines)
        left: list[int] = []
        for row in self._session.living_rentals():
            if row.run_id != self._run_id and row.instance_id not in ours:
                continue
            if row.instance_id in kept or self._entry.keep_instance:
                left.append(row.instance_id)
                continue
            try:
                destroy(self._session, row.instance_id, force=True, report=self._report)
            except Exception:  # noqa: BLE001 - the operation has reported it; the next machine must go too
                left.append(row.instance_id)
                self._say(
                    f"instance {row.instance_id} is still rented: `spotter destroy {row.instance_id}` gives it up"
                )
        for box in self._work.book.fleet.boxes:
            if box.living and box.instance_id not in left:
                self._work.book.update(box.name, state="gone")
        return tuple(left)

    def note_failure(self, error: Exception) -> None:
        """Keep the reason; machines that hold results stay, the others go back at once."""
        problem = str(error) or type(error).__name__
        if any(box.state == "working" for box in self._work.book.fleet.boxes):
            self._send_idle_away()
            left = self._give_back(but_working=True)
            self._end_account(problem)
            for box in self._work.book.fleet.boxes:
                if box.state == "working" and box.instance_id in left:
                    words = f"instance {box.instance_id} is still rented"
                    self._say(f"{words}: `spotter run --resume {self._run_id}` goes on")
            self._work.update(boxes=left, problem=problem)
            return
        self._join(RENTING_S, holding=False)
        left = self._give_back()
        self._end_account(problem)
        if isinstance(error, BoxesLost):
            self._work.update(phase=Phase.PLANNED, state="interrupted", boxes=left, problem=problem)
            self._say(f"finished pages are kept: `spotter run --resume {self._run_id}` goes on with other machines")
            return
        self._work.update(phase=Phase.DONE, state="failed", boxes=left, problem=problem)

    def _send_idle_away(self) -> None:
        """Let the boxes that are rented or prepared in vain come to their end, while those that work go on."""
        idle = [thread for thread in self._threads.values() if not thread.holds_work]
        for thread in idle:
            thread.stop.set()
        deadline = time.monotonic() + RENTING_S
        for thread in idle:
            while thread.running and time.monotonic() < deadline:
                thread.join(TICK_S)

    def _end_account(self, problem: str) -> None:
        """Say in the run's own account why it stopped, if the disk still takes it: the machines were seen to before."""
        try:
            if self._events is not None:
                self._events.note("error", problem)
                self._events.close()
            self._work.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the book of runs is still to be written
            self._say(f"the run's account could not be closed: {error}")
