"""OpenSSH's own client on our boxes: host entries with the pinned key, and one Include line in `~/.ssh/config`."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.cloud import Endpoint
from remote.ssh.errors import TransportError
from remote.ssh.sock import open_socket

FOLDER_NAME = "spotter.d"
INCLUDE_NOTE = "# Machines that Spotter rented; `spotter ssh-config --remove` takes these two lines away."
BACKUP_NAME = "config.before-spotter"
ALIVE_INTERVAL_S, ALIVE_COUNT = 5, 3
CONNECT_LIMIT_S = 10
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


class SshConfigError(Exception):
    """`~/.ssh/config` cannot be changed as asked; the text names the file and the reason."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One name that `ssh` shall know. The pin file holds the instance's host key, in known_hosts format."""

    names: tuple[str, ...]
    endpoint: Endpoint
    user: str
    key_path: Path
    pin_path: Path
    instance_id: int

    def render(self) -> str:
        """As OpenSSH reads it. Nothing is trusted but the pinned key, and no key is offered but ours."""
        options = (
            ("HostName", self.endpoint.host),
            ("Port", str(self.endpoint.port)),
            ("User", self.user),
            ("IdentityFile", _quoted(self.key_path)),
            ("IdentitiesOnly", "yes"),
            ("HostKeyAlias", f"spotter-{self.instance_id}"),
            ("UserKnownHostsFile", _quoted(self.pin_path)),
            ("GlobalKnownHostsFile", "/dev/null"),
            ("StrictHostKeyChecking", "yes"),
            ("UpdateHostKeys", "no"),
            ("CheckHostIP", "no"),
            ("PasswordAuthentication", "no"),
            ("ForwardAgent", "no"),
            ("ConnectTimeout", str(CONNECT_LIMIT_S)),
            ("ServerAliveInterval", str(ALIVE_INTERVAL_S)),
            ("ServerAliveCountMax", str(ALIVE_COUNT)),
        )
        return "\n".join([f"Host {' '.join(self.names)}", *(f"    {name} {value}" for name, value in options)]) + "\n"


def host_entries(
    instance_id: int, endpoints: Sequence[Endpoint], *, user: str, key_path: Path, pin_path: Path, workspace: str = ""
) -> list[HostEntry]:
    """The names of one instance: `spotter-<id>` by its best endpoint, `spotter-<id>-proxy` where both are there.

    With `workspace`, each has a second name that holds it: ids of two emulated clouds may be the same.
    """
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.kind != "direct")
    entries = []
    for number, endpoint in enumerate(ordered[:2]):
        suffix = f"-{endpoint.kind}" if number else ""
        names = [f"spotter-{instance_id}{suffix}"]
        if workspace:
            names.append(f"spotter-{safe_name(workspace)}-{instance_id}{suffix}")
        entries.append(HostEntry(tuple(names), endpoint, user, key_path, pin_path, instance_id))
    return entries


def render_config(entries: Sequence[HostEntry], origin: str) -> str:
    """A whole file: who wrote it, then the entries."""
    head = f"# Written by Spotter for {origin}; it is written anew when instances change.\n"
    return "\n".join([head, *(entry.render() for entry in entries)])


def write_config(path: Path, text: str) -> bool:
    """Let `path` (0600) hold `text`, atomically; False when it already did."""
    if path.exists() and path.read_text("utf-8") == text and path.stat().st_mode & 0o777 == 0o600:
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _replace(path, text)
    return True


def include_line(ssh_folder: Path) -> str:
    """What makes OpenSSH read our entries. Absolute: OpenSSH's `~` is the account's home, whatever HOME says."""
    return f'Include "{ssh_folder}/{FOLDER_NAME}/*.conf"'


def install_include(ssh_folder: Path) -> bool:
    """Put the Include line at the top of `config` in `ssh_folder`; False when it is there.

    At the top, because OpenSSH takes the first value that it finds, and a `Host *` further up would win.
    What was there is kept beside it as `config.before-spotter`, once.

    Raises:
        SshConfigError: the file cannot be read or written.
    """
    config, line = ssh_folder / "config", include_line(ssh_folder)
    try:
        ssh_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = config.read_text("utf-8") if config.exists() else ""
        if line in before.splitlines():
            return False
        backup = ssh_folder / BACKUP_NAME
        if before and not backup.exists():
            _replace(backup, before)
        _replace(config, f"{INCLUDE_NOTE}\n{line}\n" + (f"\n{before}" if before else ""))
    except (OSError, UnicodeDecodeError) as error:
        raise SshConfigError(f"{config} cannot be changed: {error}") from error
    return True


def remove_include(ssh_folder: Path) -> bool:
    """Take the Include line away again, and nothing else; False when it wasn't there.

    Raises:
        SshConfigError: the file cannot be read or written.
    """
    config, line = ssh_folder / "config", include_line(ssh_folder)
    try:
        before = config.read_text("utf-8") if config.exists() else ""
        if line not in before.splitlines():
            return False
        head = f"{INCLUDE_NOTE}\n{line}\n"
        if before.startswith(head):
            after = before[len(head) :].removeprefix("\n")
        else:
            kept = [each for each in before.splitlines() if each not in (line, INCLUDE_NOTE)]
            after = "".join(f"{each}\n" for each in kept)
        if after:
            _replace(config, after)
        else:
            config.unlink()
    except (OSError, UnicodeDecodeError) as error:
        raise SshConfigError(f"{config} cannot be changed: {error}") from error
    return True


def answering_endpoint(endpoints: Sequence[Endpoint], *, timeout_s: float = 5) -> Endpoint:
    """The first endpoint that greets as an SSH server, direct before proxy: OpenSSH itself tries only one.

    Raises:
        TransportError: none does; the text has each one's reason.
    """
    reasons = []
    for endpoint in sorted(endpoints, key=lambda each: each.kind != "direct"):
        try:
            with open_socket(endpoint, timeout_s) as sock:
                if sock.recv(4) == b"SSH-":
                    return endpoint
            reasons.append(f"{endpoint} does not greet as an SSH server")
        except TransportError as error:
            reasons.append(str(error))
        except OSError as error:
            reasons.append(f"{endpoint} does not greet within {timeout_s:g} s ({error})")
    raise TransportError("; ".join(reasons) or "the instance has no SSH endpoint yet")


def safe_name(text: str) -> str:
    """`text` as part of a host name pattern: no blanks, no wildcards."""
    return _SAFE.sub("-", text).strip("-.") or "workspace"


def _quoted(path: Path) -> str:
    """A path for an ssh_config value. `%` begins a token there, and a quote cannot be written.

    Raises:
        SshConfigError: the path has a quote or a line break in it.
    """
    text = str(path)
    if '"' in text or "\n" in text:
        raise SshConfigError(f"OpenSSH cannot be told of {path}: its name has a quote or a line break in it")
    return '"' + text.replace("%", "%%") + '"'


def _replace(path: Path, text: str) -> None:
    """Write beside, fsync, rename; through a link, so that a `config` kept elsewhere stays there."""
    target = Path(os.path.realpath(path))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
