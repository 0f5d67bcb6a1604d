"""Who pays for what: the account's credit, what it allows, and the bills of days. All times are virtual."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from remote.localcloud.catalogue import DAY_S, Machine
from remote.localcloud.store import SECONDS_PER_HOUR, Contract, Store
from remote.localcloud.timers import Appointment, Timers

BYTES_PER_GB = 1e9
DELETED_AFTER_S = 2 * DAY_S
"""How long a stopped instance of an account without credit, or of an ended contract, is kept."""


class Accounts:
    """Watches the credit: at zero everything is stopped, two days later it is deleted."""

    def __init__(
        self,
        store: Store,
        timers: Timers,
        stop_all: Callable[[str], Awaitable[None]],
        delete_all: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._timers = timers
        self._stop_all = stop_all
        self._delete_all = delete_all
        self._empty = Appointment(timers, "the credit's end", self._on_empty)
        self._deleting = Appointment(timers, "the deletion without credit", self._on_unpaid)

    def review(self) -> None:
        """Foresee anew when the credit ends; called after every change of what is paid for."""
        credit = self._store.credit_usd()
        if credit > 0:
            self._deleting.move(None)
            self._store.remember("empty_at", "")
        burn_usd_per_s = self._store.burn_usd_per_hour() / SECONDS_PER_HOUR
        if credit > 0 and burn_usd_per_s > 0:
            self._empty.move(self._timers.now() + credit / burn_usd_per_s)
        elif credit > 0:
            self._empty.move(None)
        elif self._store.note("empty_at"):
            self._deleting.move(float(self._store.note("empty_at") or 0) + DELETED_AFTER_S)
        else:
            self._empty.move(self._timers.now())

    def grant(self, credit_usd: float) -> None:
        """Give the account exactly this much, as if it had just been paid in."""
        self._store.grant(credit_usd)
        self.review()

    def count_traffic(self, contract: Contract, machine: Machine, in_bytes: int, out_bytes: int) -> None:
        """Bill what was carried since the last count; the figures are totals of the instance's life."""
        price = machine.host.usd_per_gb
        self._store.set_traffic(contract.id, "bwd", in_bytes, price / BYTES_PER_GB)
        self._store.set_traffic(contract.id, "bwu", out_bytes, price / BYTES_PER_GB)

    async def _on_empty(self) -> None:
        if self._store.credit_usd() > 1e-9:
            self.review()
            return
        self._store.remember("empty_at", str(self._timers.now()))
        await self._stop_all("stopped: the account has no credit left")
        self.review()

    async def _on_unpaid(self) -> None:
        await self._delete_all()


def charges_between(store: Store, since: float, until: float) -> list[dict[str, Any]]:
    """What each instance cost on the days (UTC) that begin within [since, until], by kind; oldest instance first."""
    contracts = {contract.id: contract for contract in store.contracts(also_destroyed=True)}
    first_day = -int(-since // DAY_S)
    last_day = int(until // DAY_S)
    billed = store.billed_usd(since=first_day * DAY_S, until=(last_day + 1) * DAY_S)
    by_instance: dict[int, dict[str, float]] = {}
    for (contract_id, kind), usd in billed.items():
        if usd > 0:
            by_instance.setdefault(contract_id, {})[kind] = usd
    return [_charge(contracts[each], by_instance[each]) for each in sorted(by_instance)]


def _charge(contract: Contract, usd_by_kind: Mapping[str, float]) -> dict[str, Any]:
    start, end = contract.created_at, contract.destroyed_at

    def row(kind: str, source: str | None, amount: float, description: str, items: list[Any]) -> dict[str, Any]:
        return {
            "type": kind,
            "source": source,
            "amount": amount,
            "start": start,
            "end": end,
            "description": description,
            "metadata": {"label": contract.label, "emulated": True},
            "items": items,
        }

    items = [row(kind, None, usd, f"{kind} of instance {contract.id}", []) for kind, usd in usd_by_kind.items()]
    total = sum(usd_by_kind.values())
    return row("instance", f"instance-{contract.id}", total, f"instance {contract.id}: {contract.image}", items)
