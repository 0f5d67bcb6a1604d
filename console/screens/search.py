"""Search: type, see hits at once, see the region, open the source at its page."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from console.actions import bindings_of
from console.models.hits import head_line, place, result_note, snippet_line, why_lines

if TYPE_CHECKING:
    from textual.worker import Worker

    from console.app import SpotterApp
    from console.widgets.picture import Box, Picture
    from index.search import Hit, Mode, Searcher, SearchResult

HITS = 50
PREVIEW_DELAY_S = 0.12
VECTOR_DELAY_S = 0.25
"""A query that costs a request is sent when nothing was typed for so long; until then words answer."""


class Search(Vertical):
    """Query above, hits on the left, the marked hit's text and crop on the right (below on narrow screens)."""

    BINDINGS = [  # noqa: RUF012
        *bindings_of("search"),
        Binding("down", "hits(1)", "Next hit"),
        Binding("up", "hits(-1)", show=False),
    ]
    app: SpotterApp

    def compose(self) -> ComposeResult:
        """Input, list, preview, note."""
        yield Input(placeholder='type to search: words, "a phrase", -not, type:… tag:… doc:… page:…', id="query")
        with Horizontal(id="search-body"):
            yield OptionList(id="hits", markup=False)
            with VerticalScroll(id="preview", can_focus=False):
                yield Static("", id="preview-text", markup=False)
                yield Static("", id="preview-picture", markup=False)
        yield Static("", id="search-note", classes="note", markup=False)

    def on_mount(self) -> None:
        """Nothing is opened before the view is."""
        self._searcher: Searcher | None = None
        self._result: SearchResult | None = None
        self._mode: Mode = "balanced"
        self._preview_timer = self.set_timer(0.01, self._preview, pause=True)

    def on_show(self) -> None:
        """The keyboard goes to the query."""
        self.query_one("#query").focus()
        self.find(self.query_one("#query", Input).value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Every keystroke searches."""
        self.find(event.value)

    def on_input_submitted(self) -> None:
        """Enter goes to the hits."""
        self.query_one("#hits").focus()

    @work(thread=True, group="search", exclusive=True, exit_on_error=False)
    def find(self, query: str) -> None:
        """Search in a worker; an answer that was overtaken by a newer query is dropped."""
        from textual.worker import get_current_worker

        worker = get_current_worker()
        try:
            if self._searcher is None:
                from console.operations.search import open_searcher

                self._searcher = open_searcher(self.app.workspace)
            result = self._searcher.search(query, HITS, mode=self._mode, vector="ready")
            if not worker.is_cancelled:
                self.app.call_from_thread(self.show, result)
            if result.vector_pending:
                time.sleep(VECTOR_DELAY_S)
                if not worker.is_cancelled:
                    self._merge_vector(self._searcher, query, result, worker)
        except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
            if not worker.is_cancelled:
                self.app.call_from_thread(self._say, str(error))

    def _merge_vector(self, searcher: Searcher, query: str, result: SearchResult, worker: Worker[None]) -> None:
        """Ask for the query's vector and show the hits anew; without one the words' stay, and it is said."""
        from index.errors import IndexProblem

        try:
            searcher.query_vector(query)
        except IndexProblem as error:
            if not worker.is_cancelled:
                self.app.call_from_thread(self._note, f"{result_note(replace(result, vector_pending=False))} · {error}")
            return
        merged = searcher.search(query, HITS, mode=self._mode, vector="ready")
        if not worker.is_cancelled:
            self.app.call_from_thread(self.show, merged)

    def _note(self, text: str) -> None:
        self.query_one("#search-note", Static).update(text)

    def _say(self, message: str) -> None:
        self.query_one("#search-note", Static).update(message)
        self.query_one("#hits", OptionList).clear_options()
        self.query_one("#preview-text", Static).update("")
        self.query_one("#preview-picture", Static).update("")

    def show(self, result: SearchResult) -> None:
        """Draw the hits; the mark stays on its record while it is still found."""
        marked = self._marked()
        self._result = result
        hits = self.query_one("#hits", OptionList)
        hits.clear_options()
        hits.add_options(
            Option(Group(head_line(hit), snippet_line(hit)), id=str(index)) for index, hit in enumerate(result.hits)
        )
        kept = next((i for i, hit in enumerate(result.hits) if marked and hit.id == marked.id), 0)
        hits.highlighted = kept if result.hits else None
        self.query_one("#search-note", Static).update(result_note(result))
        if not result.hits:
            self.query_one("#preview-text", Static).update("")
            self.query_one("#preview-picture", Static).update("")

    def _marked(self) -> Hit | None:
        index = self.query_one("#hits", OptionList).highlighted
        hits = self._result.hits if self._result else ()
        return hits[index] if index is not None and index < len(hits) else None

    def on_option_list_option_highlighted(self) -> None:
        """Preview follows the mark, a moment later: held keys don't draw every picture."""
        self._preview_timer.stop()
        self._preview_timer = self.set_timer(PREVIEW_DELAY_S, self._preview)

    def on_option_list_option_selected(self) -> None:
        """Enter shows the page."""
        self.action_search_page()

    def _preview(self) -> None:
        hit = self._marked()
        if hit is None:
            return
        text = Text(f"{place(hit)}\n", style="bold")
        self.query_one("#preview-text", Static).update(Group(text, why_lines(hit), Text(""), Text(hit.text)))
        pane = self.query_one("#preview")
        self.draw_picture(
            hit.crop_path or hit.page_image_path, None, max(8, pane.size.width - 2), max(6, pane.size.height - 4)
        )

    @work(thread=True, group="picture", exclusive=True, exit_on_error=False)
    def draw_picture(self, path: Path | None, mark: Box | None, columns: int, lines: int) -> None:
        """Scale the crop in a worker."""
        from textual.worker import get_current_worker

        from console.widgets.picture import picture

        worker = get_current_worker()
        drawn: RenderableType
        if path is None:
            drawn = Text("")
        elif self.app.no_color:
            drawn = Text(f"[picture: {path.name}; o opens it]", style="dim")
        else:
            try:
                drawn = picture(path, columns, lines, mark).drawn
            except OSError as error:
                drawn = Text(f"picture not here: {error}", style="dim")
        if not worker.is_cancelled:
            self.app.call_from_thread(self.query_one("#preview-picture", Static).update, drawn)

    def action_hits(self, step: int) -> None:
        """Move the mark from the query line."""
        hits = self.query_one("#hits", OptionList)
        if hits.option_count:
            hits.highlighted = max(0, min(hits.option_count - 1, (hits.highlighted or 0) + step))

    def action_search_mode(self) -> None:
        """Share the list between text and pictures in the next way, and search again."""
        from index.found import MODES

        self._mode = MODES[(MODES.index(self._mode) + 1) % len(MODES)]
        self.find(self.query_one("#query", Input).value)

    def action_search_focus(self) -> None:
        """Back to the query."""
        self.query_one("#query").focus()

    def action_search_page(self) -> None:
        """Show the whole page with the hit's place marked."""
        hit = self._marked()
        if hit is None or hit.page_image_path is None:
            self.app.say("This hit has no page picture.")
            return
        self.app.push_screen(PageView(hit.page_image_path, hit.bbox_px, place(hit)))

    def action_search_open(self) -> None:
        """Open the source in a viewer, at its page where the viewer can."""
        hit = self._marked()
        if hit is not None:
            self.open_source(hit)

    @work(thread=True, group="open", exit_on_error=False)
    def open_source(self, hit: Hit) -> None:
        """Start the viewer in a worker."""
        from console.operations.open import OpenError, open_at_page

        try:
            how = open_at_page(hit.source_path, hit.page, hit.page_image_path)
        except OpenError as error:
            how = str(error)
        self.app.call_from_thread(self.app.say, how)

    def action_search_copy(self) -> None:
        """Copy where the hit stands."""
        hit = self._marked()
        if hit is None:
            return
        box = " [" + ", ".join(f"{value:.0f}" for value in hit.bbox_px) + "] px" if hit.bbox_px else ""
        self.app.copy_to_clipboard(f"{hit.source_file or hit.filename}, p{hit.page}{box}")
        self.app.say("copied")


class PageView(ModalScreen[None]):
    """A page as large as the screen, the hit's place outlined."""

    BINDINGS = [Binding("escape,enter,q", "dismiss(None)", "Close")]  # noqa: RUF012

    def __init__(self, path: Path, mark: Box | None, title: str) -> None:
        super().__init__()
        self._path = path
        self._mark = mark
        self._title = title

    def compose(self) -> ComposeResult:
        """Title and picture."""
        with Vertical(id="page-view"):
            yield Static(Text(self._title, style="bold"), id="page-title")
            yield Static("", id="page-picture", markup=False)

    def on_resize(self) -> None:
        """Draw for the room there is."""
        width, height = self.app.size
        self.run_worker(
            partial(self._draw, width - 6, height - 5), thread=True, group="page", exclusive=True, exit_on_error=False
        )

    def _draw(self, columns: int, lines: int) -> None:
        from console.widgets.picture import Picture, picture

        try:
            shown = picture(self._path, max(4, columns), max(4, lines), self._mark)
        except OSError as error:
            shown = Picture(Text(f"the page's picture cannot be shown: {error}"), columns, 1)
        if self.app.no_color:
            shown = Picture(Text("Pictures need colour; o in the list opens the source."), columns, 1)
        self.app.call_from_thread(self._show, shown)

    def _show(self, shown: Picture) -> None:
        pane = self.query_one("#page-picture", Static)
        pane.styles.width, pane.styles.height = shown.columns, shown.lines
        pane.update(shown.drawn)
