"""One instance on screen: charts that say how old they are, its story, its files, and what acts on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.actions.action import Question
from console.actions.registry import actions_of
from console.app import SpotterApp
from console.models.instance_charts import WINDOWS, bytes_per_s, charts_of, note_of, round_bytes_above
from console.models.instance_news import InstanceNews, LogTails, happenings_of, read_instance
from console.models.recorder import RecordedEvent
from console.models.recorder_samples import GpuLoad, Sample
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.screens.instance import OF_LIVING, Instance
from console.screens.instance_files import FilesPane
from console.screens.instance_rows import event_rows, facts, file_note, file_rows
from console.widgets.braille import BrailleChart
from console.workspace import create_workspace
from remote.jobs import RemoteEntry, RemoteFolder
from tests.console.piloting import said, shown, until

BOX, RUN = 31245, "01jtestrun0000000000000000"
EIGHT_HOURS_S = 28_800.0
NOW = (time.time() // EIGHT_HOURS_S + 150) * EIGHT_HOURS_S
"""Fifty days ahead, whenever that is: what is old by this machine's clock a recorder forgets."""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    place, _ = create_workspace(tmp_path)
    found = open_session(place)
    ledger = found.ledger
    ledger.open_instance(
        "local", BOX, label="spotter-op [/x]", gpu_name="RTX 4090", gpu_usd_per_hour=0.4, disk_usd_per_hour=0.01,
        machine_id=7, run_id=RUN,
    )  # fmt: skip
    ledger.instance_running("local", BOX)
    ledger.transition(None, "ready", cloud="local", instance_id=BOX, message="as good as it gets\x1b[31m")
    ledger.record_step("local", BOX, "venv", inputs_hash="h", state="failed", started_at=1.0, ended_at=3.0)
    ledger.record_job("job-1", "local", BOX, state="exited", run_id=RUN, exit_code=1)
    ledger.note_bad_machine("local", 7, "its disk was full")
    Runbook(place).write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="failed"))
    logs = place.run_folder(RUN) / "logs"
    logs.mkdir(parents=True)
    (logs / "job-1.log").write_text("first line\n[/x] \x1b[31mred\x1b[0m\nhalf a li")
    yield found
    found.recorder.close()
    ledger.close()


def fill(session: Session, now: float, *, gpus: int = 2, seconds: int = 100) -> None:
    session.recorder.keep(
        BOX,
        [
            Sample(
                at=now - back,
                gpus=tuple(GpuLoad(n, "RTX", 10.0 * n + back / 10, 1000, 24000, 60 + n, 200) for n in range(gpus)),
                cpu_percent=40.0, ram_used_mb=2000, ram_total_mb=16000, disk_used_gb=20, disk_total_gb=40,
            )
            for back in range(0, seconds, 5)
        ],
    )  # fmt: skip


def read(session: Session, now: float, **more: str) -> InstanceNews:
    return read_instance(session, BOX, WINDOWS[0], 100, now, tails=LogTails(), **more)  # type: ignore[arg-type]


# ---- models ----


def test_fresh_charts_say_now_and_old_ones_say_since_when_and_why(session: Session) -> None:
    fill(session, NOW)
    fresh = charts_of(session.recorder, BOX, WINDOWS[0], NOW, 100)
    assert [chart.title for chart in fresh] == [
        "GPU", "VRAM", "Power", "Temperature", "CPU", "RAM", "Disk", "Network",
    ]  # fmt: skip
    assert [(line.name, line.sign, line.now) for line in fresh[0].lines] == [("", "0", 0.0), ("", "1", 10.0)]
    assert not fresh[0].stale
    assert fresh[1].high == 24000
    old = charts_of(session.recorder, BOX, WINDOWS[0], NOW + 120, 100)
    assert old[0].stale
    assert old[0].note == "last sample 2m 00s ago"
    assert {line.now for chart in old for line in chart.lines} == {None}


@pytest.mark.parametrize(
    ("value", "top", "words"),
    [(0, 1, "1 B/s"), (700, 1000, "1000 B/s"), (1500, 2048, "2.0 KiB/s"), (150_000, 204_800, "200 KiB/s"),
     (5e6, 5 * 2**20, "5.0 MiB/s")],
)  # fmt: skip
def test_the_axis_of_the_network_ends_at_a_round_figure_of_its_unit(value: float, top: float, words: str) -> None:
    assert round_bytes_above(value) == pytest.approx(top)
    assert bytes_per_s(round_bytes_above(value)) == words


def test_all_of_the_past_begins_with_the_first_sample(session: Session) -> None:
    fill(session, NOW, seconds=7205)
    assert charts_of(session.recorder, BOX, WINDOWS[-1], NOW, 100)[0].begin == "-2h 00m"
    assert charts_of(session.recorder, BOX, WINDOWS[1], NOW, 100)[0].begin == "-1h 00m"


def test_a_host_without_a_gpu_has_no_gpu_charts_and_one_whose_driver_fails_says_so(session: Session) -> None:
    session.recorder.keep(BOX, [Sample(at=NOW, cpu_percent=1.0)])
    assert [chart.title for chart in charts_of(session.recorder, BOX, WINDOWS[0], NOW, 50)] == [
        "CPU", "RAM", "Disk", "Network",
    ]  # fmt: skip
    session.recorder.keep(BOX, [Sample(at=NOW + 5, cpu_percent=1.0, gpu_problem="nvidia-smi: no driver")])
    charts = charts_of(session.recorder, BOX, WINDOWS[0], NOW + 5, 50)
    assert (charts[0].title, charts[0].note) == ("GPU", "nvidia-smi: no driver")
    assert note_of(None, NOW) == "no samples yet"


def test_more_gpus_than_lines_are_mean_least_and_most(session: Session) -> None:
    fill(session, NOW, gpus=8)
    (mean, least, most) = charts_of(session.recorder, BOX, WINDOWS[0], NOW, 100)[0].lines
    assert (mean.name, mean.now, least.now, most.now) == ("mean of 8", 35.0, 0.0, 70.0)
    assert most.values[-1] == pytest.approx(70.0, abs=1)


def test_the_story_is_told_newest_first_with_what_failed_marked(session: Session) -> None:
    session.recorder.note(RecordedEvent(NOW, "guard", "its dead-man does not run", BOX))
    ledger = session.ledger
    found = happenings_of(
        ledger.history("local", BOX), ledger.steps("local", BOX), [], ledger.jobs(cloud="local", instance_id=BOX),
        session.recorder.events(), ahead_s=3600.0,
    )  # fmt: skip
    assert found[0].at == NOW + 3600
    assert sorted(found, key=lambda each: -each.at) == list(found)
    rows = event_rows(found, NOW)
    assert {row.cells[3].plain for row in rows if row.problem} == {
        "✗ venv failed 2 s", "✗ job-1 exited, exit code 1",
    }  # fmt: skip
    assert any(row.cells[3].plain == "ready: as good as it gets\\x1b[31m" for row in rows)
    assert len({row.key for row in rows}) == len(rows)


def test_a_log_is_followed_line_by_line(session: Session) -> None:
    folder = session.workspace.run_folder(RUN) / "logs"
    tails = LogTails()
    assert tails.fresh(folder) == ("first line", "[/x] \x1b[31mred\x1b[0m")
    assert tails.fresh(folder) == ()
    with (folder / "job-1.log").open("a") as log:
        log.write("ne\nmore\n")
    assert tails.fresh(folder) == ("half a line", "more")
    (folder / "job-2.log").write_text("of another try\n")
    assert tails.fresh(folder) == ("of another try",)
    assert LogTails().fresh(folder / "nowhere") == ()


def test_the_card_says_what_it_is_costs_and_lived_through(session: Session) -> None:
    text = facts(read(session, time.time())).plain
    for words in (
        "31245 RTX 4090", "spotter-op [/x]", "$0.410/h = GPU $0.400/h + disk $0.010/h",
        "machine 7, rented 1 time", "failed: its disk was full", "if this machine dies, the bill goes on",
    ):  # fmt: skip
        assert words in text
    session.ledger.close_instance("local", BOX)
    gone = facts(read(session, time.time())).plain
    assert "gone" in gone
    assert "if this machine dies" not in gone
    nobody = facts(replace(read(session, time.time()), instance_id=9, rented=None)).plain
    assert "Nothing is known here of instance 9" in nobody


def test_words_of_the_card_stand_under_their_beginning(session: Session) -> None:
    lines = facts(read(session, time.time()), 40).plain.splitlines()
    assert max(map(len, lines)) <= 40
    guard = next(at for at, line in enumerate(lines) if line.startswith("guard"))
    assert lines[guard + 1].startswith(" " * 12), lines


def test_charts_of_a_machine_that_is_gone_end_where_it_ended(session: Session) -> None:
    now = time.time()
    session.ledger.open_instance(
        "local", 6, label="l", gpu_name="G", gpu_usd_per_hour=1, disk_usd_per_hour=0, opened_at=now - 9000
    )
    session.ledger.close_instance("local", 6, at=now - 7200)
    session.recorder.keep(6, [Sample(at=now - 7210, gpus=(GpuLoad(0, "G", 55.0),))])
    (chart, *_rest) = read_instance(session, 6, WINDOWS[0], 100, now).charts
    assert (chart.end, chart.stale, chart.lines[0].now) == ("its end", False, 55.0)


def test_files_have_a_way_out_but_not_beyond_the_outermost(session: Session) -> None:
    entries = (RemoteEntry("b", "folder", 4096, NOW), RemoteEntry("[/x]\x1b[1m", "file", 2048, NOW - 90))
    inner = RemoteFolder("/root/spotter/runs", entries, 7000)
    rows = file_rows(inner, "/root/spotter", NOW)
    assert [row.cells[0].plain for row in rows] == ["..", "b/", "[/x]\\x1b[1m"]
    assert [cell.plain for cell in rows[2].cells[1:]] == ["2.0 KiB", "1m 30s", "file"]
    assert file_note(inner) == "/root/spotter/runs · 7000 entries, the first 2 are listed"
    assert file_rows(inner, "/root/spotter/runs", NOW)[0].key == "b"


# ---- screen ----


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_charts_facts_and_tabs_fit_every_screen(session: Session, size: tuple[int, int]) -> None:
    fill(session, NOW)
    app = SpotterApp(session.workspace, "instance", live=False, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Instance)
        view.show(read(session, NOW))
        await until(pilot, lambda: "GPU  0: 0 %" in shown(app), "the charts")
        assert view.crumbs == ("31245", "Overview")
        assert "[Overview]" in said(app, "#instance-tabs")
        assert view.targets() == ("31245",)
        chart = app.query_one("#chart-0", BrailleChart)
        assert chart.size.height >= 6
        await pilot.press("full_stop")
        await until(pilot, lambda: "[/x] \\x1b[31mred" in shown(app).replace("␛", "\\x1b"), "the log")
        await pilot.press("comma", "comma")
        await until(pilot, lambda: view.table is not None and view.table.id == "instance-events", "events")
        assert view.crumbs == ("31245", "Events")
        await pilot.press("comma", "enter")
        await until(pilot, lambda: app.view.NAME == "run", "the run")


async def test_files_are_walked_with_enter(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    app = SpotterApp(session.workspace, "instance", f"{BOX} files", live=False, clock=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        view = app.view
        assert isinstance(view, Instance)
        await until(pilot, lambda: view.crumbs == ("31245", "Files"), "the tab")
        pane = app.query_one(FilesPane)
        asked: list[str] = []
        monkeypatch.setattr(pane, "_ask", asked.append)
        pane.show(RemoteFolder("/root/spotter/runs", (RemoteEntry("b", "folder", 1, NOW),), 1), "/root/spotter")
        await until(pilot, lambda: len(pane.table.rows) == 2, "the rows")
        pane.table.focus_rows()
        await pilot.press("enter", "j", "enter")
        assert asked == ["/root/spotter", "/root/spotter/runs/b"]
        assert pane.path_under_cursor == "/root/spotter/runs/b"
        assert ("path", "/root/spotter/runs/b") in [(each.label, each.text) for each in view.copies()]
        pane.say("the box is gone [/x]")
        await pilot.pause()
        assert "not read: the box is gone [/x]" in shown(app)
        assert len(pane.table.rows) == 2


async def test_news_of_another_instance_are_dropped_and_wrong_words_are_said(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SpotterApp(session.workspace, "instance", str(BOX), live=False, clock=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        view = app.view
        assert isinstance(view, Instance)
        await until(pilot, lambda: view.targets() == ("31245",), "the instance")
        view.show(replace(read(session, NOW), instance_id=5))
        assert view.news is None
        told: list[str] = []
        monkeypatch.setattr(app, "tell", lambda message, _severity="": told.append(message))
        view.open("nonsense")
        assert told == ["nonsense is neither an instance's id nor a tab (overview, log, files, runs, events)"]


async def test_the_window_grows_and_shrinks_within_its_ends(session: Session) -> None:
    app = SpotterApp(session.workspace, "instance", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("minus")
        assert "window 5 min" in said(app, "#instance-tabs")
        for _press in range(9):
            await pilot.press("plus")
        assert "window all" in said(app, "#instance-tabs")
        await pilot.press("minus")
        assert "window 24 h" in said(app, "#instance-tabs")


async def test_an_idle_console_reads_by_itself_and_says_why_nothing_new_comes(session: Session) -> None:
    fill(session, time.time() - 600)
    app = SpotterApp(session.workspace, "instance", str(BOX))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "instance 31245 is gone" in shown(app), "the reason")
        assert "last sample 1" in shown(app)
        await pilot.press("1")
        await until(pilot, lambda: app.view.NAME == "fleet", "the fleet")
        await until(pilot, lambda: not app.sampling.problem(BOX), "nobody asks any more")


async def test_nothing_is_offered_to_do_to_a_machine_that_is_gone(session: Session) -> None:
    session.ledger.close_instance("local", BOX)
    app = SpotterApp(session.workspace, "instance", live=False, clock=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        view = app.view
        assert isinstance(view, Instance)
        of_living = [action for action in actions_of("instance") if action.id in OF_LIVING]
        await until(pilot, lambda: view.is_mounted, "the view")
        assert {view.refusal(action) for action in of_living} == {"There is no instance here."}
        view.show(read(session, NOW))
        assert {view.refusal(action) for action in of_living} == {"Instance 31245 is gone."}
        assert view.refusal(actions_of("instance")[0]) == ""


async def test_money_keys_ask_what_the_fleet_asks(session: Session) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    app = SpotterApp(session.workspace, "instance", str(BOX), live=False, clock=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.targets() == ("31245",), "the instance")
        fleet = app.view_called("fleet")
        for verb in ("destroy", "stop"):

            def question(targets: tuple[str, ...], verb: str = verb) -> Question:
                asked.append((verb, targets))
                return Question(f"{verb} it?", "d", verb, ((verb, *targets),), "n")

            setattr(fleet, f"question_fleet_{verb}", question)
        await pilot.press("D")
        await until(pilot, lambda: "destroy it?" in shown(app), "the question")
        await pilot.press("escape", "X")
        await until(pilot, lambda: asked == [("destroy", ("31245",)), ("stop", ("31245",))], "both questions")
