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
from typing import TYPE_CHECKING

from console.operations.events import OperationEvent, Report
from console.operations.fleet_account import Account
from console.operations.fleet_close import close_run
from console.operations.fleet_crew import Crew
from console.operations.fleet_work import FleetWork
from console.operations.ingest import ingest_run
from console.operations.prepare import GRACE_S
from console.operations.run_terms import STOPPED, only_final_failures
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.operations.signals import deaf_to_signals
from console.words import count

if TYPE_CHECKING:
    from console.operations.run_terms import Wishes

TICK_S = 0.2
SAVING_S = GRACE_S + 90.0
"""How long boxes may take to cancel, to hand out what is finished and to go, after a stop."""
RENTING_S = 120.0
"""How long a create that is in flight may take to be answered and undone."""


class BoxesLost(Exception):
    """No box is left, and shards are; a resume goes on from what is here."""


class FleetDriver:
    """Takes a planned run to its end over several boxes, from wherever it stands."""

    def __init__(self, session: Session, runbook: Runbook, entry: RunEntry, report: Report) -> None:
        self._session = session
        self._run_id = entry.run_id
        self._report = report
        self._work = FleetWork(session, runbook, entry.run_id, report)
        self._account = Account(self._work, report)
        self._crew = Crew(self._work, report, lambda words: self._account.note("warning", words))
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def _entry(self) -> RunEntry:
        return self._work.entry

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))

    def grant(self, wishes: Wishes) -> None:
        """Note what the operator wants, where it can still be had."""
        self._crew.may_rent = wishes.may_rent
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
            self._crew.send_off()  # the laptop's stages may take hours, in which nobody needs a machine
            if self._only_the_laptop_is_left():
                self._work.update(box_state="succeeded")
            self._close()
        if not self._entry.phase.reached(Phase.INGESTED):
            self._ingest()
        self._work.book.forget_parts()
        self._crew.send_off()
        return self._work.update(phase=Phase.DONE)

    def _start_over(self) -> None:
        if not self._only_the_laptop_is_left():
            self._crew.likely_left = self._work.likely_left()
            self._work.book.begin_again()
            self._work.update(box_state=None)
        self._work.update(phase=Phase.PLANNED, state="queued", problem=None, exit_code=None)

    def _only_the_laptop_is_left(self) -> bool:
        """Whether boxes could change nothing: their stages are through, by the keys that they told."""
        return bool(self._entry.laptop_stages and self._work.book.fleet.keys) and not self._work.open_items(final=True)

    def _do_shards(self) -> None:
        """Until every shard is settled and every box gone.

        Raises:
            BoxesLost: no box is left.
            Exception: what kept the only box, or each of them, from working.
        """
        self._crew.take_up()
        self._crew.want_boxes()
        if len(self._crew):
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
                self._account.open(len(self._crew))
                while not self._stopping.is_set():
                    self._tick()
                    if self._crew.is_through():
                        return
                    self._stopping.wait(TICK_S)
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                failure.append(error)

        self._keeper = threading.Thread(target=keep, name="account", daemon=True)
        self._keeper.start()
        while self._keeper.is_alive():
            self._keeper.join(TICK_S)
        if failure:
            raise failure[0]

    def _tick(self) -> None:
        self._account.take_in()
        self._account.tell_stages()
        self._crew.note_ends(self._stopping)
        if self._account.too_many_failed:
            self._crew.stop_all()
        elif self._work.shards.left == 0:
            self._crew.stop_idle()

    def _say_what_is_left(self) -> None:
        """Raise what stopped the run, when it did not come to its end."""
        problem = self._crew.problem
        stuck = [box for box in self._work.book.fleet.boxes if box.state == "working"]
        if stuck and problem is not None:
            raise problem
        left = self._work.shards.left
        if left == 0 or self._account.too_many_failed or self._is_complete():
            return
        if self._crew.lost:
            words = str(problem) if problem is not None else "every box was lost"
            raise BoxesLost(f"{words}; {count(left or 0, 'shard')} left" if left else words)
        if problem is not None and left is None:
            raise problem

    def _is_complete(self) -> bool:
        """Whether there was nothing to do for any box."""
        return all(item.problem is not None for item in self._work.manifest)

    # the end

    def _close(self, *, stopped: bool = False) -> None:
        """Do the laptop's stages, reduce and report over what is merged; only report when it is `stopped`."""
        self._account.close()
        self._work.close()
        why = self._crew.problem if self._work.shards.left else None
        closed = close_run(self._work, why, self._report, stopped=stopped)
        self._work.update(phase=Phase.PULLED, state=closed.state, exit_code=closed.exit_code, problem=closed.problem)

    def _ingest(self) -> None:
        ingest_run(self._session, self._work.entry.run_id, self._report)
        self._work.update(phase=Phase.INGESTED)

    # stopped

    def wind_down(self) -> None:
        """After Ctrl-C: cancel every job, fetch what is finished, give every machine back; again skips the fetch."""
        entry = self._entry
        self._say("stopping: cancelling the jobs, fetching what is done, destroying")
        self._crew.problem = None
        try:
            if not entry.phase.reached(Phase.PULLED):
                self._save_what_is_done()
        except KeyboardInterrupt:
            self._say("stopped again: what was not fetched is given up")
        finally:
            with deaf_to_signals():
                self._join(RENTING_S, holding=False)
                left = self._crew.give_back()
                if entry.phase.reached(Phase.PULLED) or self._close_cancelled():
                    self._work.update(boxes=left, problem=STOPPED)  # everything is here: a resume only has to index it
                else:
                    self._work.update(phase=Phase.DONE, boxes=left, state="cancelled", problem=STOPPED)
                self._say(f"what is finished is kept: `spotter run --resume {entry.run_id}` goes on")

    def _save_what_is_done(self) -> None:
        if not len(self._crew):  # another process drove it, and is gone
            self._crew.begin_to_save()
        self._crew.stop_all()
        self._join(SAVING_S, holding=True)

    def _join(self, timeout_s: float, *, holding: bool) -> None:
        """Wait for those boxes that hold work, or for the others, each no longer than `timeout_s`."""
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join(timeout_s)
        self._crew.join(timeout_s, holding=holding)

    def _close_cancelled(self) -> bool:
        """Say in the run's own account that it was cancelled; whether it had come to its end after all.

        Before the first box was ready there is nothing to say, and no account.
        """
        if not self._work.book.fleet.keys:
            self._account.close()
            self._work.close()
            return False
        (self._work.folder / "cancel").touch()
        try:
            if not self._account.is_open:
                self._account.open(len(self._crew))
            self._account.take_in()
            self._close(stopped=True)
        except Exception as error:  # noqa: BLE001 - the machines are given back; the results stay as they are
            self._say(f"the run could not be closed in order: {error}")
        return self._entry.state in ("succeeded", "incomplete")

    def note_failure(self, error: Exception) -> None:
        """Keep the reason; machines that hold results stay, the others go back at once."""
        problem = str(error) or type(error).__name__
        if any(box.state == "working" for box in self._work.book.fleet.boxes):
            self._crew.send_idle_away(RENTING_S)
            left = self._crew.give_back(but_working=True)
            self._end_account(problem)
            for box in self._work.book.fleet.boxes:
                if box.state == "working" and box.instance_id in left:
                    words = f"instance {box.instance_id} is still rented"
                    self._say(f"{words}: `spotter run --resume {self._run_id}` goes on")
            self._work.update(boxes=left, problem=problem)
            return
        self._join(RENTING_S, holding=False)
        left = self._crew.give_back()
        self._end_account(problem)
        if isinstance(error, BoxesLost):
            self._work.update(phase=Phase.PLANNED, state="interrupted", boxes=left, problem=problem)
            self._say(f"finished pages are kept: `spotter run --resume {self._run_id}` goes on with other machines")
            return
        self._work.update(phase=Phase.DONE, state="failed", boxes=left, problem=problem)

    def _end_account(self, problem: str) -> None:
        """Say in the run's own account why it stopped, if the disk still takes it: the machines were seen to before."""
        try:
            self._account.note("error", problem)
            self._account.close()
            self._work.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the book of runs is still to be written
            self._say(f"the run's account could not be closed: {error}")
