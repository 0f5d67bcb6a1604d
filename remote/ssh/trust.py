"""Which host key an instance has: pinned at first use in a file of its own, in OpenSSH's known_hosts format.

Pinning by instance rather than by address matters: clouds hand the same address and port to other machines later.
The line matches any host name, so OpenSSH can use the file as its `UserKnownHostsFile` for this instance.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from remote.ssh.errors import HostKeyChanged


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key: its type and its base64 text."""

    kind: str
    text: str

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it."""
        digest = hashlib.sha256(base64.b64decode(self.text)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def read_pin(pin_path: Path) -> HostKey | None:
    """The pinned key, or None before the first connection.

    Raises:
        HostKeyChanged: the file is there but holds no key, so nothing can be trusted.
    """
    try:
        words = pin_path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        words = []
    if len(words) < 3:
        raise HostKeyChanged(f"{pin_path} holds no host key; delete it to trust the instance anew", pin_path)
    return HostKey(words[1], words[2])


def check_pin(pin_path: Path, shown: HostKey) -> None:
    """Raise HostKeyChanged unless `shown` is the pinned key or nothing is pinned yet."""
    pinned = read_pin(pin_path)
    if pinned is not None and pinned != shown:
        raise HostKeyChanged(
            f"the host key changed: {pin_path} pins {pinned.kind} {pinned.fingerprint}, "
            f"but the machine shows {shown.kind} {shown.fingerprint}. If you reset the instance yourself, "
            f"delete {pin_path} and connect again; otherwise another machine answers at this address: do not use it",
            pin_path,
        )


def write_pin(pin_path: Path, shown: HostKey) -> None:
    """Pin `shown` unless something is pinned; two first connections at once agree on one key or one of them fails."""
    if read_pin(pin_path) is None:
        pin_path.parent.mkdir(parents=True, exist_ok=True)
        draft = pin_path.with_name(f"{pin_path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with draft.open("x", encoding="ascii") as file:
                file.write(f"* {shown.kind} {shown.text}\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another connection was first; its pin is checked below
                os.link(draft, pin_path)
        finally:
            draft.unlink(missing_ok=True)
    check_pin(pin_path, shown)
