"""Samples of the last 24 hours, kept by the box itself, so that a sleeping laptop misses nothing.

Several of our processes may live on a box (the dead-man, a supervisor for each job, the agent of a laptop). Whichever
holds `samples/lock` keeps the ring, with one long nvidia-smi; when it ends, the kernel frees the lock and another one
goes on. So there is one sampler a box, and no process that lives for samples alone.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any

from remote.agent import process
from remote.agent.environment import clean_environment
from remote.agent.samples import Sampler, gpu_query, gpu_row, gpus_now

SAMPLE_S = 5.0
RING_S = 24 * 3600.0
FRESH_S = 3 * SAMPLE_S
FIRST_ROWS_LIMIT_S = 5.0
TAIL_BYTES = 64 * 1024


class BoxSamples:
    """The ring below one Spotter root: `samples/now.jsonl`, and `samples/before.jsonl` for the day before."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "samples"
        self._sampler = Sampler(root, GpuWatch().rows)

    def keep(self) -> None:
        """Keep the ring from a thread of this process, whenever no other process does."""
        threading.Thread(target=self._keep, name="samples", daemon=True).start()

    def latest(self) -> dict[str, Any] | None:
        """The newest sample, unless it is older than 15 s."""
        found = _last_line(self._folder / "now.jsonl")
        return found if found is not None and abs(time.time() - found["ts"]) <= FRESH_S else None

    def gpus(self) -> list[dict[str, Any]]:
        """The GPUs by the newest sample; asked anew when nobody keeps the ring yet."""
        latest = self.latest()
        return latest["gpus"] if latest is not None else gpus_now()

    def since(self, since: float, limit: int) -> list[dict[str, Any]]:
        """Samples later than `since` (unix seconds), oldest first, evenly thinned out to at most `limit`."""
        found = []
        for name in ("before.jsonl", "now.jsonl"):
            for line in _lines(self._folder / name):
                sample = _parsed(line)
                if sample is not None and sample["ts"] > since:
                    found.append(sample)
        step = -(-len(found) // max(1, limit)) or 1
        return found[::-step][::-1]

    def _keep(self) -> None:
        while True:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / "lock").open("ab") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._keep_alone()
            except OSError:  # another process keeps it, or the disk is full: the next look decides
                time.sleep(SAMPLE_S)

    def _keep_alone(self) -> None:
        ring = self._folder / "now.jsonl"
        began = next((sample["ts"] for sample in map(_parsed, _lines(ring)) if sample is not None), time.time())
        while True:
            sample = self._sampler.sample()
            if sample["ts"] - began > RING_S and ring.exists():
                ring.replace(self._folder / "before.jsonl")
                began = sample["ts"]
            with ring.open("ab") as file:
                file.write(json.dumps(sample, separators=(",", ":")).encode() + b"\n")
            time.sleep(SAMPLE_S)


class GpuWatch:
    """What the GPUs do, by one nvidia-smi that goes on printing: starting one for each look costs 0.1 to 0.3 s."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[float, dict[str, Any]]] = {}
        self._came = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._query = gpu_query()

    def rows(self) -> list[dict[str, Any]]:
        """The newest row of each GPU; one that told nothing for 15 s is left out."""
        if self._query is None:
            return []
        if self._process is None or self._process.poll() is not None:
            try:
                self._start([*self._query, "-l", f"{SAMPLE_S:g}"])
            except OSError as error:
                return [{"error": f"nvidia-smi: {error}"}]
            if self._came.wait(FIRST_ROWS_LIMIT_S):
                time.sleep(0.05)  # the rows of the other GPUs follow at once
        horizon = time.monotonic() - FRESH_S
        return [row for _index, (at, row) in sorted(self._rows.items()) if at >= horizon]

    def _start(self, command: list[str]) -> None:
        self._came.clear()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
        process.helpers.add(self._process.pid)
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), name="nvidia-smi", daemon=True).start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                row = gpu_row(line.decode("utf-8", "replace"))
                if row is not None:
                    self._rows[row["index"]] = (time.monotonic(), row)
                    self._came.set()


def _last_line(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return next((sample for sample in map(_parsed, reversed(lines)) if sample is not None), None)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A sample; None for a line that a crash cut short."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "ts" in value else None
