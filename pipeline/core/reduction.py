"""Executes a reduce stage: once for all items, in a worker process, with its result kept like any other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.artifacts import ArtifactLog
from pipeline.core.errors import StageCrash
from pipeline.core.execution import Work
from pipeline.core.ledger import WHOLE_RUN, Execution, Ledger, Result
from pipeline.core.manifest import Item
from pipeline.core.pipeline import MAX_BACKOFF_S, RunParams
from pipeline.core.pool import WorkerPool
from pipeline.core.progress import HEARTBEAT_S
from pipeline.core.rundir import RunFolder
from pipeline.core.stage import ReduceStage
from pipeline.core.stop import StopSignal
from pipeline.core.worker import Call, Done


def run_reduction(
    stage: ReduceStage,
    stage_key: str,
    items: Sequence[Item],
    keys: Mapping[str, str],
    *,
    ledger: Ledger,
    artifacts: ArtifactLog,
    folder: RunFolder,
    params: RunParams,
    pool: WorkerPool[Work],
    stop: StopSignal,
    beat: Callable[[], None],
) -> Result | None:
    """Reduce `items`, unless the very same were reduced before; None when an urgent stop cut it short.

    `keys`: cache keys of the stages that this one requires. What they handed on is read where the work is done.

    Raises:
        StageCrash: the stage failed; there is no item to blame.
    """
    key = _key(stage_key, items, keys, ledger)
    known = ledger.result(WHOLE_RUN, stage.name, key)
    if (
        known is not None
        and known.status == "ok"
        and all(artifacts.holds(folder.path, file) for file in known.artifacts)
    ):
        return known
    call = Call(stage.name, "reduce", payload=(tuple(items), dict(keys), folder.ledger_file))
    for attempt in range(1, params.attempts + 1):
        done = _call(call, items[0], pool, stop, beat)
        if done is None:
            return None
        now = time.time()
        if done.error is None:
            assert done.output is not None
            result = Result(
                WHOLE_RUN,
                stage.name,
                key,
                "ok",
                attempt,
                round(done.elapsed_s, 6),
                now,
                done.output.data,
                done.artifacts,
            )
            artifacts.append(done.artifacts)
            ledger.record([result], [Execution(WHOLE_RUN, stage.name, key, attempt, "ok", now)])
            return result
        again = done.error.retryable and not done.crash and attempt < params.attempts
        outcome = "retried" if again else "failed"
        ledger.record([], [Execution(WHOLE_RUN, stage.name, key, attempt, outcome, now, done.error.message)])
        if not again:
            raise StageCrash(f"stage {stage.name} failed: {done.error.message}")
        if stop:
            return None
        time.sleep(min(MAX_BACKOFF_S, params.retry_backoff_s * 2 ** (attempt - 1)))
    raise AssertionError("the last attempt returns or raises")


def _key(stage_key: str, items: Sequence[Item], keys: Mapping[str, str], ledger: Ledger) -> str:
    """A digest of the stage's key and of everything that comes into it: outputs, and files by their hashes."""
    all_of_it = hashlib.sha256(stage_key.encode())
    for item in items:
        all_of_it.update(item.item_id.encode())
        for stage, cache_key in keys.items():
            for part in ledger.fingerprint(item.item_id, stage, cache_key):
                all_of_it.update(hashlib.sha256(part).digest())
    return all_of_it.hexdigest()[:32]


def _call(
    call: Call, any_item: Item, pool: WorkerPool[Work], stop: StopSignal, beat: Callable[[], None]
) -> Done | None:
    pool.submit(Work(any_item, {}), call)
    while not stop.urgent:
        replies = pool.wait(HEARTBEAT_S, [stop])
        stop.drain()
        if replies:
            return replies[0].done
        beat()
    return None
