"""Commands about runs: run, runs, watch, pull, cancel."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.bootstrap import drive_and_decide
from console.commands.frame import (
    WRONG_INPUT,
    Json,
    Place,
    Yes,
    ask,
    fail,
    print_json,
    refuse_empty,
    reporting,
    session,
)
from console.commands.parameters import parameters
from console.operations.signals import stop_on_signals

if TYPE_CHECKING:
    from console.models.runs import RunRow
    from console.operations.plan import Plan
    from console.operations.run_place import RunPlace
    from console.operations.runbook import Runbook, RunEntry
    from console.operations.session import Session
    from console.workspace import Workspace

ENDED_IN_ORDER = frozenset({"succeeded", "incomplete"})
EXIT_OF_STATE = {"succeeded": 0, "incomplete": 3, "cancelled": 4, "interrupted": 5}

RunId = Annotated[str, typer.Argument(help="A run's id, or its last characters, or `last`.")]


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PIPELINE] [SOURCES]...", help="Default: docparse, and all of data/."),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="A [profiles.…] of spotter.toml.")] = None,
    instance: Annotated[int | None, typer.Option(help="Use this instance, and keep it afterwards.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the machine rented afterwards.")] = False,
    instances: Annotated[
        int | None, typer.Option(min=1, max=64, help="Spread the run over so many machines.", show_default=False)
    ] = None,
    no_replace: Annotated[
        bool, typer.Option("--no-replace", help="Do not rent another machine when one is lost.")
    ] = False,
    param: Annotated[list[str] | None, typer.Option(help="A parameter, as dpi=200 or detector=layout.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    from_run: Annotated[
        str | None, typer.Option("--from", help="Plan as this run was, and take over what it did already.")
    ] = None,
    on_this_machine: Annotated[bool, typer.Option("--here", help="Do it on this machine, and rent none.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Do work anew that a run has done already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only: what would be parsed, at what price.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Rent, bootstrap, push, parse, pull, index, destroy. Ctrl-C stops it cleanly and leaves no machine behind."""
    from console.operations.plan import forget, plan
    from console.operations.run import Wishes
    from console.operations.run_needs import CannotBeDone
    from console.operations.run_place import run_place
    from console.operations.runbook import Runbook
    from console.operations.taking import take_over
    from console.words import visible

    if on_this_machine and (instance is not None or instances or profile or keep):
        fail("--here rents nothing: give it without --instance, --instances, --profile and --keep", 2)
    if from_run is not None and resume is not None:
        fail("--from plans new work out of a run, --resume goes on with one: give one of them", 2)
    if dry_run and resume is not None:
        fail("--dry-run plans new work, --resume goes on with a run and may rent: give one of them", 2)
    refuse_empty("PIPELINE or SOURCES", *(words or ()))
    stop_on_signals()
    here = session()
    with reporting(as_json=as_json) as report:
        if resume is not None:
            entry = Runbook(here.workspace).resolve(resume)
        else:
            pipeline, sources = pipeline_and_sources(words or [])
            overrides = parameters(param or [])
            earlier = None if from_run is None else Runbook(here.workspace).resolve(from_run)
            planned = plan(
                here, sources, pipeline=earlier.pipeline if earlier else pipeline, overrides=overrides,
                like=earlier, again=again, report=report,
            )  # fmt: skip
            entry = planned.entry
            if earlier is not None and not planned.known:
                left = take_over(here, entry, earlier, report)
                on_this_machine |= not left.devices and instance is None and not instances
            if dry_run:
                for problem in planned.problems:
                    print(f"        ✗ {visible(problem.path)}: {problem.message}", file=sys.stderr)
                try:
                    refusals = list(_refusals(here, entry, on_this_machine=on_this_machine))
                    place = run_place(here, profile, instance, here=on_this_machine)
                    return _show_plan(here, planned, place, refusals, as_json)
                finally:
                    if not planned.known:
                        forget(here, entry)
    where = here.cloud_name
    on_this_machine |= entry.here
    if instance is None and not on_this_machine and entry.may_rent and where != "local":
        machine = profile or entry.profile or here.settings.cloud.profile
        machines = instances or here.settings.cloud.instances
        what = "a machine" if machines == 1 else f"{machines} machines"
        ask(f"Rent {what} of profile {machine} on the {where} cloud?", yes=yes)
    replace = False if no_replace else None
    wishes = Wishes(profile, instance, keep, instances=instances, replace=replace, here=on_this_machine)
    try:
        entry = drive_and_decide(here, entry.run_id, wishes, as_json=as_json)
    except CannotBeDone:
        if resume is None and not planned.known:
            forget(here, entry)
        raise
    return show_outcome(here, entry, as_json)


def pipeline_and_sources(words: list[str]) -> tuple[str, list[Path]]:
    """The first word names a pipeline, unless it is plainly a file or a folder; `-C` is where paths start from."""
    base = Place.directory or Path.cwd()
    first = Path(words[0]) if words else base
    if words and not (base / first).exists() and first.name == words[0] and not first.suffix:
        return words[0], [base / word for word in words[1:]]
    return "docparse", [base / word for word in words]


def _refusals(here: Session, entry: RunEntry, *, on_this_machine: bool) -> Iterator[str]:
    """Why the run would be refused before anything is rented, as it is planned and as things stand here."""
    from console.errors import WrongInput
    from console.operations.laptop_stages import check_secrets
    from console.operations.run_needs import check_checkpoints, check_cloud, check_this_machine

    checks: list[Callable[[], None]] = [lambda: check_secrets(here, entry)]
    if on_this_machine:
        checks.insert(0, lambda: check_this_machine(here, entry.run_id))
    else:
        checks[:0] = [lambda: check_cloud(here, entry.run_id), lambda: check_checkpoints(here, entry.run_id)]
    for check in checks:
        try:
            check()
        except WrongInput as refused:
            yield str(refused)


def _show_plan(here: Session, planned: Plan, place: RunPlace, refusals: list[str], as_json: bool) -> int:
    """Print what a run would do and cost; ends with 2 when it would be refused."""
    from console.models.run_estimate import plan_details
    from console.words import count

    if as_json:
        figures = {"pages": planned.items, "documents": planned.documents, "forecasts": planned.forecasts}
        machine = {"usd_per_hour": place.usd_per_hour, "rents": place.rents, "instance": place.instance_id}
        more = plan_details(here.workspace, planned, place.usd_per_hour)
        print_json({"run": planned.entry.run_id, **figures, **machine, "refused": refusals, **more})
        return WRONG_INPUT if refusals else 0
    print(f"{count(planned.items, 'page')} of {count(planned.documents, 'document')}; {place.words}")
    for refusal in refusals:
        print(f"spotter: the run would be refused: {refusal}", file=sys.stderr)
    return WRONG_INPUT if refusals else 0


def show_outcome(here: Session, entry: RunEntry, as_json: bool) -> int:
    """Say how a run ended, with each failed item, and return its exit code."""
    from console.models.item_names import ItemNames
    from console.models.run_view import EventFile
    from console.words import visible
    from pipeline.docparse.vlm.spending import paid_usd

    folder = here.workspace.run_folder(entry.run_id)
    events = EventFile(folder / "events.jsonl")
    events.catch_up()
    names = ItemNames(folder)
    failures = [
        {"item": names.of(failure), "stage": failure.stage, "reason": failure.reason}
        for failure in events.failures.values()
    ]
    if as_json:
        print_json(entry.model_dump(mode="json") | {"folder": str(folder), "failures": failures})
    else:
        for failure in failures:
            print(f"        ✗ {failure['item']}: {failure['stage']}: {failure['reason']}")
        words = entry.state + (f": {entry.problem}" if entry.problem else "")
        spent = here.ledger.spent_usd(run_id=entry.run_id) + paid_usd(folder)
        print(f"run {entry.run_id} {words} · ${spent:.4f} · {visible(os.path.relpath(folder))}")
        if entry.state in ("succeeded", "incomplete"):
            print("next: spotter search WORDS, or spotter for the console")
    return EXIT_OF_STATE.get(entry.state, 1)


def runs(as_json: Json = False) -> int:
    """Show all runs, newest first."""
    from console.models.runs import RunList
    from console.words import duration

    here = session()
    rows = RunList(here.workspace).refresh()
    if as_json:
        print_json(
            [
                row.entry.model_dump(mode="json")
                | {"shown_state": row.state, "fraction": row.view.fraction, "driver": row.driver}
                | _figures(row)
                for row in rows
            ]
        )
        return 0
    now = time.time()
    for row in rows:
        age = duration(now - row.entry.created_at)
        entry, view = row.entry, row.view
        figures = f"{entry.pipeline:<9} {row.state:<11} {view.fraction:4.0%}  {age:>8} ago"
        print(f"{entry.run_id}  {figures}  {row.note}")
    if not rows:
        print("no run yet: `spotter run docparse` parses everything in data/")
    elif here.emulated:
        print("EMULATED: this workspace rents from the local cloud")
    return 0


def _figures(row: RunRow) -> dict[str, Any]:
    """Items, time to go and cost of a run, for programs."""
    from dataclasses import asdict

    from console.models.run_cost import pace_of

    pace = pace_of(row.view)
    eta_s = 0.0 if row.view.ended else pace.eta_s
    cost = None if row.cost is None else asdict(row.cost)
    return {"items_done": pace.done, "items": pace.total, "eta_s": eta_s, "cost": cost}


def watch(run_id: RunId = "last", as_json: Json = False) -> int:
    """Reattach to a run that works on a machine, or follow the process that drives it. Never rents."""
    from console.operations.run import Wishes, drive
    from console.operations.runbook import Phase, Runbook

    stop_on_signals()
    here = session()
    runbook = Runbook(here.workspace)
    entry = runbook.resolve(run_id)
    if entry.phase is not Phase.DONE and runbook.holder(entry.run_id) is not None:
        follow_log(here.workspace, entry.run_id, tell_cost=True)
        entry = runbook.read(entry.run_id)
    elif entry.phase is not Phase.DONE:
        if not entry.machines and not entry.here:
            fail(f"run {entry.run_id} has no machine: `spotter run --resume {entry.run_id}` rents one")
        with reporting(as_json=as_json) as report:
            entry = drive(here, entry.run_id, report, Wishes(may_rent=False))
    return show_outcome(here, entry, as_json)


class LogPrinter:
    """Prints what was appended to a run's log, or to its events, since the last time."""

    def __init__(self, here: Workspace, run_id: str, *, events: bool) -> None:
        self._folder = here.run_folder(run_id)
        self._events = events
        self._offsets: dict[Path, int] = {}

    def more(self) -> None:
        """Print it."""
        logs = sorted((self._folder / "logs").glob("job-*.log"))
        for path in [self._folder / "events.jsonl"] if self._events else logs:
            if path.exists():
                with path.open("rb") as handle:
                    handle.seek(self._offsets.get(path, 0))
                    chunk = handle.read()
                self._offsets[path] = self._offsets.get(path, 0) + len(chunk)
                sys.stdout.buffer.write(chunk)
        sys.stdout.flush()


COST_EVERY_S = 30.0


def follow_log(here: Workspace, run_id: str, *, events: bool = False, tell_cost: bool = False) -> None:
    """Print a run's log until nobody drives it any more; with `tell_cost`, now and then on stderr what it costs."""
    from console.models.run_cost import cost_words
    from console.models.run_reader import RunReader
    from console.operations.runbook import Phase, Runbook

    runbook, printer, reader = Runbook(here), LogPrinter(here, run_id, events=events), RunReader(here, run_id)
    told = -COST_EVERY_S
    while True:
        ended = runbook.read(run_id).phase is Phase.DONE or runbook.holder(run_id) is None
        printer.more()
        if tell_cost and time.monotonic() - told >= COST_EVERY_S:
            told = time.monotonic()
            if words := cost_words(reader.look().cost):
                print(words, file=sys.stderr, flush=True)
        if ended:
            return
        time.sleep(0.3)


def pull(run_id: RunId = "last", as_json: Json = False) -> int:
    """Fetch what a run has made so far, verified."""
    from console.operations.fleet_box import pull_parts
    from console.operations.pull import pull as pull_run
    from console.operations.runbook import Runbook

    here = session()
    entry = Runbook(here.workspace).resolve(run_id)
    if not entry.machines:
        fail(
            f"run {entry.run_id} has no instance any more; what it made is in {here.workspace.run_folder(entry.run_id)}"
        )
    with reporting(as_json=as_json) as report:
        if entry.instance_id is None:
            files = pull_parts(here, entry.run_id, report)
        else:
            files = pull_run(here, entry.instance_id, entry.run_id, report, orderly=entry.state in ENDED_IN_ORDER)
    if as_json:
        print_json({"run": entry.run_id, "files": files})
    return 0


DRIVER_PATIENCE_S = 200.0
"""Longer than what it may wait for itself: a job's grace, a last pull, answers that are on their way."""


def stop_driver(runbook: Runbook, run_id: str) -> None:
    """Interrupt the process that drives a run, as its own Ctrl-C would, and wait until it has wound down."""
    from console.operations.letting_go import is_there

    holder = runbook.held_by(run_id)
    if holder is None:
        return
    driver = holder.pid
    if not is_there(holder):
        fail(f"run {run_id} is held by a process that cannot be told: the lock names {driver}, which is another one")
    with suppress(ProcessLookupError):
        os.kill(driver, signal.SIGINT)
    deadline = time.monotonic() + DRIVER_PATIENCE_S
    while runbook.holder(run_id) is not None:
        if time.monotonic() > deadline:
            fail(f"process {driver} drives run {run_id} and does not stop: kill -9 it, then cancel again")
        time.sleep(0.2)


def cancel(run_id: RunId, yes: Yes = False, as_json: Json = False) -> int:
    """Stop a run: what is finished is fetched and kept, its machine is destroyed unless it is to be kept."""
    from console.operations.run import cancel as cancel_run
    from console.operations.runbook import Phase, Runbook

    here = session()
    runbook = Runbook(here.workspace)
    entry = runbook.resolve(run_id)
    if entry.phase is Phase.DONE:
        fail(f"run {entry.run_id} has ended already: {entry.state}")
    machine = "Its machine stays rented; " if entry.keep_instance else "Its machine is destroyed; "
    ask(f"Cancel run {entry.run_id}? {'' if entry.here else machine}What is finished is kept.", yes=yes)
    stop_driver(runbook, entry.run_id)
    with reporting(as_json=as_json) as report:
        entry = cancel_run(here, entry.run_id, report)
    if as_json:
        print_json(entry.model_dump(mode="json"))
    else:
        print(f"run {entry.run_id} {entry.state}")
        for instance_id in entry.machines if entry.keep_instance else ():
            print(f"instance {instance_id} is kept, and billed: `spotter destroy {instance_id}` ends that")
    return 0
