"""What is asked before a machine is stopped, destroyed, replaced or prolonged: values captured at the key press."""

from __future__ import annotations

from collections.abc import Sequence

from console.actions.action import Question
from console.language import _, ngettext
from console.models.fleet import FleetView, InstanceView
from console.models.fleet_words import UNASKED_STATES, loss_of, rent_refusal, spent_word, state_word
from console.models.stuck import stuck_of
from console.spoken import duration, usd_per_hour
from console.words import usd, visible
from remote.states import IN_USE

TYPED_DIGITS = 4
DEARER = 1.25
"""How much dearer than the old machine the new one may be: a market that moved that far deserves a look at Offers."""
OUT_OF_REACH = frozenset({"ssh", "away", "loading"})
"""Reasons for being stuck in which nothing can be fetched from a box."""
LISTED = 8
HOURS_PER_DAY = 24.0


def chosen(view: FleetView | None, targets: Sequence[str]) -> list[InstanceView] | str:
    """The instances that are meant, or why nothing can be done with them."""
    if not targets:
        return _("Mark an instance first.")
    known = {str(each.id): each for each in (view.instances if view is not None else ())}
    for target in targets:
        if target not in known:
            return _("Instance {id} is not in the fleet any more.").format(id=visible(target))
        if known[target].standing == "foreign":
            return _("Instance {id} was not rented from this workspace: it is left alone.").format(id=target)
    return [known[target] for target in targets]


def destroy_question(view: FleetView | None, targets: Sequence[str], now: float) -> Question | str:
    """Destroy one or several; the last digits of the id, or the count, must be typed.

    Args:
        view: the newest fleet.
        targets: keys of the rows that were marked.
        now: unix seconds in the cloud's time.
    """
    found = chosen(view, targets)
    if isinstance(found, str):
        return found
    commands = tuple(("destroy", str(each.id), "--yes", *_force(each, now)) for each in found)
    if len(found) == 1:
        each = found[0]
        word = _("orphan") if each.orphan else _("instance")
        title = _("Destroy {word} {id} {name}?").format(word=word, id=each.id, name=_name(each))
        typed = str(each.id)[-TYPED_DIGITS:]
        return Question(title, loss_of(each, now)[0], _("Destroy"), commands, f"destroy {each.id}", typed)
    shown = [each for place, each in enumerate(found) if place < LISTED or _force(each, now)]
    lines = [_in_a_line(each, now) + _unasked(each) for each in shown]
    if more := len(found) - len(shown):
        lines.append(ngettext("and {n} more", "and {n} more", more).format(n=more))
    burn = sum(each.usd_per_hour for each in found)
    lines.append(
        _("Together {price}. Their disks and everything on them go for good.").format(price=usd_per_hour(burn))
    )
    title = ngettext("Destroy {n} instance?", "Destroy {n} instances?", len(found)).format(n=len(found))
    return Question(title, "\n".join(lines), _("Destroy"), commands, f"destroy {len(found)}", str(len(found)))


def stop_question(view: FleetView | None, targets: Sequence[str], now: float) -> Question | str:
    """Stop one or several: what that ends, and what it does not."""
    found = chosen(view, targets)
    if isinstance(found, str):
        return found
    for each in found:
        if reason := _no_stop(each):
            return reason
    lines = []
    for each in found[:LISTED]:
        gpu = max(0.0, each.usd_per_hour - each.disk_usd_per_hour)
        lines.append(
            _("{line}\n  ends {gpu}; its disk goes on at {disk}, {a_day} a day").format(
                line=_in_a_line(each, now),
                gpu=usd_per_hour(gpu),
                disk=usd_per_hour(each.disk_usd_per_hour),
                a_day=usd(each.disk_usd_per_hour * HOURS_PER_DAY),
            )
        )
    if len(found) > LISTED:
        lines.append(ngettext("and {n} more", "and {n} more", len(found) - LISTED).format(n=len(found) - LISTED))
    lines.append(_("It may not start again: its GPU is free for others to rent. Stopped, it has no guard."))
    title = (
        _("Stop instance {id} {name}?").format(id=found[0].id, name=_name(found[0]))
        if len(found) == 1
        else ngettext("Stop {n} instance?", "Stop {n} instances?", len(found)).format(n=len(found))
    )
    commands = tuple(("stop", str(each.id), "--yes") for each in found)
    return Question(title, "\n".join(lines), _("Stop"), commands, f"stop {' '.join(str(each.id) for each in found)}")


def rerent_question(view: FleetView | None, targets: Sequence[str], now: float, wall_now: float) -> Question | str:
    """Replace one machine; when nothing can be fetched from it, what it holds is given up by typing its digits."""
    if len(targets) > 1:
        return _("One at a time: clear the marks, then mark the instance to replace.")
    found = chosen(view, targets)
    if isinstance(found, str):
        return found
    if reason := rent_refusal(view):
        return reason
    each = found[0]
    if each.orphan:
        return _("Nobody knows on which terms an orphan was rented: D destroys it, n shows offers.")
    stuck = stuck_of(each, now, wall_now)
    lost = each.run_id is not None and stuck is not None and stuck.kind in OUT_OF_REACH
    most = each.usd_per_hour * DEARER
    lines = [
        _in_a_line(each, now),
        _("The best offer on the same terms (GPU, image, disk) is rented, at most {price}, by what it will cost and by "
          "how its host served us.").format(price=usd_per_hour(most)),
    ]  # fmt: skip
    if each.run_id and not lost:
        lines.append(
            _(
                "Run {run} is stopped, fetched and verified here; this machine is destroyed, and it goes on there."
            ).format(run=each.run_id[-8:])
        )
    elif each.run_id:
        lines.append(
            _("It cannot be reached: what run {run} did on it and is not here is GIVEN UP and done again.").format(
                run=each.run_id[-8:]
            )
        )
    else:
        lines.append(_("Then this machine is destroyed, once nothing on it would be lost."))
    asked_about = ("--run", each.run_id) if each.run_id else ()
    given_up = ("--give-up",) if lost else ()
    command = ("rerent", str(each.id), "--yes", "--max-usd-per-hour", f"{most:.3f}", *asked_about, *given_up)
    title = _("Rent another machine in place of {id} {name}?").format(id=each.id, name=_name(each))
    typed = str(each.id)[-TYPED_DIGITS:] if lost else ""
    return Question(title, "\n".join(lines), _("Re-rent"), (command,), f"rerent {each.id}", typed)


def extend_question(view: FleetView | None, targets: Sequence[str], hours: int, wall_now: float) -> Question | str:
    """Let machines go on longer than their guards would: what that can cost at most."""
    found = chosen(view, targets)
    if isinstance(found, str):
        return found
    if len(found) == 1 and (found[0].guard is None or not found[0].guard.proven):
        return _arm_question(found[0])
    lines = []
    for each in found:
        if each.guard is None:
            return _("Instance {id} has no guard: mark it alone, and R gives it one.").format(id=each.id)
        if each.state not in IN_USE and each.state != "running":
            return _("Instance {id} is {state}: its guard cannot be told anything.").format(
                id=each.id, state=state_word(each)
            )
        left_s = max(0.0, each.guard.ends_at - wall_now)
        lines.append(
            _("{id} {name}: ends in {before}, then in {after}; at most {usd} more").format(
                id=each.id,
                name=_name(each),
                before=duration(left_s),
                after=duration(left_s + hours * 3600),
                usd=usd(each.usd_per_hour * hours),
            )
        )
    longer = ngettext("{n} hour", "{n} hours", hours).format(n=hours)
    title = (
        _("Let instance {id} go on {hours} longer?").format(id=found[0].id, hours=longer)
        if len(found) == 1
        else _("Let {n} instances go on {hours} longer?").format(n=len(found), hours=longer)
    )
    commands = tuple(("guard", str(each.id), "--add-hours", str(hours), "--yes") for each in found)
    note = f"guard {' '.join(str(each.id) for each in found)} +{hours} h"
    return Question(title, "\n".join(lines), _("Prolong"), commands, note)


def _arm_question(each: InstanceView) -> Question | str:
    """One that nothing guards is not prolonged: first it must be able to end its own bill."""
    if each.state not in IN_USE and each.state != "running":
        return _("Instance {id} is {state}: its guard cannot be told anything.").format(
            id=each.id, state=state_word(each)
        )
    title = _("Give instance {id} {name} a guard?").format(id=each.id, name=_name(each))
    detail = _("It proves that it can end its own bill, and does so by [guard] of spotter.toml, whatever happens here.")
    return Question(title, detail, _("Guard"), (("guard", str(each.id)),), f"guard {each.id}")


def _force(each: InstanceView, now: float) -> tuple[str, ...]:
    """Where the question named what is lost, the command need not refuse it again; what nobody named it still does."""
    return ("--force",) if loss_of(each, now)[1] is not None else ()


def _unasked(each: InstanceView) -> str:
    """Beside the others in a list: what is on this one, nobody will be asked."""
    if each.state not in UNASKED_STATES:
        return ""
    return " · " + _("It is {state}: it cannot be asked what it holds.").format(state=state_word(each))


def _no_stop(each: InstanceView) -> str:
    if each.standing in ("orphan", "missing"):
        return _("Instance {id} is {state}: D destroys it.").format(id=each.id, state=state_word(each))
    if each.state == "stopped":
        return _("Instance {id} is stopped already, and its disk is billed: D ends that.").format(id=each.id)
    if each.state not in IN_USE:
        return _("Instance {id} is {state}, which is no state to stop in: D ends its bill.").format(
            id=each.id, state=state_word(each)
        )
    if each.work is not None and each.work.driver is not None:
        return _("Run {run} works on {id} and would take it for lost: K on Runs stops the run first.").format(
            run=each.work.run_id[-8:], id=each.id
        )
    return ""


def _in_a_line(each: InstanceView, now: float) -> str:
    parts = [f"{each.id} {_name(each)}", visible(each.gpu), usd_per_hour(each.usd_per_hour), spent_word(each, now)]
    if each.unpulled_run:
        parts.append(_("run {run}: RESULTS NOT HERE").format(run=each.unpulled_run[-8:]))
    elif each.run_id:
        parts.append(_("run {run}").format(run=each.run_id[-8:]))
    return " · ".join(part.strip() for part in parts)


def _name(each: InstanceView) -> str:
    return visible(each.note or each.label)
