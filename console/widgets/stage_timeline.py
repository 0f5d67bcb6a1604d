"""A run's stages as lines: how far each is, how fast, how long it took, where it is done, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.widgets import Static

from console.language import N_, _
from console.models.run_view import RunView, StageView
from console.spoken import brief, per_second
from console.words import bar, visible

NAME_WIDTH = 9
BAR_WIDTH = 14
NARROW_BAR_WIDTH = 8
NARROW = 72
"""Below so many cells the bars are short and the place is left out."""
LEAST_SPAN_WIDTH = 12
"""The line of time is drawn where so many cells are left for it."""
LEAST_WALL_S = 0.5
"""A stage that was through sooner has no pace worth telling."""
MARKS = {"finished": ("✓", "green"), "started": ("▸", "cyan")}
WAITING = N_("waiting")


@dataclass(frozen=True, slots=True)
class StageLine:
    """The parts of one stage's line."""

    stage: StageView
    place: str
    """`31245`, `3 boxes`, `laptop`."""


def stage_lines(view: RunView, place_of: Callable[[str], str]) -> list[StageLine]:
    """The stages in the order in which they begin, each with where it is done."""
    return [StageLine(stage, place_of(stage.name)) for stage in view.stages.values()]


def timeline_text(view: RunView, place_of: Callable[[str], str], width: int, now: float) -> Text:
    """All stages, a line each, in `width` cells."""
    lines = stage_lines(view, place_of)
    if not lines:
        return Text(_("no stage has begun"), style="dim")
    place_width = 0 if width < NARROW else max(len(line.place) for line in lines)
    figures = [_figures(line.stage, now) for line in lines]
    figures_width = max(len(each) for each in figures)
    begin = min((line.stage.started_at for line in lines if line.stage.started_at is not None), default=None)
    end = _end(view, now)
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, (line, told) in enumerate(zip(lines, figures, strict=True)):
        part = _line(line, told.ljust(figures_width), place_width, NARROW_BAR_WIDTH if width < NARROW else BAR_WIDTH)
        left = width - part.cell_len - 2
        if begin is not None and left >= LEAST_SPAN_WIDTH and end > begin:
            part.append("  ")
            part.append_text(span(line.stage, begin, end, left))
        if number:
            text.append("\n")
        text.append_text(part)
    return text


def _end(view: RunView, now: float) -> float:
    """Up to when the line of time goes: now while the run works, its last event when it is over."""
    return now if not view.ended or view.last_event_at is None else view.last_event_at


def _line(line: StageLine, figures: str, place_width: int, bar_width: int) -> Text:
    stage = line.stage
    mark, style = MARKS.get(stage.state, (" ", "dim"))
    part = Text(no_wrap=True)
    part.append(f"{mark} ", style=style)
    part.append(f"{visible(stage.name)[:NAME_WIDTH]:<{NAME_WIDTH}} ", style="bold")
    part.append(bar(fraction_of(stage), bar_width), style=style)
    count = f"{stage.done}/{stage.total}"
    part.append(f" {count:>9} ")
    part.append(_("{n} failed").format(n=stage.failed) + " " if stage.failed else "", style="bold red")
    part.append(figures, style="dim" if stage.state == "waiting" else "")
    if place_width:
        part.append(f" {line.place:<{place_width}}", style="dim")
    return part


def fraction_of(stage: StageView) -> float:
    """How far a stage is, 0 to 1."""
    return stage.done / stage.total if stage.total else float(stage.state == "finished")


def _figures(stage: StageView, now: float) -> str:
    """Pace and time to go while it works, how long it took once it is through."""
    wall = stage.wall_s(now)
    if stage.state == "finished":
        rate = " " + per_second(f"{stage.done / wall:.1f}") if wall and wall >= LEAST_WALL_S and stage.done else ""
        return (brief(wall) if wall is not None else brief(stage.elapsed_s)) + rate
    if stage.state != "started":
        return _(WAITING)
    told = brief(wall) if wall is not None else ""
    if stage.rate_per_s:
        told += " " + per_second(f"{stage.rate_per_s:.1f}")
    if stage.eta_s:
        told += " " + _("{time} to go").format(time=brief(stage.eta_s))
    return told


def span(stage: StageView, begin: float, end: float, width: int) -> Text:
    """When a stage was worked on, between the run's begin and end: `    ━━━━━━      `."""
    if stage.started_at is None or end <= begin:
        return Text(" " * width)
    until = stage.ended_at if stage.ended_at is not None else end
    first = min(width - 1, int((stage.started_at - begin) / (end - begin) * width))
    last = max(first + 1, min(width, round((until - begin) / (end - begin) * width)))
    return Text.assemble(
        ("·" * first, "dim"),
        ("━" * (last - first), "green" if stage.state == "finished" else "cyan"),
        ("·" * (width - last), "dim"),
    )


class StageTimeline(Static):
    """The stages of one run, drawn anew when they or the width change."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False)
        self._told: tuple[RunView, Callable[[str], str], float] | None = None

    def show(self, view: RunView, place_of: Callable[[str], str], now: float) -> None:
        """Draw a run's stages; `place_of` says where a stage is done."""
        self._told = (view, place_of, now)
        self.update(timeline_text(view, place_of, max(20, self.content_size.width or 78), now))

    def on_resize(self) -> None:
        """Other widths hold other parts."""
        if self._told is not None:
            self.show(*self._told)
