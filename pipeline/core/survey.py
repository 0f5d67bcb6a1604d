"""Looking at a run without touching it: how it stands, and what the next session would do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.core.artifact_index import ArtifactIndex
from pipeline.core.events import ProgressEvent, StageEvent, StateEvent, read_events
from pipeline.core.ledger import Ledger
from pipeline.core.rundir import RunFolder
from pipeline.core.runner import LoadedRun
from pipeline.core.stage import MapStage, ReduceStage


def status(folder: RunFolder) -> dict[str, Any]:
    """How a run stands, from its own files.

    `alive` tells whether a process works on it; a run that says `running` without one was killed and can be resumed.

    Raises:
        UsageError: the folder holds no run.
    """
    info = folder.read_info()
    holder = folder.holder()
    stages: dict[str, dict[str, Any]] = {}
    message = ""
    for event in read_events(folder.events_file):
        if isinstance(event, StateEvent):
            message = event.message or ""
        elif isinstance(event, StageEvent | ProgressEvent):
            stage = stages.setdefault(event.stage, {})
            stage |= {"total": event.total, "done": event.done, "ok": event.ok, "failed": event.failed}
            if isinstance(event, ProgressEvent):
                stage |= {"rate_per_s": event.rate_per_s, "eta_s": event.eta_s}
            else:
                stage |= {"state": event.state}
    return {
        "run_id": info.run_id, "pipeline": info.pipeline, "state": info.state, "message": message, "items": info.items,
        "alive": holder is not None, "pid": holder, "stages": stages,
    }  # fmt: skip


def survey(run: LoadedRun) -> Iterator[str]:
    """One line per stage: how many items are done, and how many the next session would take up."""
    finished: dict[str, dict[str, bool]] = {}
    listed = ArtifactIndex(run.folder.artifacts_file)
    if run.folder.ledger_file.exists():
        ledger = Ledger(run.folder.ledger_file, read_only=True)
        for stage in run.stages:
            finished[stage.name] = {
                result.item_id: result.status != "failed" and all(listed.sha256(file.path) for file in result.artifacts)
                for result in ledger.each(stage.name, run.keys[stage.name])
            }
        ledger.close()
    listed.close()
    bad = sum(item.problem is not None for item in run.scope)
    noun = run.pipeline.noun
    yield f"scan: {len(run.scope) - bad} {noun}s to work on, {bad} cannot be opened"
    for stage in run.stages:
        if isinstance(stage, ReduceStage):
            yield f"{stage.name}: one result from every {noun} that is through"
            continue
        assert isinstance(stage, MapStage)
        results = finished.get(stage.name, {})
        open_items = [item for item in run.scope if item.problem is None and item.item_id not in results]
        done = sum(results.get(item.item_id, False) for item in run.scope)
        yield f"{stage.name}: {done} {noun}s done, at most {len(run.scope) - bad - done} to do"
        if open_items and (ahead := stage.forecast(open_items, run.folder.path)):
            yield f"{stage.name}: {ahead}"
