"""A log on screen: any number of lines in the buffer, only those in sight are ever styled.

For a view that only wants to show lines: `RingLog(id=…)`, `.append(lines, source="")`, `.clear()`, `.follow`. All of
them are for the screen's loop. A view with more to it fills `.buffer` from threads, calls `.drain()` from a timer, and
turns the knobs of `.pane`, then `.redraw()`.

It scrolls by itself, line by line, instead of being a `ScrollView`: new lines then never cost a layout of the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.language import _
from console.models.log_buffer import LogBuffer
from console.models.log_pane import LogPane
from console.models.log_sight import Sight
from console.models.log_stamp import Level
from console.spoken import brief

Times = Literal["off", "absolute", "relative"]
NAME_WIDTH = 14
TIME_WIDTH = 10
SIGNS_WIDTH = 3
HOSTS = 6
"""Colours of sources; the name beside says which it is."""
WHEEL_LINES = 3
SIDEWAYS = 16
_SIGNS = {Level.ERROR: "✗", Level.WARNING: "!"}
_LEVEL_CLASS = {Level.ERROR: "ring-log--error", Level.WARNING: "ring-log--warning", Level.DEBUG: "ring-log--debug"}


class RingLog(Widget, can_focus=True):
    """Lines of a log, newest at the end, which it follows until the operator goes elsewhere."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "ring-log--error",
        "ring-log--warning",
        "ring-log--debug",
        "ring-log--time",
        "ring-log--mark",
        "ring-log--cursor",
        "ring-log--hit",
        "ring-log--found",
        "ring-log--bar",
        "ring-log--empty",
        *(f"ring-log--host-{index}" for index in range(HOSTS)),
    }
    DEFAULT_CSS = """
    RingLog { height: 1fr; background: $background; color: $foreground; }
    RingLog .ring-log--error { color: $error; }
    RingLog .ring-log--warning { color: $warning; }
    RingLog .ring-log--debug { text-style: dim; }
    RingLog .ring-log--time { text-style: dim; }
    RingLog .ring-log--mark { color: $accent; text-style: bold; }
    RingLog .ring-log--cursor { background: $panel; }
    RingLog .ring-log--hit { text-style: bold underline; }
    RingLog .ring-log--found { text-style: reverse; }
    RingLog .ring-log--bar { text-style: dim; }
    RingLog .ring-log--empty { text-style: dim; }
    RingLog .ring-log--host-0 { color: $primary; }
    RingLog .ring-log--host-1 { color: $secondary; }
    RingLog .ring-log--host-2 { color: $accent; }
    RingLog .ring-log--host-3 { color: ansi_cyan; }
    RingLog .ring-log--host-4 { color: ansi_magenta; }
    RingLog .ring-log--host-5 { text-style: italic; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("ctrl+d", "page(0.5)", show=False),
        Binding("ctrl+u", "page(-0.5)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("g,home", "first", show=False),
        Binding("G,end", "last", show=False),
        Binding("right", "sideways(1)", show=False),
        Binding("left", "sideways(-1)", show=False),
    ]

    class Moved(Message):
        """The cursor went to another line, or following began or ended."""

    class Deepened(Message):
        """Lines came before the first: what is looked for may have to be looked for again."""

    def __init__(
        self,
        buffer: LogBuffer | None = None,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.buffer = buffer or LogBuffer()
        self.pane = LogPane(self.buffer)
        self.sight = Sight(self.pane)
        self.times: Times = "off"
        self.show_sources = False
        self.empty = ""
        """What stands here while there are no lines."""
        self._clock = clock
        self._left = 0
        self._look = 0
        """Grows with whatever changes the pixels of all lines."""
        self._styles: dict[str, Style] = {}
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(512)

    # ---- for views that only show lines ----

    def append(self, lines: Sequence[str], source: str = "") -> None:
        """More lines, as they came."""
        self.buffer.append(lines, source)
        self.drain()

    def clear(self) -> None:
        """Forget all lines."""
        self.buffer.clear()
        self._left = 0
        self.pane.arrange()
        self.redraw()

    @property
    def follow(self) -> bool:
        """Whether it stays at the end."""
        return self.sight.following

    @follow.setter
    def follow(self, on: bool) -> None:
        if on != self.sight.following:
            self.sight.following = on
            self.post_message(self.Moved())
        self._arrange(force=True)

    # ---- for views with more to it ----

    @property
    def cursor(self) -> int:
        """Number of the line under the cursor; while following, the newest."""
        return self.sight.cursor

    def drain(self) -> int:
        """Take what waits in the buffer; returns how many lines came."""
        came = self.buffer.drain()
        self.pane.took(came)
        if older := self.buffer.take_older():
            self.pane.took_older()
            self.post_message(self.Deepened())
        if came or older:
            self._arrange()
        return came + older

    def use(self, buffer: LogBuffer) -> None:
        """Show another log from now on, from its end, with the same filter, window and find."""
        before = self.pane
        self.buffer, self.pane = buffer, LogPane(buffer)
        self.pane.filtered.ask(before.filtered.query)
        self.pane.found.ask(before.found.query)
        self.pane.set_view(context=before.context, highlight_only=before.highlight_only, window=before.window)
        wrap, self.sight = self.sight.wrap, Sight(self.pane)
        self.sight.wrap = wrap
        self._left = 0
        self.redraw()

    def redraw(self) -> None:
        """Something changed how lines look, or which are on show."""
        self._look += 1
        self._strips.clear()
        self._arrange(force=True)

    def go_to(self, number: int) -> None:
        """Put the cursor on a line, in sight; following ends."""
        moved = self.sight.following or number != self.cursor
        before = self.cursor
        self.sight.following = False
        if self.sight.move_to(number):
            self.refresh()
        else:
            self._refresh_lines(before, self.cursor)
        if moved:
            self.post_message(self.Moved())

    # ---- what is in sight ----

    def _arrange(self, *, force: bool = False) -> None:
        self.sight.height = self.size.height
        self.sight.room = max(1, self.size.width - 1 - self._prefix_width)
        if self.sight.arrange() or force:
            self.refresh()

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def on_resize(self) -> None:
        """Another number of lines is in sight."""
        self._arrange(force=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All there is."""
        return container.height

    def _refresh_lines(self, *numbers: int) -> None:
        for y, (line, _part) in enumerate(self.sight.rows):
            if line in numbers:
                self.refresh(Region(0, y, self.size.width, 1))

    # ---- moving ----

    def action_move(self, lines: int) -> None:
        """The cursor up or down."""
        pane = self.pane
        if len(pane):
            row = min(max(0, pane.row_of(self.cursor) + lines), len(pane) - 1)
            self.go_to(pane.at(row))

    def action_page(self, pages: float) -> None:
        """The cursor and what is in sight, by pages."""
        lines = round(pages * max(2, self.size.height - 1))
        self.sight.following = False
        self.sight.scroll(lines)
        self.refresh()
        self.action_move(lines)

    def action_first(self) -> None:
        """The oldest line."""
        if len(self.pane):
            self.go_to(self.pane.at(0))

    def action_last(self) -> None:
        """The newest line, and stay there."""
        self.follow = True

    def action_sideways(self, steps: int) -> None:
        """What is beyond the right edge."""
        if not self.sight.wrap:
            widest = max((cell_len(self.buffer.text(number)) for number, _ in self.sight.rows), default=0)
            self._left = max(0, min(self._left + steps * SIDEWAYS, widest - self.sight.room))
            self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel; at the end it follows again."""
        event.stop()
        if not self.follow:
            if self.sight.scroll(WHEEL_LINES):
                self.refresh()
            if self.sight.at_end:
                self.follow = True

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        if self.follow:
            self.follow = False
        if self.sight.scroll(-WHEEL_LINES):
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A line, or a place on the scroll bar."""
        if event.x == self.size.width - 1 and self.sight.thumb != (0, 0):
            row = round(event.y / max(1, self.size.height - 1) * (len(self.pane) - 1))
            self.go_to(self.pane.at(row))
        elif event.y < len(self.sight.rows):
            self.go_to(self.sight.rows[event.y][0])

    # ---- drawing ----

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width, base, sight = self.size.width, self._base, self.sight
        if y >= len(sight.rows):
            said = f"  {self.empty}" if y == 0 and not sight.rows else ""
            return Strip([Segment(said, base + self._style("ring-log--empty"))]).adjust_cell_length(width, base)
        number, part = sight.rows[y]
        marked = number in self.buffer.marks
        now = int(self._clock()) if self.times == "relative" else 0
        current = number == self.cursor and not sight.following
        key = (number, part, current, marked, now, self._left, width, self._look, base)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._draw(number, part, current=current, marked=marked)
        start, end = sight.thumb
        bar = " " if start == end else "█" if start <= y < end else "│"
        return Strip([*strip, Segment(bar, base + self._style("ring-log--bar"))], width)

    @property
    def _base(self) -> Style:
        """The widget's own style; kept, because putting it together takes longer than drawing a line."""
        style = self._styles.get("")
        if style is None:
            style = self._styles[""] = self.rich_style
        return style

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self.get_component_rich_style(name, partial=True)
        return style

    @property
    def _prefix_width(self) -> int:
        return SIGNS_WIDTH + (TIME_WIDTH if self.times != "off" else 0) + (NAME_WIDTH + 1 if self.show_sources else 0)

    def _draw(self, number: int, part: int, *, current: bool, marked: bool) -> Strip:
        """A line, or one row of a wrapped one, without the scroll bar."""
        base = self._base
        if current:
            base += self._style("ring-log--cursor")
        level = self.buffer.level(number)
        grave = base + self._style(_LEVEL_CLASS[level]) if level in _LEVEL_CLASS else base
        if part:
            prefix = [Segment(" " * self._prefix_width, base)]
        else:
            signs = ("▸" if current else " ") + ("◆" if marked else " ")
            prefix = [Segment(signs, base + self._style("ring-log--mark")), Segment(_SIGNS.get(level, " "), grave)]
            prefix += self._when_and_where(number, base)
        text, room, left = self.buffer.text(number), self.sight.room, self._left
        spans = self._spans(text, grave)
        if self.sight.wrap:
            parts = self.sight.parts(text)
            start = sum(map(len, parts[:part]))
            body = Strip(styled(text, grave, spans, start, start + len(parts[part])))
        elif text.isascii():
            body = Strip(styled(text, grave, spans, left, left + room))
        else:
            body = Strip(styled(text, grave, spans, 0, len(text))).crop(left, left + room)
        return Strip([*prefix, *body]).adjust_cell_length(self.size.width - 1, base)

    def _when_and_where(self, number: int, base: Style) -> list[Segment]:
        segments = []
        if self.times != "off":
            segments.append(Segment(self._time(number), base + self._style("ring-log--time")))
        if self.show_sources:
            host = base + self._style(f"ring-log--host-{self.buffer.source_index(number) % HOSTS}")
            name = Strip([Segment(self.buffer.source_name(number), host)])
            segments += [*name.adjust_cell_length(NAME_WIDTH, base), Segment(" ", base)]
        return segments

    def _time(self, number: int) -> str:
        stamp, vague = self.buffer.stamp(number), self.buffer.is_vague(number)
        if self.times == "absolute":
            sign = "≤" if vague else " "
            return sign + time.strftime("%H:%M:%S ", time.localtime(stamp))
        age = max(0, int(self._clock() - stamp))
        said = brief(age) if age >= 10 else _(" {0}s").format(age)[1:]
        return f"{'≥' if vague else ''}{said} ".rjust(TIME_WIDTH)

    def _spans(self, text: str, base: Style) -> list[tuple[int, int, Style]]:
        """What filter and find mean in this line; find on top."""
        spans = []
        for hits, name in ((self.pane.filtered, "ring-log--hit"), (self.pane.found, "ring-log--found")):
            if hits.answers:
                style = base + self._style(name)
                spans += [(start, end, style) for start, end in hits.answers.spans(text)]
        return spans


def styled(text: str, base: Style, spans: Sequence[tuple[int, int, Style]], start: int, end: int) -> list[Segment]:
    """`text[start:end]` in pieces of one style each; of spans that overlap the later wins."""
    if not spans:
        piece = text[start:end]
        return [Segment(piece, base)] if piece else []
    end = min(end, len(text))
    cuts = sorted({start, end, *(cut for span in spans for cut in span[:2] if start < cut < end)})
    segments = []
    for left, right in pairwise(cuts):
        style = next((style for first, last, style in reversed(spans) if first <= left < last), base)
        segments.append(Segment(text[left:right], style))
    return segments
