"""Shell completion of names that only this machine knows: instances, runs, documents. Only local files are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.operations.known_names import KnownNames


@dataclass(frozen=True, slots=True)
class Offered:
    """A word, as the library that answers the shell wants it."""

    value: str
    help: str = ""
    type: str = "plain"


Names = Callable[["KnownNames"], tuple[object, ...]]
BY_PARAMETER: dict[str, Names] = {
    "instance": lambda known: known.instances,
    "run": lambda known: (*known.runs, "last"),
    "run_id": lambda known: (*known.runs, "last"),
    "runs": lambda known: (*known.runs, "last"),
    "resume": lambda known: known.runs,
    "document": lambda known: known.documents,
}
"""By the parameter's name, whichever command has it."""
BY_COMMAND: dict[tuple[str, str], Names] = {
    ("run", "words"): lambda known: ("docparse", *known.documents),
    ("diff", "words"): lambda known: known.instances,
}


def offer_names(command: Any) -> None:
    """Let every parameter of the command line that takes such a name offer those there are."""
    for param in command.params:
        names = BY_COMMAND.get((command.name, param.name)) or BY_PARAMETER.get(param.name)
        if names is not None and not getattr(param, "is_flag", False):
            param.shell_complete = partial(_complete, names)
    for each in getattr(command, "commands", {}).values():
        offer_names(each)


def _complete(names: Names, context: Any, incomplete: str) -> list[Offered]:
    from console.operations.known_names import known_names
    from console.workspace import WorkspaceError, find_workspace

    try:
        workspace = find_workspace(context.find_root().params.get("directory") or Path.cwd())
    except WorkspaceError:
        return []
    offered = (str(name) for name in names(known_names(workspace)))
    return [Offered(name) for name in offered if name.startswith(incomplete)]
