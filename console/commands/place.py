"""Commands about the place itself: init, doctor, demo."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, Place, print_json, workspace
from console.operations.signals import stop_on_signals


def init(
    directory: Annotated[Path | None, typer.Argument(help="The folder; default: here.")] = None,
) -> int:
    """Make a folder a workspace: writes a commented spotter.toml, data/ and out/."""
    from console.workspace import create_workspace

    place, fresh = create_workspace(directory or Place.directory or Path.cwd())
    said = "wrote spotter.toml" if fresh else "spotter.toml was there and is kept"
    print(f"{place.root}: {said}. Put documents in data/, then run `spotter run docparse`.")
    return 0


def doctor(
    settings: Annotated[
        bool, typer.Option("--settings", help="The settings in force instead, and where each comes from.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check everything that a run and the console need; each finding has its fix."""
    from console.operations.doctor import examine
    from console.workspace import WorkspaceError

    if settings:
        return _settings_in_force(as_json)

    try:
        place = workspace()
    except WorkspaceError as error:
        place = None
        reason = str(error)
    findings = examine(place, reason if place is None else "")
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "✓", "warning": "!", "error": "✗"}[finding.level]
            print(f" {mark} {finding.subject:<18} {finding.message}")
            if finding.fix:
                print(f"   {'':<18} → {finding.fix}")
    return 1 if any(finding.level == "error" for finding in findings) else 0


def key() -> int:
    """Write a vast.ai key into .env, readable by its owner only; it is typed hidden, or comes on stdin."""
    from console.operations.secrets_file import VAST_API_KEY, put_secret

    here = workspace()
    if sys.stdin.isatty():
        given = typer.prompt(f"{VAST_API_KEY} (it is not shown)", hide_input=True)
        typer.confirm(f"Write it, {len(given.strip())} characters, into {here.env_file}?", abort=True)
    else:
        given = sys.stdin.readline()
    print(f"{put_secret(here, VAST_API_KEY, given)}: {VAST_API_KEY} is set")
    return 0


def _settings_in_force(as_json: bool) -> int:
    from console.operations.settings_in_force import settings_in_force
    from console.terminal import print_table

    found = settings_in_force(workspace())
    if as_json:
        print_json([asdict(setting) for setting in found])
    else:
        rows = [(setting.key, setting.value, setting.source) for setting in found]
        print_table(("setting", "value", "source"), rows, "")
    return 0


def demo(
    directory: Annotated[Path, typer.Option("--dir", help="The demo's own workspace.")] = Path("demo"),
    as_json: Json = False,
) -> int:
    """Do the whole main job on the project's own documents, on an emulated machine: no account, no key."""
    from console.commands.frame import reporting
    from console.operations.demo import DEMO_PHASES, print_hits, run_demo

    stop_on_signals()
    if not as_json:
        print(DEMO_PHASES)
    with reporting(as_json=as_json) as report:
        outcome = run_demo(directory, report)
    if outcome.entry.state != "succeeded":
        from console.commands.runs import show_outcome

        return show_outcome(outcome.session, outcome.entry, as_json)
    if as_json:
        print_json({"run": outcome.entry.run_id, "state": outcome.entry.state, "hits": outcome.hits_as_data()})
        return 0
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if interactive:
        from console.app import run_app

        run_app(outcome.session.workspace, "index", outcome.results[0].query)
        return 0
    return print_hits(outcome)
