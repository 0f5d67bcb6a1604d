"""The life of emulated instances: created, loading, running, gone; each with its box, its keys and its meters."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.localcloud import image
from remote.localcloud.box.settings import (
    HOST_KEY_NAME,
    KEYS_NAME,
    LOG_NAME,
    STATUS_NAME,
    BoxSettings,
    BoxStatus,
)
from remote.localcloud.catalogue import MACHINES, Machine
from remote.localcloud.files import write_text
from remote.localcloud.processes import BOX_VARIABLE, ProcessIdentity, end_instance
from remote.localcloud.rows import disk_usd_per_hour, instance_row
from remote.localcloud.effects import Effects
from remote.localcloud.store import Contract, Store

BY_OFFER = {machine.offer_id: machine for machine in MACHINES}
LAYERS = ("a1f155fa", "3c2cba91", "7d1e3b40", "e9d2c5f8")
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR", "VIRTUAL_ENV")
"""What a box's own process may know of this machine; its commands know nothing of it."""
BOX_START_LIMIT_S = 60.0
WATCH_S = 0.5


@dataclass(frozen=True, slots=True)
class Delays:
    """How long an instance stays in each state, in seconds, before `speed` divides it."""

    provisioning: float = 0.15
    created: float = 0.2
    loading: float = 0.6
    ports: float = 0.2

    def at(self, speed: float) -> Delays:
        """The same, `speed` times faster."""
        return Delays(*(each / speed for each in (self.provisioning, self.created, self.loading, self.ports)))


class Fleet:
    """All instances of the marketplace. Runs in the daemon's loop; processes are ended in threads."""

    def __init__(self, store: Store, state_dir: Path, api_url: str, delays: Delays, orphan_grace_s: float) -> None:
        self._store = store
        self._state_dir = state_dir
        self._api_url = api_url
        self._delays = delays
        self._orphan_grace_s = orphan_grace_s
        self._libraries = image.prepare_libraries(state_dir)
        self._boxes: dict[int, ProcessIdentity] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._ends: dict[int, asyncio.Task[None]] = {}
        self._ports_shown: set[int] = set()

    # what the API asks

    def rented_offers(self) -> set[int]:
        """Offers that are an instance now."""
        return {contract.offer_id for contract in self._store.contracts()}

    def row(self, contract: Contract) -> dict[str, Any]:
        """The instance as the API shows it."""
        box = BoxStatus.read(self._directory(contract.id)) if contract.id in self._boxes else None
        shown = contract.id in self._ports_shown
        return instance_row(contract, BY_OFFER[contract.offer_id], box, ports_shown=shown)

    def rent(self, wanted: dict[str, Any], effects: Effects) -> Contract:
        """Open a contract, make its home, start its life."""
        contract = self._store.add({**wanted, "effects": effects.as_dict()})
        machine = BY_OFFER[contract.offer_id]
        self._store.start_meter(contract.id, "disk", disk_usd_per_hour(machine, contract.disk_gb))
        self._make_home(contract)
        for key in self._store.keys(None):
            self._store.add_key(key.line, contract.id)
        self._publish_keys(contract)
        self._live(contract, self._begin(contract, slowly=True))
        return contract

    def attach(self, contract: Contract, line: str) -> None:
        """Let a key in, after the lag that a scenario may ask for."""
        if all(key.line != line for key in self._store.keys(contract.id)):
            self._store.add_key(line, contract.id)
        self._publish_keys(contract)

    def detach(self, contract: Contract, key_id: int) -> bool:
        """Let a key in no longer; whether it was attached."""
        removed = self._store.remove_key(key_id, contract.id)
        self._publish_keys(contract)
        return removed

    def destroy(self, contract: Contract) -> None:
        """Begin the end: the instance is there until every process of it is dead."""
        self._store.set_intended(contract.id, "destroyed")
        if contract.id not in self._ends:
            task = asyncio.create_task(self._destroy(contract.id), name=f"end of {contract.id}")
            task.add_done_callback(_log_failure)
            self._ends[contract.id] = task

    async def stop(self, contract: Contract) -> None:
        """End its processes, keep its disk (and its disk's price)."""
        self._store.set_intended(contract.id, "stopped")
        await self._end_processes(contract.id)
        self._store.stop_meters(contract.id, "gpu")
        self._store.set_status(contract.id, "stopped", "")

    async def start(self, contract: Contract, *, fresh_disk: bool = False) -> None:
        """Begin again: with the same disk (start, reboot) or an empty one (recycle); ports are new ones."""
        await self._end_processes(contract.id)
        self._store.stop_meters(contract.id, "gpu")
        self._store.set_intended(contract.id, "running")
        self._store.set_status(contract.id, "created", "")
        if fresh_disk:
            directory = self._directory(contract.id)
            await asyncio.to_thread(image.wipe, directory / "root")
            (directory / HOST_KEY_NAME).unlink(missing_ok=True)
            self._make_home(contract)
        self._live(contract, self._begin(contract, slowly=False))

    def container_log(self, contract: Contract, tail: int) -> str:
        """The last lines that the container wrote."""
        path = self._directory(contract.id) / LOG_NAME
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.exists() else []
        return "".join(lines[-tail:])

    # the daemon's own life

    async def adopt(self, seen_at: float) -> None:
        """After a restart: take over boxes that live, start those that died again, finish destroys.

        Args:
            seen_at: when the marketplace was last known to run; a dead box's GPU is billed until then.
        """
        for contract in self._store.contracts():
            box = BoxStatus.read(self._directory(contract.id))
            if box is not None and box.identity.alive:
                self._boxes[contract.id] = box.identity
            if contract.intended_status == "destroyed":
                self.destroy(contract)
            elif contract.id in self._boxes and contract.actual_status == "running":
                self._ports_shown.add(contract.id)
                self._live(contract, self._watch(contract))
            elif contract.intended_status == "running":
                await self._end_processes(contract.id)
                self._store.stop_meters(contract.id, "gpu", at=seen_at)
                self._store.set_status(contract.id, "loading", "the host was restarted")
                if not (self._directory(contract.id) / "root").exists():
                    self._make_home(contract)
                self._publish_keys(contract)
                self._live(contract, self._begin(contract, slowly=False))

    async def close(self) -> None:
        """End all processes; the instances stay, and live again at the next start."""
        await asyncio.gather(*self._ends.values())
        for contract in self._store.contracts():
            await self._end_processes(contract.id)
            self._store.stop_meters(contract.id, "gpu")

    async def destroy_all(self) -> None:
        """Destroy every instance and see it done."""
        for contract in self._store.contracts():
            self.destroy(contract)
        await asyncio.gather(*self._ends.values())

    # one instance

    def _directory(self, instance_id: int) -> Path:
        return self._state_dir / "instances" / str(instance_id)

    def _make_home(self, contract: Contract) -> None:
        machine = BY_OFFER[contract.offer_id]
        directory = self._directory(contract.id)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        image.make_home(directory, hardware_of(machine, contract.disk_gb), self._libraries)
        write_text(directory / LOG_NAME, f"EMULATED instance {contract.id} of image {contract.image}\n")

    def _publish_keys(self, contract: Contract) -> None:
        lag_s = Effects(**contract.effects).key_lag_s
        directory = self._directory(contract.id)
        lines = "".join(f"{key.line}\n" for key in self._store.keys(contract.id))

        def publish() -> None:
            if directory.exists():
                write_text(directory / KEYS_NAME, lines)

        if lag_s:
            asyncio.get_running_loop().call_later(lag_s, publish)
        else:
            publish()

    def _live(self, contract: Contract, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life, name=f"instance {contract.id}")
        task.add_done_callback(_log_failure)
        self._lives[contract.id] = task

    async def _begin(self, contract: Contract, *, slowly: bool) -> None:
        """From nothing to running; `slowly` pulls the image."""
        effects = Effects(**contract.effects)
        self._start_box(contract, effects)
        if slowly:
            await self._pull(contract, effects)
        if not await self._box_is_up(contract.id):
            self._store.set_status(contract.id, "exited", "OCI runtime create failed: the box ended, see its log")
            return
        self._store.set_status(contract.id, "running", f"success, running {contract.image}/ssh")
        self._store.start_meter(contract.id, "gpu", BY_OFFER[contract.offer_id].usd_per_hour)
        await asyncio.sleep(self._delays.ports)
        self._ports_shown.add(contract.id)
        await self._watch(contract)

    async def _pull(self, contract: Contract, effects: Effects) -> None:
        await asyncio.sleep(self._delays.provisioning)
        self._store.set_status(contract.id, "created", "")
        await asyncio.sleep(self._delays.created)
        if effects.pull_error:
            self._store.set_status(contract.id, "loading", effects.pull_error)
            await asyncio.Event().wait()
        self._store.set_status(contract.id, "loading", f"{LAYERS[0]}: Pulling fs layer")
        await asyncio.sleep(effects.load_s)
        for layer in LAYERS:
            self._store.set_status(contract.id, "loading", f"{layer}: Download complete")
            await asyncio.sleep(self._delays.loading / len(LAYERS))

    def _start_box(self, contract: Contract, effects: Effects) -> None:
        directory = self._directory(contract.id)
        (directory / STATUS_NAME).unlink(missing_ok=True)
        environment = {
            **contract.environment,
            "CONTAINER_API_KEY": contract.api_key,
            "VAST_URL": self._api_url,
        }
        BoxSettings(
            contract.id + (1 if effects.wrong_container_id else 0),
            str(self._state_dir),
            environment,
            contract.onstart,
            self._orphan_grace_s,
            effects.ssh_refused_s,
        ).write(directory)
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
        self._children[contract.id] = child
        self._boxes[contract.id] = ProcessIdentity.of(child.pid)

    async def _box_is_up(self, instance_id: int) -> bool:
        deadline = time.monotonic() + BOX_START_LIMIT_S
        while time.monotonic() < deadline and self._box_alive(instance_id):
            status = BoxStatus.read(self._directory(instance_id))
            if status is not None:
                return True
            await asyncio.sleep(0.02)
        return False

    def _box_alive(self, instance_id: int) -> bool:
        child = self._children.get(instance_id)
        if child is not None and child.poll() is not None:
            return False
        return self._boxes[instance_id].alive

    async def _watch(self, contract: Contract) -> None:
        while self._box_alive(contract.id):
            await asyncio.sleep(WATCH_S)
        self._ports_shown.discard(contract.id)
        self._store.stop_meters(contract.id, "gpu")
        self._store.set_status(contract.id, "exited", "the container ended")

    async def _end_processes(self, instance_id: int) -> None:
        life = self._lives.pop(instance_id, None)
        if life is not None:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
        self._ports_shown.discard(instance_id)
        box = self._boxes.pop(instance_id, None)
        await asyncio.to_thread(end_instance, self._directory(instance_id), box)
        child = self._children.pop(instance_id, None)
        if child is not None:
            await asyncio.to_thread(child.wait)

    async def _destroy(self, instance_id: int) -> None:
        await self._end_processes(instance_id)
        await asyncio.to_thread(image.wipe, self._directory(instance_id))
        self._store.end(instance_id)
        del self._ends[instance_id]


def hardware_of(machine: Machine, disk_gb: float) -> image.Hardware:
    """What the machine's shims say."""
    return image.Hardware(machine.gpu.name, machine.gpu_count, machine.gpu.ram_mb, machine.driver, disk_gb)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        print(f"{task.get_name()} failed:", flush=True)
        traceback.print_exception(error)
