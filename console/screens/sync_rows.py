"""Pairs of folders as rows, their plans as text, and what is asked before files travel. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from console.actions.action import Question
from console.language import N_, _, ngettext
from console.models.sync_plan import CONFLICT, Pair
from console.spoken import brief, duration, per_second, size
from console.widgets.keyed_table import Column, Row
from console.words import bar, visible

if TYPE_CHECKING:
    from remote.sync.compare import Difference, Side

COLUMNS = (
    Column(N_("instance"), 10, name="instance"),
    Column(N_("pair"), 10, name="pair"),
    Column(N_("state"), 30, name="state"),
    Column(N_("files"), 6, name="files", numeric=True),
    Column(N_("left"), 10, name="left", numeric=True),
    Column(N_("last ok"), 8, 90, name="last", numeric=True),
    Column(N_("rate"), 11, 100, name="rate", numeric=True),
    Column(N_("conflicts"), 9, 110, name="conflicts", numeric=True),
    Column("GPU", 12, 150, name="gpu"),
)
KIND_WORDS = {"code": N_("code"), "data": N_("data"), "results": N_("results")}
DIFFERENCE_WORDS = {
    "only here": N_("only here"),
    "only there": N_("only there"),
    "changed here": N_("changed here"),
    "changed there": N_("changed there"),
    "changed on both": N_("changed on both"),
}
SIGNS = {
    "only here": ("+", "green"),
    "changed here": ("→", "green"),
    "only there": ("−", "cyan"),
    "changed there": ("←", "cyan"),
    CONFLICT: ("⚠", "bold yellow"),
}
LISTED = 400
MOST_TAKEN = 200
"""Files that one answer may take: each is fetched by itself, and what it replaces is kept."""


def pair_row(pair: Pair, now: float, *, reason: bool = True) -> Row:
    """One pair as table cells; of a box that cannot be compared only one pair gives the reason."""
    transfer = pair.box.transfer if pair.kind != "results" else None
    last = transfer.last_ok_at if transfer is not None else None
    state = state_of(pair, reason=reason)
    left, files = pair.bytes_left, pair.files_left
    if pair.moving and transfer is not None and transfer.unit == "bytes" and transfer.total:
        left = round(transfer.total - transfer.done)
    rate = transfer.rate if pair.moving and transfer is not None and transfer.unit == "bytes" else None
    return Row(
        pair.key,
        (
            Text(str(pair.box.instance_id)),
            Text(_(KIND_WORDS[pair.kind])),
            state,
            Text("–" if files is None else str(files)),
            Text("–" if left is None else size(left)),
            Text("–" if last is None else brief(max(0.0, now - last))),
            Text("–" if rate is None else per_second(size(rate))),
            Text(str(len(pair.conflicts)), style="bold yellow" if pair.conflicts else "dim"),
            Text(visible(pair.box.gpu)),
        ),
        {
            "instance": str(pair.box.instance_id), "pair": pair.kind, "state": state.plain, "files": files,
            "left": left, "last": None if last is None else max(0.0, now - last), "rate": rate,
            "conflicts": float(len(pair.conflicts)), "gpu": visible(pair.box.gpu),
        },
        problem=pair.problem,
    )  # fmt: skip


def state_of(pair: Pair, *, reason: bool = True) -> Text:
    """How a pair stands, in a few words."""
    transfer = pair.box.transfer
    if pair.moving and transfer is not None:
        if transfer.fraction is not None:
            return Text(f"▲ {bar(transfer.fraction, 8)} {transfer.fraction:4.0%}", style="cyan")
        return Text("▲ " + visible(transfer.message), style="cyan")
    if pair.planning:
        return Text(_("comparing …"), style="cyan")
    if pair.plan is None:
        return Text(_("not compared; n does"), style="dim")
    if pair.plan.error:
        return Text("✗ " + (visible(pair.plan.error) if reason else _("not compared; n does")), style="bold red")
    if pair.kind != "results" and transfer is not None and transfer.state in ("failed", "broken off"):
        return Text("✗ " + _("the last push {state}").format(state=_(BROKEN[transfer.state])), style="bold red")
    if pair.kind == "results":
        return _results_state(pair)
    words = []
    if pair.conflicts:
        words.append(
            "⚠ " + ngettext("{n} conflict", "{n} conflicts", len(pair.conflicts)).format(n=len(pair.conflicts))
        )
    if pair.to_push:
        words.append(_("{n} to push").format(n=len(pair.to_push)))
    if pair.to_fetch:
        words.append(_("{n} to fetch").format(n=len(pair.to_fetch)))
    style = "bold yellow" if pair.conflicts else "" if words else "green"
    return Text(", ".join(words) if words else "✓ " + _("in step"), style=style)


BROKEN = {"failed": N_("failed"), "broken off": N_("broke off")}


def _results_state(pair: Pair) -> Text:
    missing = sum(len(run.missing) for run in pair.runs)
    if missing:
        return Text(_("{n} to fetch").format(n=missing), style="")
    if any(run.driven for run in pair.runs):
        return Text("▼ " + _("fetched as they are made"), style="cyan")
    return Text("✓ " + _("all here"), style="green") if pair.runs else Text(_("nothing there"), style="dim")


def plan_text(pair: Pair, now: float) -> Text:
    """What the comparison found for one pair, file by file."""
    text = Text()
    text.append(f"{pair.box.instance_id} · {_(KIND_WORDS[pair.kind])}\n", style="bold")
    transfer = pair.box.transfer
    if pair.kind != "results" and transfer is not None and (transfer.state != "finished" or transfer.message):
        text.append(f"{visible(transfer.what)}: {visible(transfer.message)}\n", style="dim")
    if pair.plan is None:
        return text.append(_("comparing …") if pair.planning else _("n compares; nothing travels"), style="dim")
    age = duration(max(0.0, now - pair.plan.planned_at))
    text.append(_("compared {age} ago").format(age=age) + "\n\n", style="dim")
    if pair.plan.error:
        return text.append(visible(pair.plan.error), style="bold red")
    for run in pair.runs:
        text.append(_("run {run}").format(run=visible(run.run_id[-8:])), style="bold")
        if run.driven:
            text.append("  " + _("its driver fetches it") + "\n", style="dim")
        elif not run.missing:
            text.append("  ✓ " + _("all here") + "\n", style="green")
        else:
            text.append("  " + _("{n} to fetch").format(n=len(run.missing)) + "\n")
            _append_names(text, run.missing)
    listed = (*pair.conflicts, *pair.to_push, *pair.to_fetch)
    for each in listed[:LISTED]:
        sign, style = SIGNS[each.kind]
        text.append(f"{sign} ", style=style)
        text.append(f"{visible(each.name)}  ")
        text.append(f"{_(DIFFERENCE_WORDS[each.kind])}  {_sizes(each)}\n", style="dim")
        if each.kind == CONFLICT:
            text.append(
                f"    spotter diff {pair.box.instance_id} {visible(each.name)} --take box|laptop\n", style="dim"
            )
    if len(listed) > LISTED:
        text.append(_("… and {n} more").format(n=len(listed) - LISTED) + "\n", style="dim")
    if not listed and pair.kind != "results":
        text.append("✓ " + _("the same on both sides"), style="green")
    return text


def _append_names(text: Text, names: Sequence[str]) -> None:
    for name in names[:LISTED]:
        text.append(f"← {visible(name)}\n")
    if len(names) > LISTED:
        text.append(_("… and {n} more").format(n=len(names) - LISTED) + "\n", style="dim")


def _sizes(each: Difference) -> str:
    def told(side: Side | None) -> str:
        return "–" if side is None else size(side.size)

    return told(each.here) if each.there is None else f"{told(each.here)} / {told(each.there)}"


def push_question(pairs: Sequence[Pair]) -> Question | str:
    """What is asked before a push; a sentence when there is nothing to push, or nothing was compared yet."""
    chosen = {pair.box.instance_id: pair for pair in pairs if pair.kind != "results"}
    if not chosen:
        return _("Results are fetched (F), not pushed.") if pairs else _("Mark a pair first.")
    if any(pair.plan is None or pair.plan.error for pair in chosen.values()):
        return _("It was not compared yet: n shows first what would travel.")
    if moving := [str(number) for number, pair in chosen.items() if pair.moving]:
        return _("Something is being sent to {ids} already.").format(ids=", ".join(moving))
    lines = []
    for number in chosen:
        mine = [pair for pair in pairs if pair.box.instance_id == number]
        lines.append(_push_line(number, mine, chosen[number]))
    ids = ", ".join(map(str, chosen))
    lines.append(_("A push sends code and data together. What was edited on the box is left alone and named."))
    return Question(
        _("Push to {ids}?").format(ids=ids), "\n".join(lines), _("Push"),
        tuple(("push", str(number)) for number in chosen), _("push to {ids}").format(ids=ids),
    )  # fmt: skip


def _push_line(number: int, pairs: Sequence[Pair], pair: Pair) -> str:
    differences = pair.plan.differences if pair.plan is not None else ()
    sent = [each for each in differences if each.kind in ("only here", "changed here")]
    conflicts = sum(each.kind == CONFLICT for each in differences)
    much = size(sum(each.here.size for each in sent if each.here is not None))
    files = ngettext("{n} file", "{n} files", len(sent)).format(n=len(sent))
    words = f"{number}: {files}, {much}"
    if conflicts:
        words += "; " + ngettext("{n} conflict stays", "{n} conflicts stay", conflicts).format(n=conflicts)
    if gone := sum(each.removed_here for each in differences):
        words += "; " + ngettext(
            "up to {n} file that is not here any more is removed there",
            "up to {n} files that are not here any more are removed there", gone,
        ).format(n=gone)  # fmt: skip
    return words + "."


def fetch_question(pairs: Sequence[Pair]) -> Question | str:
    """What is asked before files are taken from a box; a sentence when there is nothing to take."""
    if not pairs:
        return _("Mark a pair first.")
    if any(pair.plan is None or pair.plan.error for pair in pairs):
        return _("It was not compared yet: n shows first what would travel.")
    commands: list[tuple[str, ...]] = []
    lines = []
    taken = 0
    for pair in pairs:
        number = str(pair.box.instance_id)
        for run in pair.runs:
            if run.missing:
                commands.append(("pull", run.run_id))
                count = ngettext("{n} file", "{n} files", len(run.missing)).format(n=len(run.missing))
                lines.append(_("results of run {run}: {count}").format(run=visible(run.run_id[-8:]), count=count))
        if pair.to_fetch:
            taken += len(pair.to_fetch)
            commands.append(("diff", number, "--take", "box", "--", *(each.name for each in pair.to_fetch)))
            count = ngettext("{n} file", "{n} files", len(pair.to_fetch)).format(n=len(pair.to_fetch))
            lines.append(_("{pair} of {id}: {count}").format(pair=_(KIND_WORDS[pair.kind]), id=number, count=count))
    if not commands:
        return _("There is nothing to fetch: it is all here.")
    if taken > MOST_TAKEN:
        return _("{n} files at once are too many to take one by one: name a few with spotter diff --take box.").format(
            n=taken
        )
    lines.append(_("Files that are replaced here are kept beside the new ones as .bak."))
    return Question(_("Fetch from the box?"), "\n".join(lines), _("Fetch"), tuple(commands), _("fetch"))


def abort_question(pairs: Sequence[Pair]) -> Question | str:
    """What is asked before a push is stopped; a sentence when nothing is under way."""
    moving = {pair.box.instance_id: pair for pair in pairs if pair.moving}
    if not moving:
        return _("Nothing is being sent there from this workspace.")
    ids = ", ".join(map(str, moving))
    return Question(
        _("Stop sending to {ids}?").format(ids=ids),
        _("What has arrived stays; the working copy is as it was before the push. U sends the rest later."),
        _("Stop it"),
        tuple(("sync", str(number), "--stop") for number in moving),
        _("stop sending to {ids}").format(ids=ids),
    )
