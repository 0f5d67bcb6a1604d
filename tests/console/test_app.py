"""The app driven by keys, over a workspace whose index was filled by a real ingest."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from textual.widgets import ContentSwitcher, Input, OptionList

from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.search import PageView, Search
from console.widgets.confirm import Confirm
from console.widgets.help import Help
from console.workspace import Workspace, create_workspace
from pipeline.core.records import Record, RecordMeta
from tests.console.piloting import note, until

RUN = "01jtestrun0000000000000000"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    from index.embed import embedder
    from index.ingest import ingest

    place, _ = create_workspace(tmp_path_factory.mktemp("app"))
    folder = place.run_folder(RUN)
    regions = folder / "artifacts" / "doc" / "p0001" / "regions"
    regions.mkdir(parents=True)
    (folder / "records").mkdir()
    page = Image.new("RGB", (400, 600), "white")
    ImageDraw.Draw(page).rectangle((50, 60, 250, 160), fill="navy")
    page.save(regions.parent / "page.png")
    page.crop((50, 60, 250, 160)).save(regions / "region-0001.png")
    with (folder / "records" / "docparse.ndjson").open("wb") as out:
        for number, text in enumerate(
            ("Слои платформы: данные", "Канвас платформы [/x]", "governance board approves changes")
        ):
            meta = RecordMeta(
                type="VisualCaption", filename="книга.pdf", source_file="data/книга.pdf", document_id="doc", page=1,
                bbox_px=(50, 60, 200, 100), page_size_px=(400, 600),
                crop="artifacts/doc/p0001/regions/region-0001.png", page_image="artifacts/doc/p0001/page.png",
            )  # fmt: skip
            out.write(Record(id=f"r{number}", text=text, meta=meta).to_line())
    ingest([folder], place.root, embedder("offline/hash3072-stem-char4"))
    Runbook(place).write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="succeeded", created_at=1.0)
    )
    return place


async def test_every_keystroke_searches_and_enter_walks_from_query_to_page(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: bool(app.query("#search")), "the views")
        await pilot.press("6")
        assert isinstance(app.focused, Input)
        await pilot.press(*"слой")
        hits = app.query_one("#hits", OptionList)
        await until(pilot, lambda: (hits.option_count > 0 and "1 of" in note(app)) or hits.option_count == 1, "the hit")
        await pilot.press("enter")
        assert app.focused is hits
        await pilot.press("enter")
        assert isinstance(app.screen, PageView)
        await pilot.press("escape")
        await pilot.press("slash")
        assert isinstance(app.focused, Input)
        await pilot.press("escape")
        assert app.view == "fleet"


async def test_the_list_is_shared_anew_by_a_key_and_says_how(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "search", "слой")
    async with app.run_test(size=(160, 36)) as pilot:
        await until(pilot, lambda: "· balanced" in note(app), "how the list is shared")
        await pilot.press("enter")
        for mode in ("text", "visual", "raw", "balanced"):
            await pilot.press("m")
            await until(pilot, lambda mode=mode: f"· {mode}" in note(app), mode)


async def test_text_that_looks_like_markup_is_shown_as_it_is(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "search", "канвас")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.query_one("#hits", OptionList).option_count > 0, "the hit")
        await until(pilot, lambda: app.export_screenshot().count("[/x]") >= 2, "the text in list and preview")


async def test_an_overtaken_answer_is_dropped(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "search")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press(*"governance")
        await until(pilot, lambda: app.query_one(Search)._result is not None, "a result")
        await until(pilot, lambda: app.query_one(Search)._result.query == "governance", "the last query's result")  # type: ignore[union-attr]


async def test_an_empty_index_says_what_fills_it(tmp_path: Path) -> None:
    empty, _ = create_workspace(tmp_path)
    app = SpotterApp(empty, "search")
    async with app.run_test() as pilot:
        await until(pilot, lambda: "no records yet" in note(app), "the sentence")


async def test_keys_switch_views_and_escape_comes_back(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(app.query("#search")), "the views")
        await pilot.press("4")
        assert app.view == "runs"
        from console.widgets.keyed_table import KeyedTable

        await until(pilot, lambda: app.query_one("#runs-table", KeyedTable).cursor_key == RUN, "the run")
        await pilot.press("enter")
        await until(pilot, lambda: app.view == "run", "the run's view")
        await pilot.press("escape")
        assert app.view == "runs"
        await pilot.press("escape")
        assert app.view == "fleet"
        assert app.query_one(ContentSwitcher).current == "fleet"


async def test_help_opens_over_any_view_and_escape_closes_only_it(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)
        assert app.view == "fleet"


async def test_a_destroy_with_nothing_marked_asks_nothing(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("D")
        assert not isinstance(app.screen, Confirm)


async def test_both_themes_apply(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test() as pilot:
        assert app.theme == "spotter-dark"
        await pilot.press("T")
        assert app.theme == "spotter-light"


@pytest.mark.parametrize(("typed", "opens"), [("3456", True), ("345", False), ("9999", False)])
async def test_destroying_wants_the_last_digits(workspace: Workspace, typed: str, opens: bool) -> None:
    app = SpotterApp(workspace)
    answers: list[bool | None] = []
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(Confirm("Destroy?", "all of it", "Destroy", typed="3456"), answers.append)
        await pilot.pause()
        await pilot.press(*typed, "enter")
        await pilot.press("escape")
        await pilot.pause()
    assert answers == ([True] if opens else [False])


async def test_cancel_has_the_focus_of_a_question(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    answers: list[bool | None] = []
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(Confirm("Rent?", "for money", "Rent"), answers.append)
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
    assert answers == [False]
