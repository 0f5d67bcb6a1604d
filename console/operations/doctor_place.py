"""What the doctor looks at on this machine for a workspace: the SSH key, the clock, the folders of the stores."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from console.operations.doctor import Finding
from console.words import duration
from console.workspace import Workspace

SKEW_S = 120.0
"""Logs of here and there are read side by side, and signatures of clouds allow a few minutes."""
CLOCK_PATIENCE_S = 3.0


def ssh_key(workspace: Workspace) -> Iterator[Finding]:
    """Whether the key that instances let in can be used; it is only read, and made when it is first needed."""
    from remote.keys import PRIVATE_NAME

    path = workspace.keys / PRIVATE_NAME
    if not path.exists():
        yield Finding("ssh key", "ok", "none yet: the first rental makes one")
        return
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    fix = f"move {path} away: a new one is made, and machines rented with the old one are not reached any more"
    try:
        load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        yield Finding("ssh key", "error", f"{path} cannot be read: {error.strerror}", f"chmod 600 {path}")
    except (ValueError, TypeError):
        yield Finding("ssh key", "error", f"{path} is no unencrypted OpenSSH key", fix)
    else:
        if path.stat().st_mode & 0o077:
            yield Finding("ssh key", "warning", f"{path} is readable by others", f"chmod 600 {path}")
        else:
            yield Finding("ssh key", "ok", str(path))


def clock(workspace: Workspace, ask: Callable[[str], float] | None = None) -> Iterator[Finding]:
    """Whether this machine's clock can be right: against the cloud's where that is vast.ai, else against files."""
    from console.settings import SettingsError, load_settings

    fix = "set the clock: timedatectl set-ntp true"
    now = time.time()
    ledger = workspace.ledger
    if ledger.exists() and (ahead := ledger.stat().st_mtime - now) > SKEW_S:
        message = f"it is {duration(ahead)} behind: the ledger of rentals was written later than now"
        yield Finding("clock", "warning", message, fix)
        return
    try:
        cloud = load_settings(workspace).cloud
    except SettingsError:
        return  # said where the settings are looked at
    if cloud.name != "vast":
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z"))
        return
    from remote.vast.cloud import DEFAULT_URL

    try:
        skew = (ask or their_time)(cloud.url or DEFAULT_URL) - time.time()
    except (OSError, ValueError, HTTPException) as error:
        yield Finding("clock", "warning", f"the cloud did not tell the time: {error}", "look at the network, then r")
        return
    if abs(skew) > SKEW_S:
        way = "behind" if skew > 0 else "ahead of"
        yield Finding("clock", "warning", f"{duration(abs(skew))} {way} the cloud's", fix)
    else:
        yield Finding("clock", "ok", f"within {max(1, round(abs(skew)))} s of the cloud's")


def their_time(url: str) -> float:
    """What the server's clock says, Unix seconds; any answer has it, a refusal too. Nothing secret is sent.

    Raises:
        OSError: it does not answer.
        http.client.HTTPException: what answers does not speak HTTP.
        ValueError: its answer has no time.
    """
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - settings allow http and https only
    try:
        with urllib.request.urlopen(request, timeout=CLOCK_PATIENCE_S) as answer:  # noqa: S310
            date = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        date = error.headers["Date"]
    if not date:
        raise ValueError("no Date in its answer")
    return parsedate_to_datetime(date).timestamp()


def stores(workspace: Workspace) -> Iterator[Finding]:
    """Whether the folders of vectors and state can be written by who is here."""
    for name in ("chroma", "index"):
        folder = workspace.state / name
        if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield Finding("index", "error", f"{folder} cannot be written", f"chown -R $(id -un) {folder}")
    env = workspace.env_file
    if env.exists() and not env.stat().st_mode & 0o077:
        yield Finding("secrets", "ok", f"{env} is readable by its owner only")
