"""Taking over: a planned run gets what an earlier one did, where both ask the same of a stage.

A threshold that is changed leaves the detector's boxes as they were: the new run takes them as they lie on this disk,
and only what the change touches is done again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.core.artifact_index import ArtifactIndex
from pipeline.core.artifacts import Artifact, ArtifactLog, is_whole
from pipeline.core.errors import UsageError
from pipeline.core.ledger import Ledger, Result
from pipeline.core.manifest import Item, read_manifest
from pipeline.core.pipeline import read_params
from pipeline.core.registry import load_pipeline
from pipeline.core.rundir import RunFolder
from pipeline.core.stage import MapStage, asked_keys, stages_at

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run took over, and what it has still to do."""

    run_id: str
    """The earlier run."""
    items: int
    """Items of the new run."""
    stages: Mapping[str, int]
    """Stage → items whose results were taken over."""
    devices: tuple[str, ...]
    """Stages that want a device and are not through for every item: they need a machine that has one."""

    def to_json(self) -> dict[str, Any]:
        """As `python -m pipeline take` prints it."""
        return asdict(self)


def take_over(folder: RunFolder, earlier: RunFolder, pipeline_name: str) -> Taken:
    """Give a planned run every result of an earlier one that it would only make again; files are linked, not copied.

    A stage's results are taken when it is asked the same as then, by `asked_keys`, and for an item only when those of
    all the stages that it requires are taken too. What failed then is tried again. Doing it twice changes nothing.

    Raises:
        UsageError: one of the folders holds no run, or the earlier run cannot tell what its stages were asked for.
    """
    info, then = folder.read_info(), earlier.read_info()
    pipeline = load_pipeline(pipeline_name)
    for run in (info, then):
        if run.pipeline != pipeline.name:
            raise UsageError(f"run {run.run_id} is one of {run.pipeline}, not of {pipeline.name}: nothing can be taken")
    if not then.stage_asks or not earlier.ledger_file.exists():
        raise UsageError(f"run {then.run_id} has no results here: resume it first, or plan the new run without it")
    stages = pipeline.make_stages(pipeline.parse_params(read_params(folder.params_file)))
    asked = asked_keys(pipeline.name, stages)
    items = read_manifest(folder.manifest_file).items
    shared = _shared(items, read_manifest(earlier.manifest_file).items)
    counts: dict[str, int] = {}
    through: dict[str, set[str]] = {}
    keys: dict[str, str] = {}
    files = _Files(earlier.path, folder.path)
    ledger, book = Ledger(folder.ledger_file), Ledger(earlier.ledger_file, read_only=True)
    log, listed = ArtifactLog(folder.artifacts_file), ArtifactIndex(earlier.artifacts_file)
    try:
        for stage in stages_at("box", stages):
            key = then.stage_keys.get(stage.name)
            if not isinstance(stage, MapStage) or key is None or then.stage_asks.get(stage.name) != asked[stage.name]:
                continue
            fit = set(shared).intersection(*(through.get(name, set()) for name in stage.requires))
            through[stage.name] = set()
            results = (
                result
                for result in book.each(stage.name, key)
                if result.item_id in fit
                and result.status != "failed"
                and all(
                    listed.sha256(artifact.path) == artifact.sha256 and is_whole(earlier.path, artifact)
                    for artifact in result.artifacts
                )
            )
            while batch := list(islice(results, _BATCH)):
                _take(batch, files, log, ledger)
                through[stage.name] |= {result.item_id for result in batch}
            counts[stage.name] = len(through[stage.name])
            keys[stage.name] = key
    finally:
        for each in (ledger, book, log, listed):
            each.close()
    folder.write_info(info.model_copy(update={"taken_from": then.run_id, "taken_keys": keys}))
    open_items = {item.item_id for item in items if item.problem is None}
    devices = tuple(
        stage.name
        for stage in stages
        if isinstance(stage, MapStage) and stage.device and open_items - through.get(stage.name, set())
    )
    return Taken(then.run_id, len(items), counts, devices)


def _shared(items: Iterable[Item], earlier: Iterable[Item]) -> set[str]:
    """Items that both runs have, alike in all that stages see of them."""
    known = {item.item_id: item for item in earlier}
    return {item.item_id for item in items if _seen(item) == _seen(known.get(item.item_id))}


def _seen(item: Item | None) -> Item | None:
    return None if item is None else item.model_copy(update={"priority": 0})


def _take(results: list[Result], files: _Files, log: ArtifactLog, ledger: Ledger) -> None:
    """Files first, then their list, then the ledger: a crash in between costs a repetition, no more."""
    for result in results:
        for artifact in result.artifacts:
            files.take(artifact)
    log.append(artifact for result in results for artifact in result.artifacts)
    ledger.record(results, ())


class _Files:
    """The files of one run folder as files of another: no stage changes a file in place, so one content serves both."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target
        self._made: set[Path] = set()

    def take(self, artifact: Artifact) -> None:
        source, target = self._source / artifact.path, self._target / artifact.path
        if target.parent not in self._made:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(target.parent)
        draft = target.with_name(f".{target.name}.taken")
        draft.unlink(missing_ok=True)
        try:
            os.link(source, draft)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, draft)
        draft.replace(target)
