"""Live sync: while it runs, what changes in `data/` and code goes to the box, and what arrives in `out/` is indexed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from console.operations.events import OperationEvent, Report, silent
from console.operations.ingest import ingest
from console.operations.session import InstanceGone, Session
from console.operations.sync import code_folder, push_over

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

    from remote.transport import Transport

QUIET_S = 0.7
"""A change is acted upon when nothing else changed for so long …"""
LONGEST_WAIT_S = 5.0
"""… or when the first change is so old."""
RETRY_S = 5.0
TICK_S = 0.1
CHANGES = frozenset({"created", "modified", "deleted", "moved", "closed"})
NOT_CODE = frozenset({".git", ".spotter", ".venv", "__pycache__", "node_modules", ".ipynb_checkpoints"})


class CannotWatch(Exception):
    """The system does not let this process watch the folders."""


class Changes:
    """Names that changed and were not acted upon yet; filled by the watching thread, taken when they are quiet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: set[Path] = set()
        self._first_at = self._last_at = 0.0

    def add(self, path: Path) -> None:
        """Note one change."""
        with self._lock:
            now = time.monotonic()
            if not self._paths:
                self._first_at = now
            self._last_at = now
            self._paths.add(path)

    def take(self, now: float) -> set[Path]:
        """All of them once they are quiet, or have waited long enough; else none."""
        with self._lock:
            if not self._paths or (now - self._last_at < QUIET_S and now - self._first_at < LONGEST_WAIT_S):
                return set()
            taken, self._paths = self._paths, set()
            return taken


def live_sync(session: Session, instance_id: int, stop: threading.Event, report: Report = silent) -> None:
    """Push now, then whatever changes, and index runs whose records change, until `stop` is set.

    A failure becomes a line and is tried again; only an instance that is gone ends it.

    Raises:
        InstanceGone: the cloud does not know the instance any more.
        CannotWatch: the system refuses to watch.
    """
    from watchdog.observers import Observer

    outgoing, arrived = Changes(), Changes()
    observer = Observer()
    session.workspace.prepare()
    folders = _watched(session, outgoing, arrived)
    try:
        for folder, tell in folders:
            observer.schedule(_Handler(tell), str(folder), recursive=True)  # type: ignore[arg-type]
        observer.start()
    except OSError as error:
        raise CannotWatch(
            f"the system does not let Spotter watch {session.workspace.root} ({error.strerror}); on Linux raise "
            "fs.inotify.max_user_watches"
        ) from error
    try:
        _Live(session, instance_id, report).run(outgoing, arrived, stop)
    finally:
        observer.stop()
        observer.join()


def _watched(session: Session, outgoing: Changes, arrived: Changes) -> list[tuple[Path, Callable[[Path], None]]]:
    here = session.workspace
    code, data, runs = code_folder(session), here.data.resolve(), here.runs.resolve()

    def in_code(path: Path) -> None:
        if path.is_relative_to(runs):
            in_runs(path)
            return
        is_code = not NOT_CODE.intersection(path.relative_to(code).parts) and not path.is_relative_to(runs.parent)
        if path.is_relative_to(data) or is_code:
            outgoing.add(path)

    def in_runs(path: Path) -> None:
        relative = path.relative_to(runs)
        if path.suffix == ".ndjson" and len(relative.parts) == 3 and relative.parts[1] == "records":
            arrived.add(runs / relative.parts[0])

    folders: list[tuple[Path, Callable[[Path], None]]] = [(code, in_code)]
    for folder, tell in ((data, outgoing.add), (runs, in_runs)):
        if not folder.is_relative_to(code):
            folders.append((folder, tell))
    return folders


class _Handler:
    """What watchdog calls, in its thread."""

    def __init__(self, tell: Callable[[Path], None]) -> None:
        self._tell = tell

    def dispatch(self, event: FileSystemEvent) -> None:
        """Pass on what changed a file; that somebody read one is no change."""
        if event.is_directory or event.event_type not in CHANGES:
            return
        for name in (event.src_path, event.dest_path):
            if name:
                self._tell(Path(name if isinstance(name, str) else bytes(name).decode("utf-8", "surrogateescape")))


class _Live:
    def __init__(self, session: Session, instance_id: int, report: Report) -> None:
        self._session = session
        self._instance_id = instance_id
        self._report = report
        self._transport: Transport | None = None

    def run(self, outgoing: Changes, arrived: Changes, stop: threading.Event) -> None:
        push_at: float | None = time.monotonic()
        waiting_runs: set[Path] = set()
        ingest_at = 0.0
        try:
            while not stop.is_set():
                now = time.monotonic()
                changed = outgoing.take(now)
                if changed:
                    push_at = push_at or now
                if push_at is not None and now >= push_at:
                    push_at = None if self._push(changed) else now + RETRY_S
                waiting_runs |= arrived.take(now)
                if waiting_runs and now >= ingest_at:
                    waiting_runs = set() if self._ingest(waiting_runs) else waiting_runs
                    ingest_at = time.monotonic() + RETRY_S
                stop.wait(TICK_S)
        finally:
            if self._transport is not None:
                self._transport.close()

    def _push(self, changed: set[Path]) -> bool:
        """One push over the connection that is kept; false when it must be tried again."""
        if changed:
            names = sorted(path.name for path in changed)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            self._report(OperationEvent("sync", "finished", f"changed: {', '.join(names[:3])}{more}"))
        try:
            if self._transport is None or not self._transport.alive:
                self._transport = self._session.reach(self._instance_id)
            push_over(self._session, self._transport, self._instance_id, self._report)
        except InstanceGone:
            raise
        except Exception as error:  # noqa: BLE001 - said in a line; the next try may go through
            self._fail(f"not pushed: {error or type(error).__name__}; trying again in {RETRY_S:.0f} s")
            return False
        return True

    def _ingest(self, runs: set[Path]) -> bool:
        try:
            ingest(self._session, sorted(run for run in runs if run.is_dir()), self._report, tell=False)
        except Exception as error:  # noqa: BLE001 - said in a line; the next try may go through
            self._fail(f"not indexed: {error or type(error).__name__}; trying again in {RETRY_S:.0f} s")
            return False
        return True

    def _fail(self, words: str) -> None:
        self._report(OperationEvent("sync", "failed", words))
