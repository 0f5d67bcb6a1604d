"""Which files are the workspace's own code: what git tracks and what is new or changed, without what is secret."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.release import ReleaseFile

GIT_LIMIT_S = 60
SCANNED_BYTES = 16 * 1024 * 1024
SHORTEST_SECRET = 8
SECRET_FOLDERS = frozenset({"secrets", ".secrets", ".ssh", ".aws", ".gnupg", ".kube"})
SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".netrc",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    "credentials.json",
    "*service*account*.json",
    "*_sa.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.kdbx",
)
HARMLESS_NAMES = ("*.example", "*.sample", "*.template", "*.pub")
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
KEPT_LOSER = re.compile(r"\.\d{8}-\d{6}\.bak$")
"""What `spotter diff --take` leaves beside the version that won."""


class NoCode(Exception):
    """The folder is no git work tree, or git cannot be asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class CodeTree:
    """The workspace's code as it lies on this machine now, and the git state it stands at.

    `commit` is None before the first one; `dirty` are names that are not as committed; `left_out` says what was not
    taken and why (`name: reason`).
    """

    files: tuple[ReleaseFile, ...]
    commit: str | None
    dirty: tuple[str, ...]
    left_out: tuple[str, ...]


def workspace_code(folder: Path, *, without: Sequence[Path] = (), secrets: Sequence[str] = ()) -> CodeTree:
    """Tracked, changed and new files of the git work tree below `folder`, as they lie there now; nothing ignored.

    `without` are folders that travel otherwise (data, results, state). A file that looks like a secret, or holds one
    of `secrets`, is left out even if git tracks it. Nothing is staged, stashed or changed here.

    Raises:
        NoCode: there is no git here.
    """
    tracked = _names(folder, "ls-files", "-z")
    new = _names(folder, "ls-files", "-z", "--others", "--exclude-standard")
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD", fails=True).decode().strip() or None
    changed = set(_names(folder, "diff", "--name-only", "-z", "--relative", "HEAD")) if commit else set(tracked)
    needles = [secret.encode() for secret in secrets if len(secret) >= SHORTEST_SECRET]
    files, left_out, dirty = [], [], []
    for name in sorted({*tracked, *new}):
        path = folder / name
        if any(path.is_relative_to(other) for other in without) or KEPT_LOSER.search(name):
            continue
        if name in changed or name not in tracked:
            dirty.append(name)
        if not path.exists() and not path.is_symlink():
            continue  # deleted, and not committed yet
        reason = _reason_to_leave_out(name, path, needles)
        if reason:
            left_out.append(f"{name}: {reason}")
        else:
            files.append(ReleaseFile(name, path, 0o755 if path.stat().st_mode & 0o100 else 0o644))
    return CodeTree(tuple(files), commit, tuple(dirty), tuple(left_out))


def secret_name(name: str) -> str | None:
    """Why a file of this name must not leave this machine; None when its name says nothing against it."""
    *folders, last = name.lower().split("/")
    if SECRET_FOLDERS.intersection(folders):
        return "in a folder of secrets"
    if any(fnmatch.fnmatch(last, pattern) for pattern in SECRET_NAMES) and not any(
        fnmatch.fnmatch(last, pattern) for pattern in HARMLESS_NAMES
    ):
        return "its name says that it is secret"
    return None


def _reason_to_leave_out(name: str, path: Path, needles: Sequence[bytes]) -> str | None:
    if path.is_symlink():
        return "a link"
    if not path.is_file():
        return "a submodule or no regular file"
    if reason := secret_name(name):
        return reason
    with path.open("rb") as file:
        data = file.read(SCANNED_BYTES)
    if PRIVATE_KEY.search(data):
        return "it holds a private key"
    if any(needle in data for needle in needles):
        return "it holds one of this workspace's secrets"
    return None


def _names(folder: Path, *arguments: str) -> list[str]:
    return [os.fsdecode(name) for name in _git(folder, *arguments).split(b"\0") if name]


def _git(folder: Path, *arguments: str, fails: bool = False) -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, env=environment, timeout=GIT_LIMIT_S
        )
    except FileNotFoundError as error:
        raise NoCode("git is not installed, so it cannot be told which files are code: install git") from error
    except subprocess.TimeoutExpired as error:
        raise NoCode(f"git did not answer within {GIT_LIMIT_S} s in {folder}") from error
    if done.returncode != 0 and not fails:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = words[-1] if words else f"exit code {done.returncode}"
        raise NoCode(f"{folder} cannot be read as a git work tree ({why}): `git init` there, or set [sync] code")
    return done.stdout
