"""The help page: what every key does in the view that was left, and everywhere; searched with `/`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import actions_of, title_of
from console.language import N_, _
from console.models.help_page import HelpRow, HelpSection, help_section, searched
from console.widgets.dialog import Dialog
from console.widgets.field import Field
from console.widgets.key_names import key_name, key_names
from console.words import visible

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.app import SpotterApp

TITLES = {EVERYWHERE: N_("everywhere"), TABLE: N_("in lists")}
WIDE_COLUMNS = 100
"""Below this the headless twin stands under what it is the twin of."""


def help_sections(view_name: str, app: SpotterApp) -> list[HelpSection]:
    """The pane with the keyboard first, then the view, its list where it has one, and what is offered everywhere."""
    view = app.view_called(view_name)
    names = [view_name, *([TABLE] if view.table is not None else []), EVERYWHERE]
    sections = [_pane(app.screen_stack[0])]
    for name in names:
        title = _(TITLES.get(name) or title_of(name))
        sections.append(
            help_section(
                title,
                actions_of(name),
                lambda action: key_names(app.keys_of(action)),
                lambda action_id: app.keymap.source(action_id) == "user",
                partial(_refusal, app),
            )
        )
    return [section for section in sections if section.rows]


def _refusal(app: SpotterApp, action: Action) -> str:
    return visible(app.refusal(action))


def _pane(screen: Screen[object]) -> HelpSection:
    """Keys of the focused widget itself, bound by a class of ours, that are no actions of the registry."""
    rows = [
        HelpRow(key_name(key), False, _(active.binding.description), "")
        for key, active in screen.active_bindings.items()
        if active.binding.description and not active.binding.id and key in _keys_of_ours(type(active.node))
    ]
    return HelpSection(_("this pane"), tuple(rows))


def _keys_of_ours(kind: type) -> set[str]:
    """What the console's own classes bind; a framework's button or field has keys that need no explanation."""
    ours = (each for each in kind.__mro__ if each.__module__.startswith("console."))
    bound = [binding for each in ours for binding in each.__dict__.get("BINDINGS", ())]
    keys = [binding.key if isinstance(binding, Binding) else binding[0] for binding in bound]
    return {key.strip() for each in keys for key in each.split(",")}


def help_table(sections: Sequence[HelpSection], *, wide: bool) -> Table:
    """The page as a grid: keys, what they do, and the same thing typed in a shell, beside it or below it."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", no_wrap=True, max_width=18)
    table.add_column(ratio=3)
    if wide:
        table.add_column(ratio=2)
    for number, section in enumerate(sections):
        cells = ("", Text(section.title.upper(), style="bold"), "")
        if number:
            table.add_row(*("",) * (3 if wide else 2))
        table.add_row(*cells[: 3 if wide else 2])
        for row in section.rows:
            keys = Text(row.keys or "—", style="bold" if row.keys and not row.refusal else "dim")
            if row.users:
                keys.append("*")
            text = Text(row.help, style="dim" if row.refusal else "")
            if row.refusal:
                text.append(f"\n✗ {row.refusal}")
            if wide:
                table.add_row(keys, text, Text(row.twin, style="dim"))
            else:
                table.add_row(keys, text.append(f"\n{row.twin}", style="dim") if row.twin else text)
    return table


class Help(Dialog[None]):
    """Shown over any view. `/` searches, esc closes the search and then the page."""

    app: SpotterApp
    BINDINGS = [  # noqa: RUF012
        Binding("escape", "step_out", show=False),
        Binding("question_mark,f1,q", "dismiss(None)", show=False),
        Binding("slash", "search", show=False),
        Binding("j", "scroll('down')", show=False),
        Binding("k", "scroll('up')", show=False),
        Binding("g", "scroll('home')", show=False),
        Binding("G", "scroll('end')", show=False),
        Binding("ctrl+d", "scroll('page_down')", show=False),
        Binding("ctrl+u", "scroll('page_up')", show=False),
    ]

    EARLY = Dialog.EARLY | {"step_out"}

    def __init__(self, view_name: str, app: SpotterApp) -> None:
        super().__init__()
        self._sections = help_sections(view_name, app)
        self._name = _(title_of(view_name))

    def compose(self) -> ComposeResult:
        """Title, search, page, and what the marks mean."""
        with Vertical(id="help"):
            yield Static(Text(_("Keys of {view}").format(view=self._name), style="bold"), id="help-title")
            yield Field(placeholder=_("words that help is to hold"), id="help-search", classes="filter")
            with VerticalScroll(id="help-page"):
                yield Static("", id="help-table")
            yield Static(self._foot(), id="help-foot")

    def _foot(self) -> Text:
        foot = _("/ search · esc close · what stands dim is the same thing typed in a shell")
        if any(row.users for section in self._sections for row in section.rows):
            foot += " · " + _("* your own key, from [keymap]")
        return Text(foot, style="dim")

    def on_mount(self) -> None:
        """The page has the keyboard; the search waits for `/`."""
        if not self.query("#help-search"):
            return  # it was closed before it was drawn
        self.query_one("#help-search").display = False
        self.query_one("#help-page").focus()
        self._draw()

    def on_resize(self) -> None:
        """Wide and narrow pages differ."""
        if self.is_mounted:
            self._draw()

    def _draw(self) -> None:
        kept = searched(self._sections, self.query_one("#help-search", Input).value)
        page: Table | Text = help_table(kept, wide=self.app.size.width >= WIDE_COLUMNS)
        if not kept:
            page = Text(_("No key's help holds all these words."), style="dim")
        self.query_one("#help-table", Static).update(page)

    def on_input_changed(self) -> None:
        """Search as it is typed."""
        self._draw()
        self.query_one("#help-page").scroll_home(animate=False)

    def on_input_submitted(self) -> None:
        """Enter goes to the page, searched."""
        self.query_one("#help-page").focus()

    def action_search(self) -> None:
        """Open the search."""
        field = self.query_one("#help-search", Input)
        field.display = True
        field.focus()

    def action_step_out(self) -> None:
        """The search first, then the page."""
        if not self.is_mounted or not (field := self.query_one("#help-search", Input)).display:
            self.dismiss(None)
            return
        field.value = ""
        field.display = False
        self.query_one("#help-page").focus()

    def action_scroll(self, where: str) -> None:
        """Move the page."""
        page = self.query_one("#help-page", VerticalScroll)
        getattr(page, f"scroll_{where}")(animate=False)
