"""The tables of the ledger of rentals, and how an older file becomes one of today."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable

MARK_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
MARK_LENGTH = 6


def _first(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE requests (
            request_id TEXT PRIMARY KEY, cloud TEXT NOT NULL, run_id TEXT, wanted TEXT NOT NULL,
            state TEXT NOT NULL, opened_at REAL NOT NULL, updated_at REAL NOT NULL, closed_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE intents (
            intent_id INTEGER PRIMARY KEY, request_id TEXT, instance_id INTEGER, operation TEXT NOT NULL,
            label TEXT NOT NULL, detail TEXT NOT NULL, at REAL NOT NULL,
            outcome TEXT, outcome_detail TEXT NOT NULL DEFAULT '', outcome_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE transitions (
            transition_id INTEGER PRIMARY KEY, request_id TEXT, instance_id INTEGER,
            state TEXT NOT NULL, message TEXT NOT NULL, at REAL NOT NULL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE instances (
            instance_id INTEGER PRIMARY KEY, cloud TEXT NOT NULL, request_id TEXT, run_id TEXT,
            machine_id INTEGER NOT NULL, offer_id INTEGER, label TEXT NOT NULL, gpu_name TEXT NOT NULL,
            gpu_usd_per_hour REAL NOT NULL, disk_usd_per_hour REAL NOT NULL, state TEXT NOT NULL,
            opened_at REAL NOT NULL, running_at REAL, closed_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE steps (
            instance_id INTEGER NOT NULL, step_id TEXT NOT NULL, inputs_hash TEXT NOT NULL, state TEXT NOT NULL,
            evidence TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL,
            PRIMARY KEY (instance_id, step_id)) STRICT"""
    )
    connection.execute(
        """CREATE TABLE jobs (
            job_id TEXT PRIMARY KEY, instance_id INTEGER NOT NULL, run_id TEXT, state TEXT NOT NULL,
            exit_code INTEGER, spec TEXT NOT NULL, launched_at REAL NOT NULL, updated_at REAL NOT NULL) STRICT"""
    )
    connection.execute("CREATE INDEX transitions_of_instance ON transitions (instance_id)")
    connection.execute("CREATE INDEX transitions_of_request ON transitions (request_id)")


def _key_by_cloud(connection: sqlite3.Connection) -> None:
    """Ids are a cloud's own: two clouds may use the same one. Money becomes meters, traffic and adjustments."""
    connection.execute("ALTER TABLE instances RENAME TO instances_by_id")
    connection.execute(
        """CREATE TABLE instances (
            cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, request_id TEXT, run_id TEXT,
            machine_id INTEGER NOT NULL, offer_id INTEGER, label TEXT NOT NULL, gpu_name TEXT NOT NULL,
            gpu_usd_per_hour REAL NOT NULL, disk_usd_per_hour REAL NOT NULL,
            download_usd_per_gb REAL NOT NULL DEFAULT 0, upload_usd_per_gb REAL NOT NULL DEFAULT 0,
            state TEXT NOT NULL, opened_at REAL NOT NULL, running_at REAL, seen_at REAL, closed_at REAL,
            PRIMARY KEY (cloud, instance_id)) STRICT"""
    )
    connection.execute(
        """INSERT INTO instances (cloud, instance_id, request_id, run_id, machine_id, offer_id, label, gpu_name,
                gpu_usd_per_hour, disk_usd_per_hour, state, opened_at, running_at, closed_at)
           SELECT cloud, instance_id, request_id, run_id, machine_id, offer_id, label, gpu_name,
                gpu_usd_per_hour, disk_usd_per_hour, state, opened_at, running_at, closed_at FROM instances_by_id"""
    )
    connection.execute(
        """CREATE TABLE meters (
            meter_id INTEGER PRIMARY KEY, cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, kind TEXT NOT NULL,
            usd_per_hour REAL NOT NULL, started_at REAL NOT NULL, ended_at REAL) STRICT"""
    )
    connection.execute(
        """INSERT INTO meters (cloud, instance_id, kind, usd_per_hour, started_at, ended_at)
           SELECT cloud, instance_id, 'disk', disk_usd_per_hour, opened_at, max(opened_at, closed_at)
           FROM instances_by_id"""
    )
    connection.execute(
        """INSERT INTO meters (cloud, instance_id, kind, usd_per_hour, started_at, ended_at)
           SELECT cloud, instance_id, 'gpu', gpu_usd_per_hour, running_at, max(running_at, closed_at)
           FROM instances_by_id WHERE running_at IS NOT NULL"""
    )
    connection.execute("CREATE INDEX meters_of_instance ON meters (cloud, instance_id)")
    connection.execute(
        """CREATE TABLE traffic (
            cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, hour_at REAL NOT NULL,
            bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, usd REAL NOT NULL,
            PRIMARY KEY (cloud, instance_id, hour_at)) STRICT"""
    )
    connection.execute(
        """CREATE TABLE adjustments (
            adjustment_id INTEGER PRIMARY KEY, cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, usd REAL NOT NULL,
            reason TEXT NOT NULL, at REAL NOT NULL, made_at REAL NOT NULL) STRICT"""
    )
    for table in ("intents", "transitions", "jobs"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN cloud TEXT NOT NULL DEFAULT ''")
        connection.execute(
            f"""UPDATE {table} SET cloud = coalesce(
                (SELECT cloud FROM instances_by_id AS known WHERE known.instance_id = {table}.instance_id), '')"""  # noqa: S608
        )
    for table in ("intents", "transitions"):
        connection.execute(
            f"""UPDATE {table} SET cloud = coalesce(
                (SELECT cloud FROM requests WHERE requests.request_id = {table}.request_id), cloud)"""  # noqa: S608
        )
    connection.execute("ALTER TABLE steps RENAME TO steps_by_id")
    connection.execute(
        """CREATE TABLE steps (
            cloud TEXT NOT NULL, instance_id INTEGER NOT NULL, step_id TEXT NOT NULL, inputs_hash TEXT NOT NULL,
            state TEXT NOT NULL, evidence TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL,
            PRIMARY KEY (cloud, instance_id, step_id)) STRICT"""
    )
    connection.execute(
        """INSERT INTO steps SELECT coalesce((SELECT cloud FROM instances_by_id AS known
                WHERE known.instance_id = steps_by_id.instance_id), ''),
            instance_id, step_id, inputs_hash, state, evidence, started_at, ended_at FROM steps_by_id"""
    )
    connection.execute("DROP TABLE steps_by_id")
    connection.execute("DROP TABLE instances_by_id")
    connection.execute("DROP INDEX transitions_of_instance")
    connection.execute("CREATE INDEX transitions_of_instance ON transitions (cloud, instance_id)")


def _know_machines(connection: sqlite3.Connection) -> None:
    """Machines that failed, the way that reached each, and the mark by which a workspace knows what it rented."""
    connection.execute(
        """CREATE TABLE bad_machines (
            cloud TEXT NOT NULL, machine_id INTEGER NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL,
            at REAL NOT NULL, PRIMARY KEY (cloud, machine_id)) STRICT"""
    )
    connection.execute(
        """CREATE TABLE routes (
            cloud TEXT NOT NULL, machine_id INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
            PRIMARY KEY (cloud, machine_id)) STRICT"""
    )
    connection.execute("CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
    mark = "".join(secrets.choice(MARK_LETTERS) for _ in range(MARK_LENGTH))
    connection.execute("INSERT INTO notes VALUES ('mark', ?)", (mark,))


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _key_by_cloud, _know_machines)
"""Applied in order; `user_version` of the file counts how many it has had."""
