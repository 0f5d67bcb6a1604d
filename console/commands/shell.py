"""Commands about the operator's own OpenSSH: ssh, ssh-config."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from console.commands.frame import Json, print_json, session


def ssh(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    command: Annotated[list[str] | None, typer.Argument(help="After --: what to run there instead of a shell.")] = None,
    terminal: Annotated[bool, typer.Option("--tty", "-t", help="Give the command a terminal.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the ssh command instead of running it.")] = False,
    as_json: Json = False,
) -> int:
    """Open a shell on an instance, or run a command there; its exit code is this command's."""
    from console.operations.in_use import in_use
    from console.operations.shell import run_in_terminal, shell_command

    here = session()
    wanted = shell_command(here, instance, command or (), terminal=terminal)
    if as_json:
        print_json({"argv": wanted.argv, "endpoint": wanted.endpoint})
        return 0
    if only_print:
        print(wanted.line)
        return 0
    sys.stdout.flush()
    with in_use(here, instance):
        return run_in_terminal(wanted)


def ssh_config(
    install: Annotated[bool, typer.Option("--install", help="Write it, and let ~/.ssh/config include it.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take all of it away again.")] = False,
    as_json: Json = False,
) -> int:
    """Show the names that ssh, rsync and editors may use for rented machines; --install makes them work."""
    from console.errors import WrongInput
    from console.operations import ssh_config as operations

    if install and remove:
        raise WrongInput("--install and --remove do opposite things: give one of them")
    here = session()
    if remove:
        removed = operations.remove(here)
        if as_json:
            print_json({"removed": removed, "path": operations.config_path(here)})
        else:
            print("removed from ~/.ssh" if removed else "nothing was installed")
        return 0
    found = operations.install(here) if install else operations.names(here)
    if as_json:
        print_json({"path": found.path, "hosts": found.hosts, "installed": found.installed})
    elif install:
        hosts = ", ".join(found.hosts) or "nothing is rented yet"
        print(f"{found.path} is included by ~/.ssh/config: {hosts}")
    else:
        print(found.text, end="")
    return 0
