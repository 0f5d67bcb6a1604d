"""What the console ran, as it is typed in a shell: kept in memory for `@` and appended to a file for later.

A file that has grown to `FILE_BYTES` becomes `commands.1.jsonl`, in place of the one before: the two hold the newest
thousands of commands. Nothing here reads them again; they are the operator's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from console.language import _
from console.workspace import remembers
from remote.line_file import append_line

REMEMBERED = 500
FILE_BYTES = 1024 * 1024
CALLS_READ_BYTES = 256 * 1024
"""How much of the end of the cloud's audit file is looked at."""
_HIDDEN = "…"
_SECRET_NAMES = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_SECRETS = (
    re.compile(r"(?i)((?:api[-_]?key|token|secret|passw(?:or)?d)(?:=|:|\s)\s*)(?:bearer\s+)?[^\s'\"&]{4,}"),
    re.compile(r"(?i)(bearer\s+)\S+"),
    re.compile(r"()\b(?:sk|hf|ghp|gho)[-_][A-Za-z0-9_-]{12,}"),
    re.compile(r"()\b[0-9a-f]{64}\b"),
)
"""What a secret looks like; the first group stays."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One thing that was run."""

    number: int
    """Counts up; names the entry while it runs."""
    at: float
    """When it began, Unix seconds."""
    line: str
    """As it is typed in a shell, without secrets."""
    note: str
    """What for: `destroy 31245`."""
    exit_code: int | None = None
    """None while it runs, and for what nobody waited for."""
    seconds: float | None = None
    """How long it took."""
    waited_for: bool = True
    """False for what was only noted, a shell or a viewer."""


def without_secrets(line: str, environment: Mapping[str, str]) -> str:
    """A command line in which what is a secret, by name or by looks, is an ellipsis."""
    for name, value in environment.items():
        if len(value) >= 8 and _SECRET_NAMES.search(name):
            line = line.replace(value, _HIDDEN)
    for looks in _SECRETS:
        line = looks.sub(rf"\g<1>{_HIDDEN}", line)
    return line


class CommandLog:
    """A list with a bound, newest last, and a file that is appended to beside the screen's loop."""

    def __init__(self, path: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.path = path
        self.trouble = ""
        """Why the last line could not be written to the file; empty when it could."""
        self._environment = environment
        self._ran: deque[Ran] = deque(maxlen=REMEMBERED)
        self._numbers = 0
        self._writer: ThreadPoolExecutor | None = None

    @property
    def entries(self) -> tuple[Ran, ...]:
        """What this console ran, oldest first."""
        return tuple(self._ran)

    def begin(self, argv: Sequence[str], note: str, now: float) -> Ran:
        """Note a command that was started; give what this returns to `end`."""
        return self._add(shlex.join(argv), note, now, waited_for=True)

    def end(self, entry: Ran, exit_code: int, now: float) -> Ran:
        """Note how it ended."""
        ended = replace(entry, exit_code=exit_code, seconds=max(0.0, now - entry.at))
        for place, each in enumerate(self._ran):
            if each.number == entry.number:
                self._ran[place] = ended
        self._keep(ended)
        return ended

    def note(self, line: str, note: str, now: float) -> Ran:
        """Note something that was run otherwise and that nobody waits for."""
        entry = self._add(line, note, now, waited_for=False)
        self._keep(entry)
        return entry

    def _add(self, line: str, note: str, now: float, *, waited_for: bool) -> Ran:
        self._numbers += 1
        line = without_secrets(line, self._environment)
        entry = Ran(self._numbers, now, line, without_secrets(note, self._environment), waited_for=waited_for)
        self._ran.append(entry)
        return entry

    def _keep(self, entry: Ran) -> None:
        """Append to the file, in order, in a thread; what fails is said in `trouble`, for work must not stop for it."""
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "command-log")
        self._writer.submit(append, self.path, entry).add_done_callback(self._kept)

    def _kept(self, done: Future[None]) -> None:
        error = done.exception()
        self.trouble = (
            _("not written to {path}: {reason}").format(path=self.path, reason=error) if error is not None else ""
        )

    def written(self) -> None:
        """Wait until the file holds all that ended."""
        if self._writer is not None:
            self._writer.shutdown(wait=True)
            self._writer = None


def append(path: Path, entry: Ran) -> None:
    """One line of JSON at the end of the file, which only its owner may read; nothing in a folder without workspace.

    A file that has become long makes room for a new one. Several consoles may do so at once.

    Raises:
        OSError: it cannot be written.
    """
    if not remembers(path.parent):
        return
    said = {name: value for name, value in asdict(entry).items() if name not in ("number", "waited_for")}
    line = (json.dumps(said, ensure_ascii=False) + "\n").encode("utf-8", "replace")
    append_line(path, line, FILE_BYTES)


@dataclass(frozen=True, slots=True)
class CloudCall:
    """One call to the cloud's API, as its audit has it: no key, no body."""

    at: float
    line: str
    """Method and address."""
    status: str
    """The HTTP status, or what went wrong."""
    milliseconds: float


def read_calls(path: Path) -> list[CloudCall]:
    """The last calls of the audit file, oldest first; none when there is no such file.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - CALLS_READ_BYTES))
            rows = handle.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return list(_calls(rows[1:] if size > CALLS_READ_BYTES else rows))


def _calls(rows: Iterable[str]) -> Iterable[CloudCall]:
    for row in rows:
        try:
            said = json.loads(row)
            query = f"?{said['query']}" if said.get("query") else ""
            line = f"{said['method']} https://{said['host']}{said['path']}{query}"
            yield CloudCall(float(said["at"]), without_secrets(line, {}), str(said["status"]), float(said["ms"]))
        except (ValueError, KeyError, TypeError):
            continue  # a row cut short by a full disk
