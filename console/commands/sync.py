"""Commands about files on a box: push, sync, diff."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, fail, print_json, refuse_empty, reporting, session

if TYPE_CHECKING:
    from console.operations.sync import Winner

InstanceArgument = Annotated[int | None, typer.Argument(metavar="[INSTANCE]", help="Default: the only one rented.")]


def push(instance: InstanceArgument = None, as_json: Json = False) -> int:
    """Push your code and data/ to a box's working copy; what was edited there is kept and named."""
    from console.operations.events import tee
    from console.operations.signals import stop_on_signals
    from console.operations.sync import push as push_files
    from console.operations.sync import the_instance
    from console.operations.transfers import TransferNotes

    stop_on_signals()
    here = session()
    instance_id = the_instance(here, instance)
    notes = TransferNotes(here.workspace)
    with reporting(as_json=as_json) as report, notes.noting(instance_id, "push") as note:
        pushed = push_files(here, instance_id, tee(report, note))
    if as_json:
        print_json(asdict(pushed))
    return 3 if pushed.conflicts else 0


def sync(
    instance: InstanceArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with every change until Ctrl-C.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End a push or a watch that is under way.")] = False,
    as_json: Json = False,
) -> int:
    """Push, and with --watch keep pushing what changes and indexing what arrives in out/, until Ctrl-C."""
    from console.operations.sync import the_instance
    from console.operations.transfers import TransferNotes

    if stop and watch:
        fail("--stop ends what --watch began: give one of them", 2)
    if not watch and not stop:
        return push(instance, as_json)
    from console.operations.events import tee
    from console.operations.live_sync import live_sync
    from console.operations.signals import stop_on_signals

    stop_on_signals()  # --stop sends the signal of a Ctrl-C, which a shell's `&` has ignored
    here = session()
    instance_id = the_instance(here, instance)
    notes = TransferNotes(here.workspace)
    if stop:
        notes.stop(instance_id)
        if as_json:
            print_json({"instance": instance_id, "stopped": True})
        else:
            print(f"nothing is sent to instance {instance_id} any more; what had arrived stays there")
        return 0
    with reporting(as_json=as_json) as report, notes.noting(instance_id, "sync --watch") as note:
        live_sync(here, instance_id, threading.Event(), tee(report, note))
    return 0


def diff(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[INSTANCE] [PATH]", help="Default: the only one rented, everything.")
    ] = None,
    take: Annotated[
        str | None, typer.Option(metavar="box|laptop", help="Whose PATH wins; the other is kept as .bak.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Show what differs between this workspace and a box's working copy, or settle one file with --take."""
    from console.operations.sync import diff as find_differences
    from console.operations.sync import take as settle
    from console.operations.sync import the_instance

    refuse_empty("INSTANCE or PATH", *(words or ()))
    instance, paths = _instance_and_paths(words or [])
    here = session()
    instance_id = the_instance(here, instance)
    if take is not None:
        if take not in ("box", "laptop") or not paths:
            fail("--take wants `box` or `laptop`, and the PATH of one file: spotter diff --take box notes.ipynb", 2)
        with reporting(as_json=as_json) as report:
            winner: Winner = "box" if take == "box" else "laptop"
            taken = [settle(here, instance_id, path, winner, report) for path in paths]
        if as_json:
            print_json(asdict(taken[0]) if len(taken) == 1 else [asdict(each) for each in taken])
        return 0
    if len(paths) > 1:
        fail(f"one path at most, not {len(paths)}: {' '.join(paths)}", 2)
    path = paths[0] if paths else None
    found = find_differences(here, instance_id, path)
    if as_json:
        print_json([asdict(each) for each in found])
        return 1 if found else 0
    from console.terminal import print_table
    from console.words import count

    said = f"{count(len(found), 'difference')}" if found else "nothing differs"
    print_table(
        ("what", "name", "here", "there"),
        [(each.kind, each.name, _side(each.here), _side(each.there)) for each in found],
        f"instance {instance_id}: {said}",
    )
    return 1 if found else 0


def _instance_and_paths(words: list[str]) -> tuple[int | None, list[str]]:
    """A number first is an instance; what follows, or stands alone, are paths."""
    if words and words[0].isdigit():
        return int(words[0]), words[1:]
    return None, words


def _side(side: object) -> str:
    import time

    from console.words import size
    from remote.sync.compare import Side

    if not isinstance(side, Side):
        return "–"
    return f"{size(side.size)} · {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(side.mtime))}"
