"""Index: type, see hits at once, narrow them, see the region and its page, collect, ask, go to where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import OptionList, Static

from console.actions.action import Action
from console.language import _, ngettext
from console.models import index_details as details
from console.models.hits import result_note, why_lines
from console.models.index_pages import place_of
from console.models.index_query import choices, with_filter, words_like
from console.models.index_rows import entries
from console.operations.live_search import WAYS, Answered, Asked, LiveSearch, Way
from console.screens.index_ask import Asking
from console.screens.index_jumps import Jumping
from console.screens.index_list import FacetList, HitList, Query
from console.screens.page_view import PageView
from console.screens.view import Copyable, Listing, PolledView
from console.widgets.picture import Shot
from console.widgets.preview import Preview

if TYPE_CHECKING:
    from console.models.index_rows import Entry
    from index.found import Hit, Mode, SearchResult

MODES: tuple[Mode, ...] = ("balanced", "text", "visual", "raw")
THUMBNAIL_LINES = 26
"""A side pane as high has room for the page below the region."""


class Index(Asking, Jumping, PolledView[Answered]):
    """Query above, hits below it, the marked hit's region, text and page beside them."""

    NAME = "index"
    POLL_S = 0.0

    class Found(Message):
        """An answer came from the searching thread."""

        def __init__(self, answered: Answered) -> None:
            super().__init__()
            self.answered = answered

    def __init__(self) -> None:
        super().__init__()
        self.result: SearchResult | None = None
        self.collected: dict[str, Hit] = {}
        """By id, in the order in which they were collected; they stay when the query changes."""
        self._mode: Mode = "balanced"
        self._way: Way = "hybrid"
        self._why = self._by_page = False
        self._leaving = False
        """Whether Enter was pressed before the hits were there."""
        self._opened: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._live: LiveSearch | None = None

    def compose_main(self) -> ComposeResult:
        """Query; facets beside hits; why there are none; the note."""
        yield Query()
        with Horizontal(id="index-body"):
            yield FacetList()
            yield HitList("hits")
        yield Static("", id="index-problem", classes="placeholder", markup=False)
        yield Static("", id="index-note", classes="note", markup=False)

    def compose_side(self) -> ComposeResult:
        """The marked hit."""
        yield Static("", id="index-head", markup=False)
        yield Preview(id="index-region")
        yield Static("", id="index-text", markup=False)
        yield Static("", id="index-facts", markup=False)
        yield Preview(id="index-page")

    def on_mount(self) -> None:
        """Facets are counted only when they are wanted."""
        self.query_one(FacetList).display = False
        self.query_one("#index-problem").display = False

    def on_unmount(self) -> None:
        """Let go of the index."""
        if self._live is not None:
            self._live.close()

    # ---- asking ----

    @property
    def query_text(self) -> str:
        """What stands in the query line."""
        return self.query_one(Query).value

    @property
    def crumbs(self) -> tuple[str, ...]:
        """The query."""
        return (self.query_text[:40],) if self.is_mounted and self.query_text else ()

    def open(self, argument: str) -> None:
        """Search for what was typed behind `:index`; the next key begins another query."""
        super().open(argument)
        query = self.query_one(Query)
        query.value = argument
        query.focus()
        query.select_all()

    def focus_main(self) -> None:
        """Keys go to the query, unless the hits are looked at."""
        if self.is_mounted and not self.query_one(HitList).has_focus:
            self.query_one(Query).focus()

    def poll(self) -> None:
        """Search now: the index may have grown."""
        self.read_settings()
        self.find()

    def find(self) -> None:
        """Ask the searching thread; what was asked before and is not answered yet is dropped."""
        if not self.app.live or not self.is_mounted:
            return
        if self._live is None:
            self._live = LiveSearch(self.app.workspace, lambda answered: self._hear(self.Found(answered)))
        facets = bool(self.query_one(FacetList).display)
        self._live.ask(Asked(self.query_text, self._mode, self._way, facets))

    def _hear(self, found: Found) -> None:
        self.post_message(found)

    @on(Query.Changed, "#query")
    def _typed(self, event: Query.Changed) -> None:
        event.stop()
        self._opened.clear()
        self.argument = event.value
        self.find()
        self.app.draw_top()

    @on(Query.Submitted, "#query")
    @on(Query.Below)
    def _to_the_hits(self) -> None:
        hits = self.query_one(HitList)
        self._leaving = self.news is None or self.news.asked.query != self.query_text
        if hits.option_count or self._leaving:  # keys pressed while the hits are on their way are no letters
            (hits if hits.focusable else self).focus()

    def _arrive(self) -> None:
        hits, self._leaving = self.query_one(HitList), False
        if self.app.focused in (hits, self):
            (hits if hits.option_count and hits.focusable else self.query_one(Query)).focus()

    @on(HitList.Above)
    def _to_the_query(self) -> None:
        self.query_one(Query).focus()

    def on_index_found(self, event: Found) -> None:
        """Show an answer of the searching thread."""
        event.stop()
        if event.answered.asked.query == self.query_text:
            self.show(event.answered)
            if self._leaving:
                self._arrive()

    # ---- drawing ----

    def show(self, news: Answered) -> None:
        """Draw an answer: hits and facets, or the sentence that says why there are none."""
        self.news, self.heard_at = news, self.app.now()
        problem = self.query_one("#index-problem", Static)
        problem.display = news.result is None
        self.query_one("#index-body").display = news.result is not None
        if news.result is None:
            self.result, self.stale = None, news.problem
            problem.update(Text(news.problem))
            self.query_one("#index-note", Static).update("")  # what is wrong stands above, whole
            self._draw_side(None)
            return
        self.result, self.stale = news.result, ""
        if news.result.facets is not None:
            self.query_one(FacetList).show_choices(choices(news.result.facets, news.asked.query))
        self._draw_list()

    def _draw_list(self) -> None:
        hits = self.result.hits if self.result is not None else ()
        made = entries(hits, by_page=self._by_page, opened=self._opened, collected=self.collected, why=self._why)
        self._entries = {entry.key: entry for entry in made}
        self.query_one(HitList).show_entries(made)
        self._draw_note()
        self._draw_side(self.marked())

    def _draw_note(self) -> None:
        if self.result is None:
            return
        way = {"hybrid": "", "words": _("words alone"), "vectors": _("vectors alone")}[self._way]
        n = len(self.collected)
        collected = ngettext("{n} collected", "{n} collected", n).format(n=n) if n else ""
        said = " · ".join(filter(None, (collected, result_note(self.result), way)))
        self.query_one("#index-note", Static).update(Text(said, no_wrap=True, overflow="ellipsis"))

    def marked(self) -> Hit | None:
        """The hit under the mark."""
        if not self.is_mounted:
            return None
        entry = self._entries.get(self.query_one(HitList).marked_key or "")
        return entry.hit if entry is not None else None

    @on(OptionList.OptionHighlighted, "#hits")
    def _mark_moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._draw_side(self.marked())

    def _draw_side(self, hit: Hit | None) -> None:
        """Text at once; pictures when the mark rests."""
        side = self.query_one(".side")
        head, text, facts = (self.query_one(f"#index-{name}", Static) for name in ("head", "text", "facts"))
        region, page = self.query_one("#index-region", Preview), self.query_one("#index-page", Preview)
        if hit is None or not side.size.width:
            for part in (head, text, facts):
                part.update("")
            region.look_at(None, 0, 0)
            page.look_at(None, 0, 0)
            return
        shown: list[RenderableType] = [details.head(hit)]
        if self._why:
            shown.append(why_lines(hit))
        head.update(Group(*shown))
        text.update(Text(details.bounded(hit.text)))
        facts.update(details.facts_text(details.facts(hit)))
        columns, lines = max(8, side.size.width - 2), side.size.height
        place = place_of(hit, self.result.hits if self.result is not None else ())
        whole = Shot(place.picture, place.mark, place.others) if place is not None else None
        cut = None
        if place is not None and place.mark is not None:
            cut = Shot(place.picture, window=place.mark, enlarged=2.0)
        crop = Shot(hit.crop_path, enlarged=2.0, instead=cut) if hit.crop_path is not None else cut
        both = crop is not None and whole is not None and lines >= THUMBNAIL_LINES
        region.look_at(crop or whole, columns, max(6, lines // 3 if both else lines - 5))
        page.look_at(whole if both else None, columns, lines // 2)

    def on_resize(self) -> None:
        """Pictures fit the new room."""
        if self.is_mounted and self.result is not None:
            self.call_after_refresh(lambda: self._draw_side(self.marked()))

    # ---- actions ----

    @on(OptionList.OptionSelected, "#hits")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_index_page()

    @on(FacetList.Chosen)
    def _narrow(self, event: FacetList.Chosen) -> None:
        event.stop()
        query = self.query_one(Query)
        query.value = with_filter(query.value, event.choice.kind, event.choice.value)

    def action_index_query(self) -> None:
        """Back to the query."""
        self.query_one(Query).focus()

    def action_index_page(self) -> None:
        """Show the whole page with the hit's place marked; of a page's further hits, all."""
        entry = self._entries.get(self.query_one(HitList).marked_key or "")
        if entry is not None and entry.opens:
            self._opened ^= {entry.opens}
            self._draw_list()
            return
        hit = entry.hit if entry is not None else None
        place = place_of(hit, self.result.hits, hit.filename or "") if hit is not None and self.result else None
        if place is None:
            self.app.say(_("This hit has no page picture.") if hit is not None else _("Nothing is marked."))
            return
        self.app.push_screen(PageView(place))

    def action_index_way(self) -> None:
        """In the query: the next way of searching. Elsewhere: the next pane."""
        if not self.query_one(Query).has_focus:
            self.screen.focus_next()
            return
        self._way = WAYS[(WAYS.index(self._way) + 1) % len(WAYS)]
        self.find()

    def action_index_mode(self) -> None:
        """Share the list between text and pictures in the next way, and search again."""
        self._mode = MODES[(MODES.index(self._mode) + 1) % len(MODES)]
        self.find()

    def action_index_facets(self) -> None:
        """Show the facets and go there, or put them away."""
        facets = self.query_one(FacetList)
        facets.display = not facets.display
        if facets.display:
            facets.focus()
            self.find()
        else:
            self.query_one(HitList).focus()

    def action_index_why(self) -> None:
        """Show or hide how hits got their places."""
        self._why = not self._why
        self._draw_list()

    def action_index_cards(self) -> None:
        """Gather by page, or not."""
        self._by_page = not self._by_page
        self._draw_list()

    def action_index_similar(self) -> None:
        """The marked record's words become the query."""
        hit = self.marked()
        if hit is not None:
            self.query_one(Query).value = words_like(hit.text)

    def action_index_collect(self) -> None:
        """Collect the marked hit, or put it back."""
        hit = self.marked()
        if hit is None:
            return
        if self.collected.pop(hit.id, None) is None:
            self.collected[hit.id] = hit
        self._draw_list()

    def action_index_clear(self) -> None:
        """Empty the collection."""
        self.collected.clear()
        self._draw_list()

    def action_index_pictures(self) -> None:
        """Pictures on or off."""
        for preview in self.query(Preview):
            preview.toggle()

    # ---- what the shell asks ----

    def refusal(self, action: Action) -> str:
        """What wants a hit is refused where none is marked."""
        if not self.is_mounted:
            return _("It is not there yet.")
        wants = {"page", "similar", "open", "collect", "run", "log", "chart", "region"}
        if action.id.partition(".")[2] in wants and not self._entries:
            return _("There is no hit to do this with: type something to search.")
        return ""

    def targets(self) -> tuple[str, ...]:
        """Ids of what is collected, or of the marked hit."""
        hit = self.marked()
        return tuple(self.collected) or ((hit.id,) if hit is not None else ())

    def copies(self) -> Sequence[Copyable]:
        """What can be copied of the marked hit."""
        hit = self.marked()
        if hit is None:
            return ()
        path = str(hit.source_path or hit.page_image_path or "")
        told = (
            (_("citation"), details.citation(hit)),
            (_("text"), hit.text),
            (_("record id"), hit.id),
            (_("path"), path),
            (_("search command"), details.search_command(self.query_text, self._mode, self._way)),
        )
        return [Copyable(label, text) for label, text in told if text]

    def listing(self) -> Listing:
        """What is collected; without a collection, the hits of the list."""
        hits = tuple(self.collected.values()) or (self.result.hits if self.result is not None else ())
        return Listing("hits", details.COLUMNS, tuple(details.row(hit) for hit in hits))

    def step_out(self) -> bool:
        """Facets first; then out of the query, where every letter is text, to the hits, where letters are keys."""
        if not self.is_mounted:
            return False
        if self.query_one(FacetList).display:
            self.action_index_facets()
            return True
        if self.query_one(Query).has_focus:
            hits = self.query_one(HitList)
            (hits if hits.option_count and hits.focusable else self).focus()
            return True
        return False
