"""The recorder: what boxes measured and what happened to them, in a file of this workspace, so that charts survive.

`.spotter/recorder.db` is SQLite in WAL mode; several consoles may write it at once, and a sample that two of them
bring is kept once. It is bounded: samples as they were taken for 24 hours, means of a minute for 30 days, events and
money for 90 days. What money was spent does not stand here but in the ledger of rentals (`state.db`). Every call reads
or writes the file: make it from a thread.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from console.models.recorder_samples import BOX_METRICS, GPU_METRICS, GpuLoad, Sample, rate
from console.models.recorder_schema import BOX_COLUMNS, GPU_COLUMNS, prepare
from console.models.series import Bucket, Series, fill
from remote.transaction import transaction

if TYPE_CHECKING:
    from console.models.fleet import FleetView

RAW_KEPT_S = 24 * 3600.0
MINUTES_KEPT_S = 30 * 86400.0
EVENTS_KEPT_S = 90 * 86400.0
SAMPLE_S = 5.0
"""How often a box measures itself."""
COMPACT_EVERY_S = 600.0
SAME_EVENT_S = 60.0
"""Two consoles see the same change within so long: it is kept once."""
BUSY_TIMEOUT_S = 5.0
FILE = "recorder.db"


class RecorderUnusable(sqlite3.DatabaseError):
    """The file is no recorder, or may not be one here; the text says what to do."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Something that happened: to an instance, to a run, or to the fleet as a whole."""

    at: float
    kind: str
    """state | money | guard | failure | run"""
    text: str
    instance_id: int | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class MoneyPoint:
    """Burn, today and credit as they were at one moment."""

    at: float
    burn_usd_per_hour: float
    today_usd: float
    credit_usd: float | None


class Recorder:
    """The recorded past of one cloud's instances. Thread-safe."""

    def __init__(self, path: Path, cloud: str, *, clock: Callable[[], float] = time.time) -> None:
        """Open or make the file; `clock` tells Unix seconds of this machine.

        Raises:
            RecorderUnusable: it is damaged, or cannot be written.
        """
        self.path = path
        self._cloud = cloud
        self._clock = clock
        self._lock = threading.RLock()
        self._compacted_at = float("-inf")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            prepare(self._connection)
        except sqlite3.Error as error:
            words = f"{path} cannot be used: {error}"
            if not isinstance(error, sqlite3.OperationalError):  # no lock, full disk or permission: the file itself
                words += "; once it is moved away, a new one is made, and only charts of the past are lost"
            raise RecorderUnusable(words) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # samples

    def keep(self, instance_id: int, samples: Sequence[Sample]) -> int:
        """Write samples that are not there yet; returns how many were new. Rates of the network come from the one
        before each."""
        if not samples:
            return 0
        new = 0
        with self._write() as connection:
            before = self._newest_before(instance_id, min(sample.at for sample in samples))
            for sample in sorted(samples, key=lambda each: each.at):
                if before is not None:
                    seconds = sample.at - before.at
                    sample = replace(
                        sample,
                        net_in_bytes_per_s=rate(before.net_in_bytes, sample.net_in_bytes, seconds),
                        net_out_bytes_per_s=rate(before.net_out_bytes, sample.net_out_bytes, seconds),
                    )
                before = sample
                new += self._insert(connection, instance_id, sample)
        self._compact_in_turn()
        return new

    def _insert(self, connection: sqlite3.Connection, instance_id: int, sample: Sample) -> int:
        at = round(sample.at, 3)
        marks = ", ".join("?" * (5 + len(BOX_COLUMNS)))
        done = connection.execute(
            f"INSERT OR IGNORE INTO box_samples VALUES ({marks})",  # noqa: S608 (question marks)
            (
                self._cloud,
                instance_id,
                at,
                0,
                sample.gpu_problem,
                *(getattr(sample, name) for name in BOX_COLUMNS),
            ),
        )
        if done.rowcount <= 0:
            return 0
        marks = ", ".join("?" * (6 + len(GPU_COLUMNS)))
        connection.executemany(
            f"INSERT OR IGNORE INTO gpu_samples VALUES ({marks})",  # noqa: S608 (question marks)
            [
                (self._cloud, instance_id, at, gpu.index, 0, gpu.name, *(getattr(gpu, name) for name in GPU_COLUMNS))
                for gpu in sample.gpus
            ],
        )
        return 1

    def latest(self, instance_id: int) -> Sample | None:
        """The newest sample of an instance; None when there is none. How old it is, is for the caller to judge."""
        return self.latest_of([instance_id]).get(instance_id)

    def latest_of(self, instance_ids: Sequence[int], *, at: float | None = None) -> dict[int, Sample]:
        """The newest sample of each instance that has one; with `at`, the newest that is not later than that."""
        found = {}
        for instance_id in instance_ids:
            sample = self._newest_before(instance_id, float("inf") if at is None else at)
            if sample is not None:
                found[instance_id] = sample
        return found

    def _newest_before(self, instance_id: int, at: float) -> Sample | None:
        key = (self._cloud, instance_id)
        rows = self._read(
            """SELECT * FROM box_samples WHERE cloud = ? AND instance_id = ? AND at <= ? ORDER BY at DESC LIMIT 1""",
            (*key, min(at, 1e12)),
        )
        if not rows:
            return None
        gpus = self._read(
            "SELECT * FROM gpu_samples WHERE cloud = ? AND instance_id = ? AND at = ? ORDER BY gpu",
            (*key, rows[0]["at"]),
        )
        return Sample(
            at=rows[0]["at"],
            gpus=tuple(GpuLoad(row["gpu"], row["name"], **{name: row[name] for name in GPU_COLUMNS}) for row in gpus),
            gpu_problem=rows[0]["gpu_problem"],
            **{name: rows[0][name] for name in BOX_COLUMNS},
        )

    def series(self, instance_id: int, metric: str, since: float, until: float, buckets: int) -> Series:
        """One metric over [since, until) in `buckets` values.

        Args:
            instance_id: the instance.
            metric: `cpu`, `ram`, `disk`, `net_in`, `net_out`; `gpu`, `vram`, `watts`, `temperature` as the mean over
                all GPUs, or of one with its number behind it: `gpu.0`.
            since: Unix seconds of this machine.
            until: likewise.
            buckets: how many values.

        Raises:
            KeyError: there is no such metric.
        """
        name, _, gpu = metric.partition(".")
        if name in GPU_METRICS:
            found = self._gpu_buckets(instance_id, name, int(gpu) if gpu else None, since, until, buckets)
        else:
            found = self._box_buckets(instance_id, BOX_METRICS[metric], since, until, buckets)
        return fill(metric, since, until, buckets, found, found[-1].mean if found else None)

    def load(self, instance_id: int, since: float, until: float, buckets: int) -> dict[str, Series]:
        """Every metric of a box over [since, until) at once, GPUs each under its number (`vram.1`): two passes over
        the file instead of one for each line of a chart. A metric that was never measured is left out."""
        found: dict[str, list[Bucket]] = {}
        values = (self._cloud, instance_id, since, until, (until - since) / buckets)
        for table, metrics, gpu in (("box_samples", BOX_METRICS, "0"), ("gpu_samples", GPU_METRICS, "gpu")):
            means = ", ".join(f"avg({column})" for column in metrics.values())
            rows = self._read(
                f"""SELECT CAST((at - ?3) / ?5 AS INTEGER) AS number, {gpu}, min(at), max(at), max(span_s), {means}
                    FROM {table} WHERE cloud = ?1 AND instance_id = ?2 AND at >= ?3 AND at < ?4
                    GROUP BY 1, 2 ORDER BY 1""",  # noqa: S608 (tables and columns of ours)
                values,
            )
            for row in rows:
                for metric, value in zip(metrics, tuple(row)[5:], strict=True):
                    if value is not None:
                        name = metric if table == "box_samples" else f"{metric}.{row[1]}"
                        found.setdefault(name, []).append(Bucket(row[0], value, row[2], row[3], row[4] > 0))
        return {
            name: fill(name, since, until, buckets, measured, measured[-1].mean) for name, measured in found.items()
        }

    def span(self, instance_id: int) -> tuple[float, float] | None:
        """From when to when there are samples of an instance."""
        (row,) = self._read(
            "SELECT min(at), max(at) FROM box_samples WHERE cloud = ? AND instance_id = ?", (self._cloud, instance_id)
        )
        return None if row[0] is None else (row[0], row[1])

    def idle_share(self, instance_id: int, since: float, until: float, below_percent: float) -> float | None:
        """Share of [since, until) in which its GPUs were recorded to be less busy than `below_percent`, 0 to 1.

        What was not recorded counts as busy; None when nothing was.
        """
        (row,) = self._read(
            """SELECT sum(seconds * (busy < ?5)), sum(seconds) FROM (
                   SELECT avg(busy_percent) AS busy, max(span_s, ?6) AS seconds FROM gpu_samples
                   WHERE cloud = ?1 AND instance_id = ?2 AND at >= ?3 AND at < ?4 AND busy_percent IS NOT NULL
                   GROUP BY at, span_s)""",
            (self._cloud, instance_id, since, until, below_percent, SAMPLE_S),
        )
        return None if not row[1] or until <= since else row[0] / max(row[1], until - since)

    def _box_buckets(self, instance_id: int, column: str, since: float, until: float, buckets: int) -> list[Bucket]:
        rows = self._read(
            f"""SELECT CAST((at - ?3) / ?5 AS INTEGER) AS number, avg({column}), min(at), max(at), max(span_s)
                FROM box_samples WHERE cloud = ?1 AND instance_id = ?2 AND at >= ?3 AND at < ?4
                AND {column} IS NOT NULL GROUP BY number ORDER BY number""",  # noqa: S608 (a column of ours)
            (self._cloud, instance_id, since, until, (until - since) / buckets),
        )
        return [Bucket(row[0], row[1], row[2], row[3], row[4] > 0) for row in rows]

    def _gpu_buckets(
        self, instance_id: int, metric: str, gpu: int | None, since: float, until: float, buckets: int
    ) -> list[Bucket]:
        column = GPU_METRICS[metric]
        rows = self._read(
            f"""SELECT CAST((at - ?3) / ?5 AS INTEGER) AS number, avg({column}), min(at), max(at), max(span_s)
                FROM gpu_samples WHERE cloud = ?1 AND instance_id = ?2 AND at >= ?3 AND at < ?4
                AND (?6 IS NULL OR gpu = ?6) AND {column} IS NOT NULL GROUP BY number ORDER BY number""",  # noqa: S608
            (self._cloud, instance_id, since, until, (until - since) / buckets, gpu),
        )
        return [Bucket(row[0], row[1], row[2], row[3], row[4] > 0) for row in rows]

    # events and money

    def note(self, event: RecordedEvent) -> bool:
        """Write down what happened, unless another console did so within the last minute; returns whether it was new.

        Its text is kept as it is: whoever draws it makes it safe.
        """
        with self._write() as connection:
            known = connection.execute(
                """SELECT 1 FROM events WHERE cloud = ? AND instance_id IS ? AND kind = ? AND text = ?
                   AND abs(at - ?) < ? LIMIT 1""",
                (self._cloud, event.instance_id, event.kind, event.text, event.at, SAME_EVENT_S),
            ).fetchone()
            if known is not None:
                return False
            connection.execute(
                "INSERT INTO events (cloud, instance_id, run_id, at, kind, text) VALUES (?, ?, ?, ?, ?, ?)",
                (self._cloud, event.instance_id, event.run_id, event.at, event.kind, event.text),
            )
        return True

    def events(
        self, *, instance_id: int | None = None, since: float = 0.0, until: float = 1e12, limit: int = 1000
    ) -> list[RecordedEvent]:
        """What happened within [since, until], newest first, at most `limit`."""
        rows = self._read(
            """SELECT at, kind, text, instance_id, run_id FROM events WHERE cloud = ?1
               AND (?2 IS NULL OR instance_id = ?2) AND at >= ?3 AND at <= ?4
               ORDER BY at DESC, event_id DESC LIMIT ?5""",
            (self._cloud, instance_id, since, until, limit),
        )
        return [RecordedEvent(**dict(row)) for row in rows]

    def note_money(self, point: MoneyPoint) -> None:
        """Keep what burned and what was left, at most one a minute."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO money VALUES (?, ?, ?, ?, ?)",
                (
                    self._cloud, point.at - point.at % 60, point.burn_usd_per_hour, point.today_usd, point.credit_usd,
                ),
            )  # fmt: skip
        self._compact_in_turn()  # a console that watches for months while nothing is rented keeps no samples

    def keep_fleet(self, before: FleetView | None, after: FleetView, at: float) -> None:
        """Note what changed from one look at the fleet to the next, and what burned; `at` is this machine's time."""
        from console.models.recorder_fleet import fleet_changes, money_of

        for event in fleet_changes(before, after, at):
            self.note(event)
        point = money_of(after, at)
        if point is not None:
            self.note_money(point)

    def money(self, since: float = 0.0, until: float = 1e12) -> list[MoneyPoint]:
        """What burned and what was left within [since, until], oldest first."""
        rows = self._read(
            """SELECT at, burn_usd_per_hour, today_usd, credit_usd FROM money
               WHERE cloud = ? AND at >= ? AND at <= ? ORDER BY at""",
            (self._cloud, since, until),
        )
        return [MoneyPoint(**dict(row)) for row in rows]

    # keeping it small

    def _compact_in_turn(self) -> None:
        if self._clock() - self._compacted_at > COMPACT_EVERY_S:
            self.compact()

    def compact(self) -> None:
        """Make means of minutes of what is older than a day, and drop what is too old. Writing does it now and then."""
        self._compacted_at = now = self._clock()
        whole = (now - RAW_KEPT_S) // 60 * 60
        with self._write() as connection:
            for table, columns, keys, texts in (
                ("box_samples", BOX_COLUMNS, "cloud, instance_id", ("gpu_problem",)),
                ("gpu_samples", GPU_COLUMNS, "cloud, instance_id, gpu", ("name",)),
            ):
                means = ", ".join(f"avg({name})" for name in columns)
                told = ", ".join(f"max({name})" for name in texts)
                names = ", ".join((*keys.split(", "), "at", "span_s", *texts, *columns))
                connection.execute(
                    f"""CREATE TEMP TABLE minutes AS SELECT {keys}, CAST(at / 60 AS INTEGER) * 60.0 AS at, 60, {told},
                        {means} FROM {table} WHERE span_s = 0 AND at < ? GROUP BY {keys}, CAST(at / 60 AS INTEGER)""",  # noqa: S608
                    (whole,),
                )
                connection.execute(f"DELETE FROM {table} WHERE span_s = 0 AND at < ?", (whole,))  # noqa: S608
                connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) SELECT * FROM minutes")  # noqa: S608
                connection.execute("DROP TABLE minutes")
                connection.execute(f"DELETE FROM {table} WHERE at < ?", (now - MINUTES_KEPT_S,))  # noqa: S608
            for table in ("events", "money"):
                connection.execute(f"DELETE FROM {table} WHERE at < ?", (now - EVENTS_KEPT_S,))  # noqa: S608

    def _write(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._connection, self._lock)

    def _read(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()
