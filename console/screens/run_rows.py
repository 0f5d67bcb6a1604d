"""Runs as rows, cards and sentences. Pure functions: what they are given is all that they know."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from console.actions.action import Question
from console.language import N_, _, ngettext
from console.models.outcome_words import outcome_words
from console.models.run_parameters import Difference
from console.models.runs import RunRow
from console.operations.runbook import Phase
from console.spoken import brief, usd_per_hour
from console.widgets.keyed_table import Column, Row
from console.words import bar, short_id, usd, visible

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from remote.money import RunCost

COLUMNS = (
    Column(N_("run"), 8, name="run"),
    Column(N_("state"), 11, name="state"),
    Column(N_("progress"), 12, name="progress", numeric=True),
    Column(N_("to go"), 7, name="eta", numeric=True),
    Column(N_("$ now/to end"), 13, name="usd", numeric=True),
    Column(N_("errors"), 6, name="errors", numeric=True),
    Column(N_("age"), 7, name="age", numeric=True),
    Column(N_("items/s"), 7, 100, name="rate", numeric=True),
    Column(N_("done by"), 11, 132, name="by"),
    Column(N_("instance"), 11, 146, name="instance"),
    Column(N_("pipeline"), 9, 156, name="pipeline"),
    Column(N_("note"), 40, 190, name="note"),
)

LEAST_USD = 0.001
"""What an item costs is told by the thousand below this."""
STATE_STYLE = {
    "succeeded": "green",
    "incomplete": "bold yellow",
    "failed": "bold red",
    "cancelled": "dim",
    "interrupted": "yellow",
    "stopped": "bold yellow",
    "detached": "yellow",
    "running": "cyan",
}
STATE_WORDS = {
    "queued": N_("queued"),
    "running": N_("running"),
    "succeeded": N_("succeeded"),
    "incomplete": N_("incomplete"),
    "failed": N_("failed"),
    "cancelled": N_("cancelled"),
    "interrupted": N_("interrupted"),
    "stopped": N_("stopped"),
    "detached": N_("detached"),
    "planned": N_("planned"),
    "rented": N_("rented"),
    "ready": N_("ready"),
    "pushed": N_("pushed"),
    "launched": N_("launched"),
    "ended": N_("ended"),
    "pulled": N_("pulled"),
    "completed": N_("completed"),
    "ingested": N_("ingested"),
    "done": N_("done"),
    "waiting": N_("waiting"),
}
"""A run's states and phases as they are said; the filter knows the English ones too."""


def state_text(state: str) -> Text:
    """A state in its colour, said in words."""
    return Text(_(STATE_WORDS[state]) if state in STATE_WORDS else visible(state), style=STATE_STYLE.get(state, ""))


def run_row(row: RunRow, now: float) -> Row:
    """One run as table cells, with the values that the filter and the sorting go by."""
    entry, pace, eta = row.entry, row.pace, row.eta_s
    rate = 1 / pace.seconds_per_item if row.works and pace.seconds_per_item else None
    note = row.note or outcome_words(row.view.message)
    return Row(
        entry.run_id,
        (
            Text(short_id(entry.run_id)),
            state_text(row.state),
            Text(f"{bar(row.view.fraction, 7)} {row.view.fraction:4.0%}"),
            Text(brief(eta) if eta is not None else "–"),
            Text(_both_costs(row.cost, row.works)),
            Text(str(row.failed), style="bold red" if row.failed else "dim"),
            Text(brief(max(0.0, now - entry.created_at))),
            Text(f"{rate:.1f}" if rate is not None else "–"),
            Text(done_by(eta, now) or "–"),
            Text(machines_words(entry)),
            Text(visible(entry.pipeline)),
            Text(visible(note), style="dim"),
        ),
        {
            "run": visible(entry.run_id), "state": row.state, "progress": row.view.fraction, "eta": eta,
            "usd": row.cost.usd_so_far if row.cost else None, "errors": float(row.failed),
            "age": max(0.0, now - entry.created_at), "rate": rate, "by": None if eta is None else now + eta,
            "instance": " ".join(map(str, entry.machines)), "pipeline": visible(entry.pipeline), "note": visible(note),
        },
        problem=row.problem,
    )  # fmt: skip


def _both_costs(cost: RunCost | None, works: bool) -> str:
    if cost is None or cost.usd_so_far <= 0:
        return "–"
    to_end = usd(cost.usd_to_finish) if works and cost.usd_to_finish is not None else ("?" if works else "")
    return f"{usd(cost.usd_so_far)}/{to_end}" if to_end else usd(cost.usd_so_far)


def done_by(eta_s: float | None, now: float) -> str:
    """The clock when a run is through at its pace: `14:05`, `Tue 09:30`; empty when nobody knows."""
    if eta_s is None:
        return ""
    then, today = time.localtime(now + eta_s), time.localtime(now)
    clock = time.strftime("%H:%M", then)
    if (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday):
        return clock
    return f"{time.strftime('%d.%m.', then)} {clock}"


def machines_words(entry: RunEntry) -> str:
    """Where a run works: an instance, several, this machine, or nowhere."""
    machines = entry.machines
    if len(machines) > 1:
        return ngettext("{n} box", "{n} boxes", len(machines)).format(n=len(machines))
    if machines:
        return str(machines[0])
    return _("here") if entry.here else "–"


def money_words(cost: RunCost | None, eta_s: float | None, now: float, *, works: bool) -> str:
    """`$0.0125 so far · $0.0008 an item · $0.042 to finish at $0.310/h · done by 14:05`."""
    words = []
    if cost is not None and cost.usd_so_far > 0:
        words.append(_("{usd} so far").format(usd=usd(cost.usd_so_far)))
        if cost.usd_per_item is not None and cost.usd_per_item < LEAST_USD:
            words.append(_("{usd} per 1000 items").format(usd=usd(1000 * cost.usd_per_item)))
        elif cost.usd_per_item is not None:
            words.append(_("{usd} an item").format(usd=usd(cost.usd_per_item)))
        if works and cost.usd_to_finish:
            price = usd_per_hour(cost.usd_per_hour)
            words.append(_("{usd} to finish at {price}").format(usd=usd(cost.usd_to_finish), price=price))
    if works and (by := done_by(eta_s, now)):
        words.append(_("done by {clock}").format(clock=by))
    return " · ".join(words)


def run_card(row: RunRow, now: float) -> Text:
    """The marked run in a few lines."""
    entry, pace = row.entry, row.pace
    text = Text()
    text.append(f"{visible(entry.pipeline)} ", style="bold")
    text.append(f"{visible(entry.run_id)}\n", style="dim")
    text.append_text(state_text(row.state))
    text.append("  " + _("{done} of {total} items").format(done=pace.done, total=pace.total))
    text.append(f"  {machines_words(entry)}\n")
    if words := money_words(row.cost, row.eta_s, now, works=row.works):
        text.append(words + "\n")
    if note := row.note or outcome_words(row.view.message):
        text.append(visible(note) + "\n", style="yellow" if row.problem else "dim")
    return text


def difference_text(found: Sequence[Difference], before: str, after: str) -> Text:
    """What differs between two runs' parameters."""
    text = Text()
    text.append(_("{after} against {before}").format(after=after, before=before) + "\n", style="dim")
    if not found:
        text.append(_("the same parameters"))
        return text
    nothing = _("not there")
    for each in found:
        text.append(f"{each.path}\n", style="bold")
        text.append(f"  − {nothing if each.before is None else each.before}\n", style="red")
        text.append(f"  + {nothing if each.after is None else each.after}\n", style="green")
    return text


def parameter_text(parameters: Mapping[str, str]) -> Text:
    """All parameters, a line each."""
    text = Text()
    for path, value in parameters.items():
        text.append(f"{path} ", style="dim")
        text.append(f"{value}\n")
    return text


def cancel_question(rows: Sequence[RunRow]) -> Question | str:
    """What is asked before runs are stopped; a sentence when there is nothing to stop."""
    live = [row for row in rows if row.entry.phase is not Phase.DONE]
    if not live:
        return _("It has ended already.") if rows else _("Mark a run first.")
    lines = []
    for row in live:
        entry = row.entry
        pace = row.pace
        if entry.keep_instance and entry.machines:
            fate = _("instance {ids} stays rented and is billed")
        elif entry.machines:
            fate = _("instance {ids} is destroyed")
        else:
            fate = _("nothing is rented for it")
        spent = usd(row.cost.usd_so_far) if row.cost else "$0"
        lines.append(
            _("{run}: {done} of {total} items done, {spent} spent; {fate}.").format(
                run=short_id(entry.run_id), done=pace.done, total=pace.total, spent=spent,
                fate=fate.format(ids=", ".join(map(str, entry.machines))),
            )
        )  # fmt: skip
    lines.append(_("What is finished is fetched and kept; the rest can be resumed."))
    name = short_id(live[0].entry.run_id)
    title = (
        _("Cancel run {run}?").format(run=name)
        if len(live) == 1
        else ngettext("Cancel {n} run?", "Cancel {n} runs?", len(live)).format(n=len(live))
    )
    commands = tuple(("cancel", row.entry.run_id, "--yes") for row in live)
    return Question(title, "\n".join(lines), _("Cancel the run"), commands, title.rstrip("?"))


def resume_question(rows: Sequence[RunRow], now: float) -> Question | str:
    """What is asked before runs go on; a sentence when none can."""
    if not rows:
        return _("Mark a run first.")
    stopped = []
    reason = ""
    for row in rows:
        name = short_id(row.entry.run_id)
        if row.driver is not None:
            reason = _("Run {run} is live: process {pid} drives it.").format(run=name, pid=row.driver)
        elif row.entry.phase is Phase.DONE and row.entry.state == "succeeded":
            reason = _("Run {run} has succeeded; a opens the form with its parameters.").format(run=name)
        else:
            stopped.append(row)
    if not stopped:
        return reason
    lines = []
    for row in stopped:
        pace, entry = row.pace, row.entry
        if entry.may_rent:
            rents = _("it may rent a machine of profile {profile}").format(profile=entry.profile or _("the settings"))
        elif entry.machines:
            rents = _("it works on instance {ids}, which is rented; for one that is lost another is rented").format(
                ids=", ".join(map(str, entry.machines))
            )
        else:
            rents = _("it rents nothing")
        lines.append(
            _("{run}: {state}, {done} of {total} items done; {rents}.").format(
                run=short_id(entry.run_id), state=state_text(row.state).plain, done=pace.done, total=pace.total,
                rents=rents,
            )
        )  # fmt: skip
        if words := money_words(row.cost, None, now, works=False):
            lines.append(f"  {words}")
    lines.append(_("Finished items are not done twice."))
    name = short_id(stopped[0].entry.run_id)
    title = (
        _("Resume run {run}?").format(run=name)
        if len(stopped) == 1
        else ngettext("Resume {n} run?", "Resume {n} runs?", len(stopped)).format(n=len(stopped))
    )
    commands = tuple(("run", "--resume", row.entry.run_id, "--yes") for row in stopped)
    return Question(title, "\n".join(lines), _("Resume"), commands, title.rstrip("?"))
