"""Doctor: what a run and the console need, looked at before it is needed; each finding comes with its mend."""

from __future__ import annotations

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
    fix: str = ""
    """What mends it: a command, or a sentence. Empty only where nothing is to be mended."""
    command: tuple[str, ...] = ()
    """The fix as a command of Spotter's that touches neither money nor data: `enter` runs it."""
    view: str = ""
    """The view in which it is mended."""


def examine(workspace: Workspace | None, reason: str) -> list[Finding]:
    """Look at everything; `reason` says why there is no workspace, if there is none."""
    from console.operations import doctor_place, doctor_screen

    findings = [_python(), *_packages(), *doctor_screen.terminal(), *doctor_screen.catalogs()]
    if workspace is None:
        return [*findings, Finding("workspace", "error", reason, "run  spotter init", view="welcome")]
    checks: tuple[Callable[[Workspace], Iterator[Finding]], ...] = (
        _folders,
        _disk,
        _settings,
        doctor_place.ssh_key,
        doctor_place.clock,
        _money,
        _index,
        doctor_place.stores,
        doctor_screen.keymap,
        doctor_screen.themes,
    )
    return [*findings, *(finding for check in checks for finding in _looked_at(check, workspace))]


def _looked_at(check: Callable[[Workspace], Iterator[Finding]], workspace: Workspace) -> Iterator[Finding]:
    """What a check finds. One that cannot be done is a finding too: the doctor is asked when something is broken."""
    try:
        yield from check(workspace)
    except Exception as error:  # noqa: BLE001
        reason = str(error) or type(error).__name__
        fix = "mend that, or what else is found here, then ask again (r)"
        yield Finding(check.__name__.strip("_"), "error", f"could not be looked at: {reason}", fix)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    fix = "" if good else "install Python 3.11 or newer, and Spotter with it"
    return Finding("python", "ok" if good else "error", f"{found} at {sys.executable}", fix)


def _packages() -> Iterator[Finding]:
    missing = []
    for name in PARTS:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            "packages",
            "error",
            f"not installed: {', '.join(missing)}",
            "run  uv sync  in a checkout, or  pip install spotter-console",
        )
    else:
        yield Finding(
            "packages",
            "ok",
            f"{len(PARTS)} parts installed, chromadb {version('chromadb')}, paramiko {version('paramiko')}",
        )


def _folders(workspace: Workspace) -> Iterator[Finding]:
    from console.workspace import WorkspaceError

    try:
        workspace.prepare()
    except WorkspaceError as error:
        yield Finding("workspace", "error", str(error), "mend its permissions, or choose another with -C DIR")
        return
    documents = sum(1 for path in workspace.data.rglob("*") if path.is_file() and not path.name.startswith("."))
    level: Level = "ok" if documents else "warning"
    yield Finding(
        "workspace",
        level,
        f"{workspace.root}, {count(documents, 'file')} in data/",
        "" if documents else f"put documents into {workspace.data}",
    )


def _disk(workspace: Workspace) -> Iterator[Finding]:
    free = shutil.disk_usage(workspace.root).free
    roomy = free > LOW_DISK_BYTES
    fix = "" if roomy else f"make room: runs under {workspace.runs} can be made again"
    yield Finding("disk", "ok" if roomy else "warning", f"{size(free)} free", fix)


def _settings(workspace: Workspace) -> Iterator[Finding]:
    from console.settings import SettingsError, load_secrets, load_settings

    try:
        settings = load_settings(workspace)
    except SettingsError as error:
        yield Finding("settings", "error", str(error), f"edit {workspace.settings_file}; the message names the key")
        return
    try:
        secrets = load_secrets(workspace)
    except SettingsError as error:
        yield Finding("secrets", "error", str(error), f"chmod 600 {workspace.env_file}")
        return
    yield Finding(
        "settings",
        "ok",
        f"cloud {settings.cloud.name}, profile {settings.cloud.profile}, embedder {settings.index.embedder}",
    )
    if settings.cloud.name == "vast":
        if secrets.vast_api_key is None:
            message = f"VAST_API_KEY is missing: put it in {workspace.env_file}"
            yield Finding("vast.ai key", "error", message, _key_fix(workspace), view="welcome")
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
            section = "index] embedder" if role == "embedder" else "answers] model"
            fix = f"change [{section} in {workspace.settings_file}, or give what it asks for in {workspace.env_file}"
            yield Finding(role, "error", str(error), fix)


def _vast_key(workspace: Workspace, settings: Settings, secrets: Secrets) -> Finding:
    """Whether the cloud takes the key: the one call that every rental begins with."""
    from console.operations.session import Session
    from remote.cloud import CloudError, Unauthorized

    try:
        credit_usd = Session(workspace, settings, secrets).cloud.account().credit_usd
    except Unauthorized as error:
        message = f"{error}; a working VAST_API_KEY belongs in {workspace.env_file}"
        return Finding("vast.ai key", "error", message, _key_fix(workspace), view="welcome")
    except CloudError as error:
        message = f"there, but could not be tried: {error}"
        return Finding("vast.ai key", "warning", message, "look at the network and at [cloud] url, then ask again (r)")
    return Finding("vast.ai key", "ok", "works" + ("" if credit_usd is None else f", credit ${credit_usd:.2f}"))


def _key_fix(workspace: Workspace) -> str:
    return f"make a key at https://cloud.vast.ai/manage-keys/ and put VAST_API_KEY=… into {workspace.env_file} (0600)"


def _money(workspace: Workspace) -> Iterator[Finding]:
    from console.models.fleet_words import stopped_words
    from remote.ledger import Ledger

    with closing(Ledger(workspace.ledger)) as ledger:
        alive = ledger.instances(alive_only=True)
    for row in alive:
        if row.state == "stopped":
            words = stopped_words(row.instance_id, row.disk_usd_per_hour)
            yield Finding("instances", "warning", words, f"spotter destroy {row.instance_id}", view="fleet")
    if alive:
        burn = sum(row.usd_per_hour for row in alive)
        ids = ", ".join(str(row.instance_id) for row in alive)
        message = f"{len(alive)} rented ({ids}), ${burn:.3f}/h: `spotter ps` shows them"
        yield Finding(
            "instances", "warning", message, "spotter destroy ID  for those that are not needed", view="fleet"
        )
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
        yield Finding("index", "error", str(error), "spotter index doctor", ("index", "doctor"))
    else:
        yield Finding("index", "ok", f"{found.records} records, {found.space}")
