"""`spotter keys`: every action, its keys, where they come from, and its command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, fail, print_json, workspace

if TYPE_CHECKING:
    from console.models.keymap import Keymap


def keys(
    markdown: Annotated[bool, typer.Option("--markdown", help="As the page docs/keys.md.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say what of [keymap] cannot be; exit code 1.")] = False,
    as_json: Json = False,
) -> int:
    """List all actions of the console with their keys, and the command that does the same."""
    from console.actions.registry import ACTIONS
    from console.widgets.key_names import key_names

    if sum((markdown, check, as_json)) > 1:
        fail("--markdown, --check and --json are three ways to show it: give one of them", 2)
    keymap = _keymap(strictly=check)
    for problem in keymap.problems:
        print(f"spotter: keymap: {problem}", file=sys.stderr)
    if check:
        if not keymap.problems:
            print("every key of [keymap] applies")
        return 1 if keymap.problems else 0
    if as_json:
        print_json(
            [
                {
                    "id": action.id,
                    "keys": keymap.of(action.id),
                    "source": keymap.source(action.id),
                    "label": action.label,
                    "help": action.help,
                    "command": action.command,
                    "stake": action.stake,
                }
                for action in ACTIONS
            ]
        )
    elif markdown:
        print("\n".join(page(keymap)))
    else:
        from console.terminal import print_table

        rows = [
            (
                action.id,
                key_names(",".join(keymap.of(action.id))),
                keymap.source(action.id),
                action.help,
                action.command,
            )
            for action in ACTIONS
        ]
        print_table(("action", "keys", "source", "what it does", "as a command"), rows, "", {"as a command"})
    return 0


def _keymap(*, strictly: bool) -> Keymap:
    """The workspace's, or the built-in one where there is no workspace.

    Raises:
        Failed: it was to be read strictly, and the file is no TOML: none of its keys applies.
    """
    import tomllib

    from console.actions.registry import ACTIONS
    from console.models.keymap import default_keymap, resolve
    from console.preferences import read_preferences
    from console.workspace import WorkspaceError

    try:
        place = workspace()
        if strictly:
            tomllib.loads(place.settings_file.read_text("utf-8"))
        return resolve(ACTIONS, read_preferences(place).keymap)
    except ValueError as error:
        fail(f"{place.settings_file} is not TOML, no key of it applies: {error}", 2)
    except WorkspaceError:
        return default_keymap(ACTIONS)


def page(keymap: Keymap) -> Iterator[str]:
    """The lines of `docs/keys.md`, view by view in the registry's order."""
    from console.actions.action import EVERYWHERE, TABLE
    from console.actions.registry import ACTIONS
    from console.widgets.key_names import key_names

    titles = {EVERYWHERE: "Everywhere", TABLE: "In lists"}
    yield "# Keys"
    yield ""
    yield "Made by `spotter keys --markdown` from the console's own table of actions."
    yield 'A key of your own: `[keymap]` in `spotter.toml`, action and keys, as in `fleet.shell = "ctrl+t"`.'
    yield "Actions marked ● touch money or data: they always ask first and are refused in a read-only console."
    for view in dict.fromkeys(action.view for action in ACTIONS):
        yield ""
        yield f"## {titles.get(view, view.capitalize())}"
        yield ""
        yield "| keys | action | what it does | as a command |"
        yield "|---|---|---|---|"
        for action in ACTIONS:
            if action.view == view:
                shown = " ".join(f"`{name}`" for name in key_names(",".join(keymap.of(action.id))).split())
                cells = (shown or "—", f"`{action.id}`{' ●' if action.stake else ''}", action.help)
                command = f"`{action.command}`" if action.command else ""
                yield "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, command)) + " |"
