"""Drives `python -m pipeline` as a box does: as processes of their own, watched through their files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.events import Event, read_events
from pipeline.core.files import read_lines
from pipeline.core.plan import plan
from pipeline.core.registry import load_pipeline

REPOSITORY = Path(__file__).parents[2]
TOY = "tests.pipeline.toy:PIPELINE"
DEADLINE_S = 60.0


def pipeline(*arguments: str | Path, check: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, env=_environment(), timeout=DEADLINE_S)
    if check is not None:
        assert done.returncode == check, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY)}


@dataclass
class Bench:
    """A workspace with sources and one run of a pipeline."""

    root: Path
    pipeline: str = TOY

    @property
    def run_dir(self) -> Path:
        return self.root / "out" / "runs" / "run"

    def source(self, name: str, word: str) -> Path:
        path = self.root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(word)
        return path

    def plan(self, **params: Any) -> dict[str, Any]:
        """Plan in this process; returns what the command would print."""
        values = {"sources": ["data"]} | params
        return plan(load_pipeline(self.pipeline), values, self.run_dir, self.root).answer()

    def run(self, *options: str | Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        where = () if "--blobs" in options else ("--workspace", self.root)
        return pipeline("run", self.pipeline, "--run-dir", self.run_dir, *where, *options, check=check)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(pipeline("status", "--run-dir", self.run_dir, check=0).stdout)
        return answer

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """The run as a process group of its own, killed at the end if it is still there."""
        command = _command("run", self.pipeline, "--run-dir", self.run_dir, "--workspace", self.root, *options)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
            start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def events(self) -> list[Event]:
        return list(read_events(self.run_dir / "events.jsonl"))

    def info(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads((self.run_dir / "run.json").read_text())
        return answer

    def report(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads((self.run_dir / "report.json").read_text())
        return answer

    def executions(self) -> Counter[tuple[str, str, str]]:
        """(stage, item, outcome) → how often."""
        with closing(sqlite3.connect(self.run_dir / "ledger.sqlite")) as ledger:
            return Counter(ledger.execute("SELECT stage, item_id, outcome FROM executions").fetchall())

    def done_twice(self) -> list[tuple[str, str, str]]:
        """Finished work that was done again."""
        with closing(sqlite3.connect(self.run_dir / "ledger.sqlite")) as ledger:
            return ledger.execute(
                "SELECT stage, item_id, cache_key FROM executions WHERE outcome = 'ok'"
                " GROUP BY 1, 2, 3 HAVING count(*) > 1"
            ).fetchall()

    def item(self, name: str) -> str:
        """Id of the item of the source `name`."""
        lines = map(json.loads, (self.run_dir / "manifest.jsonl").read_text().splitlines())
        return str(next(line["item_id"] for line in lines if line["source"]["path"].endswith(name)))

    def artifacts(self) -> dict[str, dict[str, Any]]:
        lines = map(json.loads, (self.run_dir / "artifacts.jsonl").read_text().splitlines())
        return {line["path"]: line for line in lines}


def wait_until(condition: Callable[[], object], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Poll every 4 ms; a process that ends meanwhile without meeting the condition is a failure."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if process is not None and process.poll() is not None and not condition():
            out, error = process.communicate()
            raise AssertionError(f"ended before {what}:\n{out.decode()}\n{error.decode()}")
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.004)


def items_done(bench: Bench, stage: str) -> int:
    """Items that events say are through a stage."""
    told = read_lines(bench.run_dir / "events.jsonl")
    return sum((line["type"], line.get("stage"), line.get("status")) == ("item", stage, "ok") for line in told)


def stage_begun(bench: Bench, stage: str) -> bool:
    """Whether events say that a stage began, and did not end."""
    told = read_lines(bench.run_dir / "events.jsonl")
    states = [line["state"] for line in told if line["type"] == "stage" and line["stage"] == stage]
    return states[-1:] == ["started"]


def sequence_is_gap_free(events: list[Event]) -> bool:
    """1, 2, 3 …"""
    return [event.seq for event in events] == list(range(1, len(events) + 1))
