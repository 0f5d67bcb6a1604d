"""Only the command that is asked for is made, and it is the same one as among all of them."""

from __future__ import annotations

from typing import Any

import pytest

from console.cli import app
from console.commands.translated import command_of

ALL: dict[str, Any] = command_of(app).commands


def as_said(command: Any) -> object:
    """All that the command line takes from a command: options, arguments, texts, and its own commands."""
    below = {name: as_said(each) for name, each in getattr(command, "commands", {}).items()}
    shown = command.get_help(command.context_class(command, info_name=command.name))
    params = [(each.name, each.opts, each.secondary_opts, each.nargs, each.required) for each in command.params]
    return type(command), command.name, params, shown, below


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_command_is_made_alone_as_among_all(name: str) -> None:
    narrow = command_of(app, ["-C", "tags", "--lang", "index", name, "run"])
    assert set(narrow.commands) == {name}
    assert as_said(narrow.commands[name]) == as_said(ALL[name])
    assert [param.name for param in narrow.params] == [param.name for param in command_of(app).params]


@pytest.mark.parametrize(
    "arguments", [[], ["--help", "run"], ["-h"], ["no-such-command"], ["-C", "run"], ["--version", "run"], ["-C"]]
)
def test_what_may_be_about_all_commands_has_all_of_them(arguments: list[str]) -> None:
    assert set(command_of(app, arguments).commands) == set(ALL)
