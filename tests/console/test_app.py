"""The app driven by keys: views, help, questions, themes."""

from __future__ import annotations

import pytest
from textual.widgets import ContentSwitcher

from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.widgets.confirm import Confirm
from console.widgets.help import Help
from console.workspace import Workspace, create_workspace
from tests.console.piloting import until

RUN = "01jtestrun0000000000000000"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place, _ = create_workspace(tmp_path_factory.mktemp("app"))
    Runbook(place).write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="succeeded", created_at=1.0)
    )
    return place


async def test_keys_switch_views_and_escape_comes_back(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: bool(app.query("#runs")), "the views")
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
