"""Start, find and stop the emulated marketplace of a state directory: one daemon each, whoever asks first."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from remote.localcloud.lock import ALREADY_SERVED, CloudLock
from remote.localcloud.whereabouts import Whereabouts

START_LIMIT_S = 30.0
STOP_LIMIT_S = 30.0
LOG_NAME = "cloud.log"


@dataclass(frozen=True, slots=True)
class LocalCloudAddress:
    """Where a running local cloud listens, and the key it takes."""

    url: str
    api_key: str
    pid: int


class LocalCloudFailed(Exception):
    """The local cloud did not start or stop; the text says why and where its log is."""


def ensure_running(
    state_dir: Path, *, speed: float = 1.0, idle_exit_s: float = 60.0, orphan_grace_s: float = 10.0
) -> LocalCloudAddress:
    """The address of the running daemon; started (detached) when there is none. Two starts at once give one daemon.

    The other arguments hold for a daemon that this call starts.

    Raises:
        LocalCloudFailed: it did not come up.
    """
    found = address(state_dir)
    if found is not None:
        return found
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-P", "-m", "remote.localcloud", "--detach", "--state", str(state_dir)]
    options = {"--speed": speed, "--idle-exit": idle_exit_s, "--orphan-grace": orphan_grace_s}
    command += [str(part) for option in options.items() for part in option]
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        started = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if started.returncode not in (0, ALREADY_SERVED):
            raise LocalCloudFailed(f"the local cloud cannot be started: {started.stderr.decode().strip()[-500:]}")
        ours = started.returncode == 0
        patience = deadline if ours else time.monotonic() + 0.5
        while time.monotonic() < patience:
            found = address(state_dir)
            if found is not None:
                return found
            if ours and _is_free(state_dir):
                raise LocalCloudFailed(f"the local cloud ended at its start: {_last_line(state_dir)}")
            time.sleep(0.02)
    raise LocalCloudFailed(f"the local cloud did not come up within {START_LIMIT_S:.0f} s: {_last_line(state_dir)}")


def address(state_dir: Path) -> LocalCloudAddress | None:
    """The address of the running daemon, or None; starts nothing."""
    where = Whereabouts.read(state_dir)
    if where is None or not where.identity.alive:
        return None
    return LocalCloudAddress(where.url, where.api_key, where.pid)


def stop(state_dir: Path) -> bool:
    """Destroy every emulated instance, end every process of the cloud; False when none was running.

    Instances and processes of a cloud that died by itself are ended too.

    Raises:
        LocalCloudFailed: it did not end.
    """
    where = Whereabouts.read(state_dir)
    if where is None or not where.identity.alive:
        _clear_leftovers(state_dir.resolve())
        return False
    request = urllib.request.Request(  # noqa: S310 (our own loopback address)
        f"{where.url}/_emu/stop", method="POST", headers={"Authorization": f"Bearer {where.api_key}"}
    )
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=STOP_LIMIT_S).close()
    except (OSError, urllib.error.URLError, json.JSONDecodeError) as error:
        if where.identity.alive:
            raise LocalCloudFailed(f"the local cloud (process {where.pid}) does not stop: {error}") from error
    deadline = time.monotonic() + STOP_LIMIT_S
    while where.identity.alive:
        if time.monotonic() > deadline:
            raise LocalCloudFailed(f"the local cloud (process {where.pid}) does not end: {_last_line(state_dir)}")
        time.sleep(0.02)
    return True


def _is_free(state_dir: Path) -> bool:
    with CloudLock(state_dir) as lock:
        return lock.take()


def _clear_leftovers(state_dir: Path) -> None:
    """End what a killed daemon left: its boxes and their processes, then its instances."""
    from remote.localcloud.box.settings import BoxStatus
    from remote.localcloud.image import wipe
    from remote.localcloud.processes import end_instance
    from remote.localcloud.server import DATABASE_NAME
    from remote.localcloud.store import Store

    if not (state_dir / DATABASE_NAME).exists():
        return
    with CloudLock(state_dir) as lock:
        if not lock.take():
            return
        store = Store(state_dir / DATABASE_NAME)
        for contract in store.contracts():
            directory = state_dir / "instances" / str(contract.id)
            box = BoxStatus.read(directory)
            end_instance(directory, box.identity if box is not None else None)
            wipe(directory)
            store.end(contract.id)
        store.close()


def _last_line(state_dir: Path) -> str:
    path = state_dir / LOG_NAME
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return f"{lines[-1] if lines else 'it wrote nothing'} ({path})"
