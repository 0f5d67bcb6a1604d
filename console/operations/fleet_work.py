"""What the boxes of one run share: its folder and merger, its shards, its names on the boxes."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from console.operations.events import OperationEvent, Report
from console.operations.fleet_book import FleetBook
from console.operations.plan import planned_sources
from console.operations.runbook import Runbook, RunEntry
from console.operations.session import Session
from console.operations.shards import ShardBook

if TYPE_CHECKING:
    from pipeline.core.manifest import Item, Manifest
    from pipeline.core.merge import Merger

SEEDED = ("params.yaml", "manifest.jsonl")
"""What a worker's folder begins with, beside a run.json of its own."""


class FleetWork:
    """One sharded run while this process drives it. Thread-safe."""

    def __init__(self, session: Session, runbook: Runbook, run_id: str, report: Report) -> None:
        self.session = session
        self.run_id = run_id
        self.folder = session.workspace.run_folder(run_id)
        self.book = FleetBook(session.workspace, run_id)
        self.shards = ShardBook()
        self._runbook = runbook
        self._report = report
        self._lock = threading.RLock()
        self._merging = threading.Lock()
        self._merger: Merger | None = None
        self._parts: dict[str, Path] = {}

    # the run's entry

    @property
    def entry(self) -> RunEntry:
        """The run as the runbook has it."""
        return self._runbook.read(self.run_id)

    def update(self, **changes: Any) -> RunEntry:
        """Change the run's entry."""
        with self._lock:
            return self._runbook.update(self.run_id, **changes)

    def note_boxes(self) -> None:
        """Write into the run's entry which instances it has, so that nobody destroys one with results by mistake."""
        living = [box.instance_id for box in self.book.fleet.boxes if box.living and box.instance_id is not None]
        self.update(boxes=tuple(living))

    def note_ready(self, instance_id: int) -> None:
        """Say in the ledger of rentals that a machine can work."""
        ledger, cloud = self.session.ledger, self.session.cloud_name
        row = ledger.instance(cloud, instance_id)
        if row is not None and row.state != "ready":
            for state in ("bootstrapped", "ready"):
                ledger.transition(row.request_id, state, cloud=cloud, instance_id=instance_id)

    def report_of(self, box: str) -> Report:
        """A report that says which box speaks; what boxes say at the same time comes one after the other."""

        def tell(event: OperationEvent) -> None:
            with self._lock:
                self._report(
                    OperationEvent(  # never as raised: whoever waits for the run sees no box's error
                        event.operation, event.state, f"{box} · {event.message}" if event.message else box,
                        event.done, event.total, event.unit, raised=False, ts=event.ts,
                    )
                )  # fmt: skip

        return tell

    # names

    def part_id(self, box: str, worker: int) -> str:
        """The name of a worker's folder on its box."""
        return f"{self.run_id}.{box}.{worker}"

    def job_id(self, box: str, worker: int, started: int) -> str:
        """The name of a worker's process."""
        return f"{self.run_id}-{self.book.fleet.attempt}-{box}-{worker}-{started}"

    def queue_path(self, root: str) -> str:
        """Where the box's queue lies."""
        return f"{root}/queues/{self.run_id}.{self.book.fleet.attempt}"

    def log_of(self, box: str, worker: int) -> Path:
        """This machine's copy of a worker's log."""
        return self.folder / "logs" / f"job-{self.book.fleet.attempt}-{box}.{worker}.log"

    def seed(self, box: str, worker: int) -> Path:
        """The folder that a worker begins with, or what was fetched of it; the box keeps its own when it is further."""
        part = self.book.part(box, worker)
        part.mkdir(parents=True, exist_ok=True)
        for name in SEEDED:
            if not (part / name).exists():
                shutil.copyfile(self.folder / name, part / name)
        if not (part / "run.json").exists():
            info = orjson.loads((self.folder / "run.json").read_bytes())
            kept = {key: value for key, value in info.items() if key not in ("state", "exit_code", "counts")}
            data = orjson.dumps({**kept, "run_id": self.part_id(box, worker)}, option=orjson.OPT_INDENT_2)
            (part / "run.json").write_bytes(data)
        return part

    @cached_property
    def sources(self) -> Mapping[str, Path]:
        """What the boxes must have: sha256 → file."""
        return planned_sources(self.session, self.run_id)

    # results

    @cached_property
    def manifest(self) -> Manifest:
        """The run's items."""
        from pipeline.core.manifest import read_manifest

        return read_manifest(self.folder / "manifest.jsonl")

    def merge(self, part: str, folder: Path) -> None:
        """Take over what a worker made, as far as it is here."""
        from pipeline.core.rundir import RunFolder

        with self._merging:
            self._open_merger().merge(part, RunFolder(folder), time.time())

    def open_items(self, *, final: bool) -> list[Item]:
        """Items that did not come to their end, by the keys that the boxes told."""
        fleet = self.book.fleet
        with self._merging:
            return self._open_merger().open_items(self.manifest.items, fleet.stages, fleet.keys, final=final)

    def likely_left(self) -> int | None:
        """How many items the attempt that is in the book left, by the keys that its boxes told; None before that.

        The next attempt's code may differ, and do all of them anew.
        """
        return len(self.open_items(final=True)) if self.book.fleet.keys else None

    def begin(self, keys: dict[str, str], stages: tuple[dict[str, Any], ...]) -> bool:
        """What a box says its stages and keys are; the first one decides, and what there is to do follows from it."""
        from pipeline.core.shards import shard_count, shards_of

        if not self.book.agree(keys, stages):
            return False
        with self._lock:
            if self.shards.left is None:
                open_ids = [item.item_id for item in self.open_items(final=True)]
                self.shards.fill(shards_of(open_ids, shard_count(len(self.manifest))))
        return True

    def _open_merger(self) -> Merger:
        from pipeline.core.merge import Merger
        from pipeline.core.rundir import RunFolder

        if self._merger is None:
            self._merger = Merger(RunFolder(self.folder))
        return self._merger

    def close(self) -> None:
        """Let go of the run's files."""
        with self._merging:
            if self._merger is not None:
                self._merger.close()
                self._merger = None

    # what the boxes say

    def follow(self, part: str, events: Path) -> None:
        """A worker's events lie here from now on."""
        with self._lock:
            self._parts[part] = events

    def parts(self) -> dict[str, Path]:
        """Every worker's events."""
        with self._lock:
            return dict(self._parts)
