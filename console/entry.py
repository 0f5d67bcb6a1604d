"""Where `spotter` begins: straight to the console when nothing else is asked, and to the command line otherwise."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Entry point of the `spotter` command."""
    # One query scans memory, not arithmetic: a second BLAS thread adds nothing, and waits for a busy core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    match sys.argv[1:]:
        case []:
            directory = None
        case ["-C", folder]:
            directory = Path(folder)
        case _:
            from console.cli import app

            app(prog_name="spotter")
            return
    from console import language

    language.use(language.system_language())
    sys.exit(open_console(directory))


def open_console(directory: Path | None, *, read_only: bool = False) -> int:
    """Open the app on the workspace at or above `directory`, or say why it can't be; returns the exit code."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") in (None, "dumb"):
        print("spotter: the console needs a terminal; every screen is a command too: spotter --help", file=sys.stderr)
        return 2
    from console.workspace import WorkspaceError, find_workspace

    try:
        here = find_workspace(directory or Path.cwd())
        here.prepare()
    except WorkspaceError as error:
        print(f"spotter: {error}", file=sys.stderr)
        return 2
    from console.app import run_app

    run_app(here, read_only=read_only)
    return 0
