"""What every command shares: finding the workspace, reporting, printing results, and turning errors into sentences."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from console.errors import WrongInput

if TYPE_CHECKING:
    from console.operations.events import Report
    from console.operations.session import Session
    from console.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout; progress goes to stderr.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

WRONG_INPUT = 2
INTERRUPTED = 130
PRIMARY = 0xFF
"""The part of SQLite's extended codes that names the kind."""
REFUSED_BY_THE_MACHINE = (5, 8, 10, 11, 13, 14, 26)
"""SQLite's: busy, read-only, I/O error, damaged, disk full, cannot be opened, no database."""


class Place:
    """Where the command stands; set once by the root command."""

    directory: Path | None = None


def workspace() -> Workspace:
    """The workspace that `-C` names, or the nearest upward."""
    from console.workspace import find_workspace

    return find_workspace(Place.directory or Path.cwd())


def session() -> Session:
    """The workspace's session."""
    from console.operations.session import open_session

    return open_session(workspace())


@contextmanager
def reporting(*, as_json: bool) -> Iterator[Report]:
    """A report for this terminal, for as long as the block lasts."""
    from console.terminal import reporter

    with reporter(plain=as_json) as report:
        yield report


def print_json(value: Any) -> None:
    """One JSON value on one line, as programs like it."""
    print(json.dumps(value, ensure_ascii=False, default=str))


class Failed(typer.Exit):
    """The command ends with a sentence that was said on stderr; where JSON was asked for, it gets it as such, too."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(code)
        self.message = message


def fail(message: str, code: int = 1) -> NoReturn:
    """Say one sentence on stderr and end with `code`."""
    print(f"spotter: {message}", file=sys.stderr)
    raise Failed(message, code)


def ask(question: str, *, yes: bool) -> None:
    """Ask before something costs money or loses data; without a terminal, `--yes` is the only answer.

    Raises:
        typer.Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} Add --yes to say so: there is no terminal to ask.", 2)
    if not typer.confirm(question, default=False):
        raise typer.Exit(1)


def refuse_empty(what: str, *words: str | None) -> None:
    """See that no word is empty: a script's variable that was not set means neither the newest nor the only one."""
    if "" in words:
        fail(f"an empty {what} names nothing: was a variable not set?", WRONG_INPUT)


def limit(value: float | None) -> float | None:
    """A limit is a number above zero: anything else would end an instance at once, or let everything pass.

    Raises:
        typer.BadParameter: it is none.
    """
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is no limit: write a number above 0")
    return value


def guard(call: Callable[[], int | None], *, as_json: bool = False) -> int:
    """Run a command; errors of the domain become one sentence (and one JSON object), a bug keeps its traceback.

    Returns:
        The exit code.
    """
    try:
        return call() or 0
    except KeyboardInterrupt as word:
        print(f"spotter: {str(word) or 'stopped by Ctrl-C'}", file=sys.stderr)
        # CPython remembers a Ctrl-C that fell into an exec of text (dataclasses are made so) as unhandled, and would
        # end by SIGINT whatever we return; running any other text makes it forget.
        exec("")  # noqa: S102
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Failed as failed:
        if as_json:
            print_json({"error": failed.message, "type": type(failed).__name__})
        return failed.exit_code
    except Exception as error:
        if _is_of_the_domain(error):
            print(f"spotter: {error}", file=sys.stderr)
            for note in getattr(error, "__notes__", ()):
                print(f"spotter: {note}", file=sys.stderr)
            if as_json:
                print_json({"error": str(error), "type": type(error).__name__})
            return WRONG_INPUT if _blames_the_input(error) else 1
        if not (words := _of_the_machine(error)):
            raise
        print(f"spotter: {words}", file=sys.stderr)
        if as_json:
            print_json({"error": words, "type": type(error).__name__})
        return 1


def _of_the_machine(error: Exception) -> str:
    """What a file, a disk or a database refuses, in words; empty for all else, which is a bug."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return f"{error.strerror}: `spotter doctor` looks at the disk"
    if getattr(error, "sqlite_errorcode", 0) & PRIMARY in REFUSED_BY_THE_MACHINE:
        return f"{error}: `spotter doctor` looks at disk, folders and databases"
    return ""


def _blames_the_input(error: Exception) -> bool:
    from pipeline.core.errors import UsageError

    return isinstance(error, WrongInput | UsageError)


def _is_of_the_domain(error: Exception) -> bool:
    """Our own packages' errors are sentences for the operator; anything else is a bug and shows where it is."""
    return type(error).__module__.partition(".")[0] in ("console", "remote", "pipeline", "index")
