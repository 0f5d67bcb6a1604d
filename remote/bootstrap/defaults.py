"""The steps that every box goes through, in the order in which they depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remote.bootstrap.box import Box
from remote.bootstrap.box_probe import digest_of
from remote.bootstrap.caches import caches_step
from remote.bootstrap.checkpoints import checkpoints_step
from remote.bootstrap.install import agent_files
from remote.bootstrap.interpreter import interpreter_step
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.pins import Pin
from remote.bootstrap.steps import Step, StepResult
from remote.bootstrap.system import run_packages_step, system_step
from remote.bootstrap.verification import verification_step
from remote.bootstrap.worker import WORKER_ENVIRONMENT, worker_step
from remote.sync.push import Release


def default_steps(
    release: Release | None = None,
    needs: BoxNeeds | None = None,
    *,
    pins: Sequence[Pin] | None = None,
    imports: Sequence[str] | None = None,
) -> list[Step]:
    """Interpreter, agent, caches, worker environment, verification; packages and checkpoints when they are asked for.

    Args:
        release: what was pushed; its `pipeline` must import on the box.
        needs: what is asked of the box; the CPU stack by default.
        pins: the worker's packages, if not those of the lock.
        imports: the modules that must load with them.

    A clone of a repository on the box, which may be dirty, plays no part: code reaches it as immutable releases.
    """
    needs = needs or BoxNeeds()
    steps = [interpreter_step(), Step("agent", digest_of(agent_files()), _check_agent, None, 60), caches_step()]
    if needs.system_packages:
        steps.append(system_step(needs.system_packages, may_install=needs.may_install_packages))
    if needs.run_packages:
        steps.append(run_packages_step(needs.run_packages, may_install=needs.may_install_packages))
    steps.append(worker_step(needs, pins, imports))
    if needs.checkpoints:
        steps.append(checkpoints_step(needs.checkpoints))
    return [*steps, verification_step(release, needs)]


def worker_python(results: Sequence[StepResult]) -> str:
    """The absolute path of the interpreter that jobs on this box must use, as the bootstrap recorded it."""
    return next(result.evidence["path"] for result in results if result.id == WORKER_ENVIRONMENT)


def _check_agent(box: Box) -> Mapping[str, str]:
    hello = box.agent.hello()
    return {"python": str(hello["python"]), "root": str(hello["root"]), "system": str(hello["system"])}
