"""A run's folder: where things lie, `run.json`, and the lock that keeps a second runner out."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import RunBusy, UsageError
from pipeline.core.events import RunState
from pipeline.core.files import write_atomic

EXIT_CODES: dict[str, int] = {"succeeded": 0, "failed": 1, "incomplete": 3, "cancelled": 4, "interrupted": 5}
"""Exit code of `python -m pipeline run` by the state in which the run ended; 2 is bad input or usage."""


class RunInfo(BaseModel):
    """`run.json`: what the run is and how it stands."""

    model_config = ConfigDict(frozen=True, extra="allow")

    run_id: str
    pipeline: str
    version: str
    created_at: float
    params_digest: str
    manifest_digest: str
    plan_key: str
    """Digest of pipeline@version, parameters and manifest: two plans of the same work share it."""
    items: int
    groups: dict[str, int]
    state: RunState = "queued"
    exit_code: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    counts: dict[str, int] | None = None
    """Items by how they ended: ok, failed, rejected, open."""
    stage_keys: dict[str, str] = {}
    """Cache keys of a box's map stages where they were worked on last: the laptop takes their results by them."""
    stage_asks: dict[str, str] = {}
    """What every map stage was asked for, by `stage.asked_keys`: a later run that asks the same takes its results."""
    taken_from: str | None = None
    """The run whose results were taken over, where this one asks the same."""
    taken_keys: dict[str, str] = {}
    """Cache keys under which those were made; this run's stages of these names go by them wherever they work."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths inside one run's folder."""

    path: Path

    @property
    def info_file(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def params_file(self) -> Path:
        """`params.yaml`: the parameters with every default written out."""
        return self.path / "params.yaml"

    @property
    def manifest_file(self) -> Path:
        """`manifest.jsonl`."""
        return self.path / "manifest.jsonl"

    @property
    def ledger_file(self) -> Path:
        """`ledger.sqlite`."""
        return self.path / "ledger.sqlite"

    @property
    def events_file(self) -> Path:
        """`events.jsonl`."""
        return self.path / "events.jsonl"

    @property
    def metrics_file(self) -> Path:
        """`metrics.jsonl`."""
        return self.path / "metrics.jsonl"

    @property
    def artifacts_file(self) -> Path:
        """`artifacts.jsonl`."""
        return self.path / "artifacts.jsonl"

    @property
    def room_file(self) -> Path:
        """Disk space that a run keeps for its own last words."""
        return self.path / ".room"

    @property
    def cancel_file(self) -> Path:
        """Its presence when SIGTERM arrives makes the run end `cancelled`, not `interrupted`."""
        return self.path / "cancel"

    def read_info(self) -> RunInfo:
        """Read `run.json`.

        Raises:
            UsageError: the folder holds no run, or the file is damaged.
        """
        try:
            return RunInfo.model_validate_json(self.info_file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{self.path} holds no run: plan one first (python -m pipeline plan)") from None
        except ValidationError as error:
            raise UsageError(f"{self.info_file} is damaged ({error.errors()[0]['msg']}): plan the run again") from error

    def write_info(self, info: RunInfo) -> None:
        """Replace `run.json` as a whole."""
        data: dict[str, Any] = info.model_dump(mode="json", exclude_none=True)
        write_atomic(self.info_file, orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run's lock; the kernel lets go of it when the process ends, however it ends.

        Raises:
            RunBusy: naming the process that holds it.
        """
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _lock(handle):
                holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise RunBusy(
                    f"{self.path} is being run by process {holder}: wait for it or stop it (kill -TERM {holder})"
                )
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The process that runs in this folder now, if any."""
        try:
            handle = os.open(self.path / ".lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            return int(text) if text.isdigit() else 0
        else:
            return None
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Try for a quarter of a second: who only looks whether the lock is held, holds it for a moment."""
    for _ in range(5):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False
