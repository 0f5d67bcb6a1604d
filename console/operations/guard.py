"""Guard: give a box the order to give itself back, so that its bill ends with the laptop asleep, lost or dead."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from console.operations.events import OperationEvent, Report, Step, silent
from console.operations.session import InstanceGone, Session
from console.words import duration
from remote.states import IN_USE

if TYPE_CHECKING:
    from remote.jobs import Agent, DeadmanOrder, DeadmanStatus

STEP = "deadman"
LEAST_S = 600.0
"""A box that is not guarded and whose cap is spent, or nearly, gets so long: its results may still be on it."""
DRIFT_S = 5.0
DRIFT_SHARE = 0.02
"""Deadlines that differ by no more than this are the same: prices, meters and clocks move a little."""


class Unguarded(Exception):
    """The box could not prove that it can end its own bill, and the settings do not allow such a box."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one instance may cost and last in all."""

    max_usd: float
    max_hours: float | None


def guard_rented(session: Session, instance_id: int, report: Report = silent) -> DeadmanStatus | None:
    """Guard a box that was verified just now, over a connection of its own; None when it could not be reached.

    Raises:
        Unguarded: it is not guarded, and `[guard] required` is set.
    """
    from remote.jobs import Agent, AgentError
    from remote.transport import TransportError

    try:
        root = session.settings.cloud.remote_root
        with session.reach(instance_id) as transport, Agent.start(transport, root) as agent:
            return guard(session, agent, instance_id, report)
    except (TransportError, AgentError) as error:
        _warn(session, instance_id, str(error), report)
        return None


def guard(session: Session, agent: Agent, instance_id: int, report: Report = silent) -> DeadmanStatus:
    """Arm the box's dead-man by the settings and the ledger's price, unless it is armed so; keep the proof on the
    ledger as the step "deadman". Every contact may call this: it changes nothing while all is well.

    Raises:
        Unguarded: it cannot be proven, and `[guard] required` is set.
        remote.transport.ConnectionLost: the box cannot be reached any more.
    """
    allowance = allowed(session, instance_id)
    left_s = _left_s(session, instance_id, allowance)
    status = agent.deadman_status()
    if status.guards and (left_s <= 0 or _is_so(status, _order(session, left_s, 0.0), left_s)):
        return status
    order = _order(session, left_s if status.guards else max(left_s, LEAST_S), _box_time(agent))
    return _arm(session, agent, instance_id, order, allowance, report)


def guard_forgotten(session: Session, report: Report = silent) -> list[int]:
    """Guard what was rented here and never was: its console was killed between the two. Returns what is guarded now.

    A box that refuses, or that cannot be reached, is told of and left for the next time.
    """
    guarded = []
    for row in session.living_rentals():
        if row.state not in IN_USE or _was_told(session, row.instance_id):
            continue
        try:
            status = guard_rented(session, row.instance_id, report)
        except (Unguarded, InstanceGone) as error:
            report(OperationEvent("guard", "failed", str(error)))
            continue
        if status is not None and status.guards:
            guarded.append(row.instance_id)
    return guarded


def guard_if_forgotten(session: Session, agent: Agent, instance_id: int, report: Report = silent) -> None:
    """Guard, over a connection that is there anyway, what was rented here and never was.

    Raises:
        Unguarded, remote.transport.ConnectionLost: as `guard`.
    """
    row = session.ledger.instance(session.cloud_name, instance_id)
    if row is not None and row.alive and row.state in IN_USE and not _was_told(session, instance_id):
        guard(session, agent, instance_id, report)


def _was_told(session: Session, instance_id: int) -> bool:
    return any(step.step_id == STEP for step in session.ledger.steps(session.cloud_name, instance_id))


def extend(
    session: Session,
    agent: Agent,
    instance_id: int,
    *,
    max_usd: float | None = None,
    max_hours: float | None = None,
    report: Report = silent,
) -> DeadmanStatus:
    """Let this instance cost `max_usd`, or last `max_hours`, in all, and arm its dead-man anew.

    Raises:
        Unguarded, remote.transport.ConnectionLost: as `guard`.
    """
    before = allowed(session, instance_id)
    allowance = Allowance(max_usd or before.max_usd, max_hours or before.max_hours)
    _say_what_binds(session, instance_id, allowance, max_usd, max_hours, report)
    left_s = max(LEAST_S, _left_s(session, instance_id, allowance))
    return _arm(session, agent, instance_id, _order(session, left_s, _box_time(agent)), allowance, report)


def prolong(
    session: Session, agent: Agent, instance_id: int, *, add_hours: float, report: Report = silent
) -> DeadmanStatus:
    """Let this instance go on `add_hours` longer than it may now: whichever limit is in the way is raised.

    What is in the settings for all instances, `guard.longest_hours`, is not: it is told when it decides.

    Raises:
        Unguarded, remote.transport.ConnectionLost: as `guard`.
    """
    before = allowed(session, instance_id)
    limits = _limits_s(session, instance_id, before)
    wanted_s = max(0.0, min(limits.values())) + add_hours * 3600
    max_usd = max_hours = None
    if limits.get("max_usd", wanted_s) < wanted_s:
        max_usd = before.max_usd + (wanted_s - limits["max_usd"]) / 3600 * _usd_per_hour(session, instance_id)
    if before.max_hours is not None and limits["max_hours"] < wanted_s:
        max_hours = before.max_hours + (wanted_s - limits["max_hours"]) / 3600
    if limits["longest_hours"] < wanted_s:
        words = f"guard.longest_hours in spotter.toml ends it in {duration(max(0.0, limits['longest_hours']))} anyhow"
        report(OperationEvent("guard", "progress", words))
    return extend(session, agent, instance_id, max_usd=max_usd, max_hours=max_hours, report=report)


def allowed(session: Session, instance_id: int) -> Allowance:
    """What this instance may cost: what the operator allowed it last, else the settings."""
    settings = session.settings.guard
    for step in session.ledger.steps(session.cloud_name, instance_id):
        kept = step.evidence.get("allowance") if step.step_id == STEP else None
        if isinstance(kept, dict) and kept.get("extended"):
            return Allowance(float(kept["max_usd"]), kept["max_hours"])
    return Allowance(settings.max_usd, settings.max_hours or None)


def onstart_line(remote_root: str) -> str:
    """What a container's start script runs, so that dead-man, services and queued jobs come back with it."""
    script = f"{remote_root}/resume" if remote_root.startswith("/") else f"$HOME/{remote_root}/resume"
    return f'if test -x "{script}"; then "{script}"; fi'


def _arm(
    session: Session, agent: Agent, instance_id: int, order: DeadmanOrder, allowance: Allowance, report: Report
) -> DeadmanStatus:
    from remote.jobs import DeadmanNotArmed, DeadmanProof, DeadmanStatus

    began = time.time()
    with Step("guard", f"giving instance {instance_id} its limits", report) as step:
        try:
            status = agent.arm_deadman(order)
        except DeadmanNotArmed as error:
            status = DeadmanStatus(order=order, proof=DeadmanProof(ok=False, at=began, message=str(error)))
        proof = status.proof
        evidence: dict[str, Any] = {
            "order": order.to_json(),
            "proof": asdict(proof) if proof else None,
            "alive": status.alive,
            "allowance": {**asdict(allowance), "extended": allowance != _by_settings(session)},
        }
        session.ledger.record_step(
            session.cloud_name,
            instance_id,
            STEP,
            inputs_hash=hashlib.sha256(repr(order).encode()).hexdigest(),
            state="ok" if status.guards else "failed",
            evidence=evidence,
            started_at=began,
            ended_at=time.time(),
        )
        step.summary = f"instance {instance_id} {_words(order, status)}"
    if not status.guards:
        _warn(session, instance_id, proof.message if proof else "its dead-man does not run", report)
    return status


def _order(session: Session, left_s: float, box_time: float) -> DeadmanOrder:
    """The settings, with a deadline by the box's own clock: the laptop's may differ."""
    from remote.jobs import DeadmanOrder

    settings = session.settings.guard
    return DeadmanOrder(
        deadline_at=box_time + left_s,
        idle_s=settings.idle_minutes * 60 or None,
        gpu_idle_s=settings.gpu_idle_minutes * 60 or None,
        gpu_idle_below_percent=settings.gpu_idle_below_percent,
        action=settings.action,
        grace_s=settings.grace_s,
        idle_action=settings.idle_action,
    )


def _left_s(session: Session, instance_id: int, allowance: Allowance) -> float:
    """Seconds until the allowance is used up at the instance's price; negative when it is."""
    return min(_limits_s(session, instance_id, allowance).values())


def _say_what_binds(
    session: Session,
    instance_id: int,
    allowance: Allowance,
    max_usd: float | None,
    max_hours: float | None,
    report: Report,
) -> None:
    """Tell of a limit that was asked for and does not decide, because another one comes first."""
    limits = _limits_s(session, instance_id, allowance)
    first = min(limits, key=lambda name: limits[name])
    wanted = {"max_usd": max_usd, "max_hours": max_hours}
    if wanted.get(first) is None and any(value is not None for value in wanted.values()):
        asked = " and ".join(name for name, value in wanted.items() if value is not None)
        ways = {
            "max_usd": "`--max-usd` raises it",
            "max_hours": "`--max-hours` raises it",
            "longest_hours": "[guard] longest_hours in spotter.toml sets it",
        }
        report(
            OperationEvent(
                "guard",
                "progress",
                f"{asked} would let it go on longer, but {first} ends it in {duration(max(0.0, limits[first]))} "
                f"at the latest: {ways[first]}",
            )
        )


def _limits_s(session: Session, instance_id: int, allowance: Allowance) -> dict[str, float]:
    """Seconds until each of the limits is reached; negative when it is."""
    cloud = session.cloud_name
    row = session.ledger.instance(cloud, instance_id)
    usd_per_hour = _usd_per_hour(session, instance_id)
    opened_at = row.opened_at if row is not None else time.time()
    limits = {"longest_hours": session.settings.guard.longest_hours * 3600}
    if usd_per_hour > 0:
        spent_usd = session.ledger.spent_usd(cloud=cloud, instance_id=instance_id)
        limits["max_usd"] = (allowance.max_usd - spent_usd) / usd_per_hour * 3600
    if allowance.max_hours is not None:
        limits["max_hours"] = opened_at + allowance.max_hours * 3600 - time.time()
    return limits


def _usd_per_hour(session: Session, instance_id: int) -> float:
    """By the ledger; of what was not rented from here the cloud knows the price."""
    row = session.ledger.instance(session.cloud_name, instance_id)
    known = row.usd_per_hour if row is not None else 0.0
    return known or session.instance(instance_id).usd_per_hour


def _box_time(agent: Agent) -> float:
    """The box's wall clock now, to half a round trip."""
    asked = time.monotonic()
    told = float(agent.hello()["time"])
    return told + (time.monotonic() - asked) / 2


def _is_so(status: DeadmanStatus, wanted: DeadmanOrder, left_s: float) -> bool:
    """Whether a box's order needs no replacing."""
    if status.order is None or status.deadline_in_s is None:
        return False
    drift_s = abs(status.deadline_in_s - left_s)
    return replace(status.order, deadline_at=wanted.deadline_at) == wanted and drift_s <= DRIFT_S + DRIFT_SHARE * left_s


def _by_settings(session: Session) -> Allowance:
    return Allowance(session.settings.guard.max_usd, session.settings.guard.max_hours or None)


def words_of(instance_id: int, status: DeadmanStatus) -> str:
    """How an instance is guarded, in one sentence."""
    if status.order is None:
        return f"instance {instance_id} was never told when to give itself back"
    if not status.guards:
        problem = status.proof.message if status.proof and not status.proof.ok else "its dead-man does not run"
        return f"instance {instance_id} is NOT guarded: {problem}"
    return f"instance {instance_id} {_words(status.order, status)}"


def _words(order: DeadmanOrder, status: DeadmanStatus) -> str:
    verbs = {"destroy": "destroys", "stop": "stops"}
    ends = f"{verbs[order.action]} itself in {duration(status.deadline_in_s or 0.0)} at the latest"
    if order.idle_s is not None:
        ends += f", and {verbs[order.idle_action or order.action]} itself after {duration(order.idle_s)} of idleness"
    return ends


def _warn(session: Session, instance_id: int, problem: str, report: Report) -> None:
    """Say that costs may run on; refuse where the settings ask for it."""
    sentence = (
        f"instance {instance_id} could not prove that it can end its own bill ({problem}): if this machine sleeps or "
        f"dies, costs run on until `spotter destroy {instance_id}`"
    )
    if session.settings.guard.required:
        raise Unguarded(f"{sentence}; guard.required in spotter.toml allows no such instance")
    report(OperationEvent("guard", "finished", f"WARNING: {sentence}"))
