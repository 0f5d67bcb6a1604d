"""A page on which documents of `data/` are chosen for a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Static

from console.language import N_, _, ngettext
from console.spoken import size
from console.widgets.dialog import Dialog
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.words import visible

COLUMNS = (Column(N_("document"), 60, name="document"), Column(N_("size"), 10, name="bytes", numeric=True))


class DocumentsPage(Dialog[tuple[str, ...] | None]):
    """Space marks, `/` narrows, enter takes what is marked; nothing marked is all of `data/`."""

    BINDINGS = [Binding("escape,q", "leave", show=False)]  # noqa: RUF012

    def __init__(self, files: Sequence[tuple[str, int]], chosen: Sequence[str]) -> None:
        super().__init__()
        self._files = tuple(files)
        self._chosen = tuple(chosen)

    def compose(self) -> ComposeResult:
        """The documents, and how many were chosen before."""
        with Vertical(classes="page"):
            yield Static(Text(_("Documents"), style="bold"), classes="page-title")
            yield KeyedTable(COLUMNS, id="documents-table")
            keys = _("space marks  ·  / narrows  ·  enter takes the marked, or all of data/  ·  esc leaves it")
            yield Static(Text(keys, style="dim"), classes="page-note")

    def on_mount(self) -> None:
        """All of them."""
        rows = [
            Row(name, (Text(visible(name)), Text(size(count))), {"document": visible(name), "bytes": float(count)})
            for name, count in self._files
        ]
        before = ngettext("{n} chosen before", "{n} chosen before", len(self._chosen)).format(n=len(self._chosen))
        total = ngettext("{n} document", "{n} documents", len(rows)).format(n=len(rows))
        table = self.query_one(KeyedTable)
        table.show(rows, f"{total} · {before}" if self._chosen else total)
        table.focus_rows()

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Take what is marked, in the order of the folder."""
        event.stop()
        marked = self.query_one(KeyedTable).marked
        self.dismiss(tuple(name for name, _count in self._files if name in marked))

    def action_leave(self) -> None:
        """The filter and the marks first, then the page."""
        if not self.query_one(KeyedTable).step_out():
            self.dismiss(None)
