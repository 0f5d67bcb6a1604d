"""`python -m remote.localcloud.box DIRECTORY`: run the instance of that directory until it is killed.

A box ends itself, with everything that it started, when its directory is gone or its marketplace has been dead for
a while: an emulated machine must not outlive its cloud.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

from remote.localcloud.box.commands import Commands
from remote.localcloud.box.disk import stop_growing
from remote.localcloud.box.server import Endpoints
from remote.localcloud.box.settings import LOG_NAME, BoxSettings, BoxStatus, Order
from remote.localcloud.image import environment_of
from remote.localcloud.processes import BOX_VARIABLE, ProcessIdentity, end_descendants
from remote.localcloud.whereabouts import Whereabouts

PR_SET_CHILD_SUBREAPER = 36
LOOK_S = 0.5


def main() -> None:
    """Run until SIGTERM, or until nobody needs the box any more."""
    directory = Path(sys.argv[1])
    settings = BoxSettings.read(directory)
    _adopt_orphans()
    environment = {
        **environment_of(directory, settings.instance_id, settings.environment),
        BOX_VARIABLE: str(directory),
    }
    os.chdir(directory / "root")
    try:
        asyncio.run(_serve(directory, settings, environment))
    finally:
        end_descendants(directory)


async def _serve(directory: Path, settings: BoxSettings, environment: dict[str, str]) -> None:
    told_to_end = asyncio.Event()
    ordered = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    loop.add_signal_handler(signal.SIGUSR1, ordered.set)
    commands = Commands(directory / "root", environment)
    endpoints = Endpoints(directory, commands)
    identity = ProcessIdentity.of(os.getpid())
    status = BoxStatus(identity.pid, identity.created_at, endpoints.direct_port, endpoints.proxy_port)
    status.write(directory)
    ordered.set()
    obeying = asyncio.create_task(_obey(ordered, directory, settings, environment, commands, endpoints, status))
    await _first(told_to_end.wait(), _until_unneeded(directory, settings, endpoints), obeying)
    if obeying.done():
        obeying.result()


async def _obey(
    ordered: asyncio.Event,
    directory: Path,
    settings: BoxSettings,
    environment: dict[str, str],
    commands: Commands,
    endpoints: Endpoints,
    status: BoxStatus,
) -> None:
    """Carry out orders as they come, and say so."""
    known = Order()
    while True:
        await ordered.wait()
        ordered.clear()
        order = Order.read(directory)
        if order.running and not known.running:
            _start_onstart(directory, settings, environment)
        if order.cuts > known.cuts:
            endpoints.cut()
        commands.disk_is_full = order.full
        if order.full and not known.full:
            stop_growing(os.getpid())
        endpoints.become(order)
        endpoints.report_traffic()
        known = order
        replace(status, order=order.number).write(directory)


async def _first(*waiting: Awaitable[object]) -> None:
    await asyncio.wait([asyncio.ensure_future(each) for each in waiting], return_when=asyncio.FIRST_COMPLETED)


async def _until_unneeded(directory: Path, settings: BoxSettings, endpoints: Endpoints) -> None:
    """Keep the count of traffic; return once nobody needs the box.

    That is when the instance's directory is gone, or the marketplace has been dead for the grace time.
    """
    state_dir = Path(settings.state_dir)
    seen_alive = time.monotonic()
    while directory.exists():
        where = Whereabouts.read(state_dir)
        if where is not None and where.identity.alive:
            seen_alive = time.monotonic()
        elif time.monotonic() - seen_alive > settings.orphan_grace_s:
            return
        if directory.exists():
            endpoints.report_traffic()
        await asyncio.sleep(LOOK_S)


def _start_onstart(directory: Path, settings: BoxSettings, environment: dict[str, str]) -> None:
    """Run the instance's start script as the container's own process does, its output in the container's log."""
    if not settings.onstart:
        return
    with (directory / LOG_NAME).open("ab") as log:
        subprocess.Popen(
            [environment["SHELL"], "-c", settings.onstart],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory / "root",
            env=environment,
            start_new_session=True,
        )


def _adopt_orphans() -> None:
    """Become the parent of whatever our commands leave behind, so that a destroy finds it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
