"""Plan: fix what a run will do, before anything is spent on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import UsageError
from pipeline.core.files import digest, write_atomic
from pipeline.core.manifest import Manifest, read_manifest
from pipeline.core.pipeline import Pipeline, Scan
from pipeline.core.rundir import RunFolder, RunInfo
from pipeline.core.stage import MapStage, Stage, stages_at


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that is ready to start."""

    info: RunInfo
    manifest: Manifest
    scan: Scan
    stages: tuple[Stage, ...]
    run_dir: Path

    def answer(self) -> dict[str, Any]:
        """What `python -m pipeline plan` prints."""
        opened = (source for item in self.manifest if item.problem is None for source in item.sources)
        sources = {source.path: source for source in opened}
        return {
            "run_id": self.info.run_id,
            "plan_key": self.info.plan_key,
            "items": len(self.manifest),
            "documents": len(self.info.groups),
            "problems": [
                {"path": item.source.path, "message": item.problem.message} for item in self.manifest if item.problem
            ],
            "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in self.scan.skipped],
            "warnings": list(self.scan.warnings),
            "sources": [
                {"path": source.path, "sha256": source.sha256, "bytes": source.bytes} for source in sources.values()
            ],
            "stages": [stage.name for stage in self.stages],
            "laptop_stages": [stage.name for stage in stages_at("laptop", self.stages)],
            "secrets": sorted({name for stage in self.stages for name in stage.secrets}),
            "forecasts": self._forecasts(),
        }

    def _forecasts(self) -> list[str]:
        """What its stages will cost beside time."""
        items = [item for item in self.manifest if item.problem is None]
        told = [(each.name, each.forecast(items, self.run_dir)) for each in self.stages if isinstance(each, MapStage)]
        return [f"{name}: {words}" for name, words in told if words is not None]


def plan(
    pipeline: Pipeline, values: object, run_dir: Path, workspace: Path, clock: Callable[[], float] = time.time
) -> Planned:
    """Scan the sources and write `params.yaml`, `manifest.jsonl` and, last, `run.json`.

    The run's id is the folder's name when that is a ULID, else a new one. Planning the same work into the same folder
    again changes nothing.

    Raises:
        UsageError: wrong parameters, nothing to do, or a folder that cannot be written or holds another run.
    """
    params = pipeline.settle(pipeline.parse_params(values), workspace)
    stages = pipeline.make_stages(params)
    scan = pipeline.scan(params, workspace)
    manifest = Manifest(scan.items)
    folder = RunFolder(run_dir)
    snapshot = params.model_dump(mode="json")
    plan_key = digest([f"{pipeline.name}@{pipeline.version}", snapshot, manifest.digest])
    if folder.info_file.exists():
        return Planned(_same_run(folder, plan_key), read_manifest(folder.manifest_file), scan, stages, run_dir)
    info = RunInfo(
        run_id=_run_id(run_dir.name),
        pipeline=pipeline.name,
        version=pipeline.version,
        created_at=clock(),
        params_digest=digest(snapshot),
        manifest_digest=manifest.digest,
        plan_key=plan_key,
        items=len(manifest),
        groups=manifest.groups,
    )
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_atomic(folder.params_file, yaml.safe_dump(snapshot, allow_unicode=True, sort_keys=False).encode())
        manifest.write(folder.manifest_file)
        folder.write_info(info)
    except OSError as error:
        raise UsageError(f"the run folder {run_dir} cannot be written: {error.strerror}") from error
    return Planned(info, manifest, scan, stages, run_dir)


def _same_run(folder: RunFolder, plan_key: str) -> RunInfo:
    info = folder.read_info()
    if info.plan_key != plan_key:
        raise UsageError(f"{folder.path} already holds another run ({info.run_id}): give --run-dir a new folder")
    return info


def _run_id(name: str) -> str:
    from ulid import ULID

    try:
        return str(ULID.from_str(name.upper())).lower()
    except ValueError:
        return str(ULID()).lower()
