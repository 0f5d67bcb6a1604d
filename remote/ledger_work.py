"""What was done on rented machines: bootstrap steps and jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping

from remote.ledger_file import LedgerFile, as_json
from remote.ledger_rows import JobRow, StepRow


class LedgerWork(LedgerFile):
    """The part of the ledger that knows steps and jobs."""

    def record_step(
        self,
        cloud: str,
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
                """INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (cloud, instance_id, step_id) DO UPDATE SET inputs_hash = excluded.inputs_hash,
                   state = excluded.state, evidence = excluded.evidence,
                   started_at = excluded.started_at, ended_at = excluded.ended_at""",
                (
                    cloud, instance_id, step_id, inputs_hash, state, as_json(evidence or {}),
                    started_at if started_at is not None else self._now(), ended_at,
                ),
            )  # fmt: skip

    def steps(self, cloud: str, instance_id: int) -> list[StepRow]:
        """The bootstrap steps of an instance, in the order in which they were begun."""
        rows = self._read(
            "SELECT * FROM steps WHERE cloud = ? AND instance_id = ? ORDER BY started_at", (cloud, instance_id)
        )
        return [StepRow(**{**dict(row), "evidence": json.loads(row["evidence"])}) for row in rows]

    def record_job(
        self,
        job_id: str,
        cloud: str,
        instance_id: int,
        *,
        state: str,
        run_id: str | None = None,
        exit_code: int | None = None,
        spec: Mapping[str, object] | None = None,
    ) -> None:
        """Note a job, or how it stands now; spec, run and launch time are those of the first call."""
        now = self._now()
        with self._write() as connection:
            connection.execute(
                """INSERT INTO jobs
                   (job_id, cloud, instance_id, run_id, state, exit_code, spec, launched_at, updated_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (job_id) DO UPDATE SET state = excluded.state, exit_code = excluded.exit_code,
                   updated_at = excluded.updated_at""",
                (job_id, cloud, instance_id, run_id, state, exit_code, as_json(spec or {}), now, now),
            )

    def jobs(
        self, *, cloud: str | None = None, instance_id: int | None = None, run_id: str | None = None
    ) -> list[JobRow]:
        """Jobs, oldest first; of one instance (named by cloud and id) or run when asked."""
        rows = self._read(
            """SELECT * FROM jobs WHERE (?1 IS NULL OR cloud = ?1) AND (?2 IS NULL OR instance_id = ?2)
               AND (?3 IS NULL OR run_id = ?3) ORDER BY launched_at, job_id""",
            (cloud, instance_id, run_id),
        )
        return [JobRow(**{**dict(row), "spec": json.loads(row["spec"])}) for row in rows]
