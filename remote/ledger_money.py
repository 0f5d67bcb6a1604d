"""What rented machines cost: meters that run and stop, bytes, and what the cloud's own bill differs by."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from remote.ledger_file import LedgerFile
from remote.ledger_rows import BYTES_PER_GB, SECONDS_PER_HOUR, Adjustment, Meter, MeterKind, Traffic, TrafficHour

LEAST_ADJUSTMENT_USD = 1e-9
ALL_METERS: tuple[MeterKind, ...] = ("gpu", "disk")


class LedgerMoney(LedgerFile):
    """The part of the ledger that counts dollars."""

    def meters(self, cloud: str, instance_id: int) -> list[Meter]:
        """Every span in which an instance was billed, oldest first."""
        rows = self._read(
            """SELECT cloud, instance_id, kind, usd_per_hour, started_at, ended_at FROM meters
               WHERE cloud = ? AND instance_id = ? ORDER BY started_at, meter_id""",
            (cloud, instance_id),
        )
        return [Meter(**dict(row)) for row in rows]

    def note_billed(self, cloud: str, instance_id: int, kinds: Sequence[MeterKind], *, at: float | None = None) -> None:
        """Note that the cloud was just seen to bill exactly these parts: their meters run, others end.

        A stopped instance keeps its disk's bill, one whose host is away has none.
        """
        now = at if at is not None else self._now()
        with self._write() as connection:
            connection.execute(
                """UPDATE instances SET seen_at = ?1, running_at = coalesce(running_at, CASE WHEN ?2 THEN ?1 END)
                   WHERE cloud = ?3 AND instance_id = ?4 AND closed_at IS NULL""",
                (now, "gpu" in kinds, cloud, instance_id),
            )
            start_meters(connection, cloud, instance_id, kinds, now)
            end_meters(connection, cloud, instance_id, [each for each in ALL_METERS if each not in kinds], now)

    def offline_since(self, cloud: str, instance_id: int) -> float | None:
        """Since when nothing of a living instance is billed; None while something is."""
        (row,) = self._read(
            """SELECT CASE WHEN count(*) = count(ended_at) THEN max(ended_at) END FROM meters
               WHERE cloud = ? AND instance_id = ?""",
            (cloud, instance_id),
        )
        return None if row[0] is None else float(row[0])

    def reprice(self, cloud: str, instance_id: int, *, gpu_usd_per_hour: float, disk_usd_per_hour: float) -> None:
        """Bill an instance at another price than its offer's, from its beginning: what the cloud's row says holds."""
        with self._write() as connection:
            where = (cloud, instance_id)
            connection.execute(
                "UPDATE instances SET gpu_usd_per_hour = ?, disk_usd_per_hour = ? WHERE cloud = ? AND instance_id = ?",
                (gpu_usd_per_hour, disk_usd_per_hour, *where),
            )
            for kind, usd_per_hour in (("gpu", gpu_usd_per_hour), ("disk", disk_usd_per_hour)):
                connection.execute(
                    "UPDATE meters SET usd_per_hour = ? WHERE cloud = ? AND instance_id = ? AND kind = ?",
                    (usd_per_hour, *where, kind),
                )

    def price_from_now(
        self, cloud: str, instance_id: int, *, gpu_usd_per_hour: float, disk_usd_per_hour: float
    ) -> None:
        """Bill a living instance at another price from now on: what was counted until now stays as it was."""
        now = self._now()
        with self._write() as connection:
            running: list[MeterKind] = [
                row[0]
                for row in connection.execute(
                    "SELECT kind FROM meters WHERE cloud = ? AND instance_id = ? AND ended_at IS NULL",
                    (cloud, instance_id),
                )
            ]
            end_meters(connection, cloud, instance_id, running, now)
            connection.execute(
                """UPDATE instances SET gpu_usd_per_hour = ?, disk_usd_per_hour = ?
                   WHERE cloud = ? AND instance_id = ? AND closed_at IS NULL""",
                (gpu_usd_per_hour, disk_usd_per_hour, cloud, instance_id),
            )
            start_meters(connection, cloud, instance_id, running, now)

    def note_traffic(
        self, cloud: str, instance_id: int, *, bytes_in: int = 0, bytes_out: int = 0, at: float | None = None
    ) -> None:
        """Count bytes that went into the instance and out of it, at the prices of its host."""
        now = at if at is not None else self._now()
        with self._write() as connection:
            prices = connection.execute(
                "SELECT download_usd_per_gb, upload_usd_per_gb FROM instances WHERE cloud = ? AND instance_id = ?",
                (cloud, instance_id),
            ).fetchone()
            into, out_of = (0.0, 0.0) if prices is None else (prices[0], prices[1])
            usd = (bytes_in * into + bytes_out * out_of) / BYTES_PER_GB
            connection.execute(
                """INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (cloud, instance_id, hour_at) DO UPDATE
                   SET bytes_in = bytes_in + excluded.bytes_in, bytes_out = bytes_out + excluded.bytes_out,
                   usd = usd + excluded.usd""",
                (cloud, instance_id, now - now % SECONDS_PER_HOUR, bytes_in, bytes_out, usd),
            )

    def traffic(self, cloud: str, instance_id: int) -> Traffic:
        """All bytes of an instance so far."""
        (row,) = self._read(
            """SELECT coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), coalesce(sum(usd), 0.0)
               FROM traffic WHERE cloud = ? AND instance_id = ?""",
            (cloud, instance_id),
        )
        return Traffic(row[0], row[1], row[2])

    def traffic_hours(self, cloud: str) -> list[TrafficHour]:
        """The same hour by hour, of every instance, oldest first."""
        rows = self._read(
            """SELECT cloud, instance_id, hour_at, bytes_in, bytes_out, usd FROM traffic
               WHERE cloud = ? ORDER BY hour_at, instance_id""",
            (cloud,),
        )
        return [TrafficHour(**dict(row)) for row in rows]

    def adjust(self, cloud: str, instance_id: int, usd: float, reason: str, *, at: float | None = None) -> None:
        """Add what the cloud's own bill differs by, for the moment `at`; what was counted stays as it is."""
        with self._write():
            self._adjust(cloud, instance_id, usd, reason, at)

    def _adjust(self, cloud: str, instance_id: int, usd: float, reason: str, at: float | None) -> None:
        now = self._now()
        self._connection.execute(
            "INSERT INTO adjustments (cloud, instance_id, usd, reason, at, made_at) VALUES (?, ?, ?, ?, ?, ?)",
            (cloud, instance_id, usd, reason, at if at is not None else now, now),
        )

    def settle(
        self, cloud: str, instance_id: int, charged_usd: float, reason: str, *, at: float | None = None
    ) -> float:
        """Adjust an instance to what the cloud charged for it in all; returns by how much. Once for one charge."""
        with self._write():
            difference = charged_usd - self.spent_usd(cloud=cloud, instance_id=instance_id)
            if abs(difference) > LEAST_ADJUSTMENT_USD:
                self._adjust(cloud, instance_id, difference, reason, at)
        return difference

    def adjustments(self, cloud: str) -> list[Adjustment]:
        """Every correction, oldest first."""
        rows = self._read(
            """SELECT cloud, instance_id, usd, reason, at, made_at FROM adjustments
               WHERE cloud = ? ORDER BY adjustment_id""",
            (cloud,),
        )
        return [Adjustment(**dict(row)) for row in rows]

    def spent_usd(
        self,
        since: float = 0.0,
        *,
        until: float | None = None,
        cloud: str | None = None,
        instance_id: int | None = None,
        run_id: str | None = None,
    ) -> float:
        """Dollars spent since a moment, on one cloud, instance or run; what runs now counts until now, or `until`.

        Without `cloud` real and emulated dollars come together, which is right for one run only. An instance is named
        by its cloud and id.
        """
        if instance_id is not None and cloud is None:
            raise ValueError("an instance is named by its cloud and its id")
        now = self._now()
        end = now if until is None else min(now, until)
        chosen = """SELECT cloud, instance_id FROM instances WHERE (?1 IS NULL OR cloud = ?1)
                    AND (?2 IS NULL OR instance_id = ?2) AND (?3 IS NULL OR run_id = ?3)"""
        values = (cloud, instance_id, run_id)
        rows = self._read(
            f"""SELECT cloud, instance_id, kind, usd_per_hour, started_at, ended_at FROM meters
                WHERE (cloud, instance_id) IN ({chosen}) AND (ended_at IS NULL OR ended_at > ?4)""",  # noqa: S608
            (*values, since),
        )
        (others,) = self._read(
            f"""SELECT (SELECT coalesce(sum(usd), 0.0) FROM traffic
                        WHERE (cloud, instance_id) IN ({chosen}) AND hour_at + {SECONDS_PER_HOUR} > ?4
                        AND (?5 IS NULL OR hour_at < ?5))
                     + (SELECT coalesce(sum(usd), 0.0) FROM adjustments
                        WHERE (cloud, instance_id) IN ({chosen}) AND at >= ?4
                        AND (?5 IS NULL OR at <= ?5))""",  # noqa: S608 (constants)
            (*values, since, until),
        )
        return sum(Meter(**dict(row)).usd(end, since) for row in rows) + float(others[0])

    def burn_usd_per_hour(self, cloud: str) -> float:
        """What is billed by the hour from now on: disks, and the GPUs that run or are on their way to."""
        (row,) = self._read(
            """SELECT coalesce(sum(disk_usd_per_hour *
                        EXISTS (SELECT 1 FROM meters WHERE meters.cloud = instances.cloud AND ended_at IS NULL
                                AND meters.instance_id = instances.instance_id AND kind = 'disk')
                      + gpu_usd_per_hour * (running_at IS NULL OR
                        EXISTS (SELECT 1 FROM meters WHERE meters.cloud = instances.cloud AND ended_at IS NULL
                                AND meters.instance_id = instances.instance_id AND kind = 'gpu'))), 0.0)
               FROM instances WHERE cloud = ? AND closed_at IS NULL""",
            (cloud,),
        )
        return float(row[0])


def start_meters(
    connection: sqlite3.Connection, cloud: str, instance_id: int, kinds: Sequence[MeterKind], at: float
) -> None:
    """Open the named meters of a living instance at its price, but for those that are open."""
    for kind in kinds:
        price = "gpu_usd_per_hour" if kind == "gpu" else "disk_usd_per_hour"
        connection.execute(
            f"""INSERT INTO meters (cloud, instance_id, kind, usd_per_hour, started_at)
                SELECT cloud, instance_id, ?3, {price}, ?4 FROM instances
                WHERE cloud = ?1 AND instance_id = ?2 AND closed_at IS NULL AND NOT EXISTS (
                    SELECT 1 FROM meters WHERE cloud = ?1 AND instance_id = ?2 AND kind = ?3 AND ended_at IS NULL)""",  # noqa: S608
            (cloud, instance_id, kind, at),
        )


def end_meters(
    connection: sqlite3.Connection, cloud: str, instance_id: int, kinds: Sequence[MeterKind], at: float
) -> None:
    """Close the named meters, never before they began."""
    for kind in kinds:
        connection.execute(
            """UPDATE meters SET ended_at = max(started_at, ?)
               WHERE cloud = ? AND instance_id = ? AND kind = ? AND ended_at IS NULL""",
            (at, cloud, instance_id, kind),
        )
