"""The fleet as cells and sentences: pure functions of values, so that every state has a test without a screen."""

from __future__ import annotations

from rich.text import Text

from console.models.fleet import FleetView, InstanceView
from console.models.fleet_words import guard_sentence, guard_word, spent_word, state_word, stopped_sentence
from console.widgets.keyed_table import Column, Row
from console.words import bar, count, duration, usd, usd_per_hour

COLUMNS = (
    Column("id", 10),
    Column("GPU", 13),
    Column("state", 10),
    Column("$/h", 9),
    Column("spent", 8),
    Column("up", 7),
    Column("dead-man", 8),
    Column("run", 8, min_screen=92),
    Column("label", 28, min_screen=122),
    Column("place", 18, min_screen=150),
    Column("endpoint", 28, min_screen=180),
)

STATE_STYLE = {
    "ready": "bold green",
    "running": "green",
    "loading": "yellow",
    "orphan": "bold red",
    "not listed": "bold red",
    "foreign": "dim",
}
BAR_WIDTH, NARROW_BAR_WIDTH = 12, 8
WIDE_COLUMNS = 110
MONTH_S = 30 * 86400.0


def fleet_row(view: InstanceView, now: float, wall_now: float | None = None) -> Row:
    """One instance as table cells; `now` is the cloud's time, `wall_now` that of a dead-man's deadline."""
    state = state_word(view)
    guard, guard_style = guard_word(view.guard, now if wall_now is None else wall_now)
    if not view.billed:
        guard, guard_style = "–", ""
    return Row(
        str(view.id),
        (
            Text(str(view.id)),
            Text(view.gpu),
            Text(state, style=STATE_STYLE.get(state, "")),
            Text(usd_per_hour(view.usd_per_hour)),
            Text(spent_word(view, now)),
            Text(duration(max(0.0, now - view.started_at)) if view.started_at else "–"),
            Text(guard, style=guard_style),
            Text(view.run_id[-8:] if view.run_id else "–"),
            Text(view.label),
            Text(view.location),
            Text(view.endpoints[0] if view.endpoints else "–"),
        ),
    )


def fleet_note(view: FleetView) -> str:
    """The line under the table: never «nothing here» when the truth is «nobody answered»."""
    if view.error:
        return f"stale: {view.error}"
    emulated = "EMULATED cloud · " if view.emulated else ""
    foreign = sum(not each.billed for each in view.instances)
    if not view.instances:
        return f"{emulated}no instance is rented · n on Runs starts a run, 2 shows offers"
    parts = [f"{len(view.instances) - foreign - len(view.orphans)} rented"]
    if view.orphans:
        orphans = count(len(view.orphans), "orphan")
        parts.append(f"{orphans} billed to nobody's use: D destroys")
    if foreign:
        parts.append(f"{foreign} foreign, left alone")
    return emulated + " · ".join(parts)


def money_lines(view: FleetView, width: int) -> Text:
    """Two lines: what burns and how long the credit lasts; today against the cap, now and at midnight."""
    money = view.money
    if money is None:
        return Text("asking the cloud …" if view.error is None else "no figures: nobody answered", style="dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("burn ", style="dim")
    text.append(usd_per_hour(money.burn_usd_per_hour), style="bold")
    text.append(f"  {count(money.instances, 'instance')}")
    if view.orphans:
        lost = sum(each.usd_per_hour for each in view.orphans)
        text.append(f"  + {usd_per_hour(lost)} {count(len(view.orphans), 'orphan')}", style="bold red")
    if money.credit_usd is not None:
        text.append("   credit ", style="dim")
        text.append(usd(money.credit_usd))
        if money.runway_s is not None:
            text.append(f", lasts {duration(money.runway_s)}" if money.runway_s < MONTH_S else ", lasts over a month")
    text.append("\ntoday ", style="dim")
    text.append(usd(money.today_usd), style="bold")
    if money.cap_usd:
        gauge = bar(money.today_usd / money.cap_usd, BAR_WIDTH if width >= WIDE_COLUMNS else NARROW_BAR_WIDTH)
        text.append(f" {gauge} ", style="bold red" if money.today_usd >= money.cap_usd else "")
        text.append("of ", style="dim")
        text.append(usd(money.cap_usd))
    text.append("   by midnight ", style="dim")
    style = "bold red" if money.above_cap else ""
    text.append(usd(money.projected_midnight_usd), style=style)
    if money.above_cap:
        words = "above the cap: nothing more is rented" if width >= WIDE_COLUMNS else "above the cap"
        text.append(f"  ▲ {words}", style="bold red")
    return text


def instance_detail(view: InstanceView, now: float, under_way: str = "") -> Text:
    """The marked instance in words: ways in, dead-man, run, and what the cloud says of it."""
    guard, guard_style = guard_sentence(view.guard, now)
    if stopped := stopped_sentence(view):
        guard, guard_style = stopped, "bold red"
    ways = " · ".join(view.endpoints) or "no way in yet"
    run = f"run {view.run_id[-8:]} works on it" if view.run_id else "no run"
    if view.unpulled_run:
        run += ", results not pulled"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{view.id} ", style="bold")
    text.append(under_way or f"{view.label} · {view.location}", style="bold" if under_way else "")
    text.append("\nssh      ", style="dim")
    text.append(ways)
    text.append("\ndead-man ", style="dim")
    text.append(guard if view.billed else "not ours to know", style=guard_style if view.billed else "dim")
    text.append("\nwork     ", style="dim")
    text.append(run, style="yellow" if view.unpulled_run else "")
    if view.message:
        text.append(f" · {view.message}", style="dim")
    return text
