"""The truth of what is rented and spent, in SQLite: requests, intents, transitions, instances, money, machines, work.

A row is on disk (WAL, synchronous FULL) before the call that it speaks of, so that a killed console finds after
its restart everything that may cost money. An instance is named by its cloud and its id: ids are a cloud's own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from ulid import ULID

from remote.ledger_file import LedgerTooNew, as_json
from remote.ledger_machines import LedgerMachines
from remote.ledger_money import LedgerMoney, end_meters, start_meters
from remote.ledger_rows import (
    Adjustment,
    BadMachine,
    IntentRow,
    JobRow,
    Meter,
    RentedInstance,
    RequestRow,
    StepRow,
    Traffic,
    TransitionRow,
)
from remote.ledger_work import LedgerWork

__all__ = [
    "Adjustment",
    "BadMachine",
    "IntentRow",
    "JobRow",
    "Ledger",
    "LedgerTooNew",
    "Meter",
    "RentedInstance",
    "RequestRow",
    "StepRow",
    "Traffic",
    "TransitionRow",
]

ENDED_REQUEST_STATES = frozenset({"gone", "failed"})


class Ledger(LedgerMoney, LedgerMachines, LedgerWork):
    """One SQLite file, for any number of threads and processes at once. Every method is one transaction."""

    # requests

    def open_request(self, cloud: str, wanted: Mapping[str, object], *, run_id: str | None = None) -> str:
        """Note a wish for a machine; returns its id (a ULID, lower case)."""
        now = self._now()
        request_id = str(ULID()).lower()
        with self._write() as connection:
            connection.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, 'planned', ?, ?, NULL)",
                (request_id, cloud, run_id, as_json(wanted), now, now),
            )
            _add_transition(connection, request_id, cloud, None, "planned", "", now)
        return request_id

    def requests(self, *, open_only: bool = False) -> list[RequestRow]:
        """All requests, oldest first; `open_only` leaves out those that ended."""
        condition = "WHERE closed_at IS NULL" if open_only else ""
        rows = self._read(f"SELECT * FROM requests {condition} ORDER BY request_id")  # noqa: S608 (two constants)
        return [RequestRow(**{**dict(row), "wanted": json.loads(row["wanted"])}) for row in rows]

    def request(self, request_id: str) -> RequestRow | None:
        """One request."""
        rows = self._read("SELECT * FROM requests WHERE request_id = ?", (request_id,))
        return RequestRow(**{**dict(rows[0]), "wanted": json.loads(rows[0]["wanted"])}) if rows else None

    def transition(
        self,
        request_id: str | None,
        state: str,
        *,
        cloud: str | None = None,
        instance_id: int | None = None,
        message: str = "",
    ) -> None:
        """Note that a request, its instance (named by cloud and id), or both entered `state`."""
        if instance_id is not None and cloud is None:
            raise ValueError("an instance is named by its cloud and its id")
        now = self._now()
        with self._write() as connection:
            _add_transition(connection, request_id, cloud or "", instance_id, state, message, now)
            if request_id is not None:
                closed_at = now if state in ENDED_REQUEST_STATES else None
                connection.execute(
                    "UPDATE requests SET state = ?, updated_at = ?, closed_at = ? WHERE request_id = ?",
                    (state, now, closed_at, request_id),
                )
            if instance_id is not None:
                connection.execute(
                    "UPDATE instances SET state = ? WHERE cloud = ? AND instance_id = ?", (state, cloud, instance_id)
                )

    # intents

    def record_intent(
        self,
        operation: str,
        *,
        cloud: str,
        request_id: str | None = None,
        instance_id: int | None = None,
        label: str = "",
        detail: Mapping[str, object] | None = None,
    ) -> int:
        """Note a call that may cost or save money, before it is made; returns the intent's id."""
        with self._write() as connection:
            cursor = connection.execute(
                """INSERT INTO intents (cloud, request_id, instance_id, operation, label, detail, at)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                (cloud, request_id, instance_id, operation, label, as_json(detail or {}), self._now()),
            )
            intent_id = cursor.lastrowid
        assert intent_id is not None
        return intent_id

    def record_outcome(self, intent_id: int, outcome: str, *, detail: str = "", instance_id: int | None = None) -> None:
        """Note how the call ended: ok | refused | unknown | absent | failed. Said anew once an unknown is settled."""
        with self._write() as connection:
            connection.execute(
                """UPDATE intents SET outcome = ?, outcome_detail = ?, outcome_at = ?,
                   instance_id = coalesce(?, instance_id) WHERE intent_id = ?""",
                (outcome, detail, self._now(), instance_id, intent_id),
            )

    def intents(self, *, unsettled_only: bool = False, cloud: str | None = None) -> list[IntentRow]:
        """All intents, oldest first; `unsettled_only`: those whose outcome is missing or unknown."""
        rows = self._read(
            """SELECT * FROM intents WHERE (NOT ?1 OR outcome IS NULL OR outcome = 'unknown')
               AND (?2 IS NULL OR cloud = ?2) ORDER BY intent_id""",
            (unsettled_only, cloud),
        )
        return [IntentRow(**{**dict(row), "detail": json.loads(row["detail"])}) for row in rows]

    # instances

    def open_instance(
        self,
        cloud: str,
        instance_id: int,
        *,
        label: str,
        gpu_name: str,
        gpu_usd_per_hour: float,
        disk_usd_per_hour: float,
        download_usd_per_gb: float = 0.0,
        upload_usd_per_gb: float = 0.0,
        machine_id: int = 0,
        offer_id: int | None = None,
        request_id: str | None = None,
        run_id: str | None = None,
        opened_at: float | None = None,
        state: str = "allocated",
    ) -> None:
        """Note that an instance is rented from now on (or since `opened_at`). Known already: nothing changes."""
        began = opened_at if opened_at is not None else self._now()
        with self._write() as connection:
            connection.execute(
                """INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)
                   ON CONFLICT (cloud, instance_id) DO NOTHING""",
                (
                    cloud, instance_id, request_id, run_id, machine_id, offer_id, label, gpu_name,
                    gpu_usd_per_hour, disk_usd_per_hour, download_usd_per_gb, upload_usd_per_gb, state, began,
                ),
            )  # fmt: skip
            start_meters(connection, cloud, instance_id, ("disk",), began)

    def hand_over(self, cloud: str, instance_id: int, request_id: str | None) -> None:
        """Make a living instance the matter of another request; one that was thought gone is open again."""
        with self._write() as connection:
            connection.execute(
                "UPDATE instances SET request_id = ?, closed_at = NULL WHERE cloud = ? AND instance_id = ?",
                (request_id, cloud, instance_id),
            )
            start_meters(connection, cloud, instance_id, ("disk",), self._now())

    def instance_running(self, cloud: str, instance_id: int, *, at: float | None = None) -> None:
        """Note that the GPU is billed, from now on or since `at`; billed already, nothing changes."""
        began = at if at is not None else self._now()
        with self._write() as connection:
            connection.execute(
                """UPDATE instances SET running_at = ?
                   WHERE cloud = ? AND instance_id = ? AND running_at IS NULL AND closed_at IS NULL""",
                (began, cloud, instance_id),
            )
            start_meters(connection, cloud, instance_id, ("gpu",), began)

    def close_instance(self, cloud: str, instance_id: int, *, at: float | None = None) -> None:
        """Note that the cloud confirmed the end; nothing is billed from here on. The first time counts."""
        ended = at if at is not None else self._now()
        with self._write() as connection:
            closed = connection.execute(
                """UPDATE instances SET closed_at = max(opened_at, ?), state = 'gone'
                   WHERE cloud = ? AND instance_id = ? AND closed_at IS NULL""",
                (ended, cloud, instance_id),
            )
            if closed.rowcount:
                end_meters(connection, cloud, instance_id, ("gpu", "disk"), ended)

    def instance(self, cloud: str, instance_id: int) -> RentedInstance | None:
        """What is known of one instance."""
        rows = self._read("SELECT * FROM instances WHERE cloud = ? AND instance_id = ?", (cloud, instance_id))
        return RentedInstance(**dict(rows[0])) if rows else None

    def clouds_of(self, instance_id: int) -> list[str]:
        """The clouds on which an instance of this id was rented; usually one."""
        rows = self._read("SELECT cloud FROM instances WHERE instance_id = ? ORDER BY cloud", (instance_id,))
        return [row["cloud"] for row in rows]

    def instances(self, *, alive_only: bool = False, cloud: str | None = None) -> list[RentedInstance]:
        """Every instance ever rented, oldest first; `alive_only`: those whose destroy is not confirmed."""
        rows = self._read(
            """SELECT * FROM instances WHERE (NOT ? OR closed_at IS NULL) AND (? IS NULL OR cloud = ?)
               ORDER BY opened_at, instance_id""",
            (alive_only, cloud, cloud),
        )
        return [RentedInstance(**dict(row)) for row in rows]

    def history(self, cloud: str, instance_id: int) -> list[TransitionRow]:
        """Every state that an instance went through, and its request before it was known, oldest first."""
        rows = self._read(
            """SELECT request_id, instance_id, state, message, at FROM transitions
               WHERE (cloud = ?1 AND instance_id = ?2) OR (instance_id IS NULL
                 AND request_id = (SELECT request_id FROM instances WHERE cloud = ?1 AND instance_id = ?2)
                 AND transition_id < (SELECT min(transition_id) FROM transitions
                                      WHERE cloud = ?1 AND instance_id = ?2))
               ORDER BY transition_id""",
            (cloud, instance_id),
        )
        return [TransitionRow(**dict(row)) for row in rows]

    def request_history(self, request_id: str) -> list[TransitionRow]:
        """Every state that a request went through, over all its rentals, oldest first."""
        rows = self._read(
            """SELECT request_id, instance_id, state, message, at FROM transitions
               WHERE request_id = ? ORDER BY transition_id""",
            (request_id,),
        )
        return [TransitionRow(**dict(row)) for row in rows]


def _add_transition(
    connection: sqlite3.Connection,
    request_id: str | None,
    cloud: str,
    instance_id: int | None,
    state: str,
    message: str,
    at: float,
) -> None:
    connection.execute(
        "INSERT INTO transitions (request_id, cloud, instance_id, state, message, at) VALUES (?, ?, ?, ?, ?, ?)",
        (request_id, cloud, instance_id, state, message, at),
    )
