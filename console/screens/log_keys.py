"""What the keys of the log view do to the lines on show."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.widgets import Input

from console.language import _
from console.models.log_pane import CONTEXTS, HEAD
from console.models.log_saving import ShownLines, save
from console.screens.view import View
from console.widgets.ring_log import RingLog, Times

if TYPE_CHECKING:
    from console.models.log_sources import LogFile, LogPlace

TIMES: tuple[Times, ...] = ("off", "absolute", "relative")


class LogKeys(View):
    """A log's actions over its lines; where the lines come from is `LogView`'s."""

    log_lines: RingLog
    _place: LogPlace | None
    _one: str
    _with_events: bool
    _files: dict[str, LogFile]

    def begin(self) -> None:
        """Read anew."""
        raise NotImplementedError

    def draw_note(self) -> None:
        """Say what is shown."""
        raise NotImplementedError

    def draw_side(self) -> None:
        """Open out the line under the cursor."""
        raise NotImplementedError

    def open_field(self, field_id: str) -> None:
        """Type a filter, or what to find."""
        field = self.query_one(f"#{field_id}", Input)
        field.display = True
        field.focus()

    def action_log_follow(self) -> None:
        """Stay at the newest line, or stop."""
        self.log_lines.follow = not self.log_lines.follow

    def action_log_filter(self) -> None:
        """Type a filter."""
        self.open_field("log-filter")

    def action_log_find(self) -> None:
        """Type what to find."""
        self.open_field("log-find")

    def _go(self, number: int | None, nowhere: str) -> None:
        if number is None:
            self.app.say(nowhere)
        else:
            self.log_lines.go_to(number)

    def action_log_next(self) -> None:
        """The next hit."""
        self._go(self.log_lines.pane.next_hit(self.log_lines.cursor, 1), _("No line on show is like that."))

    def action_log_previous(self) -> None:
        """The hit before."""
        self._go(self.log_lines.pane.next_hit(self.log_lines.cursor, -1), _("No line on show is like that."))

    def action_log_error(self) -> None:
        """The next error."""
        self._go(self.log_lines.pane.next_error(self.log_lines.cursor), _("No line on show is an error."))

    def _change(self, change: Callable[[], None]) -> None:
        change()
        self.log_lines.redraw()
        self.draw_note()

    def action_log_context(self) -> None:
        """More lines around hits, then none."""
        pane = self.log_lines.pane
        more = CONTEXTS[(CONTEXTS.index(pane.context) + 1) % len(CONTEXTS)]
        self._change(lambda: pane.set_view(context=more, highlight_only=False))

    def action_log_highlight(self) -> None:
        """The filter points, or hides."""
        pane = self.log_lines.pane
        self._change(lambda: pane.set_view(highlight_only=not pane.highlight_only))

    def action_log_wrap(self) -> None:
        """Long lines over several rows, or cut."""
        sight = self.log_lines.sight
        sight.wrap = not sight.wrap
        self._change(lambda: None)

    def action_log_times(self) -> None:
        """None, the clock's, how long ago."""
        self.log_lines.times = TIMES[(TIMES.index(self.log_lines.times) + 1) % len(TIMES)]
        self._change(lambda: None)

    def action_log_mark(self) -> None:
        """Mark the line under the cursor, or unmark it."""
        self.log_lines.pane.mark(self.log_lines.cursor, self.app.now())
        self._change(lambda: None)
        self.draw_side()

    def action_log_mark_next(self) -> None:
        """The next mark."""
        self._go(self.log_lines.pane.next_mark(self.log_lines.cursor, 1), _("No marked line is on show."))

    def action_log_mark_previous(self) -> None:
        """The mark before."""
        self._go(self.log_lines.pane.next_mark(self.log_lines.cursor, -1), _("No marked line is on show."))

    def _window(self, window: int) -> None:
        pane = self.log_lines.pane
        self._change(lambda: pane.set_view(window=window))
        if window == HEAD and len(pane):
            self.log_lines.go_to(pane.at(0))
        else:
            self.log_lines.follow = True

    def action_log_window_0(self) -> None:
        """All lines, at the newest."""
        self._window(0)

    def action_log_window_1(self) -> None:
        """All lines, at the oldest."""
        self._window(1)

    def action_log_window_2(self) -> None:
        """The last minute."""
        self._window(2)

    def action_log_window_3(self) -> None:
        """The last 5 minutes."""
        self._window(3)

    def action_log_window_4(self) -> None:
        """The last 15 minutes."""
        self._window(4)

    def action_log_window_5(self) -> None:
        """The last 30 minutes."""
        self._window(5)

    def action_log_window_6(self) -> None:
        """The last hour."""
        self._window(6)

    def action_log_merged(self) -> None:
        """All live runs, or the one that was shown."""
        merged = self._place is None or not self._place.run
        if merged and not self._one:
            self.app.say(_("No single run was open; enter opens the run of a line."))
            return
        self.open(self._one if merged else "")

    def action_log_events(self) -> None:
        """What happened to each page, between the lines, or not."""
        self._with_events = not self._with_events
        if self._place is not None:
            self.begin()

    def action_log_save(self) -> None:
        """Write the lines on show to a file."""
        lines, shown, now = self.log_lines, ShownLines.of(self.log_lines.pane), self.app.now()
        name = (self._place.run if self._place is not None else "") or "all"
        name = "".join(character if character.isalnum() else "-" for character in name)
        times, sources = lines.times != "off", lines.show_sources
        folder = self.app.workspace.state / "logs-saved"
        self.in_background(
            lambda: save(shown, folder, name, now, times=times, sources=sources),
            lambda path: self.app.say(_("saved {path}").format(path=path)),
        )

    def run_here(self) -> str:
        """The run of the line under the cursor."""
        lines = self.log_lines
        if not len(lines.pane):
            return ""
        file = self._files.get(lines.buffer.source_name(lines.cursor))
        return file.run_id if file is not None else ""

    def action_log_run(self) -> None:
        """The run of this line."""
        run = self.run_here()
        if run:
            self.app.go("run", run)
        else:
            self.app.say(_("This line is of no run."))

    def action_log_chart(self) -> None:
        """What was measured at this line's second."""
        run = self.run_here()
        clock = time.strftime("%H:%M:%S", time.localtime(self.log_lines.buffer.stamp(self.log_lines.cursor)))
        self.app.go("metrics", f"{run}@{clock}")
