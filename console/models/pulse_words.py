"""The pulse in words and boxes: pure functions of values, for the view and for the command."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from console.language import _, ngettext
from console.models.burn import burn_of, runway_of
from console.models.fitting import fit_words
from console.models.pulse import LEVEL_WORDS, SIGNS, WORST_FIRST, Level, PulseNews, Tile, checks_of, tiles_of
from console.spoken import brief, duration, usd_per_hour
from console.words import bar, usd, visible

STYLES: dict[Level, str] = {
    "error": "bold red",
    "warning": "yellow",
    "stale": "dim",
    "ok": "green",
    "foreign": "dim",
}
TILE_WIDTH = 25
WIDEST_TILE = 42
TILE_HEIGHT = 7
BAR_WIDTH = 12
RUN_TAIL = 8


def tile_lines(tile: Tile, *, chosen: bool = False, width: int = TILE_WIDTH) -> list[Text]:
    """A tile as a box of `TILE_HEIGHT` lines; the chosen one has a double border."""
    style = STYLES[tile.level]
    top, side, bottom = ("╔═╗", "║", "╚═╝") if chosen else ("╭─╮", "│", "╰─╯")
    inside = width - 4
    title = fit_words(f"{SIGNS[tile.level]} {tile.key}", min(inside - 1, len(tile.key) + 2))
    head = Text(f"{top[0]}{top[1]} {title} " + top[1] * (inside - len(title) - 1) + top[2], style=style)
    share = f"{tile.busy:4.0%}" if tile.busy is not None else "   –"
    busy = f"{bar(tile.busy or 0.0, BAR_WIDTH)} {share}" if tile.busy is not None else _("GPU: no figures")
    age = f" · {brief(tile.age_s)}" if tile.age_s is not None else ""
    work = _("no run")
    if tile.run_id is not None:
        share = f" {tile.done}/{tile.total}" if tile.total else ""
        work = _("run {run}").format(run=tile.run_id[-RUN_TAIL:]) + share
    bodies = (
        (visible(" ".join(filter(None, (tile.gpu, tile.name)))), "bold"),
        (busy, ""),
        (f"{usd_per_hour(tile.usd_per_hour)}{age}", ""),
        (visible(work), ""),
        (visible(tile.reason or tile.state), style),
    )
    lines = [head]
    for words, look in bodies:
        line = Text(f"{side} ", style=style)
        line.append(fit_words(words, inside), style=look or "default")
        line.append(f" {side}", style=style)
        lines.append(line)
    lines.append(Text(f"{bottom[0]}{bottom[1] * (width - 2)}{bottom[2]}", style=style))
    return lines


def tiles_across(width: int) -> int:
    """How many tiles stand beside each other."""
    return max(1, width // TILE_WIDTH)


def tile_width(count: int, width: int) -> int:
    """How wide each of so many tiles is: they share what a screen has, so that less of their words is cut."""
    return max(TILE_WIDTH, min(WIDEST_TILE, width // max(1, min(count, tiles_across(width)))))


def grid(tiles: Sequence[Tile], chosen: str | None, width: int) -> Text:
    """All tiles, row by row."""
    across, wide = tiles_across(width), tile_width(len(tiles), width)
    lines: list[Text] = []
    for start in range(0, len(tiles), across):
        boxes = [tile_lines(tile, chosen=tile.key == chosen, width=wide) for tile in tiles[start : start + across]]
        lines += [Text("").join(parts) for parts in zip(*boxes, strict=True)]
    return Text("\n").join(lines)


def summary(news: PulseNews, now: float, wall_now: float, width: int) -> Text:
    """Below the tiles: money, runs, checks."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for level, words in (*_fleet_lines(news, now, wall_now), *_run_lines(news), *_check_lines(news)):
        line = Text.assemble((f"{SIGNS[level]} ", STYLES[level]))
        line.append(fit_words(words, max(1, width - 2)).rstrip())
        text.append_text(line)
        text.append("\n")
    return text


def pulse_lines(news: PulseNews, now: float, wall_now: float) -> list[str]:
    """The whole pulse as plain lines, for the command."""
    tiles = tiles_of(news.fleet, now, wall_now) if news.fleet is not None else []
    lines = []
    for tile in tiles:
        busy = f" · GPU {tile.busy:.0%}" if tile.busy is not None else ""
        words = tile.reason or tile.state
        work = " · " + _("run {run}").format(run=tile.run_id[-RUN_TAIL:]) if tile.run_id else ""
        lines.append(
            f"{SIGNS[tile.level]} {tile.key} {visible(tile.gpu)} · {usd_per_hour(tile.usd_per_hour)}{busy}{work} · "
            f"{visible(words)}"
        )
    rest = (*_fleet_lines(news, now, wall_now), *_run_lines(news), *_check_lines(news))
    return lines + [f"{SIGNS[level]} {words}" for level, words in rest]


def _fleet_lines(news: PulseNews, now: float, wall_now: float) -> list[tuple[Level, str]]:
    fleet = news.fleet
    if fleet is None:
        return [("stale", _("the cloud is being asked …"))]
    lines: list[tuple[Level, str]] = []
    if fleet.error is not None:
        since = f" {duration(max(0.0, wall_now - fleet.heard_at))}" if fleet.heard_at is not None else ""
        lines.append(
            ("stale", _("NO ANSWER of the cloud{since}: {reason}").format(since=since, reason=visible(fleet.error)))
        )
    tiles = tiles_of(fleet, now, wall_now)
    parts = [_("EMULATED")] if fleet.emulated else []
    parts += [usd_per_hour(burn_of(fleet)), _("today {usd}").format(usd=usd(fleet.spent_today_usd))]
    runway_s = runway_of(fleet)
    if runway_s is not None:
        parts.append(_("runway {time}").format(time=brief(runway_s)))
    if tiles:
        parts.append(ngettext("{n} instance", "{n} instances", len(tiles)).format(n=len(tiles)))
    elif fleet.error is None:
        parts.append(_("nothing is rented"))
    for level in WORST_FIRST:
        if number := sum(tile.level == level for tile in tiles):
            parts.append(_("{n} {level}").format(n=number, level=_(LEVEL_WORDS[level])))
    lines.append((min((tile.level for tile in tiles), key=WORST_FIRST.index, default="ok"), " · ".join(parts)))
    return lines


def _run_lines(news: PulseNews) -> list[tuple[Level, str]]:
    lines: list[tuple[Level, str]] = []
    for row in news.runs:
        pace = row.pace
        share = pace.done / pace.total if pace.total else 0.0
        parts = [f"{row.entry.pipeline} {row.entry.run_id[-RUN_TAIL:]} {_(row.state)}"]
        if pace.total:
            parts.append(f"{bar(share, BAR_WIDTH)} {pace.done}/{pace.total}")
        if row.eta_s is not None:
            parts.append(_("{time} to go").format(time=brief(row.eta_s)))
        if row.failed:
            parts.append(ngettext("{n} failed", "{n} failed", row.failed).format(n=row.failed))
        if row.note:
            parts.append(row.note)
        lines.append(("warning" if row.problem else "ok", visible(" · ".join(parts))))
    return lines or [("ok", _("no run works, and none wants an eye"))]


def _check_lines(news: PulseNews) -> list[tuple[Level, str]]:
    checks = checks_of(news.findings)
    levels: dict[str, Level] = {"error": "error", "warning": "warning", "ok": "ok"}
    lines: list[tuple[Level, str]] = [
        (levels[each.level], visible(f"{each.subject}: {each.message}")) for each in checks if each.level != "ok"
    ]
    lines += [
        ("ok", visible(f"{each.subject}: {each.message}"))
        for each in checks
        if each.subject == "index" and each.level == "ok"
    ]
    if well := sum(each.level == "ok" and each.subject != "index" for each in checks):
        lines.append(("ok", ngettext("{n} check is well", "{n} checks are well", well).format(n=well)))
    return lines
