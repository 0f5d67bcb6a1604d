"""Find a Python on the box and put the agent's code there, by content hash; every other part starts from here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import remote.agent
from remote.bootstrap import box_probe
from remote.transport import CommandFailed, Transport, TransportError

INTERPRETERS = (
    "$HOME/venv/bin/python3",
    "/venv/main/bin/python",
    "/opt/conda/bin/python",
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "/usr/local/bin/python3",
    "/usr/bin/python3",
    "python",
)
"""Where images keep their Python: emulated boxes, vast.ai's, PyTorch's, then the login's own."""

NO_INTERPRETER = 67
ENVIRONMENT = ("HOME", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CONTAINER_ID")
"""All that the agent and its jobs see of the login's environment."""

_known: WeakKeyDictionary[Transport, dict[str, InstalledAgent]] = WeakKeyDictionary()


class NoInterpreter(TransportError):
    """The box has no Python 3.9 or newer."""


@dataclass(frozen=True, slots=True)
class InstalledAgent:
    """The agent's code on one box. Paths are absolute there."""

    python: str
    version: str
    home: str
    root: str
    folder: str

    def command(self, *arguments: str) -> str:
        """A shell line that becomes the agent's program, with a clean environment and without a login shell's files."""
        kept = " ".join(f'${{{name}:+"{name}=${name}"}}' for name in ENVIRONMENT)
        program = [self.python, "-S", "-u", self.folder, *arguments]
        return shlex.join(["exec", "/bin/sh", "-c", f'exec env -i {kept} "$@"', "sh", *program])


def install_agent(transport: Transport, root: str) -> InstalledAgent:
    """The agent on this box, put there if it is not; asked of the box once per connection.

    `root` is Spotter's folder: absolute, or relative to the login's home.

    Raises:
        NoInterpreter: nothing on the box can run it.
        CommandFailed: the box could not store it (disk full, no permission).
    """
    known = _known.setdefault(transport, {})
    if root not in known:
        files = agent_files()
        digest = box_probe.digest_of(files)
        found = _probe(transport, "probe", root, digest, b"")
        if not found["installed"]:
            found = _probe(transport, "install", root, digest, json.dumps(files).encode())
        if not found["installed"]:
            raise CommandFailed("install the agent", 1, f"{found['folder']} does not hold what was sent")
        learn_agent(transport, root, found)
    return known[root]


def known_agent(transport: Transport, root: str) -> InstalledAgent | None:
    """The agent on this box, if this connection has met it."""
    return _known.setdefault(transport, {}).get(root)


def learn_agent(transport: Transport, root: str, found: Mapping[str, object]) -> InstalledAgent:
    """Keep what a probe, or a command that was started without one, told about the agent."""
    known = _known.setdefault(transport, {})
    agent = InstalledAgent(*(str(found[name]) for name in ("python", "version", "home", "root", "folder")))
    known[root] = known[agent.root] = agent
    return agent


def start_line(root: str, command: str) -> str:
    """A shell line that tells about the agent, as `{"spotter-start": …}`, and becomes `command` of it if it is there.

    It saves a connection's first command the round trips of a probe.
    """
    source = Path(box_probe.__file__).read_text(encoding="utf-8")
    arguments = ["-S", "-c", source, "start", root, box_probe.digest_of(agent_files()), ",".join(ENVIRONMENT), command]
    return f"{find_interpreter((3, 9))} {shlex.join(arguments)}"


def agent_files() -> dict[str, str]:
    """The agent's sources by their name below the pushed folder, which Python runs as a program."""
    folder = Path(remote.agent.__file__).parent
    files = {f"remote/agent/{path.name}": path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
    files["__main__.py"] = files.pop("remote/agent/__main__.py")
    files["remote/__init__.py"] = ""
    return files


def find_interpreter(minimum: tuple[int, int], candidates: Sequence[str] = INTERPRETERS) -> str:
    """A shell line that becomes the first Python of at least `minimum`, given the arguments that follow it."""
    script = "".join(
        f'"{candidate}" -S -c "import sys; sys.exit(sys.version_info < {minimum})" >/dev/null 2>&1 '
        f'&& exec "{candidate}" "$@"\n'
        for candidate in candidates
    )
    return shlex.join(["exec", "/bin/sh", "-c", f"{script}exit {NO_INTERPRETER}", "sh"])


def _probe(transport: Transport, command: str, root: str, digest: str, stdin: bytes) -> dict[str, object]:
    source = Path(box_probe.__file__).read_text(encoding="utf-8")
    line = f"{find_interpreter((3, 9))} {shlex.join(['-S', '-c', source, command, root, digest])}"
    done = transport.run(line, stdin=stdin, timeout_s=60)
    if done.exit_code == NO_INTERPRETER:
        raise NoInterpreter("the box has no Python 3.9 or newer; choose an image that has one")
    for text in done.stdout.decode("utf-8", "replace").splitlines():
        if text.startswith("spotter-probe "):
            found: dict[str, object] = json.loads(text.removeprefix("spotter-probe "))
            return found
    raise CommandFailed(f"{command} the agent", done.exit_code, done.last_lines())
