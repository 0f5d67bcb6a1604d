"""From a hit to all that it leads to: page, run, second, answer, collection, clipboard, command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from textual.widgets import Input, OptionList
from typer.testing import CliRunner

from console.app import SpotterApp
from console.cli import app as cli
from console.errors import WrongInput
from console.models import index_details as details
from console.models.index_answer import Source, plain
from console.models.index_answer import entries as answer_entries
from console.models.index_pages import place_of, step
from console.models.index_query import words_like
from console.models.jumps import moment_of
from console.models.log_sources import LogPlace
from console.operations.answers import read_answer
from console.operations.live_search import Asked, search_once
from console.operations.search import find_record, open_searcher
from console.screens.answer import AnswerPane
from console.screens.index_list import HitList
from console.screens.metrics_replay import ReplayPane
from console.screens.page_view import PageView
from console.workspace import Workspace
from tests.console.index_driving import answered, at_the_hits, found, view_of
from tests.console.index_places import ANALYZED_AT, RUN, TEXTS, indexed
from tests.console.piloting import note, shown, until


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return indexed(tmp_path_factory.mktemp("index"))


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
        await until(pilot, lambda: app.screen.query_one("#answer-entries", OptionList).option_count > 0, "the passages")
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
        await pilot.press("n")
        await until(pilot, lambda: "there/small" not in shown(app), "the question to go")
        assert view._awaited is None, "after a no nothing is waited for"
        await pilot.press("R")
        await until(pilot, lambda: "there/small" in shown(app), "the question")
        await pilot.press("y")
        await until(pilot, lambda: bool(ran), "the command")
        assert view._awaited == Path(ran[0][2])
        app.commands.end(app.commands.begin(("spotter", *ran.pop()), "", app.now()), 1, app.now())
        await until(pilot, lambda: view._awaited is None, "the end of the wait for a command that failed")
        await pilot.press("R")
        await until(pilot, lambda: "there/small" in shown(app), "the question")
        await pilot.press("y")
        await until(pilot, lambda: bool(ran), "the command")
        assert ran[0][:2] == ("answer", "--out")
        assert ran[0][3:] == ("--", "governance"), "a question may begin with a hyphen"
        from dataclasses import asdict

        from console.operations.answers import answer, write_answer

        told = answer(app.session(), "governance", model="")
        assert asdict(told)["verdict"] == "passages"
        write_answer(told, Path(ran[0][2]))
        await until(pilot, lambda: isinstance(app.screen, AnswerPane), "what the command wrote")
        await until(
            pilot,
            lambda: app.screen.query_one("#answer-entries", OptionList).option_count == len(told.passages),
            "the passages",
        )
        assert not Path(ran[0][2]).exists(), "it was only the way here"


def test_a_record_is_found_again_by_its_place(workspace: Workspace) -> None:
    hit = find_record(workspace, "doc", 2, "r3")
    assert hit is not None
    assert hit.bbox_px == (53, 60, 200, 100)
    assert find_record(workspace, "doc", 1, "r3") is None


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
