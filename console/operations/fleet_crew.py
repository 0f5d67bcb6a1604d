"""The boxes of a run in shards: taken up, rented, replaced when they are lost, and given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from console.operations.destroy import destroy
from console.operations.events import OperationEvent, Report
from console.operations.fleet_book import Box
from console.operations.fleet_box import BoxThread
from console.operations.fleet_work import FleetWork
from console.operations.giving_back import give_back, rented_for
from console.words import count

JOIN_STEP_S = 0.2
USABLE = ("verified", "bootstrapped", "ready")


class Crew:
    """A thread for each box that this process drives."""

    def __init__(self, work: FleetWork, report: Report, warn: Callable[[str], None]) -> None:
        """`warn` is told of a box whose work others take over."""
        self.may_rent = True
        self.problem: Exception | None = None
        """Why a box ended too early: the latest reason."""
        self.likely_left: int | None = None
        """Items that an attempt before this one left; None when nobody can tell."""
        self._work = work
        self._session = work.session
        self._report = report
        self._warn = warn
        self._threads: dict[str, BoxThread] = {}
        self._handled: set[str] = set()

    def __len__(self) -> int:
        return len(self._threads)

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))

    # beginning

    def take_up(self) -> None:
        """Boxes of an earlier process go on; what it rented and did not write down is used, or destroyed."""
        for shared in ("cloud", "ledger", "key"):
            getattr(self._session, shared)  # opened once, before any thread has a session of its own
        book = self._work.book
        known = {box.instance_id for box in book.fleet.boxes if box.living}
        wanted = [box for box in book.fleet.boxes if box.state == "wanted"]
        for row in self._session.living_rentals():
            if row.run_id != self._work.run_id or row.instance_id in known:
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
            useful = self.may_rent and self._work.shards.left != 0
            if box.state in ("rented", "working") or (box.state == "wanted" and useful):
                self._add(box)
            elif box.state == "wanted":
                book.update(box.name, state="failed", problem="nothing was left for it")
        self._work.note_boxes()

    def want_boxes(self) -> None:
        """Rent as many as are wished for, but no more than there are shards; then all begin."""
        left, wished = self._work.shards.left, self._work.entry.instances
        if left is None:
            left = sum(item.problem is None for item in self._work.manifest)
            if self.likely_left is not None and self.likely_left < min(left, wished):
                left = max(1, self.likely_left)
                self._say(f"{count(self.likely_left, 'item')} left: {count(left, 'box', 'boxes')} of {wished} will do")
        wanted = min(wished, left) - len(self._threads) if self.may_rent else 0
        for _ in range(wanted):
            self._add(self._work.book.want())
        for thread in self._threads.values():
            thread.start()

    def begin_to_save(self) -> None:
        """Take up the boxes that work for a process that is gone, only to fetch what is finished."""
        for box in self._work.book.fleet.boxes:
            if box.state == "working":
                thread = self._add(box)
                thread.stop.set()
                thread.start()

    def _add(self, box: Box) -> BoxThread:
        thread = BoxThread(self._work, box)
        thread.may_start = self.may_rent
        self._threads[box.name] = thread
        return thread

    # ends of boxes

    def note_ends(self, stopping: threading.Event) -> None:
        """See to every box whose part is over, unless the run is `stopping`: then nothing is rented in its place."""
        for thread in list(self._threads.values()):
            if thread.end is not None and thread.name not in self._handled and not stopping.is_set():
                self._handled.add(thread.name)
                self._note_end(thread)

    def _note_end(self, thread: BoxThread) -> None:
        """A box's part is over: what it did not finish is free; say why, and replace it if that is right."""
        end = thread.end
        assert end is not None
        freed = self._work.shards.drop(thread.name)
        if end.error is None:
            return
        self.problem = end.error
        words = str(end.error) or type(end.error).__name__
        others = any(other.end is None for other in self._threads.values())
        goes_on = f"; the other boxes take over its {count(freed, 'shard')}" if others and freed else ""
        if end.kind == "absent":
            had = sum(other.end is None or other.end.kind != "absent" for other in self._threads.values())
            goes_on = (
                f"; the run goes on with {count(had, 'box', 'boxes')} of {self._work.entry.instances}" if others else ""
            )
        self._say(f"{thread.name} · {words}{goes_on}")
        if others:
            self._warn(f"{thread.name}: {words}{goes_on}")
        if end.kind == "lost" and not end.deliberate:
            self._replace(thread.box)

    def _replace(self, lost: Box) -> bool:
        """Rent another machine for one that was lost, if that is allowed and of use; whether it is."""
        entry, most = self._work.entry, self._session.settings.cloud.max_replacements
        if not (entry.replace and self.may_rent) or lost.kept or entry.replacements >= most:
            return False
        left, others = self._work.shards.left, sum(thread.running for thread in self._threads.values())
        if left is not None and left <= others:
            return False  # the others are through before another machine is ready
        self._work.update(replacements=entry.replacements + 1)
        self._say(f"renting another machine for {lost.name} ({entry.replacements + 1} of {most} replacements)")
        self._add(self._work.book.want()).start()
        return True

    @property
    def lost(self) -> list[BoxThread]:
        """Boxes that were lost."""
        return [thread for thread in self._threads.values() if thread.end is not None and thread.end.kind == "lost"]

    def is_through(self) -> bool:
        """Whether every box's part is over, and none had to be rented for what was freed late.

        A box may be lost while the last other one is leaving: then its shards still want a machine.
        """
        if self._handled != self._threads.keys():
            return False
        lost = [thread.box for thread in self.lost if thread.end is not None and not thread.end.deliberate]
        return not (lost and self._work.shards.left and self._replace(lost[-1]))

    # stopping

    def stop_idle(self) -> list[BoxThread]:
        """Stop the boxes that are rented or prepared for nothing; those that work go on."""
        idle = [thread for thread in self._threads.values() if not thread.holds_work]
        for thread in idle:
            thread.stop.set()
        return idle

    def stop_all(self) -> None:
        """Stop every box."""
        for thread in list(self._threads.values()):
            thread.stop.set()

    def send_idle_away(self, timeout_s: float) -> None:
        """Let the boxes that are rented or prepared in vain come to their end, while those that work go on."""
        idle = self.stop_idle()
        deadline = time.monotonic() + timeout_s
        for thread in idle:
            while thread.running and time.monotonic() < deadline:
                thread.join(JOIN_STEP_S)

    def join(self, timeout_s: float, *, holding: bool) -> None:
        """Stop all, and wait for those that hold work, or for the others, together no longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads.values():
            thread.stop.set()
            while thread.running and (thread.holds_work or not holding) and time.monotonic() < deadline:
                thread.join(JOIN_STEP_S)

    # giving back

    def give_back(self, *, but_working: bool = False) -> tuple[int, ...]:
        """Destroy every machine of this run, or all `but_working`; returns those that stay, and those that resist."""
        book, entry = self._work.book, self._work.entry
        machines = rented_for(self._session, entry)
        spared = machines if entry.keep_instance else self._spared(but_working=but_working)
        left = give_back(
            self._session, machines, spared=spared, say_still_rented=self._say_still_rented, report=self._report
        )
        for box in book.fleet.boxes:
            if box.living and box.instance_id not in left:
                book.update(box.name, state="gone")
        return tuple(left)

    def _spared(self, *, but_working: bool) -> list[int]:
        boxes = self._work.book.fleet.boxes
        spared = [box.instance_id for box in boxes if box.kept or (but_working and box.state == "working")]
        return [instance_id for instance_id in spared if instance_id is not None]

    def _say_still_rented(self, instance_id: int) -> None:
        self._say(f"instance {instance_id} is still rented: `spotter destroy {instance_id}` gives it up")

    def send_off(self) -> None:
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
                self._work.update(problem=self._work.entry.problem or words)
            else:
                book.update(box.name, state="gone")
        self._work.note_boxes()
