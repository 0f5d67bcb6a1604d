"""The index view driven by keys, over a real offline index: query, list, facets, what keeps it from answering."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget
from textual.widgets import Input

from console import language
from console.app import SpotterApp
from console.models.hits import result_note
from console.models.index_query import choices, with_filter
from console.operations import live_search
from console.operations.live_search import Asked, search_once
from console.operations.search import open_searcher
from console.screens.index_list import FacetList, HitList
from console.screens.page_view import PageView
from console.widgets.preview import Preview
from console.workspace import Workspace, create_workspace
from index.found import SearchResult
from index.layout import Layout
from tests.console.index_driving import answered, at_the_hits, found, view_of
from tests.console.index_places import BITING, indexed
from tests.console.piloting import note, shown, until


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return indexed(tmp_path_factory.mktemp("index"))


async def test_every_keystroke_searches_and_enter_walks_from_query_to_page(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, Input), "the query")
        await pilot.press(*"слой")
        await at_the_hits(pilot, app, "слой")
        assert found(app)[0] == "r0"
        await pilot.press("enter")
        assert isinstance(app.screen, PageView)
        assert app.screen.place.mark == (50, 60, 200, 100)
        await pilot.press("escape", "slash")
        assert isinstance(app.focused, Input)
        await pilot.press("down")
        assert isinstance(app.focused, HitList)
        await pilot.press("k")
        assert isinstance(app.focused, Input), "above the first hit stands the query"


@pytest.mark.parametrize(("query", "ends"), [("слой", HitList), ("nothing-is-called-so", Input)])
async def test_keys_after_enter_are_no_letters_though_the_hits_are_on_their_way(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, query: str, ends: type[Widget]
) -> None:
    gate, search = threading.Event(), live_search.search_once

    def late(*arguments: Any) -> SearchResult:
        gate.wait(60)
        return search(*arguments)

    monkeypatch.setattr(live_search, "search_once", late)
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        try:
            await until(pilot, lambda: isinstance(app.focused, Input), "the query")
            await pilot.press(*query, "enter", "y")
            assert view_of(app).query_text == query
            assert not isinstance(app.focused, Input)
        finally:
            gate.set()
        await answered(pilot, app, query)
        await until(pilot, lambda: isinstance(app.focused, ends), "the hits, or without any the query again")


async def test_letters_are_text_in_the_query_and_keys_in_the_list(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, Input), "the query")
        await pilot.press(*"governance m")
        await answered(pilot, app, "governance m")
        assert view_of(app).news.asked.mode == "balanced"  # type: ignore[union-attr]
        await pilot.press("enter", "m")
        await answered(pilot, app, "governance m", mode="text")


@pytest.mark.parametrize("query", ["governance", "nothing-is-called-so"])
async def test_esc_leaves_the_query_so_that_letters_are_keys_again(workspace: Workspace, query: str) -> None:
    app = SpotterApp(workspace, "index", query)
    async with app.run_test(size=(120, 36)) as pilot:
        await answered(pilot, app, query)
        await pilot.press("escape", "4")
        await until(pilot, lambda: app.view.NAME == "runs", "the runs")
        assert view_of(app).query_text == query


async def test_the_list_is_shared_anew_by_a_key_and_says_how(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(160, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        for mode in ("text", "visual", "raw", "balanced"):
            await pilot.press("m")
            await until(pilot, lambda mode=mode: f"· {mode}" in note(app), mode)


async def test_tab_in_the_query_changes_what_ranks(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "governance")
    async with app.run_test(size=(160, 36)) as pilot:
        await answered(pilot, app, "governance")
        await pilot.press("tab")
        await until(pilot, lambda: "words alone" in note(app) and "words only" in note(app), "words alone")
        await pilot.press("tab")
        await until(pilot, lambda: "vectors alone" in note(app) and "lexical vectors" in note(app), "vectors alone")
        await pilot.press("tab")
        await until(pilot, lambda: "alone" not in note(app), "both")


def test_by_vectors_alone_the_order_is_that_of_the_cosines(workspace: Workspace) -> None:
    with open_searcher(workspace) as searcher:
        alone = search_once(searcher, Asked("governance board", "raw", "vectors"))
        both = search_once(searcher, Asked("governance board", "raw"))
    cosines = [hit.why.cosine or 0.0 for hit in alone.hits]
    assert cosines == sorted(cosines, reverse=True)
    assert alone.boosts_note == ""
    assert [hit.score for hit in alone.hits] != [hit.score for hit in both.hits]


def test_without_words_the_note_says_how_much_there_is_to_search(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_searcher(workspace) as searcher:
        nothing, found = (search_once(searcher, Asked(words)) for words in ("  ", "канвас"))
    assert result_note(nothing) == f"{nothing.records} records · type to search"
    assert result_note(found).startswith(f"{len(found.hits)} of ")
    monkeypatch.setattr(language, "_current", "ru")
    assert result_note(replace(nothing, records=21)) == "21 запись · введите запрос"


async def test_hostile_text_is_shown_as_text_and_bounded(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "канвас")
    async with app.run_test(size=(120, 60)) as pilot:
        await at_the_hits(pilot, app, "канвас")
        assert view_of(app).marked().text == BITING  # type: ignore[union-attr]
        await until(pilot, lambda: shown(app).count("[/x]") >= 2, "the text in list and side pane")
        screen = shown(app)
        assert "\x1b[2J" not in screen
        assert "\\x1b" in screen
        assert "\u202e" not in screen
        assert len(str(app.query_one("#index-text").render())) < 10_000
        view = view_of(app)
        assert view.news is not None
        assert view.result is not None
        endless = replace(view.result.hits[0], text="[/x]\x1b[2J" * 100_000, filename="\x1b]0;x\x07" * 10**5)
        view.show(replace(view.news, result=replace(view.result, hits=(endless,))))
        await pilot.pause()
        assert "\\x1b]0;x" in shown(app)
        assert len(str(app.query_one("#index-text").render())) < 40_000


async def test_facets_narrow_the_query_and_let_go_again(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "governance")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "governance")
        await pilot.press("f")
        facets = app.query_one(FacetList)
        await until(pilot, lambda: facets.has_focus and facets.option_count > 4, "the facets")
        facets.mark("tag:Board")
        await pilot.press("enter")
        await until(pilot, lambda: app.query_one("#query", Input).value.strip() == "governance tag:Board", "the filter")
        await until(pilot, lambda: "✓" in shown(app), "that it is chosen")
        facets.mark("tag:Board")
        await pilot.press("space")
        await until(pilot, lambda: app.query_one("#query", Input).value.strip() == "governance", "the query without it")
        await pilot.press("escape")
        assert not facets.display
        assert app.query_one(HitList).has_focus


def test_a_filter_goes_in_and_out_of_any_query(workspace: Workspace) -> None:
    with open_searcher(workspace) as searcher:
        facets = search_once(searcher, Asked("governance", facets=True)).facets
    assert facets is not None
    told = {(choice.kind, choice.value): choice.chosen for choice in choices(facets, "governance tag:Board doc:no")}
    assert told["tag", "Board"] is True
    assert told["type", "VisualCaption"] is False
    assert told["doc", "no"] is True, "what nothing matches stays in sight, to be taken out"
    for query in ("", "words", 'words "an open phrase', "words -not doc:other"):
        narrowed = with_filter(query, "doc", "a name.pdf")
        assert 'doc:"a name.pdf"' in narrowed
        closed = query + '"' * (query.count('"') % 2)
        assert with_filter(narrowed, "doc", "a name.pdf").split() == closed.split()


async def test_why_stands_under_the_hits_when_asked_for(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        assert "BM25" not in shown(app)
        await pilot.press("w")
        await until(pilot, lambda: "BM25" in shown(app), "the factors")


async def test_an_overtaken_answer_is_dropped(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, Input), "the query")
        asked: list[str] = []
        view = view_of(app)
        show = view.show
        view.show = lambda news: (asked.append(news.asked.query), show(news))[1]  # type: ignore[method-assign]
        for end in range(1, len("governance") + 1):
            app.query_one("#query", Input).value = "governance"[:end]
        await until(pilot, lambda: bool(asked) and asked[-1] == "governance", "the last query's answer")
        assert len(asked) < len("governance"), "typed in one go, not every beginning is worth an answer"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("empty", "no records yet"),
        ("pointer", "spotter index"),
        ("snapshot", "spotter index"),
        ("gone", "spotter index"),
    ],
)
async def test_an_index_that_cannot_answer_says_what_mends_it(
    workspace: Workspace, tmp_path: Path, harm: str, words: str
) -> None:
    if harm == "empty":
        place, _fresh = create_workspace(tmp_path)
    else:
        place = Workspace(shutil.copytree(workspace.root, tmp_path / "copy"))
        current = Layout(place.root).current()
        assert current is not None
        if harm == "pointer":
            Layout(place.root).pointer.write_text("{")
        elif harm == "snapshot":
            (current.folder / "snapshot.sqlite").write_bytes(b"no database at all" * 100)
        else:
            (current.folder / "snapshot.sqlite").unlink()
    app = SpotterApp(place, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: words in note(app, "#index-problem"), "the sentence")
        assert app.query_one("#query", Input).has_focus


async def test_mended_meanwhile_the_next_keystroke_answers(tmp_path: Path) -> None:
    place, _fresh = create_workspace(tmp_path)
    app = SpotterApp(place, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.query_one("#query", Input).value == "слой", "what was asked for")
        await until(pilot, lambda: "no records yet" in note(app, "#index-problem"), "the sentence")
        indexed(tmp_path)
        app.query_one("#query", Input).value = "слои"
        await answered(pilot, app, "слои")
        await until(pilot, lambda: found(app)[:1] == ["r0"], "the hit")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_it_fits_any_screen(workspace: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(workspace, "index", "governance")
    async with app.run_test(size=size) as pilot:
        hits = await at_the_hits(pilot, app, "governance")
        assert hits.size.height >= 8
        for _ in range(30):
            await pilot.press("j")
        assert view_of(app).marked() is not None


async def test_without_colour_pictures_are_words(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        preview = app.query_one("#index-region", Preview)
        await until(pilot, lambda: "need colour" in str(preview.render()), "words for a picture")
