"""What is remembered of machines beyond one rental: which failed us, and which way led into each."""

from __future__ import annotations

from typing import Literal

from remote.ledger_file import LedgerFile
from remote.ledger_rows import BadMachine

FORGIVEN_AFTER_S = 7 * 86400.0
"""A machine that failed is left out for this long."""


class LedgerMachines(LedgerFile):
    """The part of the ledger that knows machines."""

    def note_bad_machine(self, cloud: str, machine_id: int, reason: str) -> None:
        """Leave a machine out of searches for a week, from now on."""
        with self._write() as connection:
            connection.execute(
                """INSERT INTO bad_machines VALUES (?, ?, ?, 1, ?) ON CONFLICT (cloud, machine_id) DO UPDATE
                   SET reason = excluded.reason, failures = failures + 1, at = excluded.at""",
                (cloud, machine_id, reason, self._now()),
            )

    def bad_machines(self, cloud: str) -> dict[int, BadMachine]:
        """The machines that failed within the last week, by their id."""
        rows = self._read(
            "SELECT machine_id, reason, failures, at FROM bad_machines WHERE cloud = ? AND at > ?",
            (cloud, self._now() - FORGIVEN_AFTER_S),
        )
        return {row["machine_id"]: BadMachine(**dict(row)) for row in rows}

    def forgive_machine(self, cloud: str, machine_id: int) -> None:
        """Let a machine be rented again before its week is over."""
        with self._write() as connection:
            connection.execute("DELETE FROM bad_machines WHERE cloud = ? AND machine_id = ?", (cloud, machine_id))

    def note_route(self, cloud: str, machine_id: int, kind: Literal["direct", "proxy"]) -> None:
        """Remember which way let us into a machine: it is tried first next time."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO routes VALUES (?, ?, ?, ?)", (cloud, machine_id, kind, self._now())
            )

    def route(self, cloud: str, machine_id: int) -> Literal["direct", "proxy"] | None:
        """Which way led into a machine last time."""
        rows = self._read("SELECT kind FROM routes WHERE cloud = ? AND machine_id = ?", (cloud, machine_id))
        if not rows:
            return None
        return "proxy" if rows[0]["kind"] == "proxy" else "direct"

    @property
    def mark(self) -> str:
        """Six letters of this workspace's own, in the label of whatever it rents."""
        (row,) = self._read("SELECT value FROM notes WHERE name = 'mark'")
        return str(row["value"])

    def account(self, cloud: str) -> str | None:
        """The account whose machines of a cloud these rows speak of; None until one was noted."""
        rows = self._read("SELECT value FROM notes WHERE name = ?", (f"account of {cloud}",))
        return str(rows[0]["value"]) if rows else None

    def note_account(self, cloud: str, identity: str) -> None:
        """Note whose machines of a cloud are rented from now on."""
        with self._write() as connection:
            connection.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (f"account of {cloud}", identity),
            )
