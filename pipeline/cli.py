"""The box contract as a command line: plan, run, status; and, for a run of many boxes, keys, shards, close; take,
for a run that goes on from what another did.

Anything long is said by events, not here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.rundir import RunFolder
    from pipeline.core.runner import LoadedRun, Runner, RunOptions
    from pipeline.core.sources import Sources
    from pipeline.core.stage import Place
    from pipeline.core.stop import StopSignal

MODEL_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_DISABLE_TORCH_CHECK": "1"}
"""For libraries that read it when they are imported: checkpoints are ours to fetch, nothing asks a hub behind our back;
and transformers' checks of values make the processor wait for the GPU in every deformable layer."""

FAILED_EXIT = 1
USAGE_EXIT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 succeeded, 1 failed, 2 bad input or usage, 3 incomplete, 4 cancelled, 5 interrupted.
    """
    options = _parser().parse_args(arguments)
    from pipeline.core.errors import PipelineError, UsageError

    try:
        return int(options.command(options))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_EXIT if isinstance(error, UsageError) else FAILED_EXIT
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or options.run_dir}", file=sys.stderr)
        return FAILED_EXIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Plan and run pipelines over a manifest.")
    commands = parser.add_subparsers(required=True, metavar="plan|run|status|keys|take|shards|close")

    plan = commands.add_parser("plan", help="scan the sources and write the manifest")
    plan.add_argument("pipeline", help="a pipeline's name, such as docparse, or module:attribute")
    plan.add_argument("--params", type=Path, required=True, help="parameters as YAML")
    plan.add_argument("--run-dir", type=Path, required=True, help="folder of the run; made if it is missing")
    plan.add_argument("--workspace", type=Path, required=True, help="folder that source paths are relative to")
    plan.set_defaults(command=_plan)

    run = commands.add_parser("run", help="work on a planned run until it ends")
    run.add_argument("pipeline", help="the pipeline that the run was planned for")
    run.add_argument("--run-dir", type=Path, required=True)
    where = run.add_mutually_exclusive_group()
    where.add_argument("--blobs", type=Path, help="content-addressed store that holds the sources")
    where.add_argument("--workspace", type=Path, help="folder that source paths are relative to (default: .)")
    run.add_argument("--resume", action="store_true", help="go on with a run that was started before")
    run.add_argument("--limit", type=_positive, metavar="N", help="only the first N items; the run ends incomplete")
    run.add_argument("--shard", type=_shard, metavar="i/n", help="only part i of n")
    run.add_argument(
        "--place", choices=("box", "laptop"), help="only the stages of this place; laptop goes on from what a box did"
    )
    run.add_argument("--leash", action="store_true", help="stop when standard input is closed by whoever started this")
    run.add_argument("--dry-run", action="store_true", help="say what each stage would do, and do nothing")
    run.add_argument("--queue", type=Path, help="work through this queue of shards; nothing is reduced or reported")
    run.add_argument("--worker", default="0", help="name of this process among those that share the queue")
    run.add_argument("--share", type=_positive, default=1, metavar="N", help="this many such processes on the machine")
    run.set_defaults(command=_run)

    status = commands.add_parser("status", help="print one JSON line: state, and counts per stage")
    status.add_argument("--run-dir", type=Path, required=True)
    status.set_defaults(command=_status)

    keys = commands.add_parser("keys", help="print one JSON line: the stages, and the cache keys that they have here")
    keys.add_argument("pipeline")
    keys.add_argument("--run-dir", type=Path, required=True)
    keys.set_defaults(command=_keys)

    take = commands.add_parser("take", help="take over what an earlier run did, where this one asks the same")
    take.add_argument("pipeline")
    take.add_argument("--run-dir", type=Path, required=True)
    take.add_argument("--from", type=Path, required=True, dest="earlier", metavar="RUN_DIR")
    take.set_defaults(command=_take)

    shards = commands.add_parser("shards", help="change the queue of shards, then print what it holds as a JSON line")
    shards.add_argument("--queue", type=Path, required=True)
    shards.add_argument("--add", action="store_true", help="add shards: a JSON object name → item ids on stdin")
    shards.add_argument("--steal", type=_positive, metavar="N", help="take away up to N that nobody began")
    shards.set_defaults(command=_shards)

    close = commands.add_parser("close", help="end a run whose parts were merged: reduce, report")
    close.add_argument("pipeline")
    close.add_argument("--run-dir", type=Path, required=True)
    close.add_argument(
        "--keys", required=True, help="cache keys by stage, as `keys` told them where the parts were made"
    )
    close.add_argument("--problem", help="why the rest could not be done")
    close.add_argument("--stopped", action="store_true", help="leave the laptop's map stages to a later session")
    close.add_argument("--leash", action="store_true", help="stop when standard input is closed")
    close.set_defaults(command=_close)
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return number


def _shard(text: str) -> tuple[int, int]:
    index, _, of = text.partition("/")
    if not (index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with 1 <= i <= n, such as 2/4")
    return int(index), int(of)


def _plan(options: argparse.Namespace) -> int:
    from pipeline.core.pipeline import read_params
    from pipeline.core.plan import plan
    from pipeline.core.registry import load_pipeline

    planned = plan(load_pipeline(options.pipeline), read_params(options.params), options.run_dir, options.workspace)
    print(json.dumps(planned.answer(), ensure_ascii=False))
    return 0


def _run(options: argparse.Namespace) -> int:
    from pipeline.core.errors import UsageError
    from pipeline.core.rundir import RunFolder
    from pipeline.core.runner import Runner, RunOptions, load_run
    from pipeline.core.sources import Sources
    from pipeline.core.stop import StopSignal

    for name, value in MODEL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    folder = RunFolder(options.run_dir)
    place: Place | None = "box" if options.queue is not None else options.place
    chosen = RunOptions(options.resume, options.limit, options.shard, options.share, place)
    sources = Sources(options.blobs, True) if options.blobs else Sources(options.workspace or Path(), False)
    run = load_run(folder, options.pipeline, chosen, _told_keys(folder) if place == "laptop" else None)
    if options.dry_run:
        from pipeline.core.survey import survey

        for line in survey(run):
            print(line)
        return 0
    stop = StopSignal()
    with folder.hold():
        info = folder.read_info()
        if info.state != "queued" and not options.resume:
            raise UsageError(f"{folder.path} holds a run that was started before (it is {info.state}): add --resume")
        # A cancel file from before this session was meant for another one.
        folder.cancel_file.unlink(missing_ok=True)
        with stop.on_signals(), _leash(stop, options.leash):
            if options.queue is not None:
                return _queue_runner(options, run, sources, chosen, stop).run()
            if place == "laptop":
                from pipeline.core.closing import ClosingRunner

                return ClosingRunner(run, sources, stop, _say).run()
            return Runner(run, sources, chosen, stop, say=_say).run()


def _told_keys(folder: RunFolder) -> dict[str, str]:
    """Under which cache keys the box's stages were done.

    Raises:
        UsageError: no box worked on this run.
    """
    from pipeline.core.errors import UsageError

    keys = folder.read_info().stage_keys
    if not keys:
        raise UsageError(f"{folder.path} holds nothing that a box did: run it with --place box first, or without")
    return keys


@contextmanager
def _leash(stop: StopSignal, held: bool) -> Iterator[None]:
    """Stop when whoever holds the other end of our standard input lets go of it, also when he is killed."""
    if held:

        def wait() -> None:
            while os.read(0, 4096):
                continue
            stop.request()

        threading.Thread(target=wait, name="leash", daemon=True).start()
    yield


def _say(line: str) -> None:
    print(line, flush=True)


def _queue_runner(
    options: argparse.Namespace, run: LoadedRun, sources: Sources, chosen: RunOptions, stop: StopSignal
) -> Runner:
    from pipeline.core.queued import QueueRunner
    from pipeline.core.shards import ShardQueue

    queue = ShardQueue(options.queue)
    return QueueRunner(run, sources, chosen, stop, _say, queue=queue, worker=options.worker)


def _keys(options: argparse.Namespace) -> int:
    from pipeline.core.rundir import RunFolder
    from pipeline.core.runner import RunOptions, load_run

    run = load_run(RunFolder(options.run_dir), options.pipeline, RunOptions(place="box"))
    stages = [{"name": each.name, "kind": each.kind, "requires": each.requires} for each in run.stages]
    mapped = {each.name: run.keys[each.name] for each in run.stages if each.kind == "map"}
    print(json.dumps({"stages": stages, "keys": mapped}))
    return 0


def _take(options: argparse.Namespace) -> int:
    from pipeline.core.rundir import RunFolder
    from pipeline.core.taking import take_over

    folder = RunFolder(options.run_dir)
    with folder.hold():
        print(json.dumps(take_over(folder, RunFolder(options.earlier), options.pipeline).to_json()))
    return 0


def _shards(options: argparse.Namespace) -> int:
    from pipeline.core.shards import ShardQueue

    queue = ShardQueue(options.queue)
    if options.add:
        queue.add(json.load(sys.stdin))
    stolen = queue.steal(options.steal) if options.steal else ()
    print(json.dumps({**queue.listing().to_json(), "stolen": stolen}))
    return 0


def _close(options: argparse.Namespace) -> int:
    from pipeline.core.closing import ClosingRunner
    from pipeline.core.rundir import RunFolder
    from pipeline.core.runner import RunOptions, load_run
    from pipeline.core.sources import Sources
    from pipeline.core.stop import StopSignal

    folder = RunFolder(options.run_dir)
    run = load_run(folder, options.pipeline, RunOptions(), keys=json.loads(options.keys))
    stop = StopSignal()
    with folder.hold(), stop.on_signals(), _leash(stop, options.leash):
        return ClosingRunner(
            run, Sources(Path(), False), stop, _say, problem=options.problem, stopped=options.stopped
        ).run()


def _status(options: argparse.Namespace) -> int:
    from pipeline.core.rundir import RunFolder
    from pipeline.core.survey import status

    print(json.dumps(status(RunFolder(options.run_dir)), ensure_ascii=False))
    return 0
