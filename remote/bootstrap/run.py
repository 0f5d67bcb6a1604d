"""Run bootstrap steps on a box and keep their results there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from remote.bootstrap.box import Box
from remote.bootstrap.install import NoInterpreter
from remote.bootstrap.steps import BootstrapFailed, Step, StepResult, StepUnmet
from remote.jobs import Agent, AgentError
from remote.progress import Progress, Report, silent
from remote.transport import CommandFailed, CommandTimeout, Transport


def bootstrap(transport: Transport, root: str, steps: Sequence[Step], report: Report = silent) -> list[StepResult]:
    """Do every step that is not done, in order. Results are kept as `<root>/bootstrap/<step>.json` on the box.

    A step is checked first, always: what is right is not run again, whoever made it so.

    Raises:
        BootstrapFailed: with the step, its command and its last lines; the steps before it stay done.
        ConnectionLost: the box went away; bootstrap it again.
    """
    try:
        agent = Agent.start(transport, root)
    except NoInterpreter as error:
        raise BootstrapFailed("interpreter", "find Python 3.9 or newer", str(error)) from error
    except CommandFailed as error:
        raise BootstrapFailed("agent", error.command, error.output) from error
    results = []
    with agent:
        box = Box(transport, agent)
        for number, step in enumerate(steps):
            report(Progress("bootstrap", step.id, number, len(steps), "steps"))
            result = _do(box, step, report)
            box.found[step.id] = result.evidence
            results.append(result)
            shown = f"{step.id}: {_brief(result)}"
            report(Progress("bootstrap", shown, number + 1, len(steps), "steps"))
    return results


def _do(box: Box, step: Step, report: Report) -> StepResult:
    began = time.monotonic()
    try:
        box.begin(step)
        known = bool(box.recorded)
        try:
            evidence = step.check(box)
            outcome = "kept" if known else "found"
        except StepUnmet as unmet:
            if step.run is None:
                raise
            report(Progress("bootstrap", f"{step.id}: {unmet}", 0, None, "steps"))
            step.run(box)
            evidence = step.check(box)
            outcome = "ran"
        result = StepResult(step.id, step.inputs_hash, outcome, evidence, time.monotonic() - began)
        box.keep_record(result)
    except StepUnmet as unmet:
        raise BootstrapFailed(step.id, box.command, str(unmet)) from unmet
    except CommandFailed as error:
        raise BootstrapFailed(step.id, error.command, error.output) from error
    except CommandTimeout as error:
        raise BootstrapFailed(step.id, box.command, f"not done within {step.timeout_s:g} s; {error}") from error
    except AgentError as error:
        raise BootstrapFailed(step.id, box.command, str(error)) from error
    return result


def _brief(result: StepResult) -> str:
    return f"{result.outcome}, {', '.join(f'{name} {value}' for name, value in list(result.evidence.items())[:3])}"
