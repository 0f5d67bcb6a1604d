"""Runs on the box: fetch model weights over HTTP, resumed, verified, from whichever mirror serves the right bytes.

Standard library only, Python 3.9 or newer: a box has nothing else when this runs, so no library for it is taken here,
and `spotter weights fetch` on the operator's machine runs the same program. `box_fetch.py SPEC.json` fetches;
`box_fetch.py check JSON` only tells what is right. A spec has `folder`, `stall_s` and `checkpoints`: `name`, `size`,
`sha256`, `urls`. Size and sha256 may be null: the file is then what its first mirror serves, and pinned to that.

A file appears under its name only when its sha256 is right. Until then it is `<name>.part`, with which the next try
goes on. What was fetched stands in `pins.json`, with its size, sha256 and where it came from.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

MARK = "spotter-evidence "
PINS = "pins.json"
HOPELESS = 64
CHUNK_BYTES = 1 << 20
TELL_EVERY_S = 1.0
FRUITLESS = 2
"""How often in a row a mirror may break off without getting further than ever before; then the next one is asked."""


class MirrorFailed(Exception):
    """A mirror does not serve this file; the next one may."""


class Broken(Exception):
    """The connection broke; what came before is kept, and the mirror may be asked to go on."""


def shown(url: str) -> str:
    """Host and path: the rest of a URL may be a signature."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def note_of(path: Path) -> Path:
    """Where it stands that `path` was hashed."""
    return path.with_name(f".{path.name}.verified")


def is_right(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there and what it should be; it is hashed only when it changed since the last time."""
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != size:
        return False
    seen = {"size": size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino, "sha256": sha256}
    note = note_of(path)
    with contextlib.suppress(OSError, ValueError):
        if json.loads(note.read_text(encoding="utf-8")) == seen:
            return True
    if hash_file(path) != sha256:
        return False
    note.write_text(json.dumps(seen), encoding="utf-8")
    return True


def hash_file(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class Meter:
    """Tells how far a file is, how fast, and for how long still."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._began = self._told = time.monotonic()
        self._new = 0

    def add(self, new: int, have: int) -> None:
        """Note `new` bytes; `have` is what is there now."""
        self._new += new
        now = time.monotonic()
        if now - self._told >= TELL_EVERY_S or have == self._size:
            self._told = now
            pace = self._new / max(now - self._began, 1e-6)
            left_s = (self._size - have) / pace if pace else 0.0
            words = f"{self._name} at {pace / 1e6:.1f} MB/s, {left_s:.0f} s left"
            told = {"message": words, "done": have, "total": self._size, "unit": "bytes"}
            print("spotter-progress " + json.dumps(told), flush=True)


def fetch(path: Path, wanted: dict[str, Any], stall_s: float) -> str:
    """Fetch one file; the mirror that served it. Raises MirrorFailed when none did."""
    part = path.with_name(f"{path.name}.part")
    refusals = []
    if wanted["sha256"] is None:
        part.unlink(missing_ok=True)  # nothing tells what a part of an unknown file belongs to
    for url in wanted["urls"]:
        foreign = part.exists()  # begun from another mirror, or in another process: it may be the part that is wrong
        try:
            fetch_from(url, part, wanted, stall_s)
            if not matches(part, wanted) and foreign:
                part.unlink()
                fetch_from(url, part, wanted, stall_s)
            if not matches(part, wanted):
                part.unlink()
                raise MirrorFailed("serves wrong bytes: the sha256 differs")
        except MirrorFailed as failed:
            refusals.append(f"{shown(url)} {failed}")
            print(refusals[-1], flush=True)
            continue
        if wanted["sha256"] is None:
            wanted["sha256"] = hash_file(part)
        part.replace(path)
        is_right(path, wanted["size"], wanted["sha256"])
        return shown(url)
    raise MirrorFailed(f"{wanted['name']} could not be fetched: {'; '.join(refusals)}")


def matches(part: Path, wanted: dict[str, Any]) -> bool:
    """Whether a whole part is what it should be. It is on the disk, not only in memory, when this returns."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    if wanted["sha256"] is None:
        return True
    return part.stat().st_size == wanted["size"] and hash_file(part) == str(wanted["sha256"])


def fetch_from(url: str, part: Path, wanted: dict[str, Any], stall_s: float) -> None:
    """Complete `part` from one mirror, asking again as long as bytes come."""
    fruitless = furthest = 0
    while True:
        have = size_of(part)
        if have == wanted["size"]:
            return
        if wanted["size"] is not None and have > wanted["size"]:
            part.unlink()
            have = 0
        furthest = max(furthest, have)
        try:
            receive(url, part, have, wanted, stall_s)
        except Broken as broken:
            fruitless = 0 if size_of(part) > furthest else fruitless + 1
            if fruitless >= FRUITLESS:
                raise MirrorFailed(str(broken)) from broken
            time.sleep(min(0.2 * (fruitless + 1), 2.0))


def size_of(path: Path) -> int:
    """Bytes; 0 for no file."""
    return path.stat().st_size if path.exists() else 0


def receive(url: str, part: Path, have: int, wanted: dict[str, Any], stall_s: float) -> None:
    """Ask once for what is missing, and append what comes. Raises Broken, or MirrorFailed for what will not mend."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "spotter"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the schemes were checked where it was made
    try:
        with urllib.request.urlopen(request, timeout=stall_s) as answer:  # noqa: S310
            start = begin_of(answer.status, answer.headers, have)
            length: Optional[str] = answer.headers.get("Content-Length")  # noqa: UP045 - Python 3.9
            size = size_by(wanted, None if length is None else start + int(length))
            if length is not None and start + int(length) != size:
                raise MirrorFailed(f"serves {start + int(length)} bytes instead of {size}")
            meter = Meter(wanted["name"], size)
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while chunk := answer.read1(CHUNK_BYTES):
                    start += len(chunk)
                    if start > size:
                        file.truncate(0)
                        raise MirrorFailed(f"serves more than {size} bytes")
                    file.write(chunk)
                    meter.add(len(chunk), start)
                file.truncate()
            if start < size:
                raise Broken(f"broke off at {start} of {size} bytes")
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            part.unlink()
            raise Broken("does not know that part of the file") from error
        if error.code in (408, 425, 429) or error.code >= 500:
            raise Broken(f"answers {error.code} {error.reason}") from error
        if error.code in (401, 403):
            raise MirrorFailed(
                f"answers {error.code} {error.reason}: it wants a login, or an agreement to its terms"
            ) from error
        raise MirrorFailed(f"answers {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        if part_failed(error):
            raise
        reason = getattr(error, "reason", None) or error
        raise Broken(f"broke off: {reason or type(error).__name__}") from error


def size_by(wanted: dict[str, Any], told: Optional[int]) -> int:  # noqa: UP045 - Python 3.9
    """The size that the file must have: the known one, else what the first mirror that says one says."""
    if wanted["size"] is None:
        if told is None:
            raise MirrorFailed("does not say how large the file is, and nobody else knows")
        wanted["size"] = told
    return int(wanted["size"])


def part_failed(error: Exception) -> bool:
    """Whether it was our own disk, not the network."""
    return isinstance(error, OSError) and error.errno in (28, 30, 122)  # ENOSPC, EROFS, EDQUOT


def begin_of(status: int, headers: Any, have: int) -> int:
    """Where the bytes that follow belong: a mirror that ignores the range sends everything."""
    if status != 206:
        return 0
    begin = (headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    if begin != str(have):
        raise MirrorFailed(f"was asked for bytes from {have} and sends them from {begin or 'nowhere'}")
    return have


def fetch_all(spec: dict[str, Any]) -> int:
    """Fetch what is missing. Exit code 64: the disk is too small."""
    folder = Path(spec["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".fetching").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = []
        for wanted in spec["checkpoints"]:
            path = folder / wanted["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if wanted["sha256"] is None or not is_right(path, wanted["size"], wanted["sha256"]):
                missing.append((path, wanted, (wanted["size"] or 0) - size_of(path.with_name(f"{path.name}.part"))))
            else:
                pin(folder, wanted, None)
        needed = sum(size for _path, _wanted, size in missing)
        free = shutil.disk_usage(folder).free
        if needed > free:
            print(f"the checkpoints need {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB free", flush=True)
            return HOPELESS
        try:
            for path, wanted, _size in missing:
                unknown = wanted["sha256"] is None
                mirror = fetch(path, wanted, spec["stall_s"])
                pin(folder, wanted, mirror)
                now = f", and is pinned to {wanted['size']} bytes, sha256 {wanted['sha256']}" if unknown else ""
                print(f"{wanted['name']} comes from {mirror}{now}", flush=True)
        except MirrorFailed as failed:
            print(failed, flush=True)
            return 1
        except OSError as error:
            print(f"{error.strerror or error}: {error.filename or folder}", flush=True)
            return HOPELESS
    return 0


def pin(folder: Path, wanted: dict[str, Any], mirror: Optional[str]) -> None:  # noqa: UP045 - Python 3.9
    """Note what a file was when it came; one that is noted already with the same content stays as it is."""
    path = folder / PINS
    pins = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    told = {"bytes": wanted["size"], "sha256": wanted["sha256"]}
    known = pins.get(wanted["name"], {})
    if {key: known.get(key) for key in told} == told:
        return
    pins[wanted["name"]] = {**told, "from": mirror}
    draft = path.with_name(f".{PINS}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(pins, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def check_all(spec: dict[str, Any]) -> int:
    """One marked line for each file that is right."""
    for wanted in spec["checkpoints"]:
        if is_right(Path(spec["folder"]) / wanted["name"], wanted["size"], wanted["sha256"]):
            print(f"{MARK}{wanted['name']}={wanted['size']} bytes, sha256 {wanted['sha256']}", flush=True)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.exit(check_all(json.loads(sys.argv[2])))
    sys.exit(fetch_all(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
