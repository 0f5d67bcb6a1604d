"""Pull a run that is still being worked on, its ledger included, so that another box can go on from what is here.

The ledger is listed only at the orderly end of a session; a box that is lost never gets there. Between, a snapshot
is taken of it before the artifacts are pulled: whatever it calls done was listed by then, and is here afterwards.
"""

from __future__ import annotations

from pathlib import Path

from remote.agent.files import Landing
from remote.jobs import Agent, AgentError, SqliteCopy
from remote.progress import Progress, Report, silent
from remote.sync.holdings import Holdings, Listed, open_holdings, parse_listing
from remote.sync.pull import Pulled, pull_artifacts, receive_file, run_name
from remote.transport import Transport

LEDGER = "ledger.sqlite"
SNAPSHOT = f".snapshot/{LEDGER}"
"""Where it lies in the run's folder on the box; never listed."""


def pull_live(
    agent: Agent, transport: Transport, remote_run_dir: str, local_run_dir: Path, report: Report = silent
) -> Pulled:
    """Snapshot the ledger on the box, pull every listed file, then put the snapshot here as `ledger.sqlite`.

    A run without a ledger yet is pulled all the same. A listed ledger that is held verified is replaced only while
    the box's own one has gone on from there. `Pulled` counts listed files only, as `pull_artifacts` does.
    `remote_run_dir` is `<root>/runs/<run id>` on the box, of the root that `agent` serves.

    Raises:
        AgentError: the box could not copy its ledger (no space, or rewritten all the time); the rest was pulled.
        UnsafePath, BoxBehind, ConnectionLost, TransferError: as `pull_artifacts`; the ledger here is then as it was.
    """
    run = run_name(remote_run_dir)
    before = _identity(local_run_dir / LEDGER)
    snapshot, trouble = None, None
    try:
        if agent.stat(f"{run}/{LEDGER}")["exists"]:
            snapshot = agent.snapshot_sqlite(f"{run}/{LEDGER}", f"{run}/{SNAPSHOT}")
    except AgentError as error:
        trouble = error
    pulled = pull_artifacts(transport, remote_run_dir, local_run_dir, report)
    if trouble is not None:
        raise trouble
    if snapshot is None:
        return pulled
    with open_holdings(local_run_dir) as holdings:
        if before != _identity(local_run_dir / LEDGER):
            return pulled  # a listed ledger, or another pull's, came after the snapshot
        listed, _refused = parse_listing(holdings.listing())
        final = listed.get(LEDGER)
        if final is not None and holdings.holds(final) and agent.sha256(f"{run}/{LEDGER}") == final.sha256:
            return pulled  # nothing was done since it was listed
        if holdings.holds(_as_listed(snapshot)):
            return pulled
        _fetch(transport, remote_run_dir, snapshot, holdings, report)
        if final is not None:
            holdings.publish(item for item in listed.values() if holdings.holds(item))
    return pulled


def _fetch(transport: Transport, remote_run_dir: str, snapshot: SqliteCopy, holdings: Holdings, report: Report) -> None:
    draft = holdings.incoming / f"ledger-{snapshot.sha256[:16]}.snapshot"
    for stale in holdings.incoming.glob("ledger*.snapshot"):
        if stale != draft:
            stale.unlink()
    if not receive_file(transport, remote_run_dir, SNAPSHOT, snapshot.size, snapshot.sha256, draft):
        report(Progress("pull", "the ledger was copied anew meanwhile; the next pull fetches it"))
        return
    place = holdings.run_dir / LEDGER
    for journal in ("-wal", "-shm", "-journal"):  # of whoever read the ledger before: it must not be played into this
        place.with_name(LEDGER + journal).unlink(missing_ok=True)
    landing = Landing()
    landing.add(draft, place, snapshot.size)
    landing.land()
    holdings.note([_as_listed(snapshot)])
    report(Progress("pull", "the run's ledger is here as it stands now", snapshot.size, snapshot.size, "bytes"))


def _as_listed(snapshot: SqliteCopy) -> Listed:
    return Listed(LEDGER, snapshot.sha256, snapshot.size, b"")


def _identity(path: Path) -> tuple[int, int, int] | None:
    if not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
