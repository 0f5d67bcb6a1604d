"""The tables of the recorder. Old files of another version are begun anew: what they held is a convenience."""

from __future__ import annotations

import sqlite3

VERSION = 1
BOX_COLUMNS = (
    "cpu_percent", "cpu_count", "ram_used_mb", "ram_total_mb", "disk_used_gb", "disk_total_gb",
    "net_in_bytes", "net_out_bytes", "net_in_bytes_per_s", "net_out_bytes_per_s",
)  # fmt: skip
GPU_COLUMNS = ("busy_percent", "vram_used_mb", "vram_total_mb", "temperature_c", "power_w")
TABLES = ("box_samples", "gpu_samples", "events", "money")


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, unless they are there."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:  # another console was faster
        connection.execute("COMMIT")
        return
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    columns = ", ".join(f"{name} REAL" for name in BOX_COLUMNS)
    connection.execute(
        f"""CREATE TABLE box_samples (
            cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, at REAL NOT NULL, span_s INTEGER NOT NULL,
            gpu_problem TEXT NOT NULL, {columns},
            PRIMARY KEY (cloud, instance_id, at)) WITHOUT ROWID, STRICT"""
    )
    columns = ", ".join(f"{name} REAL" for name in GPU_COLUMNS)
    connection.execute(
        f"""CREATE TABLE gpu_samples (
            cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, at REAL NOT NULL, gpu INTEGER NOT NULL,
            span_s INTEGER NOT NULL, name TEXT NOT NULL, {columns},
            PRIMARY KEY (cloud, instance_id, at, gpu)) WITHOUT ROWID, STRICT"""
    )
    connection.execute(
        """CREATE TABLE events (
            event_id INTEGER PRIMARY KEY, cloud TEXT NOT NULL, instance_id INTEGER, run_id TEXT,
            at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL) STRICT"""
    )
    connection.execute("CREATE INDEX events_by_time ON events (cloud, at)")
    connection.execute(
        """CREATE TABLE money (
            cloud TEXT NOT NULL, at REAL NOT NULL, burn_usd_per_hour REAL NOT NULL, today_usd REAL NOT NULL,
            credit_usd REAL, PRIMARY KEY (cloud, at)) WITHOUT ROWID, STRICT"""
    )
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
