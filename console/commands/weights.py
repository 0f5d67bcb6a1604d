"""Commands about checkpoints: which there are, getting them here, looking whether they are whole."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.frame import Json, Place, guard, print_json, reporting
from console.errors import WrongInput
from console.words import size

weights = typer.Typer(no_args_is_help=True, help="Model weights: list, fetch and verify checkpoints.")

Root = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Folder of all checkpoints; default: MODEL_DIR, else the workspace's .spotter/checkpoints."
    ),
]


def list_(root: Root = None, as_json: Json = False) -> int:
    """List every checkpoint, and whether it is here."""
    from console.operations.weights import list_weights

    folder = _root(root)
    lines = list_weights(folder)
    if as_json:
        print_json([asdict(line) for line in lines])
        return 0
    for line in lines:
        unknown = f" · pinned when first fetched: {', '.join(line.unpinned)}" if line.unpinned else ""
        told = size(line.bytes) if line.bytes else "size unknown"
        print(f"{line.name:28} {line.state:8} {told:>10}  {line.what} · {line.licence} · {line.source}{unknown}")
    print(f"in {folder}")
    return 0


def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints by name: `spotter weights list`.")] = None,
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Fetch checkpoints, resumed and verified; what is here is not fetched again."""
    from console.operations.weights import fetch_weights

    if not names:
        raise WrongInput(_which(_root(root)))
    with reporting(as_json=as_json) as report:
        lines = fetch_weights(_root(root), names, report)
    if as_json:
        print_json([asdict(line) for line in lines])
    return 0


def _which(root: Path) -> str:
    """What to say when nobody said which checkpoints to fetch: they are large, so not all are meant."""
    from console.operations.weights import list_weights

    lines = list_weights(root)
    absent = [line.name for line in lines if line.state != "here"]
    if not absent:
        return f"every checkpoint of `spotter weights list` is in {root}: there is none to fetch"
    return f"which checkpoints? `spotter weights fetch {absent[0]}` fetches one; not here are {', '.join(absent)}"


def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints by name; default: all that are here.")] = None,
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Hash every file anew; ends with 2 when one is not what it must be."""
    from console.operations.weights import verify_weights

    lines = verify_weights(_root(root), names or ())
    if as_json:
        print_json([asdict(line) for line in lines])
        return 0
    for line in lines:
        print(f"{line.name} is whole")
    if not lines:
        print("no checkpoint is here: `spotter weights fetch NAME` fetches one")
    return 0


def _root(told: Path | None) -> Path:
    """The folder that was named, else the one of the workspace, if there is one; its own registry counts from here."""
    from console.operations.weights import checkpoint_root, use_own_registry
    from console.workspace import WorkspaceError, find_workspace
    from pipeline.models.store import default_root

    try:
        here = find_workspace(Place.directory or Path.cwd())
    except WorkspaceError:
        return told or default_root()
    use_own_registry(here)
    return told or checkpoint_root(here)


def _command(name: str, call: Callable[..., int]) -> None:
    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    weights.command(name)(guarded)


for _name, _call in (("list", list_), ("fetch", fetch), ("verify", verify)):
    _command(_name, _call)
