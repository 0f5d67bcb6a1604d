"""What a planned run asks of its machine, told before anything is rented."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.operations.bootstrap import needs_of
from console.operations.events import Report, silent
from console.operations.session import Session
from console.operations.weights import box_checkpoints, checkpoint_root, use_own_registry

if TYPE_CHECKING:
    from pipeline.docparse.needs import MachineNeeds
    from remote.bootstrap.needs import BoxNeeds

_RANK = {"cpu": 0, "gpu": 1, "original": 2}


class NoGpuThere(WrongInput):
    """The run wants what no machine of this cloud has."""


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
        NoGpuThere: they are emulated on this machine, and the run wants a real GPU.
    """
    wanted = machine_needs_of(session, run_id)
    if wanted.stack != "cpu" and session.emulated:
        what = " and ".join(wanted.gpu_for) or "this run's models"
        raise NoGpuThere(
            f"{what} cannot run on the {session.settings.cloud.name} cloud, whose GPUs are emulated: choose detector "
            "opencv and segmenter none, or a real cloud ([cloud] name in spotter.toml)"
        )


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
    return replace(needs, stack=stack, checkpoints=checkpoints)


def torch_cuda() -> float:
    """The CUDA release that the locked torch is built for: a machine for it needs a driver that takes it."""
    from remote.bootstrap.needs import BoxNeeds
    from remote.bootstrap.pins import worker_pins

    version = next(pin.version for pin in worker_pins(BoxNeeds(stack="gpu")) if pin.name == "cuda-toolkit")
    major, minor, *_ = version.split(".")
    return float(f"{major}.{minor}")
