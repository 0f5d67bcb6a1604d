"""Pull what a run made: by the job's own list, staged, verified by sha256, renamed; resumable at any byte."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from remote.agent.files import Landing, UnsafePath, continue_at, sha256_of
from remote.progress import Progress, Report, silent
from remote.sync.holdings import Holdings, Listed, open_holdings, parse_listing
from remote.sync.session import Session, TransferError
from remote.transport import Transport

BATCH_BYTES = 256 * 1024 * 1024
"""Asked of one command at a time: shorter than what makes either side exchange keys in the middle of a channel."""
BATCH_FILES = 16384
SMALL_BYTES = 256 * 1024
READ_BYTES = 1024 * 1024
MAX_LANDINGS = 2
"""Batches of files that may wait for the disk while more arrive."""


class BoxBehind(TransferError):
    """The run here is further than on this box; pulling would bring back what is old."""


class BoxDiverged(BoxBehind):
    """The run went on differently on another box; what this one did since is not here."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull did: files and bytes fetched, files listed on the box, and those listed but not held now."""

    files: int
    bytes: int
    listed: int
    missing: tuple[str, ...]


def pull_artifacts(transport: Transport, remote_run_dir: str, local_run_dir: Path, report: Report = silent) -> Pulled:
    """Fetch every listed file that is not held verified here. Files that are held are not hashed again.

    A file that its job rewrote after listing it (the ledger of a living run) stays missing until it is listed anew.
    `remote_run_dir` is `<root>/runs/<run id>` on the box.

    Raises:
        UnsafePath: the box lists a name outside of the run's folder; everything else was fetched first.
        BoxBehind, BoxDiverged: another box went on with this run since; nothing was fetched.
        ConnectionLost, TransferError: call again, it goes on where it stopped.
    """
    with open_holdings(local_run_dir) as holdings:
        with _session(transport, remote_run_dir) as session:
            listed, refused = parse_listing(_fetch_listing(session, remote_run_dir, holdings))
            wanted = [item for item in listed.values() if not holdings.holds(item)]
            if wanted:
                holdings.expect_files()
            with _Fetch(holdings, wanted, report) as fetch:
                batches = list(_batches(fetch, wanted))
                try:
                    for number, batch in enumerate(batches):
                        if number == 0:
                            fetch.batch(session, remote_run_dir, batch)
                        else:
                            with _session(transport, remote_run_dir) as next_session:
                                fetch.batch(next_session, remote_run_dir, batch)
                finally:
                    fetch.land()
                    missing = tuple(item.path for item in wanted if item.path not in fetch.landed)
                    holdings.publish(item for item in listed.values() if item.path not in set(missing))
        if refused:
            names = ", ".join(repr(name) for name in refused[:3])
            raise UnsafePath(
                f"the box lists {len(refused)} names that would leave {local_run_dir} or are none: {names}"
            )
        report(
            Progress(
                "pull",
                f"{len(listed) - len(missing)} of {len(listed)} files are here",
                fetch.done_bytes,
                fetch.done_bytes,
                "bytes",
            )
        )
        return Pulled(len(fetch.landed), fetch.done_bytes, len(listed), missing)


def listed_runs(transport: Transport, root: str) -> tuple[str, ...]:
    """The ids of the runs that have a list of artifacts on the box."""
    with Session(transport, root, "list-runs") as session:
        return tuple(session.ask()["runs"])


def pull_complete(transport: Transport, remote_run_dir: str, local_run_dir: Path) -> tuple[str, ...]:
    """Paths that the box lists and this machine does not hold verified: empty means that nothing would be lost."""
    with open_holdings(local_run_dir) as holdings, _session(transport, remote_run_dir) as session:
        listed, refused = parse_listing(_fetch_listing(session, remote_run_dir, holdings))
        return (*(item.path for item in listed.values() if not holdings.holds(item)), *refused)


def receive_file(transport: Transport, remote_run_dir: str, name: str, size: int, sha256: str, draft: Path) -> bool:
    """Fetch one file of the run into `draft`, listed or not; False when the box has it in this form no more."""
    with _session(transport, remote_run_dir) as session:
        return receive_ranged(session, run_name(remote_run_dir), name, size, sha256, draft)


def receive_ranged(session: Session, folder: str, name: str, size: int, sha256: str, draft: Path) -> bool:
    """Fetch one file of a folder below the root into `draft`, going on behind what an earlier fetch left there.

    Returns False, and leaves no draft, when the box has it in this form no more.
    """
    with draft.open("ab+") as file:
        have = file.seek(0, os.SEEK_END)
        have = have if have <= size else 0
        digest = continue_at(file, have)
        session.tell({"run": folder, "want": [[name, have, size - have]]})
        there = "missing" not in session.ask()
        left = size - have if there else 0
        while left:
            data = session.some(left)
            file.write(data)
            digest.update(data)
            left -= len(data)
    if there and digest.hexdigest() == sha256:
        return True
    draft.unlink()
    return False


def run_name(remote_run_dir: str) -> str:
    """The run's folder below the root, as the agent's programs take it."""
    return "/".join(remote_run_dir.rstrip("/").split("/")[-2:])


def _session(transport: Transport, remote_run_dir: str) -> Session:
    root = posixpath.dirname(posixpath.dirname(remote_run_dir.rstrip("/")))
    return Session(transport, root, "send-run")


def _fetch_listing(session: Session, remote_run_dir: str, holdings: Holdings) -> bytes:
    """The box's list; only what was appended since the last time travels."""
    have = holdings.listing()
    events = holdings.run_dir / "events.jsonl"
    events_bytes = events.stat().st_size if events.exists() else 0
    known = {"size": len(have), "sha256": hashlib.sha256(have).hexdigest(), "events_bytes": events_bytes}
    session.tell({"run": run_name(remote_run_dir), "listing": known})
    answer = session.ask()
    _check_not_behind(holdings.run_dir.name, events, events_bytes, answer)
    data = have[: int(answer["from"])] + session.exactly(int(answer["payload"]))
    data = data[: data.rfind(b"\n") + 1]
    if data != have:
        holdings.keep_listing(data)
    return data


def _check_not_behind(run_id: str, events: Path, events_bytes: int, box: Mapping[str, object]) -> None:
    """Refuse a box whose events do not go on from ours: what it has is older than what another box did since."""
    if not events_bytes:
        return
    box_bytes = int(str(box["events_bytes"]))
    if box_bytes >= events_bytes and box["prefix_sha256"] == sha256_of(events, events_bytes):
        return
    if box_bytes == 0 or (box_bytes < events_bytes and box["events_sha256"] == sha256_of(events, box_bytes)):
        raise BoxBehind(
            f"run {run_id} has gone further than on this box ({events_bytes} bytes of events here, {box_bytes} there): "
            "another box went on with it, so nothing was taken from this one"
        )
    raise BoxDiverged(
        f"run {run_id} went on differently on another box ({events_bytes} bytes of events here, {box_bytes} there), "
        "so nothing was taken from this one; its files are still on it"
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """A piece of one artifact to ask for; the last piece completes it."""

    item: Listed
    offset: int
    length: int


class _Fetch:
    """One pull's transfer: parts grow in `.incoming/`, whole files land in the run's folder.

    A thread of its own makes what is whole durable while the next files arrive. Use it as a context manager.
    """

    def __init__(self, holdings: Holdings, wanted: Sequence[Listed], report: Report) -> None:
        self._holdings = holdings
        self._report = report
        self._incoming, self._run_dir = str(holdings.incoming), str(holdings.run_dir)
        self._parts = {entry.name: entry.stat().st_size for entry in os.scandir(holdings.incoming) if _is_part(entry)}
        self._names = {item.path: _part_name(item) for item in wanted}
        for stale in self._parts.keys() - set(self._names.values()):
            (holdings.incoming / stale).unlink()
        self._landing = Landing()
        self._to_note: list[Listed] = []
        self._lander = ThreadPoolExecutor(1, thread_name_prefix="landing")
        self._landings: deque[tuple[Future[list[str]], list[Listed]]] = deque()
        self._total_files = len(wanted)
        self._total_bytes = sum(item.size - self.have(item) for item in wanted)
        self._reported = 0
        self._received_files = 0
        self._unfinished = ("", 0, hashlib.sha256())
        self.done_bytes = 0
        self.landed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lander.shutdown()

    def part(self, item: Listed) -> Path:
        """Where the artifact grows: named by its content and place, so another version never continues it."""
        return self._holdings.incoming / self._names[item.path]

    def have(self, item: Listed) -> int:
        """Bytes that an earlier pull left."""
        size = self._parts.get(self._names[item.path], 0)
        return size if size <= item.size else 0

    def batch(self, session: Session, remote_run_dir: str, ranges: Sequence[_Range]) -> None:
        """Fetch these pieces in one answer."""
        want = [[each.item.path, each.offset, each.length] for each in ranges]
        session.tell({"run": run_name(remote_run_dir), "want": want})
        for each in ranges:
            answer = session.ask()
            if "missing" in answer:
                continue
            if each.length == each.item.size <= SMALL_BYTES:
                self._receive_small(session, each)
            else:
                self._receive(session, each)

    def land(self) -> None:
        """Move what is whole and verified to its place, durably, and note it."""
        self._start_landing()
        self._collect(0)

    def _start_landing(self) -> None:
        if self._to_note:
            self._landings.append((self._lander.submit(self._landing.land), self._to_note))
            self._landing, self._to_note = Landing(), []

    def _collect(self, backlog: int) -> None:
        """Note what landed, until at most `backlog` batches are still landing."""
        while len(self._landings) > backlog or (self._landings and self._landings[0][0].done()):
            landing, items = self._landings.popleft()
            landing.result()
            self._holdings.note(items)
            self.landed.update(item.path for item in items)

    def _is_whole(self, item: Listed) -> None:
        self._received_files += 1
        self._to_note.append(item)
        part, place = f"{self._incoming}/{self._names[item.path]}", f"{self._run_dir}/{item.path}"
        if self._landing.add(part, place, item.size):
            self._start_landing()
            self._collect(MAX_LANDINGS)

    def _receive_small(self, session: Session, piece: _Range) -> None:
        data = session.exactly(piece.length)
        if hashlib.sha256(data).hexdigest() == piece.item.sha256:
            part = f"{self._incoming}/{self._names[piece.item.path]}"
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
            finally:
                os.close(handle)
            self._is_whole(piece.item)
        self._count(piece.length, piece.item.path)

    def _receive(self, session: Session, piece: _Range) -> None:
        part = self.part(piece.item)
        with part.open("r+b" if part.exists() else "w+b") as file:
            digest = self._digest_of(file, piece)
            left = piece.length
            while left:
                data = session.some(left)
                left -= len(data)
                if digest is not None:
                    file.write(data)
                    digest.update(data)
                self._count(len(data), piece.item.path)
        if digest is None:
            return
        if piece.offset + piece.length < piece.item.size:
            self._unfinished = (piece.item.path, piece.offset + piece.length, digest)
            return
        if digest.hexdigest() != piece.item.sha256:
            part.unlink()
            return  # rewritten on the box since it was listed: it stays missing, and is asked for anew next time
        self._is_whole(piece.item)

    def _digest_of(self, file: BinaryIO, piece: _Range) -> hashlib._Hash | None:
        """The hash of what is before `piece`, with `file` standing there; None if that is not here."""
        path, offset, digest = self._unfinished
        if (path, offset) != (piece.item.path, piece.offset):
            digest = hashlib.sha256()
            left = piece.offset
            while left:
                data = file.read(min(left, READ_BYTES))
                if not data:
                    return None
                digest.update(data)
                left -= len(data)
        file.truncate(piece.offset)
        file.seek(piece.offset)
        return digest

    def _count(self, size: int, path: str) -> None:
        self.done_bytes += size
        if self.done_bytes - self._reported >= 1 << 20 or self.done_bytes == self._total_bytes:
            self._reported = self.done_bytes
            message = f"{self._received_files} of {self._total_files} files: {path}"
            self._report(Progress("pull", message, self.done_bytes, self._total_bytes, "bytes"))


def _part_name(item: Listed) -> str:
    place = hashlib.sha256(item.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{item.sha256}-{place}.part"


def _is_part(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".part") and entry.is_file(follow_symlinks=False)


def _batches(fetch: _Fetch, wanted: Sequence[Listed]) -> Iterator[list[_Range]]:
    """Pieces of at most BATCH_BYTES together, small files whole, large files in several."""
    batch: list[_Range] = []
    size = 0
    for item in wanted:
        offset = fetch.have(item)
        while True:
            length = min(item.size - offset, BATCH_BYTES - size)
            batch.append(_Range(item, offset, length))
            offset += length
            size += length
            if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
                yield batch
                batch, size = [], 0
            if offset >= item.size:
                break
    if batch:
        yield batch
