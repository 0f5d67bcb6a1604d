"""The command line's help in the interface's language: the same commands, their texts looked up when they are shown.

English texts stand where the commands are written, as docstrings and `help=`; the catalog `cli` has their translations.
What commands print, for logs and programs, stays English.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import typer.main
from typer import Typer

from console.language import N_, _

HEADINGS = (N_("Options"), N_("Arguments"), N_("Commands"))
FRAME = (
    N_("Show this message and exit."),
    N_("Install completion for the current shell."),
    N_("Show completion for the current shell, to copy it or customize the installation."),
)
"""Texts of the library that draws the help."""


WITH_VALUE = frozenset({"-C", "--lang"})
"""Options that may stand before a command, with the word behind them."""


def command_of(app: Typer, arguments: Sequence[str] = ()) -> Any:
    """The command line of `app`, whose help speaks the language spoken now; with `arguments`, as much as they ask for.

    Making every command from its function's annotations takes longer than most commands.
    """
    command = typer.main.get_command(_only(app, _asked(arguments)))
    _translate(command)
    return command


def _asked(arguments: Sequence[str]) -> str:
    """The first word that can be a command; empty where an option before it may be about all commands."""
    words = iter(arguments)
    for word in words:
        if word in WITH_VALUE:
            next(words, None)
        elif not word.startswith("--lang="):
            return "" if word.startswith("-") else word
    return ""


def _only(app: Typer, name: str) -> Typer:
    """`app` with the one command or group of this name; all of it when there is none."""
    commands = [each for each in app.registered_commands if each.name == name]
    groups = [each for each in app.registered_groups if each.name == name]
    if not name or not (commands or groups):
        return app
    narrow = copy(app)
    narrow.registered_commands, narrow.registered_groups = commands, groups
    return narrow


def texts_of(app: Typer) -> list[str]:
    """Every text of the help, in English: what the catalog must have."""
    return list(dict.fromkeys(text for text in _texts(typer.main.get_command(app)) if text))


def _texts(command: Any) -> Iterator[str]:
    yield command.help or ""
    for param in command.params:
        yield getattr(param, "help", None) or ""
    for each in getattr(command, "commands", {}).values():
        yield from _texts(each)


def _translate(command: Any) -> None:
    command.context_class = _context_class(command.context_class)
    if command.help:
        command.help = _(command.help)
    for param in command.params:
        if getattr(param, "help", None):
            param.help = _(param.help)
    for each in getattr(command, "commands", {}).values():
        _translate(each)


def _context_class(base: Any) -> Any:
    """The library's context with a formatter that looks its own words up too; both are known at run time only."""
    plain = base.formatter_class

    def write_usage(self: Any, prog: str, args: str = "", prefix: str | None = None) -> None:
        plain.write_usage(self, prog, args, prefix=prefix or _("Usage: "))

    def write_heading(self: Any, heading: str) -> None:
        plain.write_heading(self, _(heading))

    def write_dl(self: Any, rows: Sequence[tuple[str, str]], *more: Any, **named: Any) -> None:
        plain.write_dl(self, [(first, _whole(second)) for first, second in rows], *more, **named)

    methods = {"write_usage": write_usage, "write_heading": write_heading, "write_dl": write_dl}
    formatter = type("TranslatedFormatter", (plain,), methods)
    return type("TranslatedContext", (base,), {"formatter_class": formatter})


def _whole(text: str) -> str:
    """A cell of the help: the library's own texts, and what it adds in brackets behind ours."""
    if text in FRAME:
        return _(text)
    before, bracket, extra = text.rpartition("  [")
    if not bracket or not extra.endswith("]"):
        return text
    extra = extra.replace("default: ", _("default: ")).replace("required", _("required"))
    return f"{before}{bracket}{extra}"
