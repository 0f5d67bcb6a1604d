"""The working copy on the box, `<root>/workspace`: what people edit there, brought up to date without losing an edit.

Contents arrive as releases and blobs; here they are only put in place. `workspace.base.json` keeps what each file was
when both machines last agreed, so that a file that was edited here is known from one that is merely old.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.agent.files import check_name, resolve_inside, sha256_of, write_atomically
from remote.agent.trees import TransferFailed

if TYPE_CHECKING:
    from remote.agent.transfer import Pipe

COPY = "workspace"
LINKED_FROM_BYTES = 1024 * 1024
"""Data of this size and more is a link to its blob: a second copy would cost disk that is paid for by the hour."""
PASSED_OVER = frozenset({"__pycache__", ".ipynb_checkpoints", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
OWN_FILE = re.compile(r"\.\d{8}-\d{6}\.bak$|^\.spotter-")
_BLOB = re.compile(r"(?:^|/)blobs/[0-9a-f]{2}/([0-9a-f]{64})$")


class Copy:
    """The working copy, its notes of what was agreed, and hashes of files that did not change since they were read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / COPY
        self.folder.mkdir(parents=True, exist_ok=True)
        self.base: dict[str, str] = _read_json(root / f"{COPY}.base.json")
        self._hashes: dict[str, list[Any]] = _read_json(root / f"{COPY}.hashes.json")

    def path(self, name: str) -> str:
        """Where `name` lies. Raises UnsafePath when a folder on the way leads elsewhere."""
        parent, _slash, last = check_name(name).rpartition("/")
        return f"{resolve_inside(str(self.folder), parent)}/{last}"

    def sha256(self, name: str) -> str | None:
        """What the file is now; None when it is not there. A link to a blob is what the blob's name says."""
        path = self.path(name)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if (found.st_mode & 0o170000) == 0o120000:
            blob = _BLOB.search(os.readlink(path))  # noqa: PTH115
            return blob.group(1) if blob else "a link"
        if (found.st_mode & 0o170000) != 0o100000:
            return "no file"
        marks = [found.st_size, found.st_mtime_ns, found.st_ino]
        known = self._hashes.get(name)
        if known is not None and known[:3] == marks:
            return str(known[3])
        digest = sha256_of(Path(path))
        if time.time() - found.st_mtime > 2:
            self._hashes[name] = [*marks, digest]
        return digest

    def put(self, name: str, mode: int, source: Path) -> None:
        """Replace `name` by the content of `source`, at once and durably enough: it can be put again."""
        path = self.path(name)
        parent = os.path.dirname(path)  # noqa: PTH120
        os.makedirs(parent, exist_ok=True)  # noqa: PTH103
        draft = f"{parent}/.spotter-{secrets.token_hex(6)}"
        try:
            if _BLOB.search(str(source)) and source.stat().st_size >= LINKED_FROM_BYTES:
                os.symlink(os.path.relpath(source, parent), draft)  # noqa: PTH211
            else:
                shutil.copyfile(source, draft)
                os.chmod(draft, mode)  # noqa: PTH101
            os.replace(draft, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108
            raise

    def keep_aside(self, name: str, stamp: str) -> str:
        """Rename the version that lost; its new name."""
        kept = f"{name}.{stamp}.bak"
        os.rename(self.path(name), self.path(kept))  # noqa: PTH104
        return kept

    def remove(self, name: str) -> None:
        """Remove a file, and its folders where they are empty now."""
        path = Path(self.path(name))
        path.unlink()
        with contextlib.suppress(OSError):
            for folder in path.parents:
                if folder == self.folder.resolve():
                    break
                folder.rmdir()

    def files(self, below: str) -> Iterator[tuple[str, os.stat_result]]:
        """Names and states of what is there, without caches and what was kept aside."""
        start = len(str(self.folder)) + 1
        for where, names, files in os.walk(self.folder):
            names[:] = sorted(name for name in names if name not in PASSED_OVER)
            for last in sorted(files):
                name = f"{where}/{last}"[start:]
                if OWN_FILE.search(last) or not (not below or name == below or name.startswith(f"{below}/")):
                    continue
                with contextlib.suppress(FileNotFoundError):  # a dead link, or gone meanwhile
                    yield name, os.stat(f"{where}/{last}")  # noqa: PTH116

    def save(self) -> None:
        """Keep the notes."""
        write_atomically(self.root / f"{COPY}.base.json", json.dumps(self.base).encode())
        write_atomically(self.root / f"{COPY}.hashes.json", json.dumps(self._hashes).encode(), durable=False)


@contextlib.contextmanager
def open_copy(root: Path) -> Iterator[Copy]:
    """The working copy, for one process at a time."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{COPY}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        copy = Copy(root)
        try:
            yield copy
        finally:
            copy.save()


def checkout(pipe: Pipe, root: Path) -> None:
    """Bring the working copy to what the laptop has; files that were edited here are left alone and told.

    Rows are `[name, mode, sha256, source]`, the source being a file of a release or the blob store below the root.
    `take` names files whose version here is moved aside; `partial` says that other files were not asked about.
    """
    request = pipe.ask()
    updated, removed, conflicts, kept = [], [], [], {}
    with open_copy(root) as copy:
        named = set()
        for name, mode, sha256, source in request["files"]:
            named.add(name)
            here = copy.sha256(name)
            if here == sha256:
                copy.base[name] = sha256
                continue
            if here is not None and here != copy.base.get(name):
                if name not in request["take"]:
                    conflicts.append(name)
                    continue
                kept[name] = copy.keep_aside(name, request["stamp"])
            if source.split("/")[0] not in ("releases", "blobs"):
                raise TransferFailed(f"{source!r} is no release or blob")
            copy.put(name, mode & 0o777, Path(resolve_inside(str(root), source)))
            copy.base[name] = sha256
            updated.append(name)
        for name in [] if request["partial"] else sorted(copy.base.keys() - named):
            here = copy.sha256(name)
            if here is not None and here != copy.base[name]:
                conflicts.append(name)
                continue
            if here is not None:
                copy.remove(name)
                removed.append(name)
            del copy.base[name]
        path = str(copy.folder)
    pipe.tell({"path": path, "updated": updated, "removed": removed, "conflicts": conflicts, "kept": kept})


def list_copy(pipe: Pipe, root: Path) -> None:
    """What lies in the working copy, below a name if one is asked, and what each file was when both agreed."""
    below = pipe.ask()["below"]
    with open_copy(root) as copy:
        rows = []
        for name, found in copy.files(below):
            sha256 = copy.sha256(name)
            if sha256 is not None and re.fullmatch(r"[0-9a-f]{64}", sha256):
                rows.append([name, found.st_size, found.st_mtime, sha256])
        pipe.tell({"path": str(copy.folder), "files": rows, "base": copy.base})


def agree(pipe: Pipe, root: Path) -> None:
    """Note that the laptop has taken over this file as it is here; false when it changed since."""
    request = pipe.ask()
    with open_copy(root) as copy:
        agreed = copy.sha256(request["name"]) == request["sha256"]
        if agreed:
            copy.base[request["name"]] = request["sha256"]
    pipe.tell({"agreed": agreed})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:  # cut by a full disk: everything counts as edited, so nothing is overwritten
        return {}
    return found if isinstance(found, dict) else {}
