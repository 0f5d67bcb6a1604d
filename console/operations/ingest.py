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
from console.operations.index_quality import after_ingest
from console.operations.session import Session
from console.words import count
from index.spending import dollars

LOCK_PATIENCE_S = 300.0
LOCK_RETRY_S = 1.0


class IngestFailed(Exception):
    """The index took nothing, or not all; the text says why."""


def ingest(
    session: Session,
    paths: Sequence[Path],
    report: Report = silent,
    *,
    embedder: str | None = None,
    max_usd: float | None = None,
    estimate_only: bool = False,
    ask: bool = True,
    tell: bool = True,
) -> dict[str, Any]:
    """Bring the index up to date with these run folders or NDJSON files; returns the counts.

    One process writes the index at a time; this one waits for its turn. Afterwards the index is asked the labelled
    queries, and a report is written; what they say stands under `quality`.

    Args:
        session: whose workspace.
        paths: run folders, folders of them, or NDJSON files.
        report: is told what embedding will cost, and how far it is.
        embedder: by default the one of the settings.
        max_usd: what embedding may cost at most; by default as the settings say.
        estimate_only: return `{"estimate": …}`, None for an embedder that costs nothing, and do nothing.
        ask: whether the labelled queries are asked afterwards.
        tell: whether a report is written and anything asked at all; a live sync, which ingests every few seconds,
            leaves that to the end of the run.

    Raises:
        IngestFailed: with the index's own sentence.
    """
    command = [sys.executable, "-m", "index", "ingest", "--workspace", str(session.workspace.root)]
    said = session.settings.index
    command += ["--embedder", embedder or said.embedder, "--max-usd", str(said.max_usd if max_usd is None else max_usd)]
    command += ["--estimate"] * estimate_only + ["--json", "--", *map(str, paths)]
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
        if estimate_only:
            step.summary = "nothing was done"
            return result
        step.summary = (
            f"{result['added']} added, {result['updated']} updated, {result['unchanged']} unchanged, "
            f"{result['removed']} removed · {result['records']} in the index"
        )
        if result["reviewed_out"]:
            step.summary += f" · {count(result['reviewed_out'], 'record')} left out, rejected in a review"
        if result["spent"] is not None:
            step.summary += f" · {dollars(result['spent']['usd'])} for embedding"
            if result["spent"]["in_pieces"]:
                step.summary += f", {count(result['spent']['in_pieces'], 'long text')} in pieces"
    if tell:
        result["quality"] = after_ingest(session.workspace.root, result, report, ask=ask)
    return result


def ingest_run(session: Session, run_id: str, report: Report) -> None:
    """Index what a run recorded, if anything. Raises IngestFailed."""
    folder = session.workspace.run_folder(run_id)
    if any((folder / "records").glob("*.ndjson")):
        ingest(session, [folder], report)
    else:
        report(OperationEvent("ingest", "finished", "the run made no records"))


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
                if said.get("phase") == "estimate":
                    report(OperationEvent("estimate", "finished", said["message"]))
                elif "phase" in said:
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
