"""What the marketplace remembers across its own restarts: instances, keys, meters. One thread, one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST_CREDIT_USD = 25.0
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Contract:
    """One rented instance, as the marketplace sees it."""

    id: int
    offer_id: int
    label: str | None
    image: str
    disk_gb: float
    environment: dict[str, str]
    onstart: str
    runtype: str
    api_key: str
    actual_status: str | None
    intended_status: str
    status_msg: str
    created_at: float
    running_at: float | None
    destroyed_at: float | None
    effects: dict[str, Any]

    @property
    def alive(self) -> bool:
        """Whether it still exists."""
        return self.destroyed_at is None


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the account or of one instance."""

    id: int
    instance_id: int | None
    line: str
    created_at: float


class Store:
    """The tables and the questions that are asked of them."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        for table in _TABLES:
            self._connection.execute(table)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # notes

    def note(self, name: str) -> str | None:
        """A remembered word."""
        row = self._connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, name: str, value: str) -> None:
        """Remember a word."""
        self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    # contracts

    def add(self, contract: dict[str, Any]) -> Contract:
        """Open a contract; its id grows with time, so that it is never one of an earlier, deleted marketplace."""
        now = self._clock()
        last = self._connection.execute("SELECT max(id) FROM contracts").fetchone()[0] or 0
        contract_id = max(int(last) + 1, int(now))
        self._connection.execute(
            "INSERT INTO contracts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 'running', '', ?, NULL, NULL, ?)",
            (
                contract_id, contract["offer_id"], contract["label"], contract["image"], contract["disk_gb"],
                json.dumps(contract["environment"]), contract["onstart"], contract["runtype"], contract["api_key"],
                now, json.dumps(contract["effects"]),
            ),
        )  # fmt: skip
        found = self.contract(contract_id)
        assert found is not None
        return found

    def contract(self, contract_id: int) -> Contract | None:
        """One living contract."""
        row = self._connection.execute(
            "SELECT * FROM contracts WHERE id = ? AND destroyed_at IS NULL", (contract_id,)
        ).fetchone()
        return None if row is None else _contract(row)

    def contracts(self, *, also_destroyed: bool = False) -> list[Contract]:
        """All living contracts, oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM contracts WHERE ? OR destroyed_at IS NULL ORDER BY id", (also_destroyed,)
        )
        return [_contract(row) for row in rows]

    def set_status(self, contract_id: int, actual: str | None, message: str) -> None:
        """What the container does now; the first time it runs is kept."""
        running_at = self._clock() if actual == "running" else None
        self._connection.execute(
            "UPDATE contracts SET actual_status = ?, status_msg = ?, running_at = coalesce(running_at, ?) WHERE id = ?",
            (actual, message, running_at, contract_id),
        )

    def set_intended(self, contract_id: int, intended: str) -> None:
        """What its owner wants it to do."""
        self._connection.execute("UPDATE contracts SET intended_status = ? WHERE id = ?", (intended, contract_id))

    def set_label(self, contract_id: int, label: str) -> None:
        """How its owner calls it."""
        self._connection.execute("UPDATE contracts SET label = ? WHERE id = ?", (label, contract_id))

    def end(self, contract_id: int) -> None:
        """Close the contract and its meters."""
        self._connection.execute("UPDATE contracts SET destroyed_at = ? WHERE id = ?", (self._clock(), contract_id))
        self.stop_meters(contract_id)
        self._connection.execute("DELETE FROM keys WHERE instance_id = ?", (contract_id,))

    # keys

    def add_key(self, line: str, instance_id: int | None) -> Key:
        """Attach a key to an instance, or to the account with None."""
        cursor = self._connection.execute(
            "INSERT INTO keys (instance_id, line, created_at) VALUES (?, ?, ?)", (instance_id, line, self._clock())
        )
        return next(key for key in self.keys(instance_id) if key.id == cursor.lastrowid)

    def change_key(self, key_id: int, line: str) -> bool:
        """Replace an account key; whether it was there."""
        changed = self._connection.execute(
            "UPDATE keys SET line = ? WHERE id = ? AND instance_id IS NULL", (line, key_id)
        )
        return changed.rowcount > 0

    def remove_key(self, key_id: int, instance_id: int | None) -> bool:
        """Remove a key; whether it was there."""
        removed = self._connection.execute("DELETE FROM keys WHERE id = ? AND instance_id IS ?", (key_id, instance_id))
        return removed.rowcount > 0

    def keys(self, instance_id: int | None) -> list[Key]:
        """The keys of an instance, or of the account with None."""
        rows = self._connection.execute("SELECT * FROM keys WHERE instance_id IS ? ORDER BY id", (instance_id,))
        return [Key(**dict(row)) for row in rows]

    # money

    def grant(self, credit_usd: float) -> None:
        """Let the account have exactly this much now."""
        self.remember("granted_usd", repr(credit_usd + sum(self.billed_usd().values())))

    def start_meter(self, contract_id: int, kind: str, usd_per_hour: float) -> None:
        """Bill `kind` (gpu, disk) from now on; a meter that runs goes on."""
        running = self._connection.execute(
            "SELECT 1 FROM meters WHERE contract_id = ? AND kind = ? AND ended_at IS NULL", (contract_id, kind)
        ).fetchone()
        if running is None:
            self._connection.execute(
                "INSERT INTO meters VALUES (?, ?, ?, ?, NULL)", (contract_id, kind, usd_per_hour, self._clock())
            )

    def stop_meters(self, contract_id: int, *kinds: str, at: float | None = None) -> None:
        """Bill the named kinds (all without a name) no longer; never to before they began."""
        for kind in kinds or ("gpu", "disk"):
            self._connection.execute(
                """UPDATE meters SET ended_at = max(started_at, ?)
                   WHERE contract_id = ? AND kind = ? AND ended_at IS NULL""",
                (at if at is not None else self._clock(), contract_id, kind),
            )

    def set_traffic(self, contract_id: int, kind: str, total_bytes: int, usd_per_byte: float) -> None:
        """Bill what `total_bytes` (of the instance's whole life) has grown by since the last time, as of today."""
        known = self._connection.execute(
            "SELECT coalesce(sum(bytes), 0) FROM traffic WHERE contract_id = ? AND kind = ?", (contract_id, kind)
        ).fetchone()[0]
        self.add_traffic(contract_id, kind, total_bytes - int(known), usd_per_byte)

    def add_traffic(self, contract_id: int, kind: str, more_bytes: int, usd_per_byte: float) -> None:
        """Bill so many bytes more, as of today."""
        if more_bytes > 0:
            self._connection.execute(
                """INSERT INTO traffic VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
                   SET bytes = bytes + excluded.bytes, usd = usd + excluded.usd""",
                (contract_id, kind, self._clock() // SECONDS_PER_DAY * SECONDS_PER_DAY, more_bytes,
                 more_bytes * usd_per_byte),
            )  # fmt: skip

    def billed_usd(
        self, contract_id: int | None = None, *, since: float = 0.0, until: float | None = None
    ) -> dict[tuple[int, str], float]:
        """Dollars by contract and kind within [since, until] (default: until now); traffic by its day."""
        end = self._clock() if until is None else min(until, self._clock())
        billed: dict[tuple[int, str], float] = {}
        rows = self._connection.execute(
            "SELECT * FROM meters WHERE ? IS NULL OR contract_id = ?", (contract_id, contract_id)
        )
        for row in rows:
            ended_at = end if row["ended_at"] is None else min(end, row["ended_at"])
            seconds = max(0.0, ended_at - max(since, row["started_at"]))
            where = (row["contract_id"], row["kind"])
            billed[where] = billed.get(where, 0.0) + seconds * row["usd_per_hour"] / SECONDS_PER_HOUR
        carried = self._connection.execute(
            """SELECT contract_id, CASE kind WHEN 'image' THEN 'bwd' ELSE kind END AS kind, sum(usd) AS usd FROM traffic
               WHERE (? IS NULL OR contract_id = ?) AND day >= ? AND day <= ? GROUP BY 1, 2""",
            (contract_id, contract_id, since, end),
        )
        for row in carried:
            where = (row["contract_id"], row["kind"])
            billed[where] = billed.get(where, 0.0) + row["usd"]
        return billed

    def burn_usd_per_hour(self) -> float:
        """What everything that is paid by the hour costs now."""
        row = self._connection.execute("SELECT coalesce(sum(usd_per_hour), 0) FROM meters WHERE ended_at IS NULL")
        return float(row.fetchone()[0])

    def credit_usd(self) -> float:
        """What is left of the account."""
        granted = self.note("granted_usd")
        return (FIRST_CREDIT_USD if granted is None else float(granted)) - sum(self.billed_usd().values())


def _contract(row: sqlite3.Row) -> Contract:
    values = dict(row)
    return Contract(
        **{**values, "environment": json.loads(values["environment"]), "effects": json.loads(values["effects"])}
    )


_TABLES = (
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS contracts (
        id INTEGER PRIMARY KEY, offer_id INTEGER NOT NULL, label TEXT, image TEXT NOT NULL, disk_gb REAL NOT NULL,
        environment TEXT NOT NULL, onstart TEXT NOT NULL, runtype TEXT NOT NULL, api_key TEXT NOT NULL,
        actual_status TEXT, intended_status TEXT NOT NULL, status_msg TEXT NOT NULL,
        created_at REAL NOT NULL, running_at REAL, destroyed_at REAL, effects TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS keys (
        id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id INTEGER, line TEXT NOT NULL,
        created_at REAL NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS meters (
        contract_id INTEGER NOT NULL, kind TEXT NOT NULL, usd_per_hour REAL NOT NULL,
        started_at REAL NOT NULL, ended_at REAL) STRICT""",
    """CREATE TABLE IF NOT EXISTS traffic (
        contract_id INTEGER NOT NULL, kind TEXT NOT NULL, day REAL NOT NULL, bytes INTEGER NOT NULL,
        usd REAL NOT NULL, PRIMARY KEY (contract_id, kind, day)) STRICT""",
)
