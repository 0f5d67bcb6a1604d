"""Where `spotter` begins: straight to the console when nothing else is asked, and to the command line otherwise."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from itertools import pairwise
from pathlib import Path


def main() -> None:
    """Entry point of the `spotter` command."""
    atexit.register(gc.freeze)  # the end looks through all that was loaded for garbage, a tenth of a second long
    # One query scans memory, not arithmetic: a second BLAS thread adds nothing, and waits for a busy core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "_SPOTTER_COMPLETE" in os.environ:  # a shell asks what a word may become; it gives no arguments
        _complete()
        return
    match sys.argv[1:]:
        case []:
            directory = None
        case ["-C", folder]:
            directory = Path(folder)
        case arguments:
            _speak(arguments)
            from console.cli import app
            from console.commands.translated import command_of

            command_of(app, arguments)(prog_name="spotter")
            return
    _speak([])
    sys.exit(open_console(directory))


def _complete() -> None:
    """Answer the shell, also with names that are in this workspace's files."""
    from console.cli import app
    from console.commands.completion import offer_names
    from console.commands.translated import command_of

    command = command_of(app)
    offer_names(command)
    command(prog_name="spotter")


def _speak(arguments: list[str]) -> None:
    """Choose the language before anything is drawn, help included; the command line refuses one that there is not."""
    from console import language

    asked = next((given for option, given in pairwise([*arguments, ""]) if option == "--lang"), "")
    language.use(asked if asked in language.LANGUAGES else language.system_language(), chosen=bool(asked))


def _can_draw() -> bool:
    """Whether there is a terminal that can show the console, or a server that shows it in a browser."""
    if os.environ.get("TEXTUAL_DRIVER"):  # `textual serve` speaks to the app over pipes
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb")


def open_console(directory: Path | None, *, read_only: bool = False) -> int:
    """Open the app on the workspace at or above `directory`, or say why it can't be; returns the exit code."""
    if not _can_draw():
        print("spotter: the console needs a terminal; every screen is a command too: spotter --help", file=sys.stderr)
        return 2
    from console.workspace import WorkspaceError, find_workspace, folder_without_workspace

    view = "fleet"
    try:
        try:
            here = find_workspace(directory or Path.cwd())
        except WorkspaceError:
            here, view = folder_without_workspace(directory or Path.cwd()), "welcome"
        else:
            here.prepare()
    except WorkspaceError as error:
        print(f"spotter: {error}", file=sys.stderr)
        return 2
    from console import language

    # Collecting garbage over what is still being loaded takes a seventh of the first frame; the app turns it on again.
    gc.disable()
    from console.app import run_app
    from console.preferences import read_preferences

    preferences = read_preferences(here)
    if preferences.language and not language.chosen():
        language.use(preferences.language)
    run_app(here, view, read_only=read_only or preferences.read_only)
    return 0
