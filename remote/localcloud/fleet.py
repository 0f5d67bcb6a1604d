"""All instances of the marketplace: who rents what, and what becomes of them over the daemon's own restarts."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

from remote.localcloud.accounts import Accounts
from remote.localcloud.boxes import Boxes
from remote.localcloud.catalogue import BY_OFFER
from remote.localcloud.effects import Effects, Fault
from remote.localcloud.homes import Homes
from remote.localcloud.life import Ground, Life, log_path
from remote.localcloud.pull import Delays
from remote.localcloud.rows import instance_row
from remote.localcloud.store import Contract, Store
from remote.localcloud.terms import effects_of, ends_at
from remote.localcloud.timers import Timers


class CommandRefused(Exception):
    """The market does not run this command on an instance."""


class Fleet:
    """Lives by their contract's id. Runs in the daemon's loop; processes are ended in threads."""

    def __init__(self, store: Store, timers: Timers, state_dir: Path, api_url: str, orphan_grace_s: float) -> None:
        self._store = store
        self._timers = timers
        self._boxes = Boxes(state_dir)
        self._lives: dict[int, Life] = {}
        self.accounts = Accounts(store, timers, self._stop_all, self.destroy_all)
        self._ground = Ground(
            store,
            self._boxes,
            timers,
            self.accounts,
            Homes(state_dir),
            Delays(),
            api_url,
            str(state_dir),
            orphan_grace_s,
        )

    # what the API asks

    def rented_offers(self) -> set[int]:
        """Offers that are an instance now."""
        return {contract.offer_id for contract in self._store.contracts()}

    def seen(self) -> list[Contract]:
        """Instances that lists and shows know by now: a new one may be invisible for a while."""
        now = self._timers.now()
        return [each for each in self._store.contracts() if each.created_at + effects_of(each).visible_after_s <= now]

    def row(self, contract: Contract) -> dict[str, Any]:
        """The instance as the API shows it."""
        life = self._lives.get(contract.id)
        return instance_row(
            contract,
            BY_OFFER[contract.offer_id],
            self._boxes.status(contract.id),
            ports_shown=life is not None and life.ports_shown,
            now=self._timers.now(),
            ends_at=ends_at(contract),
        )

    def rent(self, wanted: dict[str, Any], effects: Effects) -> Contract:
        """Open a contract, make its home, start its life."""
        contract = self._store.add({**wanted, "effects": effects.as_dict()})
        if effects.stopped_at_once:
            self._store.set_intended(contract.id, "stopped")
            self._store.set_status(contract.id, "stopped", "")
        self._ground.homes.make(contract)
        life = self._life(contract.id)
        life.open_account()
        if not effects.account_keys_ignored:
            for key in self._store.keys(None):
                self._store.add_key(key.line, contract.id)
        life.publish_keys()
        life.begin(slowly=True)
        return contract

    def attach(self, contract: Contract, line: str) -> None:
        """Let a key in."""
        if all(key.line != line for key in self._store.keys(contract.id)):
            self._store.add_key(line, contract.id)
        self._life(contract.id).publish_keys()

    def detach(self, contract: Contract, key_id: int) -> bool:
        """Let a key in no longer; whether it was attached."""
        removed = self._store.remove_key(key_id, contract.id)
        self._life(contract.id).publish_keys(at_once=True)
        return removed

    def destroy(self, contract: Contract) -> None:
        """Begin the end: the instance is there until every process of it is dead."""
        self._life(contract.id).destroy()

    async def stop(self, contract: Contract) -> None:
        """End its processes, keep its disk (and its disk's price)."""
        await self._life(contract.id).stop()

    async def start(self, contract: Contract, status: str, *, fresh_disk: bool = False) -> None:
        """Begin again: with the same disk (start, reboot) or an empty one (recycle); ports are new ones."""
        await self._life(contract.id).start(status, fresh_disk=fresh_disk)

    async def happen(self, contract: Contract, fault: Fault) -> None:
        """Let a fault befall an instance now."""
        await self._life(contract.id).happen(fault)

    def is_offline(self, contract: Contract) -> bool:
        """Whether its host is cut off from everybody."""
        life = self._lives.get(contract.id)
        return life is not None and life.offline

    def count_traffic(self) -> None:
        """Bring the bills of all instances up to date."""
        for contract in self._store.contracts():
            self._life(contract.id).count_traffic()

    def container_log(self, contract: Contract, tail: int) -> str:
        """The last lines that the container wrote."""
        path = log_path(self._boxes, contract.id)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True) if path.exists() else []
        return "".join(lines[-tail:])

    async def look(self, contract: Contract, command: str) -> str:
        """What `ls` or `du` says of something in the instance's home.

        Raises:
            CommandRefused: it is another command, or leads out of the home.
        """
        words = shlex.split(command)
        if not words or words[0] not in ("ls", "du") or any(each.startswith("/") or ".." in each for each in words[1:]):
            raise CommandRefused("only ls and du of paths below the home are emulated")
        home = self._boxes.directory(contract.id) / "root"
        child = await asyncio.create_subprocess_exec(
            *words, cwd=home, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        return (await child.communicate())[0].decode(errors="replace")

    # the daemon's own life

    async def adopt(self, seen_at: float) -> None:
        """After a restart: take over boxes that live, start those that died again, finish destroys.

        Args:
            seen_at: when (virtual) the marketplace was last known to run; a dead box's GPU is billed until then.
        """
        for contract in self._store.contracts():
            life = self._life(contract.id)
            lives = self._boxes.adopt(contract.id)
            if contract.intended_status == "destroyed":
                life.destroy()
            elif contract.intended_status != "running":
                life.rest()
            elif lives and contract.actual_status in ("running", "unknown"):
                life.resume(seen_at)
            else:
                await self._boxes.end(contract.id)
                self._store.stop_meters(contract.id, "gpu", at=seen_at)
                self._store.set_status(contract.id, "loading", "the host was restarted")
                if not (self._boxes.directory(contract.id) / "root").exists():
                    self._ground.homes.make(contract)
                life.publish_keys(at_once=True)
                life.begin(slowly=False)
        self.accounts.review()

    async def close(self) -> None:
        """End all processes; the instances stay, and live again at the next start."""
        for life in list(self._lives.values()):
            await life.pause()

    async def destroy_all(self) -> None:
        """Destroy every instance and see it done."""
        await asyncio.gather(*(self._life(contract.id).destroy() for contract in self._store.contracts()))

    async def _stop_all(self, message: str) -> None:
        for contract in self._store.contracts():
            if contract.intended_status == "running":
                await self._life(contract.id).stop(message)

    def _life(self, instance_id: int) -> Life:
        if instance_id not in self._lives:
            self._lives[instance_id] = Life(self._ground, instance_id, self._forget)
        return self._lives[instance_id]

    def _forget(self, instance_id: int) -> None:
        self._lives.pop(instance_id, None)
