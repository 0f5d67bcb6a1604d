"""Weights: which checkpoints there are and which are here, getting them here, and what boxes must fetch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from console.errors import WrongInput
from console.operations.events import OperationEvent, Report, Step, silent
from console.words import count, size

if TYPE_CHECKING:
    from console.workspace import Workspace
    from pipeline.models.registry import CheckpointEntry
    from remote.bootstrap.needs import Checkpoint

STALL_S = 30.0
"""A mirror that sends nothing for this long is left for the next one."""

State = Literal["here", "missing", "damaged"]


class WeightsFailed(Exception):
    """A checkpoint could not be fetched; the text names every mirror and what it said."""


class WeightsMissing(WrongInput):
    """Checkpoints that were to be verified are not here, or damaged."""


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A checkpoint as it is listed."""

    name: str
    state: State
    problem: str | None
    """Why it is not `here`, with the command that mends it."""
    bytes: int | None
    what: str
    licence: str
    source: str
    """Host and path that it comes from."""
    revision: str
    unpinned: tuple[str, ...]
    """Files of which nobody knows the sha256 before they are fetched the first time."""


def checkpoint_root(workspace: Workspace) -> Path:
    """Where checkpoints lie on this machine: `MODEL_DIR`, else in the workspace."""
    from pipeline.models.store import ROOT_VARIABLE

    told = os.environ.get(ROOT_VARIABLE)
    return Path(told) if told else workspace.state / "checkpoints"


def use_own_registry(workspace: Workspace) -> None:
    """Let `[pipelines] checkpoints` of the settings, a YAML file, add to the registry, and `hub` stand in for the hub.

    What the environment says (`MODEL_REGISTRY`, `HF_ENDPOINT`) goes before the settings.

    Raises:
        console.settings.SettingsError: the settings cannot be read.
    """
    from console.settings import load_settings
    from pipeline.models.registry import ENDPOINT_VARIABLE, REGISTRY_VARIABLE

    told = load_settings(workspace).pipelines
    if told.checkpoints and not os.environ.get(REGISTRY_VARIABLE):
        os.environ[REGISTRY_VARIABLE] = str(workspace.root / told.checkpoints)
    if told.hub and not os.environ.get(ENDPOINT_VARIABLE):
        os.environ[ENDPOINT_VARIABLE] = " ".join(told.hub)


def list_weights(root: Path, *, again: bool = False) -> list[CheckpointLine]:
    """Every checkpoint of the registry and how it stands below `root`; `again` hashes every file anew."""
    from pipeline.models.checkpoints import registry

    return [_line(entry, root, again) for entry in registry().values()]


def _line(entry: CheckpointEntry, root: Path, again: bool) -> CheckpointLine:
    from pipeline.models.checkpoints import CheckpointDamaged, CheckpointMissing, locate, pins_of

    state: State = "here"
    problem = None
    try:
        locate(entry.name, root, again=again)
    except CheckpointMissing as missing:
        state, problem = "missing", str(missing)
    except CheckpointDamaged as damaged:
        state, problem = "damaged", str(damaged)
    unpinned = tuple(path for path, pin in pins_of(entry, root).items() if pin is None)
    url = entry.urls(entry.files[0])[0]
    source = url.partition("://")[2].rpartition("/resolve/")[0] or url.partition("://")[2]
    return CheckpointLine(
        entry.name, state, problem, entry.bytes, entry.what, entry.licence, source, entry.revision, unpinned
    )


def verify_weights(root: Path, names: Sequence[str] = ()) -> list[CheckpointLine]:
    """Hash every file of these checkpoints anew (default: of those that are here in part or whole).

    Raises:
        WeightsMissing: one is not whole; the text has the command that mends it.
        pipeline.models.checkpoints.CheckpointMissing: nobody knows one of that name.
    """
    from pipeline.models.checkpoints import entry, registry

    chosen = [entry(name, root) for name in names] or [
        each for each in registry().values() if (root / each.name).is_dir()
    ]
    lines = [_line(each, root, True) for each in chosen]
    wrong = [line.problem for line in lines if line.problem]
    if wrong:
        raise WeightsMissing("; ".join(wrong))
    return lines


def fetch_weights(root: Path, names: Sequence[str], report: Report = silent) -> list[CheckpointLine]:
    """Fetch what is missing of these checkpoints, resumed and verified; what is here is not fetched again.

    Raises:
        WeightsFailed: no mirror serves a file as it must be, or the disk is too small.
        pipeline.models.checkpoints.CheckpointMissing: nobody knows one of that name.
    """
    from pipeline.models.checkpoints import entry

    entries = [entry(name, root) for name in names]
    for each in entries:
        told = f", {size(each.bytes)}" if each.bytes else ""
        with Step("weights", f"fetching {each.name}{told} into {root}", report) as step:
            said = _fetch(each, root, report)
            step.summary = f"{each.name}: {count(len(each.files), 'file')} verified{said}"
    return [_line(each, root, False) for each in entries]


def _fetch(entry: CheckpointEntry, root: Path, report: Report) -> str:
    """Run the program that boxes run; what it pinned just now, for the summary."""
    from remote.bootstrap import box_fetch

    spec = {"folder": str(root), "checkpoints": _wanted(entry, root), "stall_s": STALL_S}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(spec, file)
        file.flush()
        command = [sys.executable, "-S", str(Path(box_fetch.__file__)), file.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                if line.startswith("spotter-progress "):
                    told = json.loads(line.partition(" ")[2])
                    report(OperationEvent("weights", "progress", told["message"], told["done"], told["total"], "bytes"))
                else:
                    lines.append(line.strip())
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
    if process.returncode != 0:
        raise WeightsFailed(f"{(lines or ['nothing was said'])[-1]}; what came is kept: run the command again to go on")
    pinned = [line for line in lines if ", and is pinned to " in line]
    return f"; {'; '.join(pinned)}" if pinned else ""


def _wanted(entry: CheckpointEntry, root: Path) -> list[dict[str, object]]:
    from pipeline.models.checkpoints import pins_of

    pins = pins_of(entry, root)
    return [
        {
            "name": f"{entry.name}/{file.path}",
            "size": pin.bytes if (pin := pins[file.path]) else file.bytes,
            "sha256": pin.sha256 if pin else file.sha256,
            "urls": list(entry.urls(file)),
        }
        for file in entry.files
    ]


def box_checkpoints(root: Path, names: Sequence[str], report: Report = silent) -> tuple[Checkpoint, ...]:
    """What a box must fetch, told by size and sha256.

    A file whose sha256 nobody knows is fetched here first, and pinned: the box gets exactly that one.

    Raises:
        WeightsFailed: such a file could not be fetched.
        pipeline.models.checkpoints.CheckpointMissing: nobody knows one of that name.
    """
    from pipeline.models.checkpoints import entry, pins_of
    from remote.bootstrap.needs import Checkpoint

    found = []
    for each in (entry(name, root) for name in names):
        if any(pin is None for pin in pins_of(each, root).values()):
            _fetch_unpinned(each, root, report)
        pins = pins_of(each, root)
        for file in each.files:
            pin = pins[file.path]
            assert pin is not None
            found.append(Checkpoint(f"{each.name}/{file.path}", pin.bytes, pin.sha256, each.urls(file)))
    return tuple(found)


def _fetch_unpinned(entry: CheckpointEntry, root: Path, report: Report) -> None:
    from pipeline.models.checkpoints import pins_of

    pins: Mapping[str, object] = pins_of(entry, root)
    unknown = entry.model_copy(update={"files": tuple(file for file in entry.files if pins[file.path] is None)})
    names = ", ".join(file.path for file in unknown.files)
    with Step("weights", f"pinning {names} of {entry.name}: nobody knows its sha256 yet", report) as step:
        step.summary = f"{entry.name}{_fetch(unknown, root, report)}"
