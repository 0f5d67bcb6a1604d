"""A shell on an instance: in a window of its own inside tmux, otherwise in place of the console until it ends."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from console.language import _

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.operations.shell import ShellCommand

TMUX_LIMIT_S = 5.0
COULD_NOT_HOLD = 255
"""What `ssh` ends with when the connection itself failed."""


def open_shell(app: SpotterApp, instance_id: int) -> None:
    """Open it; what goes wrong is said. The box counts as used for as long as it lasts."""
    note = _("shell on {id}").format(id=instance_id)

    def prepare() -> ShellCommand:
        from console.operations.shell import shell_command

        return shell_command(app.session(), instance_id)

    if os.environ.get("TMUX") and shutil.which("tmux"):
        root = str(app.workspace.root)
        argv = [sys.executable, "-m", "console", "-C", root, "ssh", str(instance_id)]

        def ask() -> str:
            prepare()  # a window that cannot begin would close with its reason before anybody has read it
            return _in_tmux(argv, instance_id)

        def opened(problem: str) -> None:
            if problem:
                app.tell(problem, "error")
                return
            app.log_command(f"spotter ssh {instance_id}", note)
            app.say(note)

        app.in_background(ask, opened)
        return

    app.in_background(prepare, lambda command: _instead_of_the_console(app, instance_id, command, note))


def _in_tmux(argv: list[str], instance_id: int) -> str:
    """Why there is no window; empty when there is."""
    command = ["tmux", "new-window", "-n", f"ssh {instance_id}", shlex.join(argv)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TMUX_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"tmux: {error}"
    return "" if done.returncode == 0 else f"tmux: {done.stderr.strip()}"


def _instead_of_the_console(app: SpotterApp, instance_id: int, command: ShellCommand, note: str) -> None:
    from textual.app import SuspendNotSupported

    from console.operations.in_use import in_use
    from console.operations.shell import run_in_terminal

    app.log_command(command.line, note)
    code, problem = 0, ""
    session = app.session()
    try:
        with app.suspend():
            try:  # nothing may leave the block: the terminal would stay as the shell left it
                with in_use(session, instance_id):
                    code = run_in_terminal(command)
            except Exception as error:  # noqa: BLE001 - told once the console is back
                problem = str(error) or type(error).__name__
    except SuspendNotSupported:
        app.say(_("This terminal cannot be left; type it in another one: {line}").format(line=command.line))
        return
    app.refresh(layout=True)
    if problem or code == COULD_NOT_HOLD:
        app.tell(problem or _("ssh could not hold {endpoint}").format(endpoint=command.endpoint), "error")
