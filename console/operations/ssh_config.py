"""Names for rented machines in the operator's own OpenSSH: written, installed, kept right, taken away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.operations.session import Session

if TYPE_CHECKING:
    from remote.ssh_config import HostEntry


@dataclass(frozen=True, slots=True)
class Names:
    """What `ssh` knows of this workspace's machines."""

    path: Path
    hosts: tuple[str, ...]
    text: str
    installed: bool


def ssh_folder() -> Path:
    """The operator's `~/.ssh`."""
    return Path.home() / ".ssh"


def config_path(session: Session) -> Path:
    """This workspace's file among those that the Include line reads."""
    from remote.ssh_config import FOLDER_NAME, safe_name

    root = session.workspace.root
    digest = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return ssh_folder() / FOLDER_NAME / f"{safe_name(root.name)}-{digest}.conf"


def names(session: Session) -> Names:
    """What would stand in the file now.

    Raises:
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.ssh_config import render_config

    entries = _entries(session)
    path = config_path(session)
    text = render_config(entries, f"the workspace {session.workspace.root}".replace("\n", " "))
    return Names(path, tuple(name for entry in entries for name in entry.names[:1]), text, path.exists())


def install(session: Session) -> Names:
    """Write the file, and let `~/.ssh/config` include it.

    Raises:
        remote.ssh_config.SshConfigError: `~/.ssh/config` cannot be changed.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.ssh_config import install_include, write_config

    now = names(session)
    write_config(now.path, now.text)
    install_include(ssh_folder())
    return Names(now.path, now.hosts, now.text, installed=True)


def remove(session: Session) -> bool:
    """Take this workspace's file away, and the Include line with the last one; False when there was none."""
    from remote.ssh_config import remove_include

    path = config_path(session)
    had = path.exists()
    path.unlink(missing_ok=True)
    if not path.parent.exists() or not any(path.parent.glob("*.conf")):
        had = remove_include(ssh_folder()) or had
    return had


def refresh(session: Session) -> bool:
    """Bring an installed file up to date after instances changed; False when nothing is installed or nothing changed.

    Raises:
        remote.cloud.CloudError: the cloud does not answer.
        OSError: the file cannot be written.
    """
    from remote.ssh_config import write_config

    if not config_path(session).exists():
        return False
    now = names(session)
    return write_config(now.path, now.text)


def _entries(session: Session) -> list[HostEntry]:
    from remote.ssh_config import host_entries

    rented = {row.instance_id for row in session.living_rentals()}
    cloud = session.living_cloud() if rented else None
    return [
        entry
        for instance in (cloud.instances() if cloud else [])
        if instance.id in rented
        for entry in host_entries(
            instance.id,
            instance.endpoints,
            user=session.settings.cloud.ssh_user,
            key_path=session.key.private_path,
            pin_path=session.workspace.host_keys / str(instance.id),
            workspace=session.workspace.root.name,
        )
    ]
