"""Push code, data and runs to a box: streamed, verified there by sha256, and visible only when complete."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

from remote.agent.files import TreeEntry, check_name, sha256_of, tree_hash
from remote.progress import Progress, Report, silent
from remote.release import ReleaseFile
from remote.sync.hashes import HashCache
from remote.sync.holdings import list_what_landed
from remote.sync.session import Session, TransferError
from remote.transport import Transport, TransportError

KEPT_IN_MEMORY_BYTES = 256 * 1024
KEPT_TOGETHER_BYTES = 64 * 1024 * 1024
_Hashed = TypeVar("_Hashed")
MAX_ROUNDS = 2
"""How often a file is sent that arrives as another one than announced: a broken part from before, or it is edited."""
NOT_PUSHED = frozenset({".incoming", ".room", "answers", "logs"})
"""What belongs to this machine only of a run: half-fetched files; room for last words; what it paid somebody for; its
own journal and what it mirrored."""


class SourceChanged(TransferError):
    """A local file changed while it was pushed; push again."""


class ChecksumMismatch(TransferError):
    """What the box holds after the transfer is not what was meant; nothing wrong was kept."""


class RunDiverged(TransferError):
    """Laptop and box both have events of a run that the other lacks."""


@dataclass(frozen=True, slots=True)
class Release:
    """A tree of files on the box that never changes; `path` is absolute there."""

    tree_hash: str
    path: str
    files: int
    bytes: int
    reused: bool
    entries: tuple[TreeEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PushedBlobs:
    """How many blobs were sent and how many were there already; `path` is the store's folder on the box."""

    path: str
    sent: int
    sent_bytes: int
    present: int


@dataclass(frozen=True, slots=True)
class PushedRun:
    """A run folder on the box; `reused` when the box already had the same state or a newer one."""

    path: str
    files: int
    bytes: int
    reused: bool


def push_release(
    transport: Transport,
    root: str,
    files: Sequence[ReleaseFile],
    report: Report = silent,
    *,
    link: str = "current",
    note: Mapping[str, object] | None = None,
    hashes: HashCache | None = None,
) -> Release:
    """Make `files` a release on the box and point `<root>/<link>` at it; one that is there and right is reused.

    Only what the box lacks travels: what an interrupted push left there and what the release before has is used.
    `note` is kept beside it as `releases/<tree hash>.json`; `hashes` spares reading files that did not change since an
    earlier push.

    Raises:
        ConnectionLost, TransferError: nothing became visible; push again, it goes on where it stopped.
    """
    ordered = sorted(files, key=lambda file: file.name)
    with _session_while(transport, root, "receive-release", lambda: _sources(ordered, hashes)) as (session, sources):
        entries = [source.entry for source in sources]
        name = tree_hash(entries)
        size = sum(entry.size for entry in entries)
        session.tell({"tree": name, "link": link, "note": note})
        answer = session.ask()
        reused = bool(answer["have"])
        if not reused:
            session.tell({"files": _rows(entries)})
            _send_missing(session, sources, _Meter("push code", size, report))
        session.ask()
    report(Progress("push code", f"{name[:12]} {'is there' if reused else 'pushed'}", size, size, "bytes"))
    return Release(name, str(answer["path"]), len(entries), size, reused, tuple(entries))


def tree_of(files: Sequence[ReleaseFile], hashes: HashCache | None = None) -> str:
    """The tree hash that these files would have as a release."""
    return tree_hash(_Source.of(file.name, file.source, file.mode, hashes, keep=False).entry for file in files)


def push_blobs(
    transport: Transport,
    root: str,
    blobs: Mapping[str, Path] | Callable[[], Mapping[str, Path]],
    report: Report = silent,
) -> PushedBlobs:
    """Send those of `blobs` (sha256 → local file) that the box lacks into `<root>/blobs/<sha256[:2]>/<sha256>`.

    An interrupted blob goes on where it stopped. A function that hashes the files works while the box starts.

    Raises:
        ChecksumMismatch: a local file is not what its sha256 says.
        SourceChanged, ConnectionLost, TransferError: push again; what arrived whole is kept.
    """
    hashed = cache(blobs) if callable(blobs) else lambda: blobs
    sent: set[str] = set()
    sent_bytes = 0
    for _attempt in range(2):  # a part left by an interrupted push may be wrong; the box drops it, and it goes anew
        with _session_while(transport, root, "receive-blobs", hashed) as (session, found):
            sizes = {sha256: path.stat().st_size for sha256, path in found.items()}
            session.tell({"blobs": sorted(sizes.items())})
            answer = session.ask()
            missing = [(str(sha256), int(have)) for sha256, have in answer["missing"]]
            total = sum(sizes[sha256] - have for sha256, have in missing)
            meter = _Meter("push data", total, report)
            for number, (sha256, have) in enumerate(missing):
                meter.message = f"{number + 1} of {len(missing)} files"
                for chunk in _chunks(found[sha256], have, sizes[sha256] - have, session.chunk_bytes):
                    session.feed(chunk)
                    meter.add(len(chunk))
            session.flush()
            bad = session.ask()["bad"]
        sent.update(sha256 for sha256, _have in missing)
        sent_bytes += total
        if not bad:
            report(Progress("push data", f"{len(found)} files are there", total, total, "bytes"))
            return PushedBlobs(str(answer["path"]), len(sent), sent_bytes, len(found) - len(sent))
    raise ChecksumMismatch(f"{found[bad[0]]} has not the sha256 {bad[0]} any more; scan the sources again")


def push_run(transport: Transport, root: str, local_run_dir: Path, report: Report = silent) -> PushedRun:
    """Give the box everything that a run needs to start or resume, as `<root>/runs/<run id>`.

    A box that is at the same point or further keeps its own folder; one that is behind gets ours as a whole.

    Raises:
        RunDiverged: both sides have events that the other lacks.
        PullBusy: another process has been pulling this run for ten minutes.
        ConnectionLost, TransferError: nothing became visible; push again, it goes on where it stopped.
    """
    run_id = str(json.loads((local_run_dir / "run.json").read_text(encoding="utf-8"))["run_id"])
    list_what_landed(local_run_dir)
    events = local_run_dir / "events.jsonl"
    events_bytes = events.stat().st_size if events.exists() else 0
    with (
        _consistent_files(local_run_dir) as files,
        _session_while(
            transport,
            root,
            "receive-run",
            lambda: [_Source.of(name, path, 0o644, None, keep=False) for name, path in sorted(files.items())],
        ) as (session, sources),
    ):
        entries = [source.entry for source in sources]
        size = sum(entry.size for entry in entries)
        session.tell({"run": run_id, "files": _rows(entries), "events_bytes": events_bytes})
        box = session.ask()
        path = str(box["path"])
        send = not box["exists"] or _box_is_behind(run_id, events, events_bytes, box)
        session.tell({"send": send})
        if send:
            _send_missing(session, sources, _Meter("push run", size, report))
            session.ask()
    report(Progress("push run", f"run {run_id} {'pushed' if send else 'is there'}", size, size, "bytes"))
    return PushedRun(path, len(entries), size, not send)


def _box_is_behind(run_id: str, events: Path, events_bytes: int, box: Mapping[str, object]) -> bool:
    box_bytes = int(str(box["events_bytes"]))
    if box_bytes >= events_bytes:
        ours = sha256_of(events, events_bytes) if events_bytes else hashlib.sha256().hexdigest()
        if events_bytes == 0 or ours == box["prefix_sha256"]:
            return False
    elif box_bytes == 0 or sha256_of(events, box_bytes) == box["events_sha256"]:
        return True
    raise RunDiverged(
        f"run {run_id}: its events on the box ({box_bytes} bytes) and here ({events_bytes} bytes) go on differently, "
        "so two boxes worked on it; resume it where it got furthest, or start a new run"
    )


@contextmanager
def _consistent_files(run_dir: Path) -> Iterator[dict[str, Path]]:
    """The files of a run by name; a database with an open journal is replaced by a consistent copy."""
    with tempfile.TemporaryDirectory(prefix="spotter-push-") as scratch:
        files: dict[str, Path] = {}
        for path in sorted(run_dir.rglob("*")):
            name = path.relative_to(run_dir).as_posix()
            if path.is_symlink() or not path.is_file() or name.split("/", 1)[0] in NOT_PUSHED:
                continue
            if name.endswith(("-wal", "-shm", "-journal")) and Path(str(path).rsplit("-", 1)[0]).exists():
                continue
            if path.suffix == ".sqlite" and Path(f"{path}-wal").exists():
                copy = Path(scratch) / f"{len(files)}.sqlite"
                with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(copy)) as target:
                    live.backup(target)
                path = copy
            files[name] = path
        yield files


class _Meter:
    """Reports progress in bytes, at most once per megabyte."""

    def __init__(self, phase: str, total: int, report: Report) -> None:
        self.message = ""
        self._phase, self._total, self._report = phase, total, report
        self._done = self._reported = 0

    def expect(self, left: int) -> None:
        """Only `left` bytes of the whole must travel."""
        self._done = self._reported = self._total - left

    def add(self, size: int) -> None:
        self._done += size
        if self._done - self._reported >= 1 << 20 or self._done == self._total:
            self._reported = self._done
            self._report(Progress(self._phase, self.message, self._done, self._total, "bytes"))


@dataclass(frozen=True, slots=True)
class _Source:
    """One file to send. Small ones can be kept, so that what is sent is what was hashed even while it is edited."""

    entry: TreeEntry
    path: Path
    data: bytes | None

    @classmethod
    def of(cls, name: str, path: Path, mode: int, hashes: HashCache | None, *, keep: bool) -> Self:
        found = path.stat()
        size = found.st_size
        digest = hashes.known(path, found) if hashes is not None else None
        data = None
        if digest is None:
            if size <= KEPT_IN_MEMORY_BYTES:
                data = path.read_bytes()
                size, digest = len(data), hashlib.sha256(data).hexdigest()
            else:
                digest = sha256_of(path)
            if hashes is not None:
                hashes.note(path, found, digest)
        return cls(TreeEntry(check_name(name), mode & 0o777, size, digest), path, data if keep else None)

    def chunks(self, offset: int, chunk_bytes: int) -> Iterator[bytes]:
        if self.data is None:
            yield from _chunks(self.path, offset, self.entry.size - offset, chunk_bytes)
        elif len(self.data) > offset:
            yield self.data[offset:]


def _sources(files: Sequence[ReleaseFile], hashes: HashCache | None) -> list[_Source]:
    kept_bytes = 0
    sources = []
    for file in files:
        source = _Source.of(file.name, file.source, file.mode, hashes, keep=kept_bytes < KEPT_TOGETHER_BYTES)
        kept_bytes += len(source.data or b"")
        sources.append(source)
    return sources


@contextmanager
def _session_while(
    transport: Transport, root: str, command: str, work: Callable[[], _Hashed]
) -> Iterator[tuple[Session, _Hashed]]:
    """A session that starts on the box while the files are hashed here."""
    with ThreadPoolExecutor(1, thread_name_prefix="sync-start") as pool:
        starting = pool.submit(Session, transport, root, command)
        try:
            hashed = work()
        except BaseException:
            with suppress(TransportError):
                starting.result().close()
            raise
        with starting.result() as session:
            yield session, hashed


def _rows(entries: Sequence[TreeEntry]) -> list[list[object]]:
    return [[entry.name, entry.mode, entry.size, entry.sha256] for entry in entries]


def _send_missing(session: Session, sources: Sequence[_Source], meter: _Meter) -> None:
    """Send what the box asks for until it has everything.

    Raises:
        SourceChanged: a file is not what it was when it was hashed.
    """
    asked: list[list[int]] = []
    for attempt in range(MAX_ROUNDS + 1):
        asked = session.ask()["missing"]
        if not asked:
            return
        if attempt == MAX_ROUNDS:
            break
        if attempt == 0:
            meter.expect(sum(sources[index].entry.size - offset for index, offset in asked))
        for number, (index, offset) in enumerate(asked):
            meter.message = f"{number + 1} of {len(asked)} files"
            for chunk in sources[index].chunks(offset, session.chunk_bytes):
                session.feed(chunk)
                meter.add(len(chunk))
        session.flush()
    raise SourceChanged(f"{sources[asked[0][0]].path} changed while it was pushed; push again")


def _chunks(path: Path, offset: int, size: int, chunk_bytes: int) -> Iterator[bytes]:
    """`size` bytes of a file from `offset`; raises SourceChanged when they are not there any more."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while size:
            data = file.read(min(size, chunk_bytes))
            if not data:
                raise SourceChanged(f"{path} became shorter while it was pushed; push again")
            size -= len(data)
            yield data
