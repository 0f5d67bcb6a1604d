"""Doctor: what a run needs, looked at before it is needed; each finding says how to mend it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from console.words import count, size
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.settings import Secrets, Settings

Level = Literal["ok", "warning", "error"]
LOW_DISK_BYTES = 2 * 1024**3

PARTS = (
    "textual",
    "paramiko",
    "vastai",
    "chromadb",
    "pymupdf",
    "opencv-python-headless",
    "numpy",
    "asyncssh",
    "openai",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    message: str


def examine(workspace: Workspace | None, reason: str) -> list[Finding]:
    """Look at everything; `reason` says why there is no workspace, if there is none."""
    findings = [_python(), *_packages(), *_terminal()]
    if workspace is None:
        return [*findings, Finding("workspace", "error", reason)]
    checks: tuple[Callable[[Workspace], Iterator[Finding]], ...] = (_folders, _settings, _money, _index)
    return [*findings, *(finding for check in checks for finding in check(workspace))]


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "error", f"{found} at {sys.executable}")


def _packages() -> Iterator[Finding]:
    missing = []
    for name in PARTS:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            "packages", "error", f"not installed: {', '.join(missing)}; run  uv sync  or  pip install spotter-console"
        )
    else:
        yield Finding(
            "packages",
            "ok",
            f"{len(PARTS)} parts installed, chromadb {version('chromadb')}, paramiko {version('paramiko')}",
        )


def _terminal() -> Iterator[Finding]:
    term = os.environ.get("TERM", "")
    if term in ("", "dumb"):
        yield Finding("terminal", "warning", f"TERM={term or 'unset'}: the console will not open, commands work")
    else:
        colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else os.environ.get("COLORTERM", "256 colours")
        yield Finding("terminal", "ok", f"{term}, {colour}")
    if shutil.which("ssh") is None:
        yield Finding("ssh client", "warning", "no `ssh` on PATH: Spotter does not need it, a shell on a box does")


def _folders(workspace: Workspace) -> Iterator[Finding]:
    from console.workspace import WorkspaceError

    try:
        workspace.prepare()
    except WorkspaceError as error:
        yield Finding("workspace", "error", str(error))
        return
    documents = sum(1 for path in workspace.data.rglob("*") if path.is_file() and not path.name.startswith("."))
    level: Level = "ok" if documents else "warning"
    yield Finding(
        "workspace",
        level,
        f"{workspace.root}, {count(documents, 'file')} in data/" + ("" if documents else ": put documents there"),
    )
    free = shutil.disk_usage(workspace.root).free
    yield Finding("disk", "ok" if free > LOW_DISK_BYTES else "warning", f"{size(free)} free")


def _settings(workspace: Workspace) -> Iterator[Finding]:
    from console.settings import SettingsError, load_secrets, load_settings

    try:
        settings = load_settings(workspace)
        secrets = load_secrets(workspace)
    except SettingsError as error:
        yield Finding("settings", "error", str(error))
        return
    yield Finding(
        "settings",
        "ok",
        f"cloud {settings.cloud.name}, profile {settings.cloud.profile}, embedder {settings.index.embedder}",
    )
    if settings.cloud.name == "vast":
        if secrets.vast_api_key is None:
            yield Finding("vast.ai key", "error", f"VAST_API_KEY is missing: put it in {workspace.env_file}")
        else:
            yield _vast_key(workspace, settings, secrets)
    else:
        yield Finding("cloud", "ok", "the local cloud is EMULATED: no account needed, no GPU behind it")
    yield from _models(workspace, settings)


def _models(workspace: Workspace, settings: Settings) -> Iterator[Finding]:
    """Whether who embeds and who answers can be asked: names, servers and keys; nothing is sent."""
    from index.chat import chat_model
    from index.embed import embedder
    from index.errors import IndexProblem

    for role, name, make in (
        ("embedder", settings.index.embedder, embedder),
        ("answers", settings.answers.model, chat_model),
    ):
        try:
            if name:
                make(name, workspace.root)
        except IndexProblem as error:
            yield Finding(role, "error", str(error))


def _vast_key(workspace: Workspace, settings: Settings, secrets: Secrets) -> Finding:
    """Whether the cloud takes the key: the one call that every rental begins with."""
    from console.operations.session import Session
    from remote.cloud import CloudError, Unauthorized

    try:
        credit_usd = Session(workspace, settings, secrets).cloud.account().credit_usd
    except Unauthorized as error:
        return Finding("vast.ai key", "error", f"{error}; a working VAST_API_KEY belongs in {workspace.env_file}")
    except CloudError as error:
        return Finding("vast.ai key", "warning", f"there, but could not be tried: {error}")
    return Finding("vast.ai key", "ok", "works" + ("" if credit_usd is None else f", credit ${credit_usd:.2f}"))


def _money(workspace: Workspace) -> Iterator[Finding]:
    from console.models.fleet_words import stopped_words
    from remote.ledger import Ledger

    with closing(Ledger(workspace.ledger)) as ledger:
        alive = ledger.instances(alive_only=True)
    for row in alive:
        if row.state == "stopped":
            yield Finding("instances", "warning", stopped_words(row.instance_id, row.disk_usd_per_hour))
    if alive:
        burn = sum(row.usd_per_hour for row in alive)
        ids = ", ".join(str(row.instance_id) for row in alive)
        yield Finding("instances", "warning", f"{len(alive)} rented ({ids}), ${burn:.3f}/h: `spotter ps` shows them")
    else:
        yield Finding("instances", "ok", "nothing is rented")


def _index(workspace: Workspace) -> Iterator[Finding]:
    from index.errors import IndexEmpty, IndexProblem
    from index.stats import stats

    try:
        found = stats(workspace.root)
    except IndexEmpty:
        yield Finding("index", "ok", "empty: a run fills it")
    except IndexProblem as error:
        yield Finding("index", "error", str(error))
    else:
        yield Finding("index", "ok", f"{found.records} records, {found.space}")
