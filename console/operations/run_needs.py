"""What a planned run asks of its machine, told before anything is rented."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.operations.bootstrap import needs_of
from console.operations.events import Report, silent
from console.operations.runbook import Runbook
from console.operations.session import Session
from console.operations.weights import box_checkpoints, checkpoint_root, use_own_registry

if TYPE_CHECKING:
    from pipeline.docparse.needs import MachineNeeds
    from remote.bootstrap.needs import BoxNeeds

_RANK = {"cpu": 0, "gpu": 1, "original": 2}
PROOF = {"cpu": (), "gpu": ("torch", "transformers"), "original": ("torch", "groundingdino", "sam2")}
"""Modules that show whether a stack's packages are installed."""


class CannotBeDone(WrongInput):
    """The run's parameters ask for what is not to be had; as they are, it will never work."""


class UnknownCheckpoint(CannotBeDone):
    """The run names a checkpoint that nobody knows."""


class NoGpuThere(CannotBeDone):
    """The run wants what no machine of this cloud has."""


class NoReaderThere(CannotBeDone):
    """The run is to read pixels in a language that no machine of this cloud can be given."""


def machine_needs_of(session: Session, run_id: str) -> MachineNeeds:
    """What the parameters of a planned run ask for."""
    from pipeline.core.pipeline import read_params
    from pipeline.core.registry import load_pipeline
    from pipeline.core.rundir import RunFolder
    from pipeline.docparse.needs import machine_needs

    folder = RunFolder(session.workspace.run_folder(run_id))
    pipeline = load_pipeline(folder.read_info().pipeline)
    return machine_needs(pipeline.parse_params(read_params(folder.params_file)))


def check_cloud(session: Session, run_id: str) -> None:
    """See that this cloud's machines can do the run at all.

    Raises:
        NoGpuThere: they are emulated on this machine, and the run wants a real GPU, or packages that are not here.
        NoReaderThere: Tesseract is not to be had there for a language.
    """
    wanted = machine_needs_of(session, run_id)
    if wanted.languages:
        check_reader(wanted.languages, emulated=session.emulated)
    if wanted.stack == "cpu" or not session.emulated:
        return
    cloud = session.settings.cloud.name
    if wanted.gpu_for:
        parts = [each.split()[0] for each in wanted.gpu_for]
        raise NoGpuThere(
            f"{' and '.join(wanted.gpu_for)} cannot run on the {cloud} cloud, whose GPUs are emulated: set [cloud] "
            f"name in spotter.toml to a real one, or run on the processor, at half a minute a page: "
            f"{' '.join(f'--param {part}.device=cpu --param {part}.precision=float32' for part in parts)}"
        )
    missing = [name for name in PROOF[wanted.stack] if find_spec(name) is None]
    if missing:
        raise NoGpuThere(
            f"machines of the {cloud} cloud are emulated in this Python, which has no {', '.join(missing)}: run  "
            f"uv sync --inexact --extra {wanted.stack}"
        )


def check_reader(languages: Sequence[str], *, emulated: bool) -> None:
    """See that machines can read pixels in these languages; emulated ones have what this one has, and no more.

    Raises:
        NoReaderThere: naming the language, and how it is to be had, where it is.
    """
    from pipeline.core.errors import UsageError
    from pipeline.docparse.ocr_params import unpackaged
    from pipeline.docparse.tesseract import installed

    if emulated:
        try:
            installed(languages)
        except UsageError as error:
            raise NoReaderThere(str(error)) from error
    elif strange := unpackaged(languages):
        raise NoReaderThere(f"no machine can be given what ocr.languages names: {strange}")


def check_this_machine(session: Session, run_id: str) -> None:
    """See that this machine has what a run here wants: packages, weights, programs. No model is loaded for it.

    Raises:
        CannotBeDone: the sentence that the run itself would end with.
    """
    from console.operations.laptop_stages import environment
    from pipeline.docparse.needs import MachineNeeds

    entry = Runbook(session.workspace).read(run_id)
    if entry.state == "succeeded" or machine_needs_of(session, run_id) == MachineNeeds():
        return
    folder = str(session.workspace.run_folder(run_id))
    command = [sys.executable, "-m", "pipeline", "keys", entry.pipeline, "--run-dir", folder]
    done = subprocess.run(command, capture_output=True, check=False, env=environment(session, ()))
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CannotBeDone(said[-1].removeprefix("error: ") if said else f"it ends with exit code {done.returncode}")


def check_checkpoints(session: Session, run_id: str, report: Report | None = None) -> None:
    """See that boxes can be told what weights to fetch. With `report`, files of unknown sha256 are fetched and pinned.

    Raises:
        UnknownCheckpoint: the run names one that nobody knows.
        console.operations.weights.WeightsFailed: a file could not be fetched to pin it.
    """
    from pipeline.core.errors import UsageError
    from pipeline.models.checkpoints import entry

    names = machine_needs_of(session, run_id).checkpoints
    if not names:
        return
    use_own_registry(session.workspace)
    root = checkpoint_root(session.workspace)
    try:
        for name in names:
            entry(name, root)
    except UsageError as error:
        raise UnknownCheckpoint(str(error)) from error
    if report is not None:
        box_checkpoints(root, names, report)


def box_needs_of(session: Session, run_id: str, report: Report = silent) -> BoxNeeds:
    """What is asked of a box for this run: the settings, and what the run's parameters name beyond them.

    Raises:
        console.operations.weights.WeightsFailed: a file whose sha256 nobody knows could not be fetched to pin it.
        pipeline.models.checkpoints.CheckpointMissing: the run names a checkpoint that nobody knows.
    """
    needs = needs_of(session)
    wanted = machine_needs_of(session, run_id)
    needs = replace(needs, run_packages=wanted.debian_packages)
    if wanted.stack == "cpu":
        return needs
    use_own_registry(session.workspace)
    stack = max(needs.stack, wanted.stack, key=_RANK.__getitem__)
    checkpoints = box_checkpoints(checkpoint_root(session.workspace), wanted.checkpoints, report)
    gpu = needs.stack != "cpu" or bool(wanted.gpu_for)
    return replace(needs, stack=stack, gpu=gpu, checkpoints=checkpoints)


def torch_cuda() -> float:
    """The CUDA release that the locked torch is built for: a machine for it needs a driver that takes it."""
    from remote.bootstrap.needs import BoxNeeds
    from remote.bootstrap.pins import worker_pins

    version = next(pin.version for pin in worker_pins(BoxNeeds(stack="gpu")) if pin.name == "cuda-toolkit")
    major, minor, *_ = version.split(".")
    return float(f"{major}.{minor}")
