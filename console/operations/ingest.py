"""Ingest: a run's records into the index, in a process of its own, because Chroma's writes stop a whole interpreter."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from console.operations.events import OperationEvent, Report, Step, silent
from console.operations.session import Session

LOCK_PATIENCE_S = 300.0
LOCK_RETRY_S = 1.0


class IngestFailed(Exception):
    """The index took nothing, or not all; the text says why."""


def ingest(session: Session, paths: Sequence[Path], report: Report = silent) -> dict[str, Any]:
    """Bring the index up to date with these run folders or NDJSON files; returns the counts.

    One process writes the index at a time; this one waits for its turn.

    Raises:
        IngestFailed: with the index's own sentence.
    """
    command = [sys.executable, "-m", "index", "ingest", "--workspace", str(session.workspace.root)]
    command += ["--embedder", session.settings.index.embedder, "--json", *map(str, paths)]
    deadline = time.monotonic() + LOCK_PATIENCE_S
    with Step("ingest", "indexing records", report) as step:
        while True:
            answer = _ingest_process(command, report)
            if "result" in answer:
                break
            error = answer["error"]
            if error["type"] != "IndexLocked" or time.monotonic() > deadline:
                raise IngestFailed(error["message"])
            report(OperationEvent("ingest", "progress", error["message"]))
            time.sleep(LOCK_RETRY_S)
        result: dict[str, Any] = answer["result"]
        step.summary = (
            f"{result['added']} added, {result['updated']} updated, {result['unchanged']} unchanged, "
            f"{result['removed']} removed · {result['records']} in the index"
        )
    return result


def _ingest_process(command: list[str], report: Report) -> dict[str, Any]:
    """Run the child to its end, passing its progress on; returns its last word: `result` or `error`."""
    last: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = orjson.loads(line)
                if "phase" in said:
                    report(
                        OperationEvent(
                            "ingest", "progress", said["phase"], said["done"], said.get("total"), said["unit"]
                        )
                    )
                else:
                    last = said
        except BaseException:
            process.terminate()
            raise
        process.wait()
        if "result" in last or "error" in last:
            return last
        errors.seek(0)
        words = errors.read().decode("utf-8", "replace").strip().splitlines()
    reason = words[-1] if words else f"indexing ended with exit code {process.returncode}"
    return {"error": {"type": "", "message": reason}}
