"""The processes behind instances, seen from the marketplace: start a box, give it orders, see it dead."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from remote.localcloud.box.settings import STATUS_NAME, BoxSettings, BoxStatus, Order
from remote.localcloud.box.traffic import Traffic
from remote.localcloud.processes import BOX_VARIABLE, ProcessIdentity, end_instance

INHERITED = ("HOME", "LANG", "PATH", "TMPDIR", "VIRTUAL_ENV")
"""What a box's own process may know of this machine; its commands know nothing of it."""
BOX_START_LIMIT_S = 60.0
ORDER_LIMIT_S = 10.0
LAST_ORDER_LIMIT_S = 1.0
LOOK_S = 0.01
WATCH_S = 0.25


class Boxes:
    """Every box of the marketplace by its instance's id. Waits are real: processes take the time that they take."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._identities: dict[int, ProcessIdentity] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._frozen: set[int] = set()
        self._ordering: dict[int, asyncio.Lock] = {}

    def directory(self, instance_id: int) -> Path:
        """Where everything of an instance lies."""
        return self._state_dir / "instances" / str(instance_id)

    def has(self, instance_id: int) -> bool:
        """Whether a box of it was started and not ended; it may have died."""
        return instance_id in self._identities

    def status(self, instance_id: int) -> BoxStatus | None:
        """What the box told last; None before it has its ports."""
        return BoxStatus.read(self.directory(instance_id)) if self.has(instance_id) else None

    def traffic(self, instance_id: int) -> Traffic:
        """What went through its SSH ports so far."""
        return Traffic.read(self.directory(instance_id))

    def adopt(self, instance_id: int) -> bool:
        """Take over a box that an earlier daemon started; whether one lives."""
        status = BoxStatus.read(self.directory(instance_id))
        if status is None or not status.identity.alive:
            return False
        self._identities[instance_id] = status.identity
        return True

    def start(self, settings: BoxSettings, instance_id: int) -> None:
        """Start the box's process; its ports refuse connections until it is ordered otherwise."""
        directory = self.directory(instance_id)
        (directory / STATUS_NAME).unlink(missing_ok=True)
        Order(number=Order.read(directory).number + 1).write(directory)
        settings.write(directory)
        inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
        with (directory / "box.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "remote.localcloud.box", str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**inherited, BOX_VARIABLE: str(directory)},
                start_new_session=True,
            )
        self._children[instance_id] = child
        self._identities[instance_id] = ProcessIdentity.of(child.pid)

    async def is_up(self, instance_id: int) -> bool:
        """Wait until the box has its ports; False when it ended instead."""
        deadline = time.monotonic() + BOX_START_LIMIT_S
        while time.monotonic() < deadline and self.alive(instance_id):
            if self.status(instance_id) is not None:
                return True
            await asyncio.sleep(LOOK_S)
        return False

    def alive(self, instance_id: int) -> bool:
        """Whether its process lives; a frozen one does."""
        child = self._children.get(instance_id)
        if child is not None and child.poll() is not None:
            return False
        identity = self._identities.get(instance_id)
        return identity is not None and identity.alive

    async def ended(self, instance_id: int) -> None:
        """Wait until its process is dead."""
        while self.alive(instance_id):
            await asyncio.sleep(WATCH_S)

    def order_now(self, instance_id: int) -> Order:
        """What it was told last."""
        return Order.read(self.directory(instance_id))

    async def order(self, instance_id: int, *, limit_s: float = ORDER_LIMIT_S, **changes: Any) -> bool:
        """Tell it to be different in these points, and wait until it is; False when it does not listen."""
        lock = self._ordering.setdefault(instance_id, asyncio.Lock())
        async with lock:
            directory = self.directory(instance_id)
            identity = self._identities.get(instance_id)
            if identity is None or not directory.exists():
                return False
            last = Order.read(directory)
            order = replace(last, number=last.number + 1, **changes)
            order.write(directory)
            deadline = time.monotonic() + limit_s
            if instance_id in self._frozen:
                return False
            # A box that has no status yet does not listen to signals either; it looks for its order when it does.
            if self.status(instance_id) is not None:
                self._signal(instance_id, signal.SIGUSR1)
            while time.monotonic() < deadline and self.alive(instance_id):
                status = self.status(instance_id)
                if status is not None and status.order >= order.number:
                    return True
                await asyncio.sleep(LOOK_S / 2)
        return False

    def freeze(self, instance_id: int) -> None:
        """Let its SSH server stand still; its commands go on."""
        if self._signal(instance_id, signal.SIGSTOP):
            self._frozen.add(instance_id)

    async def thaw(self, instance_id: int) -> None:
        """Let it go on, with whatever was ordered meanwhile."""
        self._frozen.discard(instance_id)
        self._signal(instance_id, signal.SIGCONT)
        await self.order(instance_id)

    async def end(self, instance_id: int) -> None:
        """Kill the box and everything that was started in it; its traffic is counted to the end."""
        if self.status(instance_id) is not None:
            await self.order(instance_id, limit_s=LAST_ORDER_LIMIT_S)
        self._frozen.discard(instance_id)
        identity = self._identities.pop(instance_id, None)
        await asyncio.to_thread(end_instance, self.directory(instance_id), identity)
        child = self._children.pop(instance_id, None)
        if child is not None:
            await asyncio.to_thread(child.wait)

    def _signal(self, instance_id: int, number: int) -> bool:
        identity = self._identities.get(instance_id)
        process = identity.process() if identity is not None else None
        if process is None:
            return False
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
            return True
        return False
