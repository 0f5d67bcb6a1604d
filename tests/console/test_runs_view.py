"""The runs view and the view of one run by hand-made news: figures, questions, jumps, bells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from textual.widgets import Static

from console.actions.action import Question
from console.app import SpotterApp
from console.models.run_coverage import Coverage
from console.models.run_outputs import Made, Outputs
from console.models.run_reader import NamedFailure, RunNews
from console.models.run_view import RunView, StageView, fold
from console.models.runs import RunList, RunRow, ended_between
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.run import Run
from console.screens.run_pages import OutputsPage, TextPage
from console.screens.run_rows import cancel_question, done_by, resume_question, run_row
from console.screens.runs import Runs
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.widgets.stage_timeline import span, timeline_text
from console.workspace import Workspace, WorkspaceError, create_workspace
from remote.money import RunCost
from tests.console.piloting import said, shown, until

NOW = 1_795_284_800.0
ENTRY = RunEntry(
    run_id="01m7y5p59xc6fey9ep0kj13082", pipeline="docparse", plan_key="k", created_at=NOW - 600,
    phase=Phase.LAUNCHED, instance_id=31245, state="running",
)  # fmt: skip
VIEW = RunView(
    "running", "", {
        "render": StageView("render", "finished", 100, 100, 100, started_at=NOW - 500, ended_at=NOW - 400),
        "detect": StageView(
            "detect", "started", 100, 40, 38, failed=2, rate_per_s=0.5, eta_s=120.0, started_at=NOW - 400
        ),
        "analyze": StageView("analyze"),
    }, NOW - 500, NOW - 1,
)  # fmt: skip
LIVE = RunRow(ENTRY, VIEW, 2, 4242, RunCost(0.125, 0.31, 0.003, 0.0103))
DONE = RunRow(
    ENTRY.model_copy(
        update={
            "run_id": "01m7y5p59xc6fey9ep0kjdone0", "phase": Phase.DONE, "state": "succeeded", "instance_id": None,
            "created_at": NOW - 7200,
        }
    ),
    RunView("succeeded", "all 9 pages ok"), 0, None, RunCost(0.5, 0.0, 0.01, None),
)  # fmt: skip
STOPPED = RunRow(
    ENTRY.model_copy(
        update={
            "run_id": "01m7y5p59xc6fey9ep0kjstop0", "instance_id": None, "created_at": NOW - 90_000,
            "problem": "lost [/x] box\x1b[31m",
        }
    ),
    replace(VIEW, state="interrupted"), 0, None,
)  # fmt: skip


def cells(row: RunRow) -> dict[str, str]:
    from console.screens.run_rows import COLUMNS

    drawn = run_row(row, NOW)
    return {column.called: cell.plain for column, cell in zip(COLUMNS, drawn.cells, strict=True)}


def test_a_live_run_tells_pace_money_and_when_it_is_done() -> None:
    told = cells(LIVE)
    assert told["run"] == "0kj13082"
    assert told["rate"] == "0.5"
    assert told["eta"] == "2m 00s"
    assert told["usd"] == "$0.12/$0.0103"
    assert told["by"] == done_by(120.0, NOW)
    assert told["errors"] == "2"
    assert told["instance"] == "31245"
    assert told["age"] == "10m 00s"
    values = run_row(LIVE, NOW).values
    assert (values["state"], values["eta"], values["errors"]) == ("running", 120.0, 2.0)


def test_a_run_that_is_over_promises_nothing() -> None:
    told = cells(DONE)
    assert (told["eta"], told["by"], told["rate"], told["usd"]) == ("–", "–", "–", "$0.50")


def test_a_time_of_another_day_names_the_day() -> None:
    assert len(done_by(60.0, NOW)) == 5
    assert len(done_by(3 * 86400.0, NOW)) > 5
    assert done_by(None, NOW) == ""


def test_nothing_of_the_world_gets_out_of_its_cell() -> None:
    assert cells(STOPPED)["note"].startswith("nobody drives it")
    entry = STOPPED.entry.model_copy(update={"phase": Phase.DONE, "state": "failed"})
    assert cells(replace(STOPPED, entry=entry))["note"] == "lost [/x] box\\x1b[31m"


def test_what_ended_between_two_looks_is_told_once() -> None:
    over = replace(LIVE, entry=ENTRY.model_copy(update={"phase": Phase.DONE, "state": "failed"}))
    assert ended_between([LIVE, DONE], [over, DONE]) == [over]
    assert ended_between([over, DONE], [over, DONE]) == []
    assert ended_between([], [over]) == [], "what was over when the console came is no news"


def test_before_a_run_is_cancelled_its_machine_and_money_are_named() -> None:
    question = cancel_question([LIVE, DONE])
    assert isinstance(question, Question)
    assert question.commands == (("cancel", ENTRY.run_id, "--yes"),)
    assert "40 of 100 items done, $0.12 spent; instance 31245 is destroyed" in question.detail
    assert cancel_question([DONE]) == "It has ended already."
    kept = replace(LIVE, entry=ENTRY.model_copy(update={"keep_instance": True}))
    assert "stays rented and is billed" in cancel_question([kept]).detail  # type: ignore[union-attr]


def test_a_stopped_run_goes_on_and_a_live_or_done_one_says_why_not() -> None:
    question = resume_question([STOPPED, LIVE], NOW)
    assert isinstance(question, Question)
    assert question.commands == (("run", "--resume", STOPPED.entry.run_id, "--yes"),)
    assert "may rent a machine" in question.detail
    assert resume_question([LIVE], NOW) == "Run 0kj13082 is live: process 4242 drives it."
    assert "has succeeded" in str(resume_question([DONE], NOW))


# ---- stages in time ----


def test_a_stage_keeps_its_first_beginning_over_a_resume() -> None:
    view = RunView()
    for event in (
        {"type": "stage", "stage": "a", "state": "started", "total": 2, "done": 0, "ts": 10.0},
        {"type": "stage", "stage": "a", "state": "finished", "total": 2, "done": 2, "ts": 20.0, "elapsed_s": 10.0},
    ):
        view = fold(view, event)
    assert view.stages["a"].wall_s(99.0) == 10.0
    view = fold(view, {"type": "stage", "stage": "a", "state": "started", "total": 2, "done": 1, "ts": 50.0})
    assert view.stages["a"].wall_s(60.0) == 50.0
    assert StageView("b").wall_s(60.0) is None


@pytest.mark.parametrize("width", [40, 70, 100, 180])
def test_every_stage_has_its_line_at_any_width(width: int) -> None:
    text = timeline_text(VIEW, lambda stage: "laptop" if stage == "analyze" else "31245", width, NOW)
    lines = text.plain.splitlines()
    assert [line.split()[0 if line.startswith("  ") else 1] for line in lines] == ["render", "detect", "analyze"]
    assert all("40/100" in line for line in lines[1:2])
    if width >= 100:
        assert all(len(line) <= width for line in lines)
        assert "2 failed" in lines[1]
        assert "laptop" in lines[2]


def test_a_stage_stands_where_it_was_in_time() -> None:
    early = StageView("a", "finished", started_at=0.0, ended_at=50.0)
    late = StageView("b", "started", started_at=50.0)
    assert span(early, 0.0, 100.0, 10).plain == "━━━━━·····"
    assert span(late, 0.0, 100.0, 10).plain == "·····━━━━━"
    assert span(StageView("c"), 0.0, 100.0, 10).plain == " " * 10


# ---- the list on screen ----


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    workspace, _ = create_workspace(tmp_path)
    for row, dpi in ((LIVE, 150), (DONE, 200)):
        folder = workspace.run_folder(row.entry.run_id)
        folder.mkdir(parents=True)
        (folder / "params.yaml").write_text(f"dpi: {dpi}\nrenderer: mupdf\n")
        made = {"path": "report.html", "sha256": "", "bytes": 7, "kind": "report", "stage": "r", "retention": "keep"}
        (folder / "artifacts.jsonl").write_bytes(orjson.dumps(made) + b"\n")
        Runbook(workspace).write(row.entry)
    return workspace


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_list_tells_state_and_money_at_every_size(place: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(place, "runs", live=False, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE, DONE, STOPPED])
        words = ("$0.12/$0.0103", "0kj13082", "running", "succeeded", "3 runs · 1 live")
        await until(pilot, lambda: all(each in shown(app) for each in words), "the runs and their money")
        assert view.problem_count == 1


async def test_runs_are_filtered_by_the_command_line(place: Workspace) -> None:
    app = SpotterApp(place, "runs", "state=succeeded", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE, DONE, STOPPED])
        table = app.query_one(KeyedTable)
        await until(pilot, lambda: [row.key for row in table.rows] == [DONE.entry.run_id], "the one")


async def test_two_marked_runs_are_compared_and_one_with_the_run_before_it(place: Workspace) -> None:
    app = SpotterApp(place, "runs", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE, DONE])
        await until(pilot, lambda: "− 200" in said(app, "#runs-parameters"), "the difference beside the list")
        await pilot.press("space", "down", "space", "d")
        await until(pilot, lambda: isinstance(app.screen, TextPage), "the page")
        assert "dpi" in app.screen.text.plain  # type: ignore[attr-defined]
        assert "renderer" not in app.screen.text.plain  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, TextPage), "the list")


async def test_the_target_of_a_cancel_is_the_row_at_the_key_press(place: Workspace) -> None:
    app = SpotterApp(place, "runs", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE, DONE])
        await until(pilot, lambda: app.query_one(KeyedTable).cursor_key == ENTRY.run_id, "the row")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        view.show([STOPPED, DONE])
        assert app.screen.question.commands == (("cancel", ENTRY.run_id, "--yes"),)  # type: ignore[attr-defined]
        await pilot.press("escape")
        app.read_only = True
        await pilot.press("K", "R")
        assert not isinstance(app.screen, Confirm)


async def test_the_end_of_a_run_rings(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[tuple[str, str, str]] = []

    def ring(_app: SpotterApp, title: str, text: str, how: str = "information") -> None:
        rung.append((title, text, how))

    monkeypatch.setattr(SpotterApp, "ring", ring)
    app = SpotterApp(place, "runs", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)):
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE, DONE])
        failed = ENTRY.model_copy(update={"phase": Phase.DONE, "state": "failed", "problem": "disk full"})
        view.show([replace(LIVE, entry=failed), DONE])
        view.show([replace(LIVE, entry=failed), DONE])
    assert rung == [("run 0kj13082", "failed: disk full", "error")]


async def test_outputs_open_in_a_page(place: Workspace) -> None:
    app = SpotterApp(place, "runs", live=False, clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE])
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, OutputsPage), "the page")
        await until(pilot, lambda: "report.html" in shown(app), "the file")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, OutputsPage), "the list")


async def test_a_real_workspace_is_read_by_itself_and_enter_opens_the_run(place: Workspace) -> None:
    app = SpotterApp(place, "runs")
    async with app.run_test(size=(120, 36)) as pilot:
        table = app.query_one("#runs-table", KeyedTable)
        await until(pilot, lambda: len(table.rows) == 2, "the runs")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.view, Run), "the run")
        await until(pilot, lambda: "0kj13082" in said(app, "#run-head"), "its head")
        await until(pilot, lambda: "dpi 150" in said(app, "#run-parameters"), "its parameters")


async def test_a_workspace_that_is_gone_keeps_its_runs_on_screen_and_never_says_that_there_was_none(
    place: Workspace,
) -> None:
    app = SpotterApp(place, view="runs", live=False)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Runs)
        view.show([LIVE])
        place.root.rename(place.root.with_name("unplugged"))
        with pytest.raises(WorkspaceError, match="no workspace") as reason:
            view.read()
        view.show_stale(str(reason.value))
        await until(pilot, lambda: "0kj13082" in shown(app) and "stale: This folder" in shown(app), "the run, stale")


def test_what_a_run_that_is_over_cost_is_asked_once(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def of(_reader: object, entry: RunEntry, _view: RunView) -> None:
        asked.append(entry.run_id)

    monkeypatch.setattr("console.models.run_cost.CostReader.of", of)
    runs = RunList(place)
    runs.refresh()
    runs.refresh()
    assert sorted(asked) == sorted([ENTRY.run_id, ENTRY.run_id, DONE.entry.run_id])


# ---- one run on screen ----

NEWS = RunNews(
    ENTRY,
    VIEW,
    (NamedFailure("data/[/x].pdf, page 3", "detect", "torn\x1b[0m"),),
    2,
    ("10:00:00 … rent: renting", "line [INFO] two"),
    LIVE.cost,
    (Coverage("data/a.pdf", 50, 50, 0, 50, 120), Coverage("data/empty.pdf", 10, 10, 0, 10, 0)),
    Outputs((Made("crop", 12, 4096),), (Made("report.html", 1, 7),)),
    {"dpi": "150", "detector.name": "opencv"},
    4242,
)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_one_run_tells_stages_money_documents_and_failures(place: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(place, "run", live=False, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Run)
        view.news = NEWS
        view.show(NEWS)
        await until(pilot, lambda: "done by" in said(app, "#run-head"), "when it is done")
        head = said(app, "#run-head")
        for words in ("running", "on 31245", "2 failures", "$0.12 so far", "$0.0103 to finish at $0.310/h"):
            assert words in head
        assert "⚠ nothing found" in said(app, "#run-coverage")
        assert "data/empty.pdf" in said(app, "#run-coverage")
        assert "data/[/x].pdf, page 3 detect: torn\\x1b[0m" in said(app, "#run-failures")
        assert "detect" in shown(app)
        assert "[INFO]" in shown(app)
        assert "crop" in str(app.query_one("#run-outputs", Static).render())
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, TextPage), "every document")
        assert app.screen.text.plain.splitlines()[0].endswith("data/empty.pdf")  # type: ignore[attr-defined]
        await pilot.press("escape", "K")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert app.screen.question.commands == (("cancel", ENTRY.run_id, "--yes"),)  # type: ignore[attr-defined]


async def test_a_run_leads_to_its_log_its_records_and_its_review(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[tuple[str, str]] = []
    app = SpotterApp(place, "run", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Run)
        view.news = NEWS
        view.show(NEWS)
        monkeypatch.setattr(app, "go", lambda name, argument="": gone.append((name, argument)))
        await pilot.press("l", "i", "w", "a")
        run_id = ENTRY.run_id
        assert gone == [("log", run_id), ("index", f"run:{run_id}"), ("review", run_id), ("form", run_id)]


async def test_a_run_that_is_not_there_is_said(place: Workspace) -> None:
    app = SpotterApp(place, "run", "nosuchrun")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "no run 'nosuchrun'" in said(app, "#run-head"), "the sentence")


async def test_an_answer_about_the_run_that_was_left_is_dropped(place: Workspace) -> None:
    app = SpotterApp(place, "run", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Run)
        view.open(DONE.entry.run_id)
        view.show(NEWS)
        await pilot.pause()
        assert said(app, "#run-head") == ""
        view.show(replace(NEWS, entry=DONE.entry))
        await until(pilot, lambda: "0kjdone0" in said(app, "#run-head"), "the run that is open")
