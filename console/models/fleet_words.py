"""The fleet in words: whose an instance is, who ends its bill, what dies with it. Pure functions of values."""

from __future__ import annotations

from console.language import N_, _, ngettext
from console.models.fleet import FleetView, GuardView, InstanceView
from console.spoken import brief, duration, usd_per_hour, weekday_clock
from console.words import usd, visible

STOPPED_STATES = ("stopped", "exited")
UNASKED_STATES = ("stopped", "exited", "offline", "frozen")
"""What a box says in these, nobody hears; what lies on its disk, nobody knows."""
STATE_WORDS = {
    "provisioning": N_("provisioning"), "created": N_("created"), "loading": N_("loading"),
    "allocated": N_("allocated"), "pulling": N_("pulling"), "booting": N_("booting"), "reachable": N_("reachable"),
    "authed": N_("authed"), "verified": N_("verified"), "bootstrapped": N_("bootstrapped"), "ready": N_("ready"),
    "draining": N_("draining"), "destroying": N_("destroying"), "stopped": N_("stopped"), "exited": N_("exited"),
    "lost": N_("lost"), "offline": N_("offline"), "frozen": N_("frozen"), "rebooting": N_("rebooting"),
    "recycling": N_("recycling"),
}  # fmt: skip
"""States of the ledger and of clouds that a screen shows; one that is not here is shown as it is."""
STANDING_WORDS = {"orphan": N_("orphan"), "foreign": N_("foreign"), "missing": N_("not listed")}


def state_word(view: InstanceView) -> str:
    """One word: whose it is comes before how it does."""
    standing = STANDING_WORDS.get(view.standing)
    return _(standing) if standing is not None else state_name(view.state)


def state_name(state: str) -> str:
    """A state of an instance, as a screen calls it."""
    return _(STATE_WORDS.get(state, state))


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
        return _("none"), "yellow"
    if not guard.proven:
        return _("unproven"), "bold red"
    left_s = guard.ends_at - now
    return (brief(left_s) if left_s > 0 else _("due"), "")


def guard_sentence(guard: GuardView | None, now: float) -> tuple[str, str]:
    """What happens if this machine sleeps or dies, and its style."""
    if guard is None:
        return _("none: if this machine dies, the bill goes on"), "yellow"
    verbs = {"destroy": _("destroys"), "stop": _("stops")}
    when = weekday_clock(guard.ends_at)
    left_s = guard.ends_at - now
    if left_s > 0:
        words = _("{verb} {when}, in {left}").format(verb=verbs[guard.action], when=when, left=duration(left_s))
    else:
        words = _("due since {when}").format(when=when)
    if guard.idle_s:
        words += _(" · {verb} after {time} idle").format(verb=verbs[guard.idle_action], time=duration(guard.idle_s))
    if guard.proven:
        return _("proven · {words}").format(words=words), ""
    return _("NOT PROVEN: {problem} · {words}").format(problem=guard.problem, words=words), "bold red"


def stopped_sentence(view: InstanceView) -> str | None:
    """What a stopped box of ours costs on and what to do about it; None for any other. Nothing on it acts any more."""
    if view.state not in STOPPED_STATES or not view.billed:
        return None
    words = stopped_words(view.id, view.disk_usd_per_hour)
    resume = _(", `spotter run --resume {run}` starts it and goes on").format(run=view.run_id)
    return words + resume if view.run_id else words


def stopped_words(instance_id: int, disk_usd_per_hour: float) -> str:
    """The same of any box."""
    price = " " + _("{usd} a day").format(usd=usd(24 * disk_usd_per_hour)) if disk_usd_per_hour else ""
    return _(
        "instance {id} is STOPPED, by its dead-man or by the cloud, and its disk costs{price} without end: "
        "`spotter destroy {id}` ends that"
    ).format(id=instance_id, price=price)


def loss_of(view: InstanceView, now: float) -> tuple[str, str | None]:
    """What dies with an instance and what that ends, and what must be typed first: its id when work would be lost."""
    lines = [
        _("{gpu}, {price}, {spent} so far: the bill ends.").format(
            gpu=visible(view.gpu), price=usd_per_hour(view.usd_per_hour), spent=spent_word(view, now)
        )
    ]
    if view.unpulled_run:
        lines.append(
            _(
                "Run {run} has results on it that are not here; they are lost. K on Runs stops the run and keeps them."
            ).format(run=view.unpulled_run[-8:])
        )
    elif view.run_id:
        lines.append(_("Run {run} is about to use it, and will need another machine.").format(run=view.run_id[-8:]))
    if view.orphan:
        lines.append(_("The ledger does not hold it: a rental that went wrong, or a row that was lost."))
    if view.standing == "foreign":
        lines.append(
            _("It is NOT this workspace's: another one of this account, or somebody without Spotter, rented it.")
        )
    if view.state in UNASKED_STATES:
        lines.append(_("It is {state}: it cannot be asked what it holds.").format(state=state_name(view.state)))
    if view.standing == "missing":
        lines.append(_("The cloud does not list it; this closes its row in the ledger."))
    if view.stale:
        lines.append(_("The cloud did not answer lately: this is how it was last known."))
    lines.append(_("Its disk, its services and everything on it go for good."))
    unsure = view.unpulled_run or view.standing == "foreign" or view.state in UNASKED_STATES
    return "\n".join(lines), str(view.id) if unsure else None


def fleet_note(view: FleetView, now: float) -> str:
    """The line under the table: never «nothing here» when the truth is «nobody answered».

    Args:
        view: the newest fleet.
        now: unix seconds of this machine.
    """
    emulated = _("EMULATED") + " · " if view.emulated else ""
    if view.error is not None:
        age = (
            _("as of {time} ago").format(time=duration(max(0.0, now - view.heard_at)))
            if view.heard_at is not None
            else _("by the ledger only")
        )
        return emulated + _("STALE, {age}: {reason}").format(age=age, reason=visible(view.error))
    foreign = sum(not each.billed for each in view.instances)
    if not view.instances:
        return emulated + _("no instance is rented")
    rented = len(view.instances) - foreign - len(view.orphans)
    parts = [ngettext("{n} rented", "{n} rented", rented).format(n=rented)]
    if orphans := len(view.orphans):
        words = ngettext(
            "{n} orphan billed to nobody's use: D destroys", "{n} orphans billed to nobody's use: D destroys", orphans
        )
        parts.append(words.format(n=orphans))
    if foreign:
        parts.append(_("{n} foreign").format(n=foreign))
    return emulated + " · ".join(parts)


def empty_words(view: FleetView, offers_keys: str) -> str:
    """What is said in the rows' place: how to come by an instance. Only where the cloud says that there is none.

    `offers_keys`: the keys that show the market.
    """
    if not view.trusted:
        return ""
    ways = (
        (offers_keys or ":offers", _("shows what can be rented, at its full price")),
        (":runs", _("n there starts a run, which rents for itself and gives back what it rented")),
        (":welcome", _("a demo that costs nothing, and the API key")),
    )
    width = max(len(keys) for keys, _words in ways)
    lines = (f"{keys:<{width}}  {words}" for keys, words in ways)
    return "\n".join((_("Nothing is rented, and nothing is billed."), "", *lines))


def rent_refusal(view: FleetView | None) -> str:
    """Why nothing more should be rented from a screen now; empty when the fleet is known.

    Machines that nobody sees are how a bill grows without anybody noticing: an empty list is no proof of an empty
    account.
    """
    if view is None:
        return _("The cloud was not heard yet: nothing is rented before it lists what there is.")
    if not view.trusted:
        return _("What is rented is not known ({reason}): nothing more is rented until it is.").format(
            reason=visible(view.error or "")
        )
    return ""
