"""The other way to send a release: rsync over the system's own ssh, with the same guarantees as our stream.

It fills the same draft folder that the stream would, beside what the release before holds (`--link-dest`). Then the
stream does what it always does: the box checks every sha256, is sent what is missing or wrong, and renames. So both
ways are as safe, and each goes on with what the other left.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.bootstrap.install import install_agent
from remote.progress import Report, silent
from remote.release import ReleaseFile
from remote.sync.hashes import HashCache
from remote.sync.push import Release, push_release, tree_of
from remote.sync.session import TransferError
from remote.transport import Transport

SILENCE_LIMIT_S = 30
CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr"


class RsyncMissing(TransferError):
    """rsync or ssh is not installed on one of the two machines."""


@dataclass(frozen=True, slots=True)
class SystemSsh:
    """How the system's ssh reaches the box that a transport is connected to: same key, same pinned host key."""

    host: str
    port: int
    user: str
    key_path: Path
    pin_path: Path

    def config(self) -> str:
        """An ssh_config that trusts the pinned host key only, and takes nothing of the user's own files."""
        return "\n".join(
            [
                "Host box",
                f"  HostName {self.host}",
                f"  Port {self.port}",
                f"  User {self.user}",
                f'  IdentityFile "{self.key_path}"',
                "  IdentitiesOnly yes",
                "  HostKeyAlias box",
                f'  UserKnownHostsFile "{self.pin_path}"',
                "  GlobalKnownHostsFile none",
                "  StrictHostKeyChecking yes",
                "  BatchMode yes",
                "  ConnectTimeout 10",
                "  ServerAliveInterval 3",
                "  ServerAliveCountMax 2",
                f"  Ciphers {CIPHERS}",
                "",
            ]
        )


def rsync_here() -> bool:
    """Whether this machine has what it takes."""
    return shutil.which("rsync") is not None and shutil.which("ssh") is not None


def rsync_there(transport: Transport) -> bool:
    """Whether the box has rsync."""
    return transport.run("command -v rsync", timeout_s=20).exit_code == 0


def push_release_by_rsync(
    transport: Transport,
    root: str,
    files: Sequence[ReleaseFile],
    ssh: SystemSsh,
    report: Report = silent,
    *,
    link: str = "current",
    note: Mapping[str, object] | None = None,
    hashes: HashCache | None = None,
) -> Release:
    """As `push_release`, but the contents travel by rsync; what it did not bring, or brought wrong, the stream brings.

    Raises:
        RsyncMissing: it is not installed on both machines.
        TransferError: rsync failed, with its last line; push again, it goes on where it stopped.
    """
    if not rsync_here() or not rsync_there(transport):
        raise RsyncMissing('rsync is not installed here and on the box: set [sync] backend = "stream" or install it')
    agent = install_agent(transport, root)
    place = f"{agent.root}/releases/{tree_of(files, hashes)}"
    if transport.run(["test", "-d", place], timeout_s=20).exit_code != 0:
        draft = posixpath.join(posixpath.dirname(place), f".{posixpath.basename(place)}.draft")
        transport.check(["mkdir", "-p", draft], timeout_s=20)
        with tempfile.TemporaryDirectory(prefix="spotter-rsync-") as scratch:
            _run(Path(scratch), files, ssh, draft, f"{agent.root}/{link}/")
    return push_release(transport, root, files, report, link=link, note=note, hashes=hashes)


def _run(scratch: Path, files: Sequence[ReleaseFile], ssh: SystemSsh, draft: str, near: str) -> None:
    config, tree = scratch / "ssh_config", scratch / "tree"
    config.write_text(ssh.config())
    for file in files:  # links to the sources, followed by -L: names in a release need not be names here
        place = tree / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.source.resolve())
    command = ["rsync", "-rtL", "--inplace", "--secluded-args", f"--timeout={SILENCE_LIMIT_S}", f"--link-dest={near}"]
    command += ["-e", f"ssh -F '{config}'", f"{tree}/", f"box:{draft}/"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(command, capture_output=True, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TransferError(
            f"rsync ended with exit code {done.returncode}: {words[-1] if words else 'it said nothing'}"
        )
