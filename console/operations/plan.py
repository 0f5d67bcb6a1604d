"""Plan: list every page that a run will parse, before a cent is spent."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from ulid import ULID

from console.errors import WrongInput
from console.operations.events import OperationEvent, Report, Step, silent
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.words import count

if TYPE_CHECKING:
    from console.settings import DocparseSettings


class PlanError(WrongInput):
    """There is nothing that can be run; the text says what to mend."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A document that cannot be parsed, and why."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do."""

    entry: RunEntry
    items: int
    documents: int
    problems: tuple[Problem, ...]
    sources: Mapping[str, Path]
    """sha256 → file of this workspace."""
    known: bool
    """Whether the same work was planned before; `entry` is then that run's."""
    forecasts: tuple[str, ...] = ()
    """What stages will cost beside the machine: one line for each that asks somebody who charges."""
    stages: tuple[str, ...] = ()
    """In their order; `entry.laptop_stages` says which of them are done on this machine."""
    warnings: tuple[str, ...] = ()
    """What of the sources will not be found again in the results, beyond problems: elements of pages that do not exist,
    for example."""
    passed_over: int = 0
    """Files of kinds that the pipeline does not take."""


WARNINGS_SHOWN = 5
"""So many are said one by one; thousands of files of elements may all be of other documents."""
CHOSEN_BY_NAME = ("detector", "segmenter", "ocr", "analyst")


def params_of(session: Session, entry: RunEntry) -> dict[str, Any]:
    """The parameters that a run was planned with, every default written out.

    Raises:
        PlanError: they are not here any more.
    """
    path = session.workspace.run_folder(entry.run_id) / "params.yaml"
    try:
        told: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise PlanError(f"run {entry.run_id} is not here any more: {path}: {error.strerror}") from error
    return told


def docparse_params(
    session: Session, sources: Sequence[str], overrides: Mapping[str, Any], base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Parameters of a docparse run: the workspace's defaults, or those of another run, then what the operator said."""
    defaults = session.settings.pipelines.docparse
    if base:
        return _changed(defaults, base, {**overrides, "sources": list(sources)})
    params: dict[str, Any] = {"sources": list(sources), "dpi": defaults.dpi, "renderer": defaults.renderer}
    for part in CHOSEN_BY_NAME:
        params[part] = _chosen(defaults, getattr(defaults, part), overrides.get(part))
    if defaults.max_error_rate is not None:
        params["max_error_rate"] = defaults.max_error_rate
    params |= {name: value for name, value in overrides.items() if name not in CHOSEN_BY_NAME}
    arrange = params.get("arrange", {})
    if defaults.arrange and isinstance(arrange, Mapping):
        params["arrange"] = {**defaults.arrange, **arrange}
    return params


def _changed(defaults: DocparseSettings, base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Another run's parameters with some changed; a part that is chosen anew by name is as the workspace says."""
    params = dict(base)
    for name, said in overrides.items():
        if name in CHOSEN_BY_NAME and not isinstance(said, Mapping):
            said = {"name": said}
        known = params.get(name)
        if not (isinstance(said, Mapping) and isinstance(known, Mapping)):
            params[name] = said
        elif name in CHOSEN_BY_NAME and said.get("name", known.get("name")) != known.get("name"):
            params[name] = _chosen(defaults, str(said["name"]), said)
        else:
            params[name] = {**known, **said}
    return params


def _chosen(defaults: DocparseSettings, name: str, override: object) -> dict[str, Any]:
    """A part that is chosen by name: what the operator says of it, over what the workspace says of the chosen one."""
    if not isinstance(override, Mapping):
        override = {} if override is None else {"name": override}
    name = str(override.get("name", name))
    return {**defaults.told(name), **override, "name": name}


def _said_where(session: Session, reason: str, overrides: Mapping[str, Any]) -> str:
    """`; it is said in …`, when the parameter that `reason` is about stands in the settings; else nothing."""
    found = re.match(r"parameter (\w+)(?:\.(\w+))?", reason)
    if found is None:
        return ""
    defaults, (part, key) = session.settings.pipelines.docparse, found.groups()
    override = overrides.get(part)
    if part == "arrange":
        named, told = "arrange", defaults.arrange
    elif part in CHOSEN_BY_NAME:
        named = str(_chosen(defaults, getattr(defaults, part), override)["name"])
        told = defaults.told(named)
    else:
        return "" if override is not None or part not in type(defaults).model_fields else _IN_SETTINGS.format("")
    if key in told and not (isinstance(override, Mapping) and key in override):
        return _IN_SETTINGS.format(f".{named}")
    return _IN_SETTINGS.format("") if key is None and override is None else ""


_IN_SETTINGS = "; it is said in [pipelines.docparse{}] of spotter.toml"


def plan(
    session: Session,
    sources: Sequence[Path] = (),
    *,
    pipeline: str = "docparse",
    overrides: Mapping[str, Any] | None = None,
    like: RunEntry | None = None,
    again: bool = False,
    report: Report = silent,
) -> Plan:
    """Plan a run over `sources` (default: all of `data/`). The same work planned twice is the same run, unless `again`.

    With `like`, an earlier run, its sources and parameters take the place of the workspace's defaults.

    Raises:
        PlanError: no source can be parsed at all, or the parameters are wrong.
        WorkspaceError: a source lies outside the workspace.
    """
    workspace = session.workspace
    workspace.prepare()
    base = {} if like is None else params_of(session, like)
    named = [workspace.relative(path) for path in sources] or base.get("sources") or ["data"]
    with Step("plan", f"reading {', '.join(named)}", report) as step:
        run_id = str(ULID()).lower()
        folder = workspace.run_folder(run_id)
        params = workspace.state / f"params-{run_id}.yaml"
        params.write_text(
            yaml.safe_dump(docparse_params(session, named, overrides or {}, base), allow_unicode=True, sort_keys=False),
            "utf-8",
        )
        try:
            answer = _plan_process(pipeline, params, folder, workspace.root)
        except PlanError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise PlanError(f"{error}{_said_where(session, str(error), overrides or {})}") from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            params.unlink(missing_ok=True)
        runbook = Runbook(workspace)
        entry = None if again else _same_work(session, str(answer["plan_key"]))
        known = entry is not None
        if entry is None:
            entry = runbook.write(
                RunEntry(
                    run_id=run_id,
                    pipeline=pipeline,
                    plan_key=str(answer["plan_key"]),
                    created_at=time.time(),
                    laptop_stages=tuple(answer["laptop_stages"]),
                    secrets=tuple(answer["secrets"]),
                )
            )
        else:
            shutil.rmtree(folder)
        problems = tuple(Problem(row["path"], row["message"]) for row in answer["problems"])
        step.summary = f"{count(answer['items'], 'page')} in {count(answer['documents'], 'document')}"
        if problems:
            step.summary += f", {count(len(problems), 'document')} cannot be parsed"
        if skipped := len(answer["skipped"]):
            step.summary += f", {count(skipped, 'file')} of other kinds passed over"
        told = {f"{problem.path!r}: {problem.message}" for problem in problems}
        warnings = tuple(warning for warning in answer["warnings"] if warning not in told)
        forecasts = tuple(answer["forecasts"])
        if known:
            step.summary += f" · the same work as run {entry.run_id}"
    for warning in warnings[:WARNINGS_SHOWN]:
        report(OperationEvent("plan", "progress", f"⚠ {warning}"))
    if len(warnings) > WARNINGS_SHOWN:
        more = len(warnings) - WARNINGS_SHOWN
        report(OperationEvent("plan", "progress", f"⚠ and {more} more: `spotter run --dry-run --json` has them all"))
    for forecast in forecasts:
        report(OperationEvent("plan", "progress", forecast))
    return Plan(
        entry,
        int(answer["items"]),
        int(answer["documents"]),
        problems,
        {row["sha256"]: workspace.root / row["path"] for row in answer["sources"]},
        known,
        forecasts,
        tuple(answer["stages"]),
        warnings,
        skipped,
    )


def forget(session: Session, entry: RunEntry) -> None:
    """Remove a plan that was only looked at."""
    Runbook(session.workspace).forget(entry.run_id)
    shutil.rmtree(session.workspace.run_folder(entry.run_id), ignore_errors=True)


def _same_work(session: Session, plan_key: str) -> RunEntry | None:
    """An earlier run of the same work whose folder still holds what it should."""
    return next(
        (
            entry
            for entry in Runbook(session.workspace).entries()
            if entry.plan_key == plan_key and _is_intact(session.workspace.run_folder(entry.run_id), entry)
        ),
        None,
    )


def _is_intact(folder: Path, entry: RunEntry) -> bool:
    """Whether a run can be gone on with, or, when it has ended, whether its results are still here.

    `out/` may be cleared at any time: it holds what can be made again.
    """
    if not ((folder / "run.json").is_file() and (folder / "manifest.jsonl").is_file()):
        return False
    if entry.phase is not Phase.DONE or entry.state not in ("succeeded", "incomplete"):
        return True
    sizes: dict[str, int] = {}
    for line in (folder / "artifacts.jsonl").read_bytes().splitlines() if (folder / "artifacts.jsonl").exists() else ():
        row = orjson.loads(line)
        if row["retention"] != "scratch":
            sizes[row["path"]] = row["bytes"]
    try:
        return bool(sizes) and all((folder / path).stat().st_size == size for path, size in sizes.items())
    except OSError:
        return False


def _plan_process(pipeline: str, params: Path, folder: Path, workspace: Path) -> dict[str, Any]:
    """Documents are opened in a process of their own: a parser that crashes takes only itself along."""
    command = [sys.executable, "-m", "pipeline", "plan", pipeline]
    command += ["--params", str(params), "--run-dir", str(folder), "--workspace", str(workspace)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1].removeprefix("error: ") if said else f"the planner ended with exit code {done.returncode}"
        raise PlanError(reason)
    answer: dict[str, Any] = orjson.loads(done.stdout.strip().splitlines()[-1])
    return answer


def planned_sources(session: Session, run_id: str) -> dict[str, Path]:
    """The sources of a planned run, from its manifest: sha256 → file of this workspace."""
    from pipeline.core.manifest import read_manifest

    manifest = read_manifest(session.workspace.run_folder(run_id) / "manifest.jsonl")
    opened = (source for item in manifest if item.problem is None for source in item.sources)
    return {source.sha256: session.workspace.root / source.path for source in opened}
