"""The last line: the keys of the view on screen, as many as fit; dim where they are refused."""

from __future__ import annotations

from itertools import groupby

from rich.style import Style
from rich.text import Text
from textual.widgets import Input

from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import actions_of
from console.language import N_, _
from console.widgets.key_names import beside_typing, key_name
from console.widgets.shell_line import ShellLine

ALWAYS = ("everywhere.help", "everywhere.command", "everywhere.quit")
"""Whoever knows no other key needs these: they stay at the right end however narrow the screen is."""
OUT_OF_A_FIELD = N_("Back to the keys")


class KeyLine(ShellLine):
    """Drawn from the registry, so it says what the keys really do; a click does the same as the key."""

    DEFAULT_CSS = "KeyLine { link-style: none; link-color: $foreground; link-background: transparent; }"

    def __init__(self) -> None:
        super().__init__("keys")

    def on_mount(self) -> None:
        """Other keys do something once a field has the keyboard, and once it has it no longer."""
        self.watch(self.screen, "focused", lambda _now: self.draw(), init=False)

    @property
    def _typing(self) -> bool:
        return isinstance(self.screen.focused, Input)

    def line(self, width: int) -> Text:
        """What can be done now, as much as fits; what whoever knows no other key needs stays."""
        view = self.app.view
        own = [action for action in actions_of(view.NAME) if action.in_footer and action.keys]
        if view.table is not None:
            own += [action for action in actions_of(TABLE) if action.in_footer]
        last = [action for action in actions_of(EVERYWHERE) if action.id in ALWAYS]
        tail = Text.assemble(*(self._part(action) for action in last))
        groups = groupby((action for action in own if action.together), lambda each: each.together)
        shared = {label: self._shared(label, list(group)) for label, group in groups}
        kept = sum(part.cell_len for part in shared.values())
        if self.app.read_only:
            tail.append(_(" READ-ONLY "), style="bold reverse")
        line = Text(no_wrap=True)
        if self._typing:
            line.append(" esc", "bold").append(f" {_(OUT_OF_A_FIELD)} ")
        for action in own:
            if action.together:
                part = shared.pop(action.together, Text())
                kept -= part.cell_len
            else:
                part = self._part(action)
            if line.cell_len + part.cell_len + kept + tail.cell_len <= width:
                line.append_text(part)
        line.append(" " * max(0, width - line.cell_len - tail.cell_len))
        line.append_text(tail)
        return line

    def _shared(self, label: str, group: list[Action]) -> Text:
        """Keys that do the same with another number: they go elsewhere in other views, so they are never left out."""
        if self._typing:
            return Text()
        first, *_rest, last = sorted(key_name(self.app.keys_of(action)) for action in group)
        style = "dim" if self.app.refusal(group[0]) else ""
        return Text.assemble((f" {first}–{last}", style or "bold"), (f" {_(label)} ", style))

    def _part(self, action: Action) -> Text:
        keys = self.app.keys_of(action)
        if self._typing and not (keys := beside_typing(keys)):
            return Text()
        key = key_name(keys)
        label = _(action.label)
        refused = bool(self.app.refusal(action))
        click = Style(meta={"@click": f"app.do('{action.id}')"})
        part = Text.assemble((f" {key}", "dim" if refused else "bold"), (f" {label} ", "dim" if refused else ""))
        part.stylize(click)
        return part
