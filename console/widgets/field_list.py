"""The lines of a form, one a field, drawn only where they are in sight; and what a field's line and its help say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.language import _
from console.models.parameter_form import FieldState, as_typed
from console.words import visible

LABEL_WIDTH = 26
CHANGED = "●"
TYPED = ("number", "text", "yaml")


def shown_value(state: FieldState) -> str:
    """A field's value as its line shows it."""
    if state.field.kind == "switch":
        return f"[{'x' if state.value else ' '}] " + (_("on") if state.value else _("off"))
    if state.value is None:
        return "‹ – ›" if state.field.kind == "choice" else "–"
    value = as_typed(state.value) if not isinstance(state.value, str) else state.value
    return f"‹ {visible(value)} ›" if state.field.kind == "choice" else visible(value)


def field_doc(state: FieldState | None) -> Text:
    """What a field means and may say, for the lines below the form."""
    text = Text()
    if state is None:
        return text
    field = state.field
    text.append(field.path, style="bold")
    if field.choices:
        text.append("  " + " | ".join((*([_("nothing")] if field.optional else []), *field.choices)), style="cyan")
    if field.bounds:
        text.append(f"  {field.bounds}", style="cyan")
    if field.optional and not field.choices:
        text.append("  " + _("may be empty"), style="dim")
    if field.required:
        text.append("  " + _("must be said"), style="yellow")
    text.append(f"\n{visible(field.doc)}", style="dim")
    return text


class FieldList(ScrollView, can_focus=True):
    """The lines; only those in sight are drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"fields--cursor", "fields--section", "fields--changed", "fields--label"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("home,g", "first", show=False),
        Binding("end,G", "last", show=False),
        Binding("enter", "edit", show=False),
        Binding("space,right", "turn(1)", show=False),
        Binding("left", "turn(-1)", show=False),
    ]

    class Marked(Message):
        """The cursor is on another field."""

    class Turned(Message):
        """The marked switch or choice is to be turned."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Edited(Message):
        """The marked field is to be typed into."""

    def __init__(self) -> None:
        super().__init__(id="field-list")
        self._lines: list[FieldState | str] = []
        """Fields, and the titles of their sections."""
        self._cursor = 0

    def show(self, states: Sequence[FieldState]) -> None:
        """Draw these fields; the cursor stays on its field."""
        marked = self.marked.field.path if self.marked is not None else ""
        self._lines = []
        section = None
        for state in states:
            if state.field.section != section:
                section = state.field.section
                self._lines.append(section or _("parameters"))
            self._lines.append(state)
        self.virtual_size = Size(self.size.width, len(self._lines))
        found = [
            place
            for place, line in enumerate(self._lines)
            if isinstance(line, FieldState) and line.field.path == marked
        ]
        self._cursor = found[0] if found else self._nearest(min(self._cursor, len(self._lines) - 1), 1)
        self.refresh()
        self.post_message(self.Marked())

    @property
    def marked(self) -> FieldState | None:
        """The field under the cursor."""
        line = self._lines[self._cursor] if 0 <= self._cursor < len(self._lines) else None
        return line if isinstance(line, FieldState) else None

    def mark(self, path: str) -> bool:
        """Put the cursor on a field; False when there is no such field now."""
        for place, line in enumerate(self._lines):
            if isinstance(line, FieldState) and line.field.path == path:
                self._go(place, 1)
                return True
        return False

    def _nearest(self, place: int, step: int) -> int:
        """The field at `place`, or the next one in that direction, or the last one there is."""
        seen = place
        while 0 <= seen < len(self._lines):
            if isinstance(self._lines[seen], FieldState):
                return seen
            seen += step
        return self._cursor if 0 <= self._cursor < len(self._lines) and step < 0 else self._last_field()

    def _last_field(self) -> int:
        places = [place for place, line in enumerate(self._lines) if isinstance(line, FieldState)]
        return places[-1] if places else 0

    def _go(self, place: int, step: int) -> None:
        if not self._lines:
            return
        self._cursor = self._nearest(max(0, min(place, len(self._lines) - 1)), step)
        above = 1 if self._cursor and isinstance(self._lines[self._cursor - 1], str) else 0
        self.scroll_to_region(Region(0, self._cursor - above, 1, 1 + above), animate=False, force=True)
        self.refresh()
        self.post_message(self.Marked())

    def action_move(self, step: int) -> None:
        """The next field, or the one before."""
        self._go(self._cursor + step, step)

    def action_page(self, pages: int) -> None:
        """A screenful on."""
        self._go(self._cursor + pages * max(1, self.size.height - 1), 1 if pages > 0 else -1)

    def action_first(self) -> None:
        """The first field."""
        self._go(0, 1)

    def action_last(self) -> None:
        """The last field."""
        self._go(len(self._lines) - 1, -1)

    def action_turn(self, step: int) -> None:
        """Turn a switch or a choice; open what is typed."""
        if self.marked is None:
            return
        self.post_message(self.Edited() if self.marked.field.kind in TYPED else self.Turned(step))

    def action_edit(self) -> None:
        """Enter does what the field is for."""
        self.action_turn(1)

    def on_click(self, event: events.Click) -> None:
        """A click marks; a second one opens."""
        place = int(event.y + self.scroll_offset.y)
        if place == self._cursor:
            self.action_edit()
        elif place < len(self._lines) and isinstance(self._lines[place], FieldState):
            self._go(place, 1)

    def on_resize(self) -> None:
        """The lines are as wide as the form."""
        self.virtual_size = Size(self.size.width, len(self._lines))

    def render_line(self, y: int) -> Strip:
        """One field or one title."""
        place = y + self.scroll_offset.y
        width = self.size.width
        if place >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[place]
        if isinstance(line, str):
            return _strip(visible(line), width, self.rich_style + self.get_component_rich_style("fields--section"))
        base = self.rich_style
        if place == self._cursor:
            base = self.get_component_rich_style("fields--cursor")
        label = line.field.path.rpartition(".")[2] if not line.field.names_part else line.field.section
        parts = [
            (f" {CHANGED if line.changed else ' '} ", base + self._part("fields--changed")),
            (f"{visible(label)[:LABEL_WIDTH]:<{LABEL_WIDTH}} ", base + self._part("fields--label")),
            (shown_value(line), base + (self._part("fields--changed") if line.changed else Style.null())),
        ]
        return _parts_strip(parts, width, base)

    def _part(self, name: str) -> Style:
        """A part's colour and weight without its ground: the cursor's ground shows through."""
        style = self.get_component_rich_style(name, partial=True)
        return Style(color=style.color, bold=style.bold, dim=style.dim)


def _strip(text: str, width: int, style: Style) -> Strip:
    return _parts_strip([(f" {text}", style)], width, style)


def _parts_strip(parts: Sequence[tuple[str, Style]], width: int, base: Style) -> Strip:
    segments = [Segment(text, style) for text, style in parts]
    return Strip(segments).adjust_cell_length(width, base)
