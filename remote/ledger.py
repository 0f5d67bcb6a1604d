"""The truth of what is rented and spent, in SQLite: requests, intents, transitions, instances, steps and jobs.

A row is on disk (WAL, synchronous FULL) before the call that it speaks of, so that a killed console finds after
its restart everything that may cost money.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ulid import ULID

from remote.ledger_rows import (
    MIGRATIONS,
    IntentRow,
    JobRow,
    RentedInstance,
    RequestRow,
    StepRow,
    TransitionRow,
)

__all__ = ["IntentRow", "JobRow", "Ledger", "LedgerTooNew", "RentedInstance", "RequestRow", "StepRow", "TransitionRow"]

BUSY_TIMEOUT_MS = 15_000
ENDED_REQUEST_STATES = frozenset({"gone", "failed"})


class LedgerTooNew(Exception):
    """The file was written by a newer Spotter."""


class Ledger:
    """One SQLite file, for any number of threads and processes at once. Every method is one transaction."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def close(self) -> None:
        """Close the file; other objects on it go on."""
        with self._lock:
            self._connection.close()

    # requests

    def open_request(self, cloud: str, wanted: Mapping[str, object], *, run_id: str | None = None) -> str:
        """Note a wish for a machine; returns its id (a ULID, lower case)."""
        now = self._clock()
        request_id = str(ULID()).lower()
        with self._write() as connection:
            connection.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, 'planned', ?, ?, NULL)",
                (request_id, cloud, run_id, _json(wanted), now, now),
            )
            _add_transition(connection, request_id, None, "planned", "", now)
        return request_id

    def requests(self, *, open_only: bool = False) -> list[RequestRow]:
        """All requests, oldest first; `open_only` leaves out those that ended."""
        condition = "WHERE closed_at IS NULL" if open_only else ""
        rows = self._read(f"SELECT * FROM requests {condition} ORDER BY request_id")  # noqa: S608 (two constants)
        return [RequestRow(**{**dict(row), "wanted": json.loads(row["wanted"])}) for row in rows]

    def request(self, request_id: str) -> RequestRow | None:
        """What is known of one request."""
        rows = self._read("SELECT * FROM requests WHERE request_id = ?", (request_id,))
        return RequestRow(**{**dict(rows[0]), "wanted": json.loads(rows[0]["wanted"])}) if rows else None

    def transition(
        self, request_id: str | None, state: str, *, instance_id: int | None = None, message: str = ""
    ) -> None:
        """Note that a request, its instance, or both entered `state`."""
        now = self._clock()
        with self._write() as connection:
            _add_transition(connection, request_id, instance_id, state, message, now)
            if request_id is not None:
                closed_at = now if state in ENDED_REQUEST_STATES else None
                connection.execute(
                    "UPDATE requests SET state = ?, updated_at = ?, closed_at = ? WHERE request_id = ?",
                    (state, now, closed_at, request_id),
                )
            if instance_id is not None:
                connection.execute("UPDATE instances SET state = ? WHERE instance_id = ?", (state, instance_id))

    # intents

    def record_intent(
        self,
        operation: str,
        *,
        request_id: str | None = None,
        instance_id: int | None = None,
        label: str = "",
        detail: Mapping[str, object] | None = None,
    ) -> int:
        """Note a call that may cost or save money, before it is made; returns the intent's id."""
        with self._write() as connection:
            cursor = connection.execute(
                "INSERT INTO intents (request_id, instance_id, operation, label, detail, at) VALUES (?, ?, ?, ?, ?, ?)",
                (request_id, instance_id, operation, label, _json(detail or {}), self._clock()),
            )
            intent_id = cursor.lastrowid
        assert intent_id is not None
        return intent_id

    def record_outcome(self, intent_id: int, outcome: str, *, detail: str = "", instance_id: int | None = None) -> None:
        """Note how the call ended: ok | refused | unknown | failed. Called again once an unknown one is settled."""
        with self._write() as connection:
            connection.execute(
                """UPDATE intents SET outcome = ?, outcome_detail = ?, outcome_at = ?,
                   instance_id = coalesce(?, instance_id) WHERE intent_id = ?""",
                (outcome, detail, self._clock(), instance_id, intent_id),
            )

    def intents(self, *, unsettled_only: bool = False) -> list[IntentRow]:
        """All intents, oldest first; `unsettled_only`: those whose outcome is missing or unknown."""
        condition = "WHERE outcome IS NULL OR outcome = 'unknown'" if unsettled_only else ""
        rows = self._read(f"SELECT * FROM intents {condition} ORDER BY intent_id")  # noqa: S608 (two constants)
        return [IntentRow(**{**dict(row), "detail": json.loads(row["detail"])}) for row in rows]

    # instances

    def open_instance(
        self,
        instance_id: int,
        *,
        cloud: str,
        label: str,
        gpu_name: str,
        gpu_usd_per_hour: float,
        disk_usd_per_hour: float,
        machine_id: int = 0,
        offer_id: int | None = None,
        request_id: str | None = None,
        run_id: str | None = None,
        opened_at: float | None = None,
        state: str = "allocated",
    ) -> None:
        """Note that an instance is rented from now on (or since `opened_at`). Known already: nothing changes."""
        now = self._clock()
        with self._write() as connection:
            connection.execute(
                """INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)
                   ON CONFLICT (instance_id) DO NOTHING""",
                (
                    instance_id, cloud, request_id, run_id, machine_id, offer_id, label, gpu_name,
                    gpu_usd_per_hour, disk_usd_per_hour, state, opened_at if opened_at is not None else now,
                ),
            )  # fmt: skip

    def hand_over(self, instance_id: int, request_id: str) -> None:
        """Make a living instance the matter of another request; one that was thought gone is open again."""
        with self._write() as connection:
            connection.execute(
                "UPDATE instances SET request_id = ?, closed_at = NULL WHERE instance_id = ?", (request_id, instance_id)
            )

    def instance_running(self, instance_id: int, *, at: float | None = None) -> None:
        """Note when the GPU began to be billed; the first time counts."""
        with self._write() as connection:
            connection.execute(
                """UPDATE instances SET running_at = ?
                   WHERE instance_id = ? AND running_at IS NULL AND closed_at IS NULL""",
                (at if at is not None else self._clock(), instance_id),
            )

    def close_instance(self, instance_id: int, *, at: float | None = None) -> None:
        """Note that the cloud confirmed the end; nothing is billed from here on. The first time counts."""
        with self._write() as connection:
            connection.execute(
                "UPDATE instances SET closed_at = ?, state = 'gone' WHERE instance_id = ? AND closed_at IS NULL",
                (at if at is not None else self._clock(), instance_id),
            )

    def instance(self, instance_id: int) -> RentedInstance | None:
        """What is known of one instance."""
        rows = self._read("SELECT * FROM instances WHERE instance_id = ?", (instance_id,))
        return RentedInstance(**dict(rows[0])) if rows else None

    def instances(self, *, alive_only: bool = False, cloud: str | None = None) -> list[RentedInstance]:
        """Every instance ever rented, oldest first; `alive_only`: those whose destroy is not confirmed."""
        rows = self._read(
            """SELECT * FROM instances WHERE (NOT ? OR closed_at IS NULL) AND (? IS NULL OR cloud = ?)
               ORDER BY opened_at, instance_id""",
            (alive_only, cloud, cloud),
        )
        return [RentedInstance(**dict(row)) for row in rows]

    def spent_usd(self, since: float = 0.0, *, instance_id: int | None = None, run_id: str | None = None) -> float:
        """Dollars spent since a moment, on everything, one instance or one run; what runs now counts until now."""
        now = self._clock()
        rows = self._read(
            """SELECT * FROM instances WHERE (closed_at IS NULL OR closed_at > ?)
               AND (? IS NULL OR instance_id = ?) AND (? IS NULL OR run_id = ?)""",
            (since, instance_id, instance_id, run_id, run_id),
        )
        return sum(RentedInstance(**dict(row)).usd(now, since) for row in rows)

    def history(self, instance_id: int) -> list[TransitionRow]:
        """Every state that an instance went through, and its request before it was known, oldest first."""
        rows = self._read(
            """SELECT request_id, instance_id, state, message, at FROM transitions
               WHERE instance_id = ?1 OR (instance_id IS NULL
                 AND request_id = (SELECT request_id FROM instances WHERE instance_id = ?1)
                 AND transition_id < (SELECT min(transition_id) FROM transitions WHERE instance_id = ?1))
               ORDER BY transition_id""",
            (instance_id,),
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

    # what was done on a box

    def record_step(
        self,
        instance_id: int,
        step_id: str,
        *,
        inputs_hash: str,
        state: str,
        evidence: Mapping[str, object] | None = None,
        started_at: float | None = None,
        ended_at: float | None = None,
    ) -> None:
        """Keep the last result of a bootstrap step: state is running | ok | failed."""
        with self._write() as connection:
            connection.execute(
                """INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (instance_id, step_id) DO UPDATE SET inputs_hash = excluded.inputs_hash,
                   state = excluded.state, evidence = excluded.evidence,
                   started_at = excluded.started_at, ended_at = excluded.ended_at""",
                (
                    instance_id, step_id, inputs_hash, state, _json(evidence or {}),
                    started_at if started_at is not None else self._clock(), ended_at,
                ),
            )  # fmt: skip

    def steps(self, instance_id: int) -> list[StepRow]:
        """The bootstrap steps of an instance, in the order in which they were begun."""
        rows = self._read("SELECT * FROM steps WHERE instance_id = ? ORDER BY started_at", (instance_id,))
        return [StepRow(**{**dict(row), "evidence": json.loads(row["evidence"])}) for row in rows]

    def record_job(
        self,
        job_id: str,
        instance_id: int,
        *,
        state: str,
        run_id: str | None = None,
        exit_code: int | None = None,
        spec: Mapping[str, object] | None = None,
    ) -> None:
        """Note a job, or how it stands now; spec, run and launch time are those of the first call."""
        now = self._clock()
        with self._write() as connection:
            connection.execute(
                """INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (job_id) DO UPDATE SET state = excluded.state, exit_code = excluded.exit_code,
                   updated_at = excluded.updated_at""",
                (job_id, instance_id, run_id, state, exit_code, _json(spec or {}), now, now),
            )

    def jobs(self, *, instance_id: int | None = None, run_id: str | None = None) -> list[JobRow]:
        """Jobs, oldest first; of one instance or run when asked."""
        rows = self._read(
            """SELECT * FROM jobs WHERE (? IS NULL OR instance_id = ?) AND (? IS NULL OR run_id = ?)
               ORDER BY launched_at, job_id""",
            (instance_id, instance_id, run_id, run_id),
        )
        return [JobRow(**{**dict(row), "spec": json.loads(row["spec"])}) for row in rows]

    # SQLite

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _migrate(self) -> None:
        with self._write() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise LedgerTooNew(
                    f"{self.path} was written by a newer Spotter (version {version}, this one knows "
                    f"{len(MIGRATIONS)}); upgrade Spotter, or use another workspace"
                )
            for number, migrate in enumerate(MIGRATIONS[version:], start=version + 1):
                migrate(connection)
                connection.execute(f"PRAGMA user_version = {number}")


def _add_transition(
    connection: sqlite3.Connection, request_id: str | None, instance_id: int | None, state: str, message: str, at: float
) -> None:
    connection.execute(
        "INSERT INTO transitions (request_id, instance_id, state, message, at) VALUES (?, ?, ?, ?, ?)",
        (request_id, instance_id, state, message, at),
    )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
