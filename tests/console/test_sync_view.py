"""The sync view by hand-made news: the plan comes first, and what travels is a command of the CLI."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.actions.action import Question
from console.app import SpotterApp
from console.models.sync_plan import Box, BoxPlan, Pair, RunOnBox, pairs_of
from console.operations.transfers import Transfer
from console.screens.sync import Sync, SyncNews
from console.screens.sync_rows import fetch_question, pair_row, plan_text, push_question, state_of
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from remote.sync.compare import Difference, Side, compare
from tests.console.piloting import said, shown, until

RUN = "01m7y5p59xc6fey9ep0kj13082"
NOW = 2_000.0


def side(size: int, sha: str = "a") -> Side:
    return Side(size, 1.0, sha)


DIFFERENCES = (
    Difference("code.py", "changed here", side(10), side(9, "b")),
    Difference("data/new.pdf", "only here", side(1000), None),
    Difference("data/[/x]\x1b.pdf", "changed on both", side(5), side(6, "b")),
    Difference("notebooks/a.ipynb", "only there", None, side(70, "b")),
)
BOX = Box(7, "RTX 4090")
PLAN = BoxPlan(7, 1_940.0, DIFFERENCES, (RunOnBox(RUN, ("artifacts/a", "report.md")),))


def moving(done: float = 250.0, total: float = 1000.0) -> Box:
    return Box(7, "RTX 4090", Transfer("push", 42, "running", "sending", 1.0, 60.0, 30.0, 50.0, done, total, "bytes"))


def pair(kind: str, plan: BoxPlan | None = PLAN, box: Box = BOX) -> Pair:
    plans = {} if plan is None else {7: plan}
    return next(each for each in pairs_of([box], plans, frozenset()) if each.kind == kind)


def test_a_push_says_what_it_removes_on_the_box() -> None:
    here, there = {"a.py": side(1)}, {"a.py": side(1), "old.py": side(9, "b"), "edited.py": side(9, "c")}
    found = compare(here, there, {"a.py": "a", "old.py": "b", "edited.py": "a"})
    assert [each.name for each in found if each.removed_here] == ["old.py"]
    question = push_question([pair("code", BoxPlan(7, 1.0, tuple(found)))])
    assert isinstance(question, Question)
    assert "up to 1 file that is not here any more is removed there" in question.detail
    plain = push_question([pair("code")])
    assert isinstance(plain, Question)
    assert "removed there" not in plain.detail


def test_files_belong_to_code_or_data_and_results_to_runs() -> None:
    code, data, results = pairs_of([BOX], {7: PLAN}, frozenset())
    assert [each.name for each in (*code.to_push, *code.to_fetch)] == ["code.py", "notebooks/a.ipynb"]
    assert [each.name for each in (*data.to_push, *data.conflicts)] == ["data/new.pdf", "data/[/x]\x1b.pdf"]
    assert (code.files_left, code.bytes_left) == (2, 80)
    assert (results.files_left, results.bytes_left) == (2, None), "the box lists no sizes of what is missing"


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (pair("code"), "1 to push, 1 to fetch"),
        (pair("data"), "⚠ 1 conflict, 1 to push"),
        (pair("results"), "2 to fetch"),
        (pair("code", None), "not compared; n does"),
        (pair("code", BoxPlan(7, 1.0, error="ssh: [/x] refused")), "✗ ssh: [/x] refused"),
        (pair("data", BoxPlan(7, 1.0)), "✓ in step"),
        (pair("results", BoxPlan(7, 1.0)), "nothing there"),
        (pair("results", BoxPlan(7, 1.0, runs=(RunOnBox(RUN, (), driven=True),))), "▼ fetched as they are made"),
        (pair("code", box=moving()), "▲ ██······  25%"),
    ],
)
def test_how_a_pair_stands_is_said_in_a_few_words(each: Pair, words: str) -> None:
    assert state_of(each).plain == words


def test_a_push_under_way_tells_rate_and_bytes_left() -> None:
    cells = [cell.plain for cell in pair_row(pair("data", box=moving()), NOW).cells]
    assert "750 B" in cells
    assert "25 B/s" in cells


def test_names_from_the_world_are_text_in_the_plan() -> None:
    text = plan_text(pair("data"), NOW).plain
    assert "data/[/x]\\x1b.pdf" in text
    assert "--take box|laptop" in text
    assert "compared 1m 00s ago" in text


def test_nothing_is_pushed_before_it_was_compared() -> None:
    assert push_question([pair("code", None)]) == "It was not compared yet: n shows first what would travel."
    assert push_question([pair("results")]) == "Results are fetched (F), not pushed."
    assert push_question([pair("code", box=moving())]) == "Something is being sent to 7 already."


def test_a_push_names_files_bytes_and_conflicts_once_for_a_box() -> None:
    question = push_question([pair("code"), pair("data")])
    assert isinstance(question, Question)
    assert question.commands == (("push", "7"),)
    assert "7: 2 files, 1010 B; 1 conflict stays." in question.detail


def test_a_fetch_takes_each_file_of_the_box_and_the_results() -> None:
    question = fetch_question([pair("code"), pair("results")])
    assert isinstance(question, Question)
    assert question.commands == (("diff", "7", "--take", "box", "--", "notebooks/a.ipynb"), ("pull", RUN))
    assert fetch_question([pair("data")]) == "There is nothing to fetch: it is all here."
    many = BoxPlan(7, 1.0, tuple(Difference(f"n{number}", "only there", None, side(1)) for number in range(300)))
    assert "300 files at once are too many" in str(fetch_question([pair("code", many)]))


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_plan_stands_beside_the_pairs_and_a_push_asks_first(place: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(place, "sync", live=False, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Sync)
        await pilot.press("U")
        assert not isinstance(app.screen, Confirm), "nothing is rented"
        view.show(SyncNews((BOX,)))
        await until(pilot, lambda: "not compared" in shown(app), "that nothing is known")
        view.told(PLAN)
        await until(pilot, lambda: "1 to push" in shown(app), "the plan")
        assert "code.py" in said(app, "#sync-plan")
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        view.told(BoxPlan(7, NOW))  # rows change under the question
        assert app.screen.question.commands == (("push", "7"),)  # type: ignore[attr-defined]
        await pilot.press("escape", "K")
        assert not isinstance(app.screen, Confirm), "nothing is under way"
        view.show(SyncNews((moving(),)))
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert app.screen.question.commands == (("sync", "7", "--stop"),)  # type: ignore[attr-defined]


async def test_one_instances_pairs_are_shown_when_it_is_named(place: Workspace) -> None:
    app = SpotterApp(place, "sync", "8", live=False)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Sync)
        view.show(SyncNews((BOX, Box(8, "L40"))))
        table = app.query_one(KeyedTable)
        await until(pilot, lambda: {row.key for row in table.rows} == {"8/code", "8/data", "8/results"}, "its pairs")


async def test_a_box_is_compared_when_it_is_seen_and_when_it_is_asked_for(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def plan_sync(_session: object, instance_id: int) -> BoxPlan:
        asked.append(instance_id)
        raise ConnectionError("no route [/x]")

    monkeypatch.setattr("console.operations.sync_plan.plan_sync", plan_sync)
    monkeypatch.setattr("console.operations.sync_plan.boxes_of", lambda _session: (BOX,))
    app = SpotterApp(place, "sync")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "no route [/x]" in shown(app), "why there is no plan")
        assert asked == [7], "once, though it asks the ledger again and again"
        await pilot.press("n")
        await until(pilot, lambda: asked == [7, 7], "the second comparison")
