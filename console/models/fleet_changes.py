"""What changed between two looks at the fleet that is worth a bell. Pure functions of values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from console.language import _
from console.models.fleet import LISTING_LAG_S, STOPPED_HERE, FleetView, InstanceView
from console.models.fleet_words import state_name
from console.models.stuck import advice_of, stuck_of, words_of
from console.spoken import duration
from console.words import usd

FIRED_S = 90.0
"""A guard acts at its deadline; the cloud lists what it destroyed for a while longer, and looks are seconds apart."""
UNLISTED_LOOKS = 2
"""Lists in a row that must leave an instance out before it counts as not listed."""
ENDED_STATES = frozenset({"stopped", "exited", "lost", "offline"})


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that happened while nobody may have looked."""

    title: str
    text: str
    severity: Literal["information", "warning", "error"]


def alerts(before: FleetView | None, after: FleetView, wall_now: float) -> list[Alert]:
    """What to ring for: machines that went, stopped or were lost, orphans that came up, and what got stuck.

    Args:
        before: the last look; None before the first, for which nothing rings.
        after: the newest one.
        wall_now: unix seconds of this machine, by which guards are told.
    """
    if before is None or not after.trusted:
        return []
    known = {each.id: each for each in before.instances}
    now = {each.id: each for each in after.instances}
    gone = [_gone(each, wall_now) for each in before.instances if each.id not in now and _is_news(each, after.now)]
    changed = [
        found for each in after.instances if (found := _changed(known.get(each.id), each, before, after, wall_now))
    ]
    return gone + changed


def _is_news(each: InstanceView, now: float) -> bool:
    """Whether its going is a surprise: what was being destroyed was asked for, and what is new may come and go in the
    cloud's list while whoever rents it looks after it."""
    young = each.started_at is not None and now - each.started_at < LISTING_LAG_S
    return each.billed and each.state != "destroying" and not each.orphan and not young


def _gone(each: InstanceView, wall_now: float) -> Alert:
    title = _("instance {id} is gone").format(id=each.id)
    spent = _("{usd} spent on it").format(usd=usd(each.spent_usd))
    if each.guard is not None and each.guard.action == "destroy" and wall_now >= each.guard.ends_at - FIRED_S:
        return Alert(title, _("its guard fired: it destroyed itself, {spent}").format(spent=spent), "warning")
    lost = bool(each.unpulled_run)
    words = _("the cloud knows it no more, {spent}").format(spent=spent)
    if lost:
        words += _("; results of run {run} were on it").format(run=(each.unpulled_run or "")[-8:])
    return Alert(title, words, "error" if lost else "warning")


def _changed(
    was: InstanceView | None, each: InstanceView, before: FleetView, after: FleetView, wall_now: float
) -> Alert | None:
    if not each.billed:
        return None
    if each.orphan:
        if was is not None and was.orphan:
            return None
        title = _("instance {id} is an orphan").format(id=each.id)
        return Alert(title, _("it is billed and nothing here knows why: D destroys it"), "error")
    if was is None:
        return None
    if each.unlisted >= UNLISTED_LOOKS > was.unlisted:
        return Alert(
            _("instance {id} is not listed").format(id=each.id), _("the cloud does not list it any more"), "error"
        )
    if each.state in ENDED_STATES and was.state not in ENDED_STATES:
        return None if each.why == STOPPED_HERE else _ended(each, wall_now)
    stuck = stuck_of(each, after.now, wall_now)
    before_stuck = stuck_of(replace(was, stale=False), before.now, wall_now)
    if stuck is not None and (before_stuck is None or before_stuck.kind != stuck.kind):
        title = _("instance {id} is stuck").format(id=each.id)
        return Alert(title, f"{words_of(stuck)}: {advice_of(stuck)}", "warning")
    return None


def _ended(each: InstanceView, wall_now: float) -> Alert:
    title = _("instance {id} is {state}").format(id=each.id, state=state_name(each.state))
    if each.state in ("offline", "lost"):
        return Alert(title, _("its host is away; it is not billed meanwhile"), "error")
    guard = each.guard
    due = guard is not None and guard.action == "stop" and wall_now >= guard.ends_at - FIRED_S
    if due:
        words = _("its guard fired")
    elif guard is not None and guard.idle_s and guard.idle_action == "stop":
        words = _("by its guard after {time} idle, or by the cloud").format(time=duration(guard.idle_s))
    else:
        words = _("by the cloud")
    return Alert(title, _("{words}; its disk is billed on").format(words=words), "warning")
