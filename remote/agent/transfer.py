"""The box's side of sync: one command per process, talking frames on stdin and stdout.

Contents travel as plain bytes after a list of names and sizes, not as an archive: a link or a device cannot be said.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.agent.blobs import receive_blobs
from remote.agent.files import UnsafePath, check_name, resolve_inside, sha256_of
from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.agent.heartbeat import Heartbeat
from remote.agent.trees import TransferFailed, events_state, receive_release, receive_run
from remote.agent.workcopy import agree, checkout, list_copy

CHUNK_BYTES = 256 * 1024


class Pipe:
    """Frames in, frames and bytes out. What is told is gathered into large writes, and out before it waits."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
        def read_after_flush(size: int) -> bytes:
            self.flush()
            return read(size)

        self.reader = FrameReader(read_after_flush)
        self._write = write
        self._unsent = bytearray()

    def ask(self) -> dict[str, Any]:
        """The laptop's next frame. Raises BrokenFrame when it hung up."""
        header = self.reader.header()
        if header is None:
            raise BrokenFrame("the laptop hung up")
        return header

    def tell(self, header: dict[str, Any]) -> None:
        """One frame to the laptop."""
        self.write(frame(header))

    def write(self, data: bytes) -> None:
        """Bytes of a payload."""
        if len(data) >= CHUNK_BYTES:
            self.flush()
            self._write(data)
            return
        self._unsent += data
        if len(self._unsent) >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what was gathered."""
        if self._unsent:
            data, self._unsent = bytes(self._unsent), bytearray()
            self._write(data)


def transfer(command: str, root: Path) -> int:
    """Run one sync command; 0 when it did what it should. Failures are told as a frame, then on stderr.

    Bytes that come or go are the laptop's heartbeat: an upload of hours is no idleness.
    """

    heartbeat = Heartbeat(root)

    def beat() -> None:
        with contextlib.suppress(OSError):  # a full disk is told where it is the matter
            heartbeat.beat()

    def read(size: int) -> bytes:
        data = os.read(0, size)
        beat()
        return data

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
            beat()

    pipe = Pipe(read, write)
    commands: dict[str, Callable[[Pipe, Path], None]] = {
        "receive-release": receive_release,
        "receive-run": receive_run,
        "receive-blobs": receive_blobs,
        "send-run": send_run,
        "list-runs": list_runs,
        "checkout": checkout,
        "list-copy": list_copy,
        "agree": agree,
    }
    pipe.tell({"spotter-transfer": 1})
    pipe.flush()
    try:
        commands[command](pipe, root)
    except BrokenFrame as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 3
    except (OSError, TransferFailed, UnsafePath) as error:
        pipe.tell({"error": {"type": type(error).__name__, "message": str(error)}})
        pipe.flush()
        return 1
    pipe.flush()
    return 0


def send_run(pipe: Pipe, root: Path) -> None:
    """Send what the laptop asks of one run, question by question until it hangs up: its list, or ranges of files."""
    while True:
        request = pipe.reader.header()
        if request is None:
            return
        folder = resolve_inside(str(root), request["run"])
        if "listing" in request:
            send_listing(pipe, folder, request["listing"])
        else:
            send_files(pipe, folder, request["want"])
        pipe.flush()


def list_runs(pipe: Pipe, root: Path) -> None:
    """The runs that have a list of artifacts here."""
    found = sorted(path.parent.name for path in (root / "runs").glob("*/artifacts.jsonl"))
    pipe.tell({"runs": [name for name in found if not name.startswith(".")]})


def send_listing(pipe: Pipe, folder: str, known: dict[str, Any]) -> None:
    """Send `artifacts.jsonl` of a run from where the laptop's copy ends, or whole if that copy is no prefix of it."""
    path = Path(folder) / "artifacts.jsonl"
    state = events_state(Path(folder), int(known["events_bytes"]))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        pipe.tell({"from": 0, "payload": 0, **state})
        return
    try:
        found = os.fstat(handle)
        size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        start = int(known["size"])
        if start > size or (start and sha256_of(path, start) != known["sha256"]):
            start = 0
        pipe.tell({"from": start, "payload": size - start, **state})
        _send_range(pipe, handle, path.name, start, size - start)
    finally:
        os.close(handle)


def send_files(pipe: Pipe, folder: str, want: list[Any]) -> None:
    """Send ranges of files of one run, in the order asked; a file that cannot be sent is answered by its reason.

    A link is never followed, and only regular files are opened.
    """
    parents: dict[str, str] = {}
    for name, offset, length in want:
        try:
            parent, _slash, last = check_name(name).rpartition("/")
            if parent not in parents:
                parents[parent] = resolve_inside(folder, parent)
            handle = os.open(f"{parents[parent]}/{last}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            pipe.tell({"missing": str(error)})
            continue
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                pipe.tell({"missing": f"{name!r} is not a regular file"})
            elif found.st_size < offset + length:
                pipe.tell({"missing": f"{name!r} is shorter than listed"})
            else:
                pipe.tell({"payload": length})
                _send_range(pipe, handle, name, offset, length)
        finally:
            os.close(handle)


def _send_range(pipe: Pipe, handle: int, name: str, offset: int, length: int) -> None:
    os.lseek(handle, offset, os.SEEK_SET)
    left = length
    while left:
        data = os.read(handle, min(left, CHUNK_BYTES))
        if not data:
            raise BrokenFrame(f"{name} became shorter while it was sent")
        pipe.write(data)
        left -= len(data)
