"""The fleet as cells and sentences: pure functions of values, so that every state has a test without a screen."""

from __future__ import annotations

from textwrap import wrap

from rich.text import Text

from console.language import N_, _, ngettext
from console.models.burn import billed_of, burn_of, is_idle, runway_of
from console.models.chart import sparkline
from console.models.fleet import FleetView, InstanceView, Load
from console.models.fleet_words import (
    STOPPED_STATES,
    guard_sentence,
    guard_word,
    spent_word,
    state_word,
    stopped_sentence,
)
from console.models.rows import Column, Row, Value
from console.models.stuck import Stuck, advice_of, short_of, stuck_of, words_of
from console.spoken import brief, duration, gigabytes, size, usd_per_hour, watts
from console.words import bar, usd, visible

COLUMNS = (
    Column("id", 10),
    Column(N_("label"), 14, min_screen=112),
    Column("GPU", 11),
    Column(N_("util"), 10, min_screen=84),
    Column("VRAM", 7, min_screen=128),
    Column(N_("temp"), 5, min_screen=170),
    Column(N_("state"), 13),
    Column(N_("for"), 7, min_screen=116),
    Column(N_("run"), 8, min_screen=92),
    Column(N_("$/h"), 8, name="usd", numeric=True),
    Column(N_("spent"), 8, numeric=True),
    Column(N_("guard"), 8, name="guard"),
    Column(N_("age"), 7, min_screen=124),
    Column(N_("place"), 18, min_screen=200),
    Column(N_("endpoint"), 28, min_screen=220),
)

STATE_STYLE = {
    "ready": "bold green",
    "running": "green",
    "loading": "yellow",
    "destroying": "yellow",
    "stopped": "yellow",
    "lost": "bold red",
}
STANDING_STYLE = {"orphan": "bold red", "missing": "bold red", "foreign": "dim"}
NAME_WIDTH, LEAST_ROOM = 9, 16
SPARK_WIDTH = 5
CARD_SPARK_WIDTH = 20
BAR_WIDTH, NARROW_BAR_WIDTH = 12, 8
WIDE_COLUMNS = 110
MONTH_S = 30 * 86400.0
OLD_FIGURES_S = 60.0
"""Figures come every few seconds; older ones are shown with their age."""


def fleet_row(view: InstanceView, now: float, wall_now: float, doing: str = "") -> Row:
    """One instance as table cells.

    Args:
        view: the instance.
        now: unix seconds in the cloud's time, in which ages are counted.
        wall_now: unix seconds of this machine, by which a guard's deadline and the figures' age are told.
        doing: what a command of this console is doing to it, not translated; it comes before its state.
    """
    stuck = stuck_of(view, now, wall_now)
    guard, guard_style = guard_word(view.guard, wall_now)
    if not view.billed or view.state in STOPPED_STATES:  # nothing on a stopped machine acts
        guard, guard_style = "–", ""
    age_s = max(0.0, now - view.started_at) if view.started_at else None
    for_s = max(0.0, now - view.since) if view.since else None
    load = view.load if view.load is not None and wall_now - view.load.at < OLD_FIGURES_S else None
    cells = (
        Text(str(view.id)),
        Text(visible(view.note or "–")),
        Text(visible(view.gpu)),
        Text(_util(load)),
        Text(_percent(load.vram[-1]) if load is not None and load.vram else "–"),
        Text(f"{load.temperature_c:.0f}°" if load is not None and load.temperature_c is not None else "–"),
        Text(_(doing), style=STATE_STYLE["destroying"]) if doing else _state_cell(view, stuck),
        Text(brief(for_s) if for_s is not None else "–"),
        Text(view.run_id[-8:] if view.run_id else "–"),
        Text(f"{billed_of(view):.3f}"),
        Text(spent_word(view, now)),
        Text(guard, style=guard_style),
        Text(brief(age_s) if age_s is not None else "–"),
        Text(visible(view.location)),
        Text(visible(view.endpoints[0]) if view.endpoints else "–"),
    )
    unguarded = view.standing == "ours" and view.guard is not None and not view.guard.proven
    return Row(
        str(view.id),
        cells,
        _values(view, load, stuck, age_s, for_s, now, wall_now),
        stale=view.stale,
        problem=stuck is not None or view.standing in ("orphan", "missing") or unguarded,
    )


def _values(
    view: InstanceView,
    load: Load | None,
    stuck: Stuck | None,
    age_s: float | None,
    for_s: float | None,
    now: float,
    wall_now: float,
) -> dict[str, Value | None]:
    """What the filter and the order know; `idle`, `stuck` and `whose` have no column."""
    guard = view.guard
    return {
        "id": float(view.id),
        "label": view.note or None,
        "gpu": view.gpu,
        "gpus": float(view.gpus),
        "util": load.gpu[-1] * 100 if load is not None and load.gpu else None,
        "vram": load.vram[-1] * 100 if load is not None and load.vram else None,
        "temp": load.temperature_c if load is not None else None,
        "state": view.state,
        "whose": view.standing,
        "for": for_s,
        "run": view.run_id,
        "usd": billed_of(view),
        "spent": view.spent_usd if view.billed else None,
        "guard": guard.ends_at - wall_now if guard is not None and guard.proven else None,
        "age": age_s,
        "place": view.location,
        "endpoint": view.endpoints[0] if view.endpoints else None,
        "idle": "idle" if is_idle(view, now, wall_now) else None,
        "stuck": stuck.kind if stuck is not None else None,
    }


def _util(load: Load | None) -> str:
    if load is None or not load.gpu:
        return "–"
    return f"{sparkline(load.gpu, SPARK_WIDTH, high=1.0)} {_percent(load.gpu[-1])}"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _state_cell(view: InstanceView, stuck: Stuck | None) -> Text:
    """Whose it is, why it gets nowhere, or how it does, in this order."""
    if view.standing in STANDING_STYLE:
        return Text(state_word(view), style=STANDING_STYLE[view.standing])
    if stuck is not None:
        return Text(f"{short_of(stuck)} ⚠", style="bold red")
    if view.work is not None and view.work.working and view.work.total:
        return Text(_("works {share}").format(share=_percent(view.work.done / view.work.total)), style="bold green")
    return Text(state_word(view), style=STATE_STYLE.get(view.state, ""))


def money_lines(view: FleetView, width: int) -> Text:
    """Two lines: what burns and how long the credit lasts; today against the cap, now and at midnight."""
    money = view.money
    if money is None:
        return Text(_("asking the cloud …") if view.error is None else _("no figures: nobody answered"), style="dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(_("burn") + " ", style="dim")
    text.append(usd_per_hour(burn_of(view)), style="bold")
    text.append("  " + ngettext("{n} instance", "{n} instances", money.instances).format(n=money.instances))
    if orphans := len(view.orphans):
        text.append(" + " + ngettext("{n} orphan", "{n} orphans", orphans).format(n=orphans), style="bold red")
    if money.credit_usd is not None:
        text.append("   " + _("credit") + " ", style="dim")
        text.append(usd(money.credit_usd))
        runway_s = runway_of(view)
        if runway_s is not None:
            lasts = _("over a month") if runway_s >= MONTH_S else brief(runway_s)
            text.append(_(", lasts {time}").format(time=lasts))
    text.append("\n" + _("today") + " ", style="dim")
    text.append(usd(money.today_usd), style="bold")
    if money.cap_usd:
        gauge = bar(money.today_usd / money.cap_usd, BAR_WIDTH if width >= WIDE_COLUMNS else NARROW_BAR_WIDTH)
        text.append(f" {gauge} ", style="bold red" if money.today_usd >= money.cap_usd else "")
        text.append(_("of") + " ", style="dim")
        text.append(usd(money.cap_usd))
    text.append("   " + _("by midnight") + " ", style="dim")
    style = "bold red" if money.above_cap else ""
    text.append(usd(money.projected_midnight_usd), style=style)
    if money.above_cap:
        words = _("above the cap: nothing more is rented") if width >= WIDE_COLUMNS else _("above the cap")
        text.append(f"  ▲ {words}", style="bold red")
    return text


class Card(Text):
    """Lines of a name and words, which are wrapped beside their name."""

    def __init__(self, width: int) -> None:
        super().__init__(overflow="fold")
        self._room = width - NAME_WIDTH

    def line(self, name: str, words: str, style: str = "") -> None:
        """Add one."""
        lines = wrap(words, self._room, break_on_hyphens=False) if self._room >= LEAST_ROOM else [words]
        for number, part in enumerate(lines or [""]):
            self.append(f"\n{'' if number else name:<{NAME_WIDTH}}", style="dim")
            self.append(part, style=style)


def instance_card(view: InstanceView, now: float, wall_now: float, width: int = 0) -> Text:
    """The marked instance in words: what is wrong with it first, then guard, run, ways in, figures and price.

    `width`: cells that a line has, by which words are wrapped under their own beginning; 0 wraps none.
    """
    text = Card(width)
    text.append(f"{view.id} ", style="bold")
    text.append(visible(view.note or view.label))
    stuck = stuck_of(view, now, wall_now)
    if stuck is not None:
        text.append(f"\n⚠ {words_of(stuck)}", style="bold red")
        text.append(f"\n  {advice_of(stuck)}", style="bold")
    guard, guard_style = guard_sentence(view.guard, wall_now)
    if stopped := stopped_sentence(view):
        guard, guard_style = stopped, "bold red"
    if not view.billed:
        guard, guard_style = _("not ours to know"), "dim"
    text.line(_("guard"), guard, guard_style)
    if view.state in STOPPED_STATES and view.why:
        text.line(_("why"), visible(view.why))
    _work_lines(text, view, now, wall_now)
    for number, endpoint in enumerate(view.endpoints or (_("no way in yet"),)):
        text.line(_("ssh") if number == 0 else "", visible(endpoint))
    _load_lines(text, view.load, wall_now)
    gpu = f"{visible(view.gpu)} · {visible(view.location)}"
    text.line(_("machine"), gpu + (f" · {gigabytes(view.disk_gb)}" if view.disk_gb else ""))
    price = usd_per_hour(view.usd_per_hour)
    if view.disk_usd_per_hour:
        price += " " + _("({disk} while stopped)").format(disk=usd_per_hour(view.disk_usd_per_hour))
    text.line(_("price"), price)
    if view.image:
        text.line(_("image"), visible(view.image), "dim")
    if view.ends_at is not None and view.ends_at - now < MONTH_S:
        text.line(_("contract"), _("ends in {time}").format(time=duration(max(0.0, view.ends_at - now))))
    if view.message:
        text.line(_("cloud"), visible(view.message), "dim")
    return text


def _work_lines(text: Card, view: InstanceView, now: float, wall_now: float) -> None:
    work = view.work
    if work is None:
        text.line(_("run"), _("none: it is billed for nothing") if is_idle(view, now, wall_now) else _("none"))
        return
    words = f"{work.run_id[-8:]} {visible(work.pipeline)}: {_(work.state)}"
    if work.total:
        words += f", {work.done}/{work.total}"
    text.line(_("run"), words, "yellow" if view.unpulled_run else "")
    if view.unpulled_run:
        text.line("", _("results on it are not all here"), "yellow")
    if work.problem:
        text.line("", visible(work.problem), "bold red")
    if work.heard_at is not None:
        text.line(_("heard"), _("{time} ago").format(time=duration(max(0.0, wall_now - work.heard_at))))
    for line in work.last_lines:
        text.append(f"\n  {visible(line)}", style="dim")


def _load_lines(text: Card, load: Load | None, wall_now: float) -> None:
    if load is None:
        return
    for name, values in (("GPU", load.gpu), ("VRAM", load.vram), ("CPU", load.cpu), ("RAM", load.ram)):
        if values:
            text.line(name, f"{sparkline(values, CARD_SPARK_WIDTH, high=1.0)} {_percent(values[-1])}")
    more = []
    if load.temperature_c is not None:
        more.append(f"{load.temperature_c:.0f} °C")
    if load.power_w is not None:
        more.append(watts(load.power_w))
    if load.vram_used_mb is not None and load.vram_total_mb is not None:
        more.append(f"{size(load.vram_used_mb * 2**20)} / {size(load.vram_total_mb * 2**20)}")
    if more:
        text.line("", " · ".join(more))
    if load.disk is not None and load.disk_free_gb is not None:
        text.line(
            _("disk"),
            _("{share} full, {gb} GB free").format(share=_percent(load.disk), gb=f"{load.disk_free_gb:.0f}"),
        )
    if wall_now - load.at >= OLD_FIGURES_S:
        text.line("", _("figures of {time} ago").format(time=duration(wall_now - load.at)), "yellow")
