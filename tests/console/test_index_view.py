"""The index view driven by keys, over a real offline index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from textual.pilot import Pilot
from textual.widgets import Input, OptionList
from typer.testing import CliRunner

from console.app import SpotterApp
from console.cli import app as cli
from console.errors import WrongInput
from console.models import index_details as details
from console.models.index_answer import Source, plain
from console.models.index_answer import entries as answer_entries
from console.models.index_pages import place_of, step
from console.models.index_query import choices, with_filter, words_like
from console.models.jumps import moment_of
from console.models.log_sources import LogPlace
from console.operations.answers import read_answer
from console.operations.live_search import Asked, search_once
from console.operations.search import find_record, open_searcher
from console.screens.answer import AnswerPane
from console.screens.index import Index
from console.screens.index_list import FacetList, HitList
from console.screens.metrics_replay import ReplayPane
from console.screens.page_view import PageView
from console.widgets.preview import Preview
from console.workspace import Workspace, create_workspace
from index.layout import Layout
from tests.console.index_places import ANALYZED_AT, BITING, RUN, TEXTS, indexed
from tests.console.piloting import note, shown, until


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return indexed(tmp_path_factory.mktemp("index"))


def view_of(app: SpotterApp) -> Index:
    view = app.view_called("index")
    assert isinstance(view, Index)
    return view


def found(app: SpotterApp) -> list[str]:
    result = view_of(app).result
    return [hit.id for hit in result.hits] if result is not None else []


async def answered(pilot: Pilot[None], app: SpotterApp, query: str, mode: str = "balanced") -> None:
    """Wait until the list on screen answers this query."""

    def there() -> bool:
        view = view_of(app)
        return view.news is not None and view.news.asked.query == query and view.news.asked.mode == mode

    await until(pilot, there, f"the answer to {query!r}")


async def at_the_hits(pilot: Pilot[None], app: SpotterApp, query: str) -> HitList:
    await answered(pilot, app, query)
    await pilot.press("enter")
    await until(pilot, lambda: app.query_one(HitList).has_focus, "the mark in the list")
    return app.query_one(HitList)


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


async def test_letters_are_text_in_the_query_and_keys_in_the_list(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, Input), "the query")
        await pilot.press(*"governance m")
        await answered(pilot, app, "governance m")
        assert view_of(app).news.asked.mode == "balanced"  # type: ignore[union-attr]
        await pilot.press("enter", "m")
        await answered(pilot, app, "governance m", mode="text")


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


async def test_hits_gather_by_page_and_a_page_opens(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "governance")
    async with app.run_test(size=(120, 40)) as pilot:
        hits = await at_the_hits(pilot, app, "governance")
        flat = hits.option_count
        assert flat >= 5
        await pilot.press("c")
        keys = [option.id for option in hits.options]
        assert keys[0] == "page книга.pdf 2"
        assert "more книга.pdf 2" in keys
        hits.mark("more книга.pdf 2")
        await pilot.press("enter")
        assert sum(str(option.id).startswith("hit ") for option in hits.options) == flat
        await pilot.press("c")
        assert hits.option_count == flat


async def test_why_stands_under_the_hits_when_asked_for(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        assert "BM25" not in shown(app)
        await pilot.press("w")
        await until(pilot, lambda: "BM25" in shown(app), "the factors")


async def test_the_collection_outlives_the_query_and_is_what_is_exported(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        view = view_of(app)
        assert len(view.listing().rows) == len(found(app))
        await pilot.press("space")
        assert "✚" in shown(app)
        await pilot.press("slash")
        app.query_one("#query", Input).value = "governance"
        await at_the_hits(pilot, app, "governance")
        await pilot.press("space")
        listing = view.listing()
        assert [row[listing.columns.index("id")] for row in listing.rows] == ["r0", found(app)[0]]
        assert view.targets() == ("r0", found(app)[0])
        assert "2 collected" in note(app)
        await pilot.press("x")
        assert len(view.listing().rows) == len(found(app))


async def test_what_can_be_copied_leads_back_here(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        told = {copy.label: copy.text for copy in view_of(app).copies()}
        assert told["citation"] == "data/книга.pdf, p. 1 [50, 60, 200, 100] px"
        assert told["text"] == TEXTS[0][2]
        assert told["record id"] == "r0"
        assert told["search command"] == "spotter search -- 'слой'"
        assert told["path"] == str(workspace.root / "data" / "книга.pdf")


async def test_words_of_a_record_become_the_query(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "approval")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "approval")
        text = view_of(app).marked().text  # type: ignore[union-attr]
        await pilot.press("s")
        await answered(pilot, app, words_like(text))
        assert len(found(app)) > 3


def test_words_that_a_query_would_read_as_signs_are_left_out() -> None:
    assert words_like('doc:x "a phrase" -not tag:Layer/* word word') == "doc phrase not tag Layer word"


async def test_pages_turn_and_come_back_to_the_place(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(100, 30)) as pilot:
        await at_the_hits(pilot, app, "слой")
        await pilot.press("enter")
        page = app.screen
        assert isinstance(page, PageView)
        await pilot.press("n")
        await until(pilot, lambda: page.place.page == 2, "the second page")
        assert page.place.mark is None
        await pilot.press("n")
        await until(pilot, lambda: any("no further" in each.message for each in app._notifications), "its end")
        assert page.place.page == 2
        await pilot.press("p")
        await until(pilot, lambda: page.place.page == 1, "the first page")
        assert page.place.mark == (50, 60, 200, 100)
        await pilot.press("z")
        await until(pilot, lambda: "×4" in shown(app), "its place, enlarged")


def test_a_page_that_lacks_its_picture_is_passed_over(workspace: Workspace, tmp_path: Path) -> None:
    with open_searcher(workspace) as searcher:
        hit = search_once(searcher, Asked("слой")).hits[0]
    place = place_of(hit)
    assert place is not None
    assert step(place, 1) is not None
    assert step(place, -1) is None
    document = tmp_path / "artifacts" / "doc"
    for name in ("p0001", "p0002", "p0009", "notes"):
        (document / name).mkdir(parents=True)
    (document / "p0009" / "page.png").touch()
    last = step(type(place)(document / "p0001" / "page.png", 1), 1)
    assert last is not None
    assert last.page == 9


async def test_a_hit_leads_to_its_run_and_to_the_second_in_which_it_was_made(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[tuple[str, str]] = []
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        monkeypatch.setattr(app, "go", lambda view, argument="", **more: gone.append((view, argument)))
        await pilot.press("t", "b", "l")
        await until(pilot, lambda: len(gone) == 3, "the log")
        await pilot.press("h")
        await until(pilot, lambda: len(gone) == 4, "the charts")
    moment = moment_of(workspace.run_folder(RUN), "doc", 1, "VisualCaption")
    assert moment is not None
    assert (moment.stage, moment.at) == ("analyze", ANALYZED_AT + 10)
    second = moment.argument
    assert gone == [("run", RUN), ("review", f"{RUN} region:region0"), ("log", second), ("metrics", second)]


async def test_the_log_and_the_replay_stand_at_that_second(workspace: Workspace) -> None:
    moment = moment_of(workspace.run_folder(RUN), "doc", 1, "VisualCaption")
    assert moment is not None
    assert LogPlace.read(moment.argument).when(0.0) == moment.at
    app = SpotterApp(workspace, "index", "слой")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "слой")
        await pilot.press("h")
        await until(pilot, lambda: app.view.NAME == "metrics", "the charts")
        await until(pilot, lambda: app.query_one(ReplayPane).at == moment.at, "the replay of that second")


def test_of_a_text_the_moment_is_when_its_page_was_read(workspace: Workspace, tmp_path: Path) -> None:
    moment = moment_of(workspace.run_folder(RUN), "doc", 2, "NarrativeText")
    assert moment is not None
    assert moment.stage == "render"
    assert moment_of(workspace.run_folder(RUN), "doc", 3, "Table") is None
    assert moment_of(tmp_path, "doc", 1, "Table") is None


async def test_the_best_passages_answer_without_a_model_and_open_their_pages(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "index", "governance board")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "governance board")
        await pilot.press("a")
        pane = app.screen
        assert isinstance(pane, AnswerPane)
        entries = pane.query_one("#answer-entries", OptionList)
        await until(pilot, lambda: entries.option_count > 0, "the passages")
        assert "No model is named" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PageView), "the page of the passage")
        await pilot.press("escape", "escape")
        assert app.query_one(HitList).has_focus


async def test_a_model_is_asked_only_after_a_question_about_money(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []
    app = SpotterApp(workspace, "index", "governance")
    async with app.run_test(size=(120, 36)) as pilot:
        await at_the_hits(pilot, app, "governance")
        view = view_of(app)
        await until(pilot, lambda: view._answers is not None, "the settings")
        assert "No model is named" in str(view.question_index_ask(()))
        settings = view._answers.model_copy(update={"model": "there/small"})  # type: ignore[union-attr]
        view._answers = settings
        monkeypatch.setattr(app, "run_command", lambda argv, note: ran.append(argv))
        await pilot.press("R")
        await until(pilot, lambda: "there/small" in shown(app), "the question")
        assert ran == []
        await pilot.press("y")
        await until(pilot, lambda: bool(ran), "the command")
        assert ran[0][:3] == ("answer", "governance", "--out")
        from dataclasses import asdict

        from console.operations.answers import answer, write_answer

        told = answer(app.session(), "governance", model="")
        assert asdict(told)["verdict"] == "passages"
        write_answer(told, Path(ran[0][3]))
        await until(pilot, lambda: isinstance(app.screen, AnswerPane), "what the command wrote")


def test_a_record_is_found_again_by_its_place(workspace: Workspace) -> None:
    hit = find_record(workspace, "doc", 2, "r3")
    assert hit is not None
    assert hit.bbox_px == (53, 60, 200, 100)
    assert find_record(workspace, "doc", 1, "r3") is None


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
async def test_an_index_that_cannot_answer_says_what_mends_it(tmp_path: Path, harm: str, words: str) -> None:
    if harm == "empty":
        place, _fresh = create_workspace(tmp_path)
    else:
        place = indexed(tmp_path)
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
        await until(pilot, lambda: "no records yet" in note(app, "#index-problem"), "the sentence")
        indexed(tmp_path)
        app.query_one("#query", Input).value = "слои"
        await answered(pilot, app, "слои")
        await until(pilot, lambda: found(app)[:1] == ["r0"], "the hit")


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 50)])
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


def test_an_export_holds_every_column(workspace: Workspace) -> None:
    with open_searcher(workspace) as searcher:
        hit = search_once(searcher, Asked("слой")).hits[0]
    told: dict[str, Any] = dict(zip(details.COLUMNS, details.row(hit), strict=True))
    assert (told["id"], told["page"], told["bbox_px"]) == ("r0", 1, "50 60 200 100")


def test_the_command_line_does_the_same(workspace: Workspace, tmp_path: Path) -> None:
    def say(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["-C", str(workspace.root), *arguments], catch_exceptions=False)

    found = json.loads(say("search", "--vectors-only", "--mode", "raw", "--json", "governance board").stdout)
    cosines = [hit["why"]["cosine"] or 0.0 for hit in found["hits"]]
    assert cosines == sorted(cosines, reverse=True)
    assert say("search", "--vectors-only", "--words-only", "x").exit_code == 2
    out = tmp_path / "deep" / "answer.json"
    assert say("answer", "--model", "", "--out", str(out), "governance board").exit_code == 0
    told = read_answer(out)
    assert told is not None
    assert told["verdict"] == "passages"
    assert len(answer_entries(told)) == len(told["passages"])
    out.write_text("{}")
    with pytest.raises(WrongInput, match="no answer"):
        read_answer(out)
    assert read_answer(tmp_path / "none.json") is None


def test_an_answer_shows_what_was_checked_and_what_was_not() -> None:
    citation = {"number": 1, "quote": "four [/x] layers", "record_id": "r0", "document": "a.pdf", "page": 3}
    told = {
        "verdict": "answered", "claims": [{"text": "Four\x1b layers.", "citations": [citation], "problems": []}],
        "dropped": [{"text": "Five.", "citations": [], "problems": ["it cites nothing"]}], "missing": "who pays",
        "passages": [], "note": "1 of 2 claims passed.", "usd": 0.004,
    }  # fmt: skip
    made = answer_entries(told)
    assert [entry.source for entry in made] == [None, Source("r0", "a.pdf", 3), None, None, None]
    text = plain(told)
    assert "Four\\x1b layers." in text
    assert "“four [/x] layers”" in text
    assert "Not supported" in text
    assert text.endswith("1 of 2 claims passed. $0.0040")
