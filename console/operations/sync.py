"""Sync by hand: push code and data to a box's working copy, and tell or settle what differs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from console.errors import WrongInput
from console.operations.events import OperationEvent, Report, Step, relay, silent
from console.operations.prepare import push_code
from console.operations.session import Session
from console.settings import load_secrets
from console.words import count, size

if TYPE_CHECKING:
    from remote.sync.code import CodeTree
    from remote.sync.compare import Difference, Side
    from remote.sync.hashes import HashCache
    from remote.sync.push import Release
    from remote.sync.rsync import SystemSsh
    from remote.sync.workcopy import CopyFile
    from remote.transport import Transport

Winner = Literal["box", "laptop"]


class WhichInstance(WrongInput):
    """No instance was named and it is not clear which one is meant."""


class NothingToTake(WrongInput):
    """The file that shall win is not there, or both are the same."""


class ChangedMeanwhile(Exception):
    """A file was edited while it was being settled; nothing was lost, do it again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What one push brought to the box; `conflicts` are names that were edited there and were therefore left alone."""

    instance_id: int
    worker_release: str
    code_release: str | None
    code_files: int
    dirty: tuple[str, ...]
    data_files: int
    sent_bytes: int
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    conflicts: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """One file that is the same on both machines now; `kept` is where the version that lost lies, if there was one."""

    name: str
    winner: Winner
    kept: str | None


def the_instance(session: Session, instance_id: int | None) -> int:
    """`instance_id`, or the only one that is rented.

    Raises:
        WhichInstance: none or several are.
    """
    if instance_id is not None:
        return instance_id
    rented = [row.instance_id for row in session.living_rentals()]
    if len(rented) == 1:
        return rented[0]
    if not rented:
        raise WhichInstance("nothing is rented: `spotter rent` rents a machine")
    raise WhichInstance(f"{len(rented)} instances are rented ({', '.join(map(str, sorted(rented)))}): name one")


def code_folder(session: Session) -> Path:
    """Where the workspace's own code lies."""
    return (session.workspace.root / session.settings.sync.code).resolve()


def workspace_code(session: Session) -> CodeTree:
    """The workspace's code as it lies here now, without data, results, state and secrets.

    Raises:
        remote.sync.code.NoCode: the folder is no git work tree.
    """
    from remote.sync.code import workspace_code as read_code

    here = session.workspace
    values = load_secrets(here).model_dump().values()
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    without = [folder.resolve() for folder in (here.data, here.runs.parent, here.state)]
    return read_code(code_folder(session), without=without, secrets=secrets)


def push_workspace_code(session: Session, transport: Transport, report: Report = silent) -> Release | None:
    """Push the workspace's own code as a release beside Spotter's; None when the workspace is no git work tree."""
    with open_hashes(session) as hashes:
        return _push_code(session, transport, None, hashes, report)[0]


def push(session: Session, instance_id: int, report: Report = silent) -> Pushed:
    """Push Spotter's worker, the workspace's code and `data/`; what was edited on the box is kept and named.

    Raises:
        remote.transport.TransportError: the box cannot be reached, or the connection broke; push again.
    """
    with session.reach(instance_id) as transport:
        return push_over(session, transport, instance_id, report)


def push_over(session: Session, transport: Transport, instance_id: int, report: Report = silent) -> Pushed:
    """`push` over a connection that is there."""
    from remote.sync.push import push_blobs
    from remote.sync.workcopy import CopyFile, checkout

    root = session.settings.cloud.remote_root
    worker = push_code(session, transport, report)
    with open_hashes(session) as hashes:
        ssh = system_ssh(session, transport, instance_id) if session.settings.sync.backend == "rsync" else None
        code, tree = _push_code(session, transport, ssh, hashes, report)
        with Step("push", "sending data/", report) as step:
            data, left_out = data_files(session)
            rows = _code_rows(session, code)

            def hashed() -> dict[str, Path]:
                blobs = {}
                for name, path in data.items():
                    digest = hashes.sha256_of(path)
                    blobs[digest] = path
                    rows.append(CopyFile(name, 0o644, digest, f"blobs/{digest[:2]}/{digest}"))
                return blobs

            pushed = push_blobs(transport, root, hashed, relay("push", report))
            done = checkout(transport, root, rows, partial=code is None)
            step.summary = (
                f"data/: {count(pushed.sent, 'file')} sent ({size(pushed.sent_bytes)}), {pushed.present} there · "
                f"working copy {done.path}: {len(done.updated)} updated, {len(done.removed)} removed"
            )
    for name in done.conflicts:
        words = f"{name} was edited on the box and was left alone: `spotter diff` shows it, --take settles it"
        report(OperationEvent("conflict", "failed", words))
    return Pushed(
        instance_id=instance_id,
        worker_release=worker.tree_hash,
        code_release=code.tree_hash if code else None,
        code_files=code.files if code else 0,
        dirty=tree.dirty if tree else (),
        data_files=len(data),
        sent_bytes=pushed.sent_bytes,
        updated=done.updated,
        removed=done.removed,
        conflicts=done.conflicts,
        left_out=(*(tree.left_out if tree else ()), *left_out),
    )


def diff(session: Session, instance_id: int, path: str | None = None) -> list[Difference]:
    """What differs between this workspace and the box's working copy, below `path` if one is given.

    Raises:
        remote.transport.TransportError: the box cannot be reached.
    """
    with session.reach(instance_id) as transport:
        return diff_over(session, transport, path)


def diff_over(session: Session, transport: Transport, path: str | None = None) -> list[Difference]:
    """`diff` over a connection that is there."""
    from remote.sync.compare import compare
    from remote.sync.workcopy import list_copy

    below = "" if path is None else session.workspace.relative(session.workspace.root / path)
    below = "" if below == "." else below
    with open_hashes(session) as hashes:
        here = {name: side for name, side in _sides_here(session, hashes).items() if _is_below(name, below)}
    there = list_copy(transport, session.settings.cloud.remote_root, below)
    return compare(here, there.files, there.base)


def take(session: Session, instance_id: int, path: str, winner: Winner, report: Report = silent) -> Taken:
    """Make one file the same on both machines; the version that loses is kept beside it as `<name>.<time>.bak`.

    Raises:
        NothingToTake: the winner's file is not there, or nothing differs.
        ChangedMeanwhile: it was edited while this ran.
    """
    name = session.workspace.relative(session.workspace.root / path)
    with (
        Step("sync", f"taking {name} from the {winner}", report) as step,
        session.reach(instance_id) as transport,
        open_hashes(session) as hashes,
    ):
        found = next((each for each in diff_over(session, transport, name) if each.name == name), None)
        if found is None:
            raise NothingToTake(f"{name} is the same on both machines, or on neither")
        take_one = _take_theirs if winner == "box" else _take_ours
        kept = take_one(session, transport, found, hashes)
        step.summary = f"{name} is the {winner}'s on both" + (f"; the other one is kept as {kept}" if kept else "")
    return Taken(name, winner, kept)


def _take_theirs(session: Session, transport: Transport, found: Difference, hashes: HashCache) -> str | None:
    from remote.agent.files import Landing
    from remote.sync.workcopy import agree, fetch, stamp

    root = session.settings.cloud.remote_root
    if found.there is None:
        raise NothingToTake(f"{found.name} is not on the box: `spotter push` brings it there")
    place = session.workspace.root / found.name
    draft = session.workspace.state / "incoming" / found.there.sha256
    draft.parent.mkdir(parents=True, exist_ok=True)
    if not fetch(transport, root, found.name, found.there, draft):
        raise ChangedMeanwhile(f"{found.name} was edited on the box while it was fetched: take it again")
    kept = None
    if place.exists():
        if found.here is None or hashes.sha256_of(place) != found.here.sha256:
            raise ChangedMeanwhile(f"{found.name} was edited here meanwhile: look at `spotter diff` again")
        kept = place.with_name(f"{place.name}.{stamp()}.bak")
        shutil.copy2(place, kept)
    landing = Landing()
    landing.add(draft, place, found.there.size)
    landing.land()
    agree(transport, root, found.name, found.there.sha256)
    return session.workspace.relative(kept) if kept else None


def _take_ours(session: Session, transport: Transport, found: Difference, hashes: HashCache) -> str | None:
    from remote.sync.push import push_blobs
    from remote.sync.workcopy import CopyFile, checkout

    root = session.settings.cloud.remote_root
    if found.here is None:
        raise NothingToTake(f"{found.name} is not here: `--take box` fetches it")
    place = session.workspace.root / found.name
    digest = hashes.sha256_of(place)
    push_blobs(transport, root, {digest: place})
    mode = 0o755 if place.stat().st_mode & 0o100 else 0o644
    row = CopyFile(found.name, mode, digest, f"blobs/{digest[:2]}/{digest}")
    done = checkout(transport, root, [row], take=[found.name], partial=True)
    return done.kept.get(found.name)


@contextmanager
def open_hashes(session: Session) -> Iterator[HashCache]:
    """What this workspace's files hashed to when they were last read."""
    from remote.sync.hashes import HashCache

    session.workspace.prepare()
    with HashCache(session.workspace.state / "hashes.db") as hashes:
        yield hashes


def data_files(session: Session) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The files of `data/` by their name in the workspace, and what is left out because it looks secret."""
    from remote.sync.code import KEPT_LOSER, secret_name

    files, left_out = {}, []
    for path in sorted(session.workspace.data.rglob("*")):
        name = session.workspace.relative(path)
        hidden = any(part.startswith(".") for part in path.relative_to(session.workspace.data).parts)
        if not path.is_file() or KEPT_LOSER.search(name):
            continue
        if reason := secret_name(name):
            left_out.append(f"{name}: {reason}")
        elif not hidden:
            files[name] = path
    return files, tuple(left_out)


def system_ssh(session: Session, transport: Transport, instance_id: int) -> SystemSsh:
    """How rsync reaches the box: the endpoint, key and pinned host key that our own connection uses."""
    from remote.sync.rsync import SystemSsh

    return SystemSsh(
        transport.endpoint.host,
        transport.endpoint.port,
        session.settings.cloud.ssh_user,
        session.key.private_path,
        session.workspace.host_keys / str(instance_id),
    )


def _push_code(
    session: Session, transport: Transport, ssh: SystemSsh | None, hashes: HashCache, report: Report
) -> tuple[Release | None, CodeTree | None]:
    from remote.sync.code import NoCode
    from remote.sync.push import push_release
    from remote.sync.rsync import push_release_by_rsync

    with Step("push", "sending the workspace's own code", report) as step:
        try:
            tree = workspace_code(session)
        except NoCode as reason:
            step.summary = f"no code of its own is sent: {reason}"
            return None, None
        note = {"commit": tree.commit, "dirty": list(tree.dirty)}
        root = session.settings.cloud.remote_root
        tell = relay("push", report)
        if ssh is not None:
            release = push_release_by_rsync(
                transport, root, tree.files, ssh, tell, link="code", note=note, hashes=hashes
            )
        else:
            release = push_release(transport, root, tree.files, tell, link="code", note=note, hashes=hashes)
        at = f"at {tree.commit[:8]}" if tree.commit else "before the first commit"
        dirty = f" with {count(len(tree.dirty), 'change')}" if tree.dirty else ""
        left_out = f", {count(len(tree.left_out), 'file')} left out" if tree.left_out else ""
        step.summary = f"own code {release.tree_hash[:12]} {at}{dirty}: {count(release.files, 'file')}{left_out}"
    for words in tree.left_out:
        report(OperationEvent("left out", "finished", words))
    return release, tree


def _code_rows(session: Session, code: Release | None) -> list[CopyFile]:
    from remote.sync.workcopy import CopyFile

    if code is None:
        return []
    prefix = _code_prefix(session)
    return [
        CopyFile(prefix + entry.name, entry.mode, entry.sha256, f"releases/{code.tree_hash}/{entry.name}")
        for entry in code.entries
    ]


def _code_prefix(session: Session) -> str:
    """What stands before a code file's name in the workspace; code that lies elsewhere keeps its own folder's name."""
    folder, root = code_folder(session), session.workspace.root.resolve()
    if folder == root:
        return ""
    return f"{folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name}/"


def _sides_here(session: Session, hashes: HashCache) -> dict[str, Side]:
    from remote.sync.code import NoCode
    from remote.sync.compare import Side

    files, _left_out = data_files(session)
    prefix = _code_prefix(session)
    with suppress(NoCode):  # only data/ is kept in step then; push says so
        files |= {prefix + file.name: file.source for file in workspace_code(session).files}
    sides = {}
    for name, path in files.items():
        found = path.stat()
        sides[name] = Side(found.st_size, found.st_mtime, hashes.sha256_of(path))
    return sides


def _is_below(name: str, below: str) -> bool:
    return not below or name == below or name.startswith(f"{below}/")
