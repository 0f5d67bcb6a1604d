"""The fleet in words: whose an instance is, who ends its bill, what dies with it. Pure functions of values."""

from __future__ import annotations

import time

from console.models.fleet import GuardView, InstanceView
from console.words import duration, usd, usd_per_hour

STOPPED_STATES = ("stopped", "exited")
UNASKED_STATES = ("stopped", "exited", "offline", "frozen")
"""What a box says in these, nobody hears; what lies on its disk, nobody knows."""


def state_word(view: InstanceView) -> str:
    """One word: whose it is comes before how it does."""
    return {"orphan": "orphan", "foreign": "foreign", "missing": "not listed"}.get(view.standing, view.state)


def spent_word(view: InstanceView, now: float) -> str:
    """What it cost so far by the ledger; of an orphan, which has no meter there, what its price makes of its age."""
    if not view.billed:
        return "–"
    if view.orphan and view.started_at is not None:
        return f"~{usd(max(0.0, now - view.started_at) * view.usd_per_hour / 3600)}"
    return usd(view.spent_usd)


def guard_word(guard: GuardView | None, now: float) -> tuple[str, str]:
    """What the box will do about its own bill, in one cell, and its style."""
    if guard is None:
        return "none", "yellow"
    if not guard.proven:
        return "unproven", "bold red"
    left_s = guard.ends_at - now
    return (duration(left_s) if left_s > 0 else "due", "")


def guard_sentence(guard: GuardView | None, now: float) -> tuple[str, str]:
    """What happens if this machine sleeps or dies, and its style."""
    if guard is None:
        return "none: if this machine dies, the bill goes on", "yellow"
    verbs = {"destroy": "destroys", "stop": "stops"}
    when = time.strftime("%a %H:%M", time.localtime(guard.ends_at))
    left_s = guard.ends_at - now
    words = f"{verbs[guard.action]} {when}, in {duration(left_s)}" if left_s > 0 else f"due since {when}"
    if guard.idle_s:
        words += f" · {verbs[guard.idle_action]} after {duration(guard.idle_s)} idle"
    if guard.proven:
        return f"proven · {words}", ""
    return f"NOT PROVEN: {guard.problem} · {words}", "bold red"


def stopped_sentence(view: InstanceView) -> str | None:
    """What a stopped box of ours costs on and what to do about it; None for any other. Nothing on it acts any more."""
    if view.state not in STOPPED_STATES or not view.billed:
        return None
    words = stopped_words(view.id, view.disk_usd_per_hour)
    return f"{words}, `spotter run --resume {view.run_id}` starts it and goes on" if view.run_id else words


def stopped_words(instance_id: int, disk_usd_per_hour: float) -> str:
    """The same of any box."""
    price = f" {usd(24 * disk_usd_per_hour)} a day" if disk_usd_per_hour else ""
    return (
        f"instance {instance_id} is STOPPED, by its dead-man or by the cloud, and its disk costs{price} without end: "
        f"`spotter destroy {instance_id}` ends that"
    )


def loss_of(view: InstanceView, now: float) -> tuple[str, str | None]:
    """What dies with an instance and what that ends, and what must be typed first: its id when work would be lost."""
    lines = [f"{view.gpu}, {usd_per_hour(view.usd_per_hour)}, {spent_word(view, now)} so far: the bill ends."]
    if view.unpulled_run:
        lines.append(
            f"Run {view.unpulled_run[-8:]} has results on it that are not here; they are lost. "
            "K on Runs stops the run and keeps them."
        )
    elif view.run_id:
        lines.append(f"Run {view.run_id[-8:]} is about to use it, and will need another machine.")
    if view.orphan:
        lines.append("The ledger does not hold it: a rental that went wrong, or a row that was lost.")
    if view.standing == "foreign":
        lines.append("It is NOT this workspace's: another one of this account, or somebody without Spotter, rented it.")
    if view.state in UNASKED_STATES:
        lines.append(f"It is {view.state}: it cannot be asked what it holds.")
    if view.standing == "missing":
        lines.append("The cloud does not list it; this closes its row in the ledger.")
    lines.append("Its disk, its services and everything on it go for good.")
    unsure = view.unpulled_run or view.standing == "foreign" or view.state in UNASKED_STATES
    return "\n".join(lines), str(view.id) if unsure else None
