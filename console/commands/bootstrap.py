"""Commands about making a machine ready, and the question what to do with one that cannot be."""

from __future__ import annotations

import select
import sys
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from console.commands.frame import Json, print_json, reporting, session

if TYPE_CHECKING:
    from console.operations.bootstrap import StepLine
    from console.operations.run import Wishes
    from console.operations.runbook import RunEntry
    from console.operations.session import Session

Verdict = Literal["hold", "release", "retry"]
PATIENCE_S = 600.0
"""How long a question about a machine that costs money waits for its answer; then the machine goes back."""

SHOWN_FIRST = ("reason", "last_lines", "path", "made by", "packages", "torch finds", "gpus", "MODEL_DIR", "there")
"""What of a step's evidence says most; `--json` has all of it."""

SHOWN_EVIDENCE = 3
LONGEST_EVIDENCE = 100


def bootstrap(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    listing: Annotated[bool, typer.Option("--list", help="Only show what each step found last time.")] = False,
    jupyter: Annotated[bool, typer.Option("--jupyter", help="With JupyterLab in its environment.")] = False,
    as_json: Json = False,
) -> int:
    """Make an instance ready: interpreter, packages by hash, caches, verification. Again, it only checks."""
    from dataclasses import asdict

    from console.operations.bootstrap import bootstrap_by_hand, bootstrap_ledger

    here = session()
    if not listing:
        with reporting(as_json=as_json) as report:
            told = bootstrap_by_hand(here, instance, report, jupyter=jupyter)
        if as_json:
            print_json(told)
            return 0
    lines = bootstrap_ledger(here, instance)
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        _print_steps(here, instance, lines)
    return 0


def _print_steps(here: Session, instance: int, lines: list[StepLine]) -> None:
    from console.operations.bootstrap import cost_words
    from console.terminal import print_table
    from console.words import duration

    note = f"{'EMULATED · ' if here.emulated else ''}instance {instance}: {cost_words(here, instance)}"
    rows = [(line.step, line.outcome, duration(line.took_s or 0.0), _told(line)) for line in lines]
    print_table(("step", "outcome", "took", "evidence"), rows, note if rows else f"{note}; it was not bootstrapped")


def _told(line: StepLine) -> str:
    """What a step found, in words: of a dead-man what it will do, of all others their evidence."""
    from console.models.fleet import guard_view
    from console.models.fleet_words import guard_sentence

    guarded = guard_view(line.evidence)
    return _brief(line.evidence) if guarded is None else guard_sentence(guarded, time.time())[0]


def _brief(evidence: dict[str, object]) -> str:
    from console.words import visible

    chosen = [name for name in SHOWN_FIRST if name in evidence] or sorted(evidence)
    first = [f"{name} {evidence[name]}" for name in chosen[:SHOWN_EVIDENCE]]
    more = len(evidence) - len(first)
    text = visible(" · ".join(first))
    cut = text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"
    return cut + (f" (+{more})" if more > 0 else "")


def drive_and_decide(here: Session, run_id: str, wishes: Wishes, *, as_json: bool) -> RunEntry:
    """Drive a run; when its machine cannot be made ready, ask at the terminal whether to hold, release or retry.

    Without a terminal, or when the settings say what to do, nothing is asked.

    Raises:
        remote.bootstrap.steps.BootstrapFailed: the machine is held, or was given back.
    """
    from dataclasses import replace

    from console.operations.run import cancel, drive
    from console.operations.runbook import Runbook
    from remote.bootstrap.steps import BootstrapFailed

    asking = here.settings.bootstrap.on_failure == "ask" and sys.stdin.isatty() and sys.stderr.isatty()
    while True:
        try:
            with reporting(as_json=as_json) as report:
                return drive(here, run_id, report, replace(wishes, hold_unready=wishes.hold_unready or asking))
        except BootstrapFailed as failed:
            entry = Runbook(here.workspace).read(run_id)
            if not asking or entry.instance_id is None:
                raise
            print(f"spotter: {failed}", file=sys.stderr)
            verdict: Verdict = "release"
            try:
                verdict = ask_what_now(here, entry.instance_id)
            finally:  # Ctrl-C at the question is an answer too
                if verdict == "release":
                    with reporting(as_json=as_json) as report:
                        cancel(here, run_id, report)
                    Runbook(here.workspace).update(run_id, state="failed", problem=str(failed))
            if verdict == "retry":
                continue
            if verdict == "release":
                failed.__notes__ = [f"instance {entry.instance_id} was given back"]
            raise


def ask_what_now(here: Session, instance: int, *, patience_s: float = PATIENCE_S) -> Verdict:
    """The operator's answer, with what the machine has cost ticking beside the question; none in time is `release`."""
    from console.operations.bootstrap import cost_words

    deadline = time.monotonic() + patience_s
    try:
        while (left := deadline - time.monotonic()) > 0:
            question = f"instance {instance}: {cost_words(here, instance)} · [h]old, [r]elease or [t]ry again? "
            print(f"\r\x1b[K{question}", end="", file=sys.stderr, flush=True)
            if not select.select([sys.stdin], [], [], min(1.0, left))[0]:
                continue
            answer = sys.stdin.readline()
            if not answer:
                break
            verdicts: dict[str, Verdict] = {"h": "hold", "r": "release", "t": "retry"}
            if answer.strip()[:1].lower() in verdicts:
                return verdicts[answer.strip()[:1].lower()]
        print("\nspotter: no answer: it is given back", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise
    return "release"
