"""Pull what a run made: by the job's own list, staged, verified by sha256, renamed; resumable at any byte."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from remote.agent.files import Landing, UnsafePath
from remote.progress import Progress, Report, silent
from remote.sync.holdings import Holdings, Listed, open_holdings, parse_listing
from remote.sync.session import Session
from remote.transport import Transport

BATCH_BYTES = 256 * 1024 * 1024
"""Asked of one command at a time: shorter than what makes either side exchange keys in the middle of a channel."""
BATCH_FILES = 4096
READ_BYTES = 1024 * 1024


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
        ConnectionLost, TransferError: call again, it goes on where it stopped.
    """
    with open_holdings(local_run_dir) as holdings:
        data = _fetch_listing(transport, remote_run_dir, holdings)
        listed, refused = parse_listing(data)
        wanted = [item for item in listed.values() if not holdings.holds(item)]
        fetch = _Fetch(holdings, wanted, report)
        fetch.drop_stale_parts(wanted)
        try:
            for batch in _batches(fetch, wanted):
                fetch.batch(transport, remote_run_dir, batch)
        finally:
            fetch.land()
            missing = tuple(item.path for item in wanted if item.path not in fetch.landed)
            holdings.publish(item for item in listed.values() if item.path not in missing)
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


def pull_complete(transport: Transport, remote_run_dir: str, local_run_dir: Path) -> tuple[str, ...]:
    """Paths that the box lists and this machine does not hold verified: empty means that nothing would be lost."""
    with open_holdings(local_run_dir) as holdings:
        listed, refused = parse_listing(_fetch_listing(transport, remote_run_dir, holdings))
        return (*(item.path for item in listed.values() if not holdings.holds(item)), *refused)


def receive_file(transport: Transport, remote_run_dir: str, name: str, size: int, sha256: str, draft: Path) -> bool:
    """Fetch one file of the run into `draft`, listed or not; False when the box has it in this form no more."""
    with _session(transport, remote_run_dir, "send-files") as session:
        session.tell({"run": run_name(remote_run_dir), "want": [[name, 0, size]]})
        if "missing" in session.ask():
            return False
        digest = hashlib.sha256()
        left = size
        with draft.open("wb") as file:
            while left:
                data = session.some(left)
                file.write(data)
                digest.update(data)
                left -= len(data)
    return digest.hexdigest() == sha256


def run_name(remote_run_dir: str) -> str:
    """The run's folder below the root, as the agent's programs take it."""
    return "/".join(remote_run_dir.rstrip("/").split("/")[-2:])


def _session(transport: Transport, remote_run_dir: str, command: str) -> Session:
    root = posixpath.dirname(posixpath.dirname(remote_run_dir.rstrip("/")))
    return Session(transport, root, command)


def _fetch_listing(transport: Transport, remote_run_dir: str, holdings: Holdings) -> bytes:
    """The box's list; only what was appended since the last time travels."""
    have = holdings.listing()
    with _session(transport, remote_run_dir, "send-listing") as session:
        digest = hashlib.sha256(have).hexdigest()
        session.tell({"run": run_name(remote_run_dir), "size": len(have), "sha256": digest})
        answer = session.ask()
        data = bytearray(have[: int(answer["from"])])
        left = int(answer["payload"])
        while left:
            chunk = session.some(left)
            data += chunk
            left -= len(chunk)
    data = data[: data.rfind(b"\n") + 1]
    if data != have:
        holdings.keep_listing(bytes(data))
    return bytes(data)


@dataclass(frozen=True, slots=True)
class _Range:
    """A piece of one artifact to ask for; the last piece completes it."""

    item: Listed
    offset: int
    length: int


class _Fetch:
    """One pull's transfer: parts grow in `.incoming/`, whole files land in the run's folder."""

    def __init__(self, holdings: Holdings, wanted: Sequence[Listed], report: Report) -> None:
        self._holdings = holdings
        self._report = report
        self._landing = Landing()
        self._to_note: list[Listed] = []
        self._total_files = len(wanted)
        self._total_bytes = sum(item.size - self.have(item) for item in wanted)
        self._reported = 0
        self._unfinished = ("", 0, hashlib.sha256())
        self.done_bytes = 0
        self.landed: set[str] = set()

    def part(self, item: Listed) -> Path:
        """Where the artifact grows: named by its content and place, so another version never continues it."""
        place = hashlib.sha256(item.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self._holdings.incoming / f"{item.sha256}-{place}.part"

    def have(self, item: Listed) -> int:
        """Bytes that an earlier pull left."""
        part = self.part(item)
        size = part.stat().st_size if part.exists() else 0
        return size if size <= item.size else 0

    def batch(self, transport: Transport, remote_run_dir: str, ranges: Sequence[_Range]) -> None:
        """Fetch these pieces with one command."""
        with _session(transport, remote_run_dir, "send-files") as session:
            want = [[each.item.path, each.offset, each.length] for each in ranges]
            session.tell({"run": run_name(remote_run_dir), "want": want})
            for each in ranges:
                answer = session.ask()
                if "missing" not in answer:
                    self._receive(session, each)

    def land(self) -> None:
        """Move what is whole and verified to its place, durably, and note it."""
        self._landing.land()
        self._holdings.note(self._to_note)
        self.landed.update(item.path for item in self._to_note)
        self._to_note = []

    def drop_stale_parts(self, wanted: Sequence[Listed]) -> None:
        """Remove the parts of versions that are not wanted any more."""
        current = {self.part(item) for item in wanted}
        for part in self._holdings.incoming.glob("*.part"):
            if part not in current:
                part.unlink()

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
        self._to_note.append(piece.item)
        if self._landing.add(part, self._holdings.run_dir / piece.item.path, piece.item.size):
            self.land()

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
            done = len(self.landed) + len(self._to_note)
            message = f"{done} of {self._total_files} files: {path}"
            self._report(Progress("pull", message, self.done_bytes, self._total_bytes, "bytes"))


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
