"""Money for the top line, and what is said when the console is left: what burns, for how long, and who ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from console.language import _, ngettext
from console.models.fleet import FleetView, InstanceView
from console.models.stuck import stuck_of
from console.spoken import brief, duration, usd_per_hour, weekday_clock
from console.words import usd

Level = Literal["ok", "warning", "error"]

SHORT_RUNWAY_S = 6 * 3600.0
"""Less than a night's sleep: who goes to bed now finds an empty account."""
NO_RUNWAY_S = 3600.0
LONG_RUNWAY_S = 30 * 86400.0
"""Beyond a month the figure says nothing that the operator could act on."""
HOURS_PER_DAY = 24.0
IDLE_AFTER_S = 5 * 60.0
"""Whoever rents by hand, or whose run just ended, needs that long to begin the next; before, nothing is wasted yet."""
UNUSED_STATES = frozenset({"verified", "bootstrapped", "ready", "running"})
"""States of a box that is billed in full and could work."""


@dataclass(frozen=True, slots=True)
class BurnWords:
    """The money part of the top line. An empty word is left out."""

    burn: str
    """`$1.840/h`: everything that is billed by the hour now, disks of stopped machines and orphans too."""
    today: str
    """`today $14.20`, of a UTC day."""
    runway: str
    """`runway 3d 4h`: how long the credit lasts at this burn."""
    alarms: str
    """`2 idle ⚠ · 1 orphan ⚠`."""
    level: Level
    emulated: bool


def burn_words(view: FleetView, now: float) -> BurnWords:
    """What the top line says of money.

    Args:
        view: the newest fleet; it may be old, or empty because nobody answered.
        now: unix seconds of this machine.
    """
    money = view.money
    alarms = " · ".join(f"{words} ⚠" for words in alarms_of(view, now))
    if money is None:
        return BurnWords("", "", "", alarms, "warning" if view.error else "ok", view.emulated)
    burn_usd = burn_of(view)
    runway_s = runway_of(view)
    short = runway_s is not None and runway_s < SHORT_RUNWAY_S
    gone = runway_s is not None and runway_s < NO_RUNWAY_S
    spent = money.cap_usd is not None and money.today_usd >= money.cap_usd
    above = money.above_cap or (money.cap_usd is not None and burn_usd * HOURS_PER_DAY > money.cap_usd)
    level: Level = "error" if gone or spent else "warning" if short or above or alarms else "ok"
    runway = _("runway {time}").format(time=_long(runway_s)) if runway_s is not None else ""
    if not runway and money.credit_usd is not None:
        runway = _("credit {usd}").format(usd=usd(money.credit_usd))
    return BurnWords(
        burn=usd_per_hour(burn_usd) + ("" if not above else " ▲"),
        today=_("today {usd}").format(usd=usd(money.today_usd)),
        runway=runway + (" ▼" if short else ""),
        alarms=alarms,
        level=level,
        emulated=view.emulated,
    )


def burn_of(view: FleetView) -> float:
    """Dollars an hour that are billed now: what the ledger counts, and what orphans cost beside it."""
    counted = view.money.burn_usd_per_hour if view.money is not None else 0.0
    return counted + sum(each.usd_per_hour for each in view.orphans)


def runway_of(view: FleetView) -> float | None:
    """Seconds for which the credit lasts at `burn_of`; None while nothing burns or the credit is unknown."""
    burn_usd = burn_of(view)
    if view.money is None or view.money.credit_usd is None or burn_usd <= 0:
        return None
    return max(0.0, view.money.credit_usd) / burn_usd * 3600


def is_idle(view: InstanceView, now: float, wall_now: float) -> bool:
    """Whether it is billed in full, and no run has used it for a while.

    Args:
        view: the instance.
        now: unix seconds in the cloud's time, in which its states are noted.
        wall_now: unix seconds of this machine, in which its runs are noted.
    """
    if view.standing != "ours" or view.state not in UNUSED_STATES or view.run_id is not None:
        return False
    quiet_s = [now - view.since] if view.since is not None else []
    quiet_s += [wall_now - view.freed_at] if view.freed_at is not None else []
    return min(quiet_s, default=IDLE_AFTER_S) >= IDLE_AFTER_S


def alarms_of(view: FleetView, now: float) -> list[str]:
    """What should be looked at, in a few words each, the dearest first."""
    ours = [each for each in view.instances if each.billed]
    orphans = len(view.orphans)
    stuck = sum(stuck_of(each, view.now, now) is not None for each in ours if not each.orphan)
    unguarded = sum(
        each.standing == "ours" and each.state in UNUSED_STATES and (each.guard is None or not each.guard.proven)
        for each in ours
    )
    idle = sum(is_idle(each, view.now, now) for each in ours)
    found = []
    if orphans:
        found.append(ngettext("{n} orphan", "{n} orphans", orphans).format(n=orphans))
    if stuck:
        found.append(ngettext("{n} stuck", "{n} stuck", stuck).format(n=stuck))
    if unguarded:
        found.append(ngettext("{n} unguarded", "{n} unguarded", unguarded).format(n=unguarded))
    if idle:
        found.append(ngettext("{n} idle", "{n} idle", idle).format(n=idle))
    if view.error is not None:
        age = "" if view.heard_at is None else " " + brief(max(0.0, now - view.heard_at))
        found.append(_("stale{age}").format(age=age))
    return found


def leaving(view: FleetView, now: float) -> list[str]:
    """What goes on costing money when the console is left now, one sentence a machine; empty when nothing does.

    Args:
        view: the newest fleet.
        now: unix seconds of this machine, by which a dead-man's deadline is told.
    """
    sentences = [_leaving(each, view, now) for each in view.instances if each.billed]
    if sentences and not view.trusted:
        sentences.append(_("The cloud did not answer: this is as it was last known, and there may be more."))
    elif not sentences and view.error is not None:
        sentences.append(_("The cloud did not answer: whether anything is rented, nobody here knows."))
    return sentences


def _leaving(each: InstanceView, view: FleetView, now: float) -> str:
    name = _("{id} ({gpu}) at {price}").format(id=each.id, gpu=each.gpu, price=usd_per_hour(billed_of(each)))
    if each.standing == "orphan":
        return _("{name}: an orphan, and nothing ends its bill").format(name=name)
    if each.state in ("stopped", "exited"):
        return _("{name}: stopped, and its disk costs on without end").format(name=name)
    work = _("run {run} works on it").format(run=each.run_id[-8:]) if each.run_id else _("no run")
    guard = each.guard
    if guard is None or not guard.proven:
        return _("{name}: {work}; NOTHING ends its bill if this machine sleeps").format(name=name, work=work)
    left_s = max(0.0, guard.ends_at - now)
    by_then = each.spent_usd + left_s / 3600 * each.usd_per_hour
    verb = _("destroys itself") if guard.action == "destroy" else _("stops itself")
    words = _("{name}: {work}; it {verb} {when}, in {left}, at {usd} in all").format(
        name=name,
        work=work,
        verb=verb,
        when=weekday_clock(guard.ends_at),
        left=duration(left_s),
        usd=usd(by_then),
    )
    if guard.idle_s:
        words += _(", or after {idle} of idleness").format(idle=duration(guard.idle_s))
    return words


def billed_of(view: InstanceView) -> float:
    """What one instance costs an hour as it is now: of a stopped one, only its disk."""
    stopped = view.state in ("stopped", "exited")
    return view.disk_usd_per_hour if stopped and view.standing != "orphan" else view.usd_per_hour


def _long(seconds: float) -> str:
    return brief(seconds) if seconds < LONG_RUNWAY_S else _("over a month")
