"""The box's side of sync: one command per process, talking frames on stdin and stdout.

Contents travel as plain bytes after a list of names and sizes, not as an archive: a link or a device cannot be said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.agent.blobs import receive_blobs
from remote.agent.files import UnsafePath, resolve_inside
from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.agent.trees import TransferFailed, receive_release, receive_run

CHUNK_BYTES = 256 * 1024


class Pipe:
    """Frames in, frames and bytes out."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
        self.reader = FrameReader(read)
        self.write = write

    def ask(self) -> dict[str, Any]:
        """The laptop's next frame. Raises BrokenFrame when it hung up."""
        header = self.reader.header()
        if header is None:
            raise BrokenFrame("the laptop hung up")
        return header

    def tell(self, header: dict[str, Any]) -> None:
        """One frame to the laptop."""
        self.write(frame(header))


def transfer(command: str, root: Path) -> int:
    """Run one sync command; 0 when it did what it should. Failures are told as a frame, then on stderr."""
    output = sys.stdout.buffer

    def write(data: bytes) -> None:
        output.write(data)
        output.flush()

    pipe = Pipe(lambda size: os.read(0, size), write)
    commands: dict[str, Callable[[Pipe, Path], None]] = {
        "receive-release": receive_release,
        "receive-run": receive_run,
        "receive-blobs": receive_blobs,
        "send-listing": send_listing,
        "send-files": send_files,
    }
    pipe.tell({"spotter-transfer": 1})
    try:
        commands[command](pipe, root)
    except BrokenFrame as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 3
    except (OSError, TransferFailed, UnsafePath) as error:
        pipe.tell({"error": {"type": type(error).__name__, "message": str(error)}})
        return 1
    return 0


def send_listing(pipe: Pipe, root: Path) -> None:
    """Send `artifacts.jsonl` of a run from where the laptop's copy ends, or whole if that copy is no prefix of it."""
    from remote.agent.files import sha256_of

    request = pipe.ask()
    path = Path(resolve_inside(str(root), request["run"])) / "artifacts.jsonl"
    size = path.stat().st_size if path.exists() else 0
    start = int(request["size"])
    if start > size or (start and sha256_of(path, start) != request["sha256"]):
        start = 0
    pipe.tell({"from": start, "payload": size - start})
    if size > start:
        _send_range(pipe, path, start, size - start)


def send_files(pipe: Pipe, root: Path) -> None:
    """Send ranges of files of one run, in the order asked; a file that cannot be sent is answered by its reason."""
    request = pipe.ask()
    folder = resolve_inside(str(root), request["run"])
    for name, offset, length in request["want"]:
        try:
            path = Path(resolve_inside(folder, name))
            if not path.is_file():
                raise FileNotFoundError(f"{name!r} is not a regular file")
            if path.stat().st_size < offset + length:
                raise ValueError(f"{name!r} is shorter than listed")
        except (OSError, ValueError) as error:
            pipe.tell({"missing": str(error)})
            continue
        pipe.tell({"payload": length})
        _send_range(pipe, path, offset, length)


def _send_range(pipe: Pipe, path: Path, offset: int, length: int) -> None:
    with path.open("rb") as file:
        file.seek(offset)
        left = length
        while left:
            data = file.read(min(left, CHUNK_BYTES))
            if not data:
                raise BrokenFrame(f"{path} became shorter while it was sent")
            pipe.write(data)
            left -= len(data)
