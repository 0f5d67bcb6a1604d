"""The life of one emulated instance: created, loading, running, gone; and what may befall it on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.localcloud import image
from remote.localcloud.accounts import DELETED_AFTER_S, Accounts
from remote.localcloud.box.settings import FULL_NAME, HOST_KEY_NAME, KEYS_NAME, LOG_NAME, BoxSettings
from remote.localcloud.boxes import Boxes
from remote.localcloud.catalogue import BY_OFFER, Machine
from remote.localcloud.effects import Effects, Event, Fault
from remote.localcloud.files import write_text
from remote.localcloud.homes import Homes
from remote.localcloud.pull import Delays, pull
from remote.localcloud.rows import disk_usd_per_hour
from remote.localcloud.store import Contract, Store
from remote.localcloud.terms import effects_of, ends_at
from remote.localcloud.timers import Appointment, Timers

REBOOT_S = 60.0
"""How long a host takes to start again when nothing else is said."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What every life stands on."""

    store: Store
    boxes: Boxes
    timers: Timers
    accounts: Accounts
    homes: Homes
    delays: Delays
    api_url: str
    state_dir: str
    orphan_grace_s: float


class Life:
    """One instance. Everything that it waits for, but real processes, waits on the marketplace's clock."""

    def __init__(self, ground: Ground, contract_id: int, ended: Callable[[int], None]) -> None:
        self._ground = ground
        self._store, self._boxes, self._timers = ground.store, ground.boxes, ground.timers
        self.id = contract_id
        self._ended = ended
        self._course: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._end: asyncio.Task[None] | None = None
        self._contract_end = Appointment(self._timers, f"the contract's end of {contract_id}", self._on_contract_end)
        self.ports_shown = False
        self.offline = False

    # what its owner, or the market, does with it

    def begin(self, *, slowly: bool) -> None:
        """Let it become running; `slowly` by pulling the image."""
        self.rest()
        if not self._effects.stopped_at_once:
            self._follow(self._become_running(slowly=slowly))

    def rest(self) -> None:
        """Let it be as it is, until its contract ends."""
        ends = ends_at(self._contract)
        stopped_by_then = self._contract.intended_status != "running" and self._timers.now() > ends
        self._contract_end.move(ends + DELETED_AFTER_S if stopped_by_then else ends)

    def resume(self, seen_at: float) -> None:
        """Watch a box that an earlier daemon started; what was to happen since `seen_at` happens now."""
        self.rest()
        self.ports_shown = True
        self._follow(self._stay(seen_at))

    async def stop(self, message: str = "") -> None:
        """End its processes, keep its disk (and its disk's price)."""
        async with self._changing:
            self._store.set_intended(self.id, "stopped")
            await self._halt()
            self._store.set_status(self.id, "stopped", message)

    async def start(self, status: str, *, fresh_disk: bool = False) -> None:
        """Begin again on the same disk or on an empty one; its ports are new ones."""
        async with self._changing:
            await self._halt()
            self._store.set_intended(self.id, "running")
            self._store.set_status(self.id, status, "")
            if fresh_disk:
                directory = self._boxes.directory(self.id)
                await asyncio.to_thread(image.wipe, directory / "root")
                (directory / HOST_KEY_NAME).unlink(missing_ok=True)
                (directory / FULL_NAME).unlink(missing_ok=True)
                self._ground.homes.make(self._contract)
            self.publish_keys(at_once=True)
            self._follow(self._become_running(slowly=False))

    def destroy(self) -> asyncio.Task[None]:
        """Begin the end: the instance is there until every process of it is dead."""
        self._store.set_intended(self.id, "destroyed")
        if self._end is None:
            self._end = self._timers.start(self._destroy(), f"end of {self.id}")
        return self._end

    async def pause(self) -> None:
        """End its processes because the marketplace ends; it lives again with the next one."""
        async with self._changing:
            self._contract_end.move(None)
            await self._halt()

    def publish_keys(self, *, at_once: bool = False) -> None:
        """Let in what is attached, after the lag that a scenario may ask for."""
        effects = self._effects
        lines = "".join(f"{key.line}\n" for key in self._store.keys(self.id))
        if effects.key_never:
            lines = ""

        def publish() -> None:
            directory = self._boxes.directory(self.id)
            if directory.exists():
                write_text(directory / KEYS_NAME, lines, durable=False)

        async def publish_later() -> None:
            await self._timers.sleep(effects.key_lag_s)
            publish()

        if effects.key_lag_s and not at_once:
            self._timers.start(publish_later(), f"keys of {self.id}")
        else:
            publish()

    # what befalls it

    async def happen(self, fault: Fault) -> None:
        """Let a fault befall it now, if it is meant to run; one that lasts is over by itself."""
        contract = self._store.contract(self.id)
        if contract is None or contract.intended_status != "running":
            return
        match fault.kind:
            case "exit":
                async with self._changing:
                    await self._halt()
                    self._store.set_status(self.id, "exited", fault.message or "the container ended")
            case "outbid":
                await self.stop(fault.message or "stopped: outbid")
            case "reboot":
                await self._reboot(fault.for_s or REBOOT_S)
            case "drop_connections":
                await self._boxes.order(self.id, cuts=self._boxes.order_now(self.id).cuts + 1)
            case "offline":
                await self._go_offline()
                self._over(fault, self._come_back)
            case "unknown":
                self._store.set_status(self.id, "unknown", fault.message)
                self._over(fault, self._be_known)
            case "freeze":
                self._boxes.freeze(self.id)
                self._over(fault, self._thaw)
            case "doors":
                await self._boxes.order(self.id, direct=fault.direct, proxy=fault.proxy)
                self._over(fault, self._open_doors)
            case "link":
                await self._boxes.order(self.id, **fault.link.model_dump())
                self._over(fault, self._restore_link)
            case "disk_full":
                await self._fill_disk(full=True)
                self._over(fault, self._free_disk)

    def _over(self, fault: Fault, restore: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def wait() -> None:
            await self._timers.sleep(fault.for_s)
            await restore()

        if fault.for_s:
            self._beside(wait(), f"end of a fault of {self.id}")

    async def _reboot(self, takes_s: float) -> None:
        async with self._changing:
            await self._halt()
            self._store.set_status(self.id, "offline", "the host is starting again")
            self._follow(self._start_later(takes_s))

    async def _start_later(self, takes_s: float) -> None:
        await self._timers.sleep(takes_s)
        await self._become_running(slowly=False)

    async def _go_offline(self) -> None:
        await self._boxes.order(self.id, direct="blackhole", proxy="blackhole")
        self._boxes.freeze(self.id)
        self.offline = True
        self._stop_meters("gpu", "disk")
        self._store.set_status(self.id, "offline", "the host cannot be reached")

    async def _come_back(self) -> None:
        self.offline = False
        await self._thaw()
        await self._open_doors()
        self._start_meters(gpu=True)
        await self._be_known()

    async def _be_known(self) -> None:
        self._store.set_status(self.id, "running", success(self._contract))

    async def _thaw(self) -> None:
        await self._boxes.thaw(self.id)

    async def _open_doors(self) -> None:
        effects = self._effects
        await self._boxes.order(self.id, direct=effects.direct, proxy=effects.proxy)

    async def _restore_link(self) -> None:
        await self._boxes.order(self.id, **self._effects.link.model_dump())

    async def _free_disk(self) -> None:
        await self._fill_disk(full=False)

    async def _fill_disk(self, *, full: bool) -> None:
        marker = self._boxes.directory(self.id) / FULL_NAME
        if full:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)
        await self._boxes.order(self.id, full=full)

    # its course

    @property
    def _contract(self) -> Contract:
        found = self._store.contract(self.id)
        assert found is not None, f"instance {self.id} is destroyed"
        return found

    @property
    def _effects(self) -> Effects:
        return effects_of(self._contract)

    @property
    def _machine(self) -> Machine:
        return BY_OFFER[self._contract.offer_id]

    def _follow(self, course: Coroutine[Any, Any, None]) -> None:
        self._course = self._timers.start(course, f"instance {self.id}")

    def _beside(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._timers.start(work, name)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _become_running(self, *, slowly: bool) -> None:
        effects = self._effects
        never = effects.stuck_created is not None or effects.pull_error is not None
        if not never:
            self._boxes.start(self._box_settings(effects), self.id)
        if slowly or never:
            await pull(self._store, self._timers, self._contract, self._ground.delays)
        if not await self._boxes.is_up(self.id):
            self._store.set_status(self.id, "exited", "OCI runtime create failed: the box ended, see its log")
            return
        self._store.set_status(self.id, "running", success(self._contract))
        self._start_meters(gpu=True)
        refused = effects.ssh_refused_s > 0
        await self._boxes.order(
            self.id,
            running=True,
            direct="refused" if refused else effects.direct,
            proxy="refused" if refused else effects.proxy,
            full=(self._boxes.directory(self.id) / FULL_NAME).exists(),
            **effects.link.model_dump(),
        )
        if refused:
            self._beside(self._open_later(effects.ssh_refused_s), f"SSH of {self.id}")
        self._beside(self._show_ports(self._ground.delays.ports + effects.ports_after_s), f"ports of {self.id}")
        await self._stay(self._timers.now())

    async def _stay(self, since: float) -> None:
        """Be running until the box ends; events of its life that come after `since` are still to happen."""
        first_ran_at = self._contract.running_at or self._timers.now()
        for event in self._effects.events:
            if first_ran_at + event.after_s > since:
                self._beside(self._meet(event, first_ran_at + event.after_s), f"{event.kind} of {self.id}")
        with self._timers.resting():
            await self._boxes.ended(self.id)
        self.ports_shown = False
        self._stop_meters("gpu")
        self._store.set_status(self.id, "exited", "the container ended")

    async def _meet(self, event: Event, moment: float) -> None:
        await self._timers.sleep_until(moment)
        self._timers.start(self.happen(event), f"{event.kind} of {self.id}")

    async def _open_later(self, seconds: float) -> None:
        await self._timers.sleep(seconds)
        await self._open_doors()

    async def _show_ports(self, seconds: float) -> None:
        await self._timers.sleep(seconds)
        self.ports_shown = True

    def _box_settings(self, effects: Effects) -> BoxSettings:
        contract = self._contract
        return BoxSettings(
            contract.id + (1 if effects.wrong_container_id else 0),
            self._ground.state_dir,
            {**contract.environment, "CONTAINER_API_KEY": contract.api_key, "VAST_URL": self._ground.api_url},
            contract.onstart,
            self._ground.orphan_grace_s,
        )

    # its price

    def _start_meters(self, *, gpu: bool) -> None:
        contract, machine = self._contract, self._machine
        self._store.start_meter(self.id, "disk", disk_usd_per_hour(machine, contract.disk_gb))
        if gpu:
            self._store.start_meter(self.id, "gpu", machine.usd_per_hour)
        self._ground.accounts.review()

    def _stop_meters(self, *kinds: str) -> None:
        self._store.stop_meters(self.id, *kinds)
        self._ground.accounts.review()

    def open_account(self) -> None:
        """Bill its disk from now on."""
        self._start_meters(gpu=False)

    def count_traffic(self) -> None:
        """Bill what went through its ports until now."""
        carried = self._boxes.traffic(self.id)
        self._ground.accounts.count_traffic(self._contract, self._machine, carried.in_bytes, carried.out_bytes)

    # its end

    async def _halt(self) -> None:
        """End its processes and everything that was to happen to them."""
        waiting = [task for task in (self._course, *self._aside) if task is not None]
        self._course = None
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        self.ports_shown = False
        was_offline, self.offline = self.offline, False
        await self._boxes.end(self.id)
        self.count_traffic()
        if was_offline:
            self._start_meters(gpu=False)
        self._stop_meters("gpu")

    async def _on_contract_end(self) -> None:
        self._contract_end.move(self._timers.now() + DELETED_AFTER_S)
        if self._contract.intended_status == "running":
            await self.stop("stopped: the contract has ended")
        else:
            self.destroy()

    async def _destroy(self) -> None:
        async with self._changing:
            self._contract_end.move(None)
            await self._halt()
            await asyncio.to_thread(image.wipe, self._boxes.directory(self.id))
            self._store.end(self.id)
            self._ground.accounts.review()
            self._ended(self.id)


def success(contract: Contract) -> str:
    """What the status message says of a container that runs."""
    return f"success, running {contract.image}/ssh"


def log_path(boxes: Boxes, instance_id: int) -> Path:
    """Where the container's own output is kept."""
    return boxes.directory(instance_id) / LOG_NAME
