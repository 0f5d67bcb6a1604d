"""Pages that open over the views of runs: a text to read, and the files that a run made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from console.language import N_, _, ngettext
from console.models.run_outputs import Made, Outputs
from console.spoken import size
from console.widgets.dialog import Dialog
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp

OUTPUT_COLUMNS = (
    Column(N_("place"), 48, name="place"),
    Column(N_("files"), 7, name="files", numeric=True),
    Column(N_("size"), 10, name="bytes", numeric=True),
)


class TextPage(Dialog[None]):
    """A text over the view that was left; esc closes it, arrows scroll it."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title = title
        self.text = text

    def compose(self) -> ComposeResult:
        """Title, text, how to leave."""
        with Vertical(classes="page"):
            yield Static(Text(self._title, style="bold"), classes="page-title")
            with VerticalScroll(classes="page-text"):
                yield Static(self.text)
            yield Static(Text(_("esc closes"), style="dim"), classes="page-note")

    def on_mount(self) -> None:
        """Arrows scroll. A console that ends while the page opens takes its parts away first."""
        for part in self.query(VerticalScroll):
            part.focus()

    def action_scroll(self, lines: int) -> None:
        """A line up or down."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def output_rows(places: Sequence[Made]) -> list[Row]:
    """Files and documents of a run as rows."""
    return [
        Row(
            made.name,
            (Text(visible(made.name)), Text(str(made.files)), Text(size(made.bytes))),
            {"place": visible(made.name), "files": float(made.files), "bytes": float(made.bytes)},
        )
        for made in places
    ]


class OutputsPage(Dialog[None]):
    """What a run made; enter opens a file or a folder in the operator's own viewer."""

    BINDINGS = [Binding("escape,q", "leave", show=False)]  # noqa: RUF012
    app: SpotterApp

    def __init__(self, title: str, run_folder: Path, outputs: Outputs) -> None:
        super().__init__()
        self._title = title
        self._folder = run_folder
        self._outputs = outputs

    def compose(self) -> ComposeResult:
        """Title, files, how to leave."""
        with Vertical(classes="page"):
            yield Static(Text(self._title, style="bold"), classes="page-title")
            yield KeyedTable(OUTPUT_COLUMNS, id="outputs-table")
            yield Static(Text(_("enter opens it  ·  esc closes"), style="dim"), classes="page-note")

    def on_mount(self) -> None:
        """The list is read already."""
        made = self._outputs
        note = ngettext("{n} file", "{n} files", made.files).format(n=made.files) + f", {size(made.bytes)} · "
        table = self.query_one(KeyedTable)
        table.show(output_rows(made.places), note + visible(str(self._folder)))
        table.focus_rows()

    def action_leave(self) -> None:
        """The filter first, then the page."""
        if not self.query_one(KeyedTable).step_out():
            self.dismiss(None)

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Open it in a viewer."""
        event.stop()
        path = self._folder / event.key
        app = self.app

        def start() -> str:
            from console.operations.open import open_at_page

            return open_at_page(path, None, None)

        def opened(words: str) -> None:
            app.log_command(f"open {path}", words)
            app.say(words)

        app.in_background(start, opened)
