"""Run bootstrap steps on a box and keep their results there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from remote.bootstrap.box import Box
from remote.bootstrap.install import NoInterpreter
from remote.bootstrap.steps import BootstrapFailed, Step, StepHopeless, StepResult, StepUnmet
from remote.clock import SYSTEM_CLOCK, Clock
from remote.jobs import Agent, AgentError
from remote.progress import Progress, Report, silent
from remote.transport import CommandFailed, CommandTimeout, ConnectionLost, Transport

RETRY_PAUSE_S = 3.0
"""Before the second try; the pause doubles with each one."""


def bootstrap(
    transport: Transport,
    root: str,
    steps: Sequence[Step],
    report: Report = silent,
    *,
    reconnect: Callable[[], Transport] | None = None,
    on_result: Callable[[StepResult], None] = lambda _result: None,
    clock: Clock = SYSTEM_CLOCK,
    retry_pause_s: float = RETRY_PAUSE_S,
) -> list[StepResult]:
    """Do every step that is not done, in order. Results are kept as `<root>/bootstrap/<step>.json` on the box.

    A step is checked first, always: what is right is not run again, whoever made it so.

    Args:
        transport: a connection to the box.
        root: Spotter's folder there: absolute, or relative to the login's home.
        steps: in the order in which they depend on each other.
        report: told of every step, and of how far one that lasts is.
        reconnect: makes another connection when this one is lost; what the box does meanwhile goes on.
        on_result: told of each step as soon as it was gone through.
        clock: what limits and pauses are measured in.
        retry_pause_s: before a second try.

    Raises:
        BootstrapFailed: with the step, its command and its last lines; the steps before it stay done.
        ConnectionLost: the box went away; bootstrap it again.
    """
    try:
        agent = Agent.start(transport, root, reconnect=reconnect)
    except NoInterpreter as error:
        raise BootstrapFailed("interpreter", "find Python 3.9 or newer", str(error)) from error
    except CommandFailed as error:
        raise BootstrapFailed("agent", error.command, error.output) from error
    results = []
    with agent:
        box = Box(agent, report, clock)
        for number, step in enumerate(steps):
            report(Progress("bootstrap", step.id, number, len(steps), "steps"))
            result = _try(box, step, retry_pause_s)
            box.found[step.id] = result.evidence
            results.append(result)
            on_result(result)
            report(Progress("bootstrap", f"{step.id}: {_brief(result)}", number + 1, len(steps), "steps"))
    return results


def _try(box: Box, step: Step, pause_s: float) -> StepResult:
    """Do a step, as often as it may be tried; an optional one that fails is a result too."""
    began = box.clock.monotonic()
    for attempt in range(1, step.retries + 2):
        try:
            outcome, evidence = _do(box, step)
            break
        except (StepUnmet, CommandFailed, CommandTimeout, ConnectionLost, AgentError) as error:
            hopeless = isinstance(error, StepHopeless)
            if attempt <= step.retries and not hopeless:
                box.report(Progress("bootstrap", f"{step.id}: {_reason(step, error)}; trying again", 0, None))
                box.clock.sleep(pause_s * 2 ** (attempt - 1))
                continue
            if isinstance(error, ConnectionLost):
                raise
            if not step.optional:
                command = error.command if isinstance(error, CommandFailed) else box.command
                reason = _reason(step, error)
                raise BootstrapFailed(step.id, command, reason, inputs_hash=step.inputs_hash, tries=attempt) from error
            outcome = "skipped" if hopeless else "failed"
            evidence = {"reason": _reason(step, error)} | ({} if hopeless else {"command": box.command})
            break
    result = StepResult(step.id, step.inputs_hash, outcome, evidence, box.clock.monotonic() - began)
    if outcome not in ("failed", "skipped"):
        box.keep_record(result)
    return result


def _do(box: Box, step: Step) -> tuple[str, Mapping[str, str]]:
    """One try: the outcome and the evidence."""
    box.begin(step)
    known = bool(box.recorded)
    try:
        return ("kept" if known else "found"), step.check(box)
    except StepUnmet as unmet:
        if step.run is None or isinstance(unmet, StepHopeless):
            raise
        box.report(Progress("bootstrap", f"{step.id}: {unmet}", 0, None, "steps"))
    step.run(box)
    return "ran", step.check(box)


def _reason(step: Step, error: Exception) -> str:
    if isinstance(error, CommandFailed):
        return error.output
    if isinstance(error, CommandTimeout):
        return f"not done within {step.timeout_s:g} s; {error}"
    return str(error)


def _brief(result: StepResult) -> str:
    return f"{result.outcome}, {', '.join(f'{name} {value}' for name, value in list(result.evidence.items())[:3])}"
