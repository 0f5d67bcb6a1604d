"""Figures over time, on screen and on the command line: the ledger's dollars, and a fleet that can be replayed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key

from console.app import SpotterApp
from console.commands.metrics import By, as_data, metrics, seconds_of
from console.errors import WrongInput
from console.models.metrics_charts import burn_chart, day_chart, quality_chart, run_chart
from console.models.metrics_rows import cells_of, summary, waste_bars
from console.models.recorder import MoneyPoint, RecordedEvent
from console.models.recorder_samples import GpuLoad, Sample
from console.operations.metrics import read_metrics, read_past
from console.operations.money import money_report
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.screens.metrics import Metrics, MetricsNews
from console.screens.metrics_replay import ReplayPane, read_scene
from console.workspace import create_workspace
from tests.console.piloting import said, shown, until

BOX, RUN = 31245, "01jtestrun0000000000000000"
HOUR, DAY = 3600.0, 86400.0


def events(now: float) -> list[dict[str, Any]]:
    """A run of 40 pages in an hour, one of which failed."""
    stage = {"type": "progress", "stage": "detect", "total": 40, "done": 40, "ok": 39, "failed": 1}
    return [
        {"seq": 0, "ts": now - 2 * HOUR, "type": "state", "state": "running"},
        {"seq": 1, "ts": now - HOUR, **stage},
        {"seq": 2, "ts": now - HOUR, "type": "item", "stage": "detect", "item": "p1", "status": "failed",
         "error": {"message": "[/x]"}},
        {"seq": 3, "ts": now - HOUR, "type": "state", "state": "incomplete"},
    ]  # fmt: skip


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    place, _ = create_workspace(tmp_path)
    found = open_session(place)
    now, ledger = time.time(), found.ledger
    ledger.open_instance(
        "local", BOX, label="l", gpu_name="RTX [/x]", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.1, run_id=RUN,
        download_usd_per_gb=0.01, opened_at=now - 3 * DAY,
    )  # fmt: skip
    ledger.instance_running("local", BOX, at=now - 2 * DAY)
    ledger.note_traffic("local", BOX, bytes_in=10**10, at=now - DAY)
    ledger.close_instance("local", BOX, at=now - HOUR)
    ledger.adjust("local", BOX, 0.5, "the bill", at=now - HOUR)
    ledger.open_instance("local", 5, label="l", gpu_name="H200", gpu_usd_per_hour=2.0, disk_usd_per_hour=0.2)
    Runbook(place).write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="incomplete", created_at=now)
    )
    folder = place.run_folder(RUN)
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events(now)))
    yield found
    found.recorder.close()
    ledger.close()


def news(session: Session, since: float = 0.0) -> MetricsNews:
    return MetricsNews(read_metrics(session, since), tuple(session.recorder.money()), time.time())


@contextmanager
def before_and_after(usd: Callable[[], float]) -> Iterator[list[float]]:
    """What is spent goes on by the second: the bounds of what is read meanwhile, but for the last digit."""
    bounds = [usd() - 1e-9]
    yield bounds
    bounds.append(usd() + 1e-9)


@pytest.mark.parametrize("back", [None, 10 * DAY, 1.5 * DAY, 600.0])
def test_every_sum_is_what_the_ledger_and_spotter_money_say(session: Session, back: float | None) -> None:
    since = 0.0 if back is None else time.time() - back
    with before_and_after(lambda: session.ledger.spent_usd(since, cloud="local")) as spent:
        report = read_metrics(session, since)
    assert spent[0] <= report.total_usd <= spent[1]
    for rows in (report.days, report.runs, report.gpus):
        assert sum(row.usd for row in rows) == pytest.approx(report.total_usd)
    assert sum(report.waste.values()) == pytest.approx(report.total_usd)
    if back is None:
        with before_and_after(lambda: read_metrics(session, since).total_usd) as spent:
            money = money_report(session, days=1e5)
        assert spent[0] <= sum(each.usd for each in money.instances) <= spent[1]
        (run,) = [each for each in money.runs if each.run_id == RUN]
        assert run.cost.usd_so_far == pytest.approx(report.figures[0].usd)


def test_a_run_tells_pages_pace_failures_and_what_a_thousand_pages_cost(session: Session) -> None:
    (run,) = read_metrics(session, 0.0).figures
    assert (run.pages, run.total, run.failed) == (40, 40, 1)
    assert run.pages_per_hour == pytest.approx(40)
    assert run.usd_per_1000 == pytest.approx(run.usd / 40 * 1000)
    assert read_metrics(session, time.time() - 60).figures == ()


def test_rows_and_charts_of_every_section(session: Session) -> None:
    report = read_metrics(session, time.time() - 7 * DAY)
    for by in By:
        titles, rows, note = cells_of(report, by.value)
        assert all(len(row) == len(titles) for row in rows)
        assert note
        assert bool(rows) is (by is not By.QUALITY)
    assert cells_of(report, "run")[1][0][:5] == ("00000000", "incomplete", "40/40", "1", "40")
    assert cells_of(report, "run")[1][-1][0] == "no run"
    assert any("RTX [/x]" in row for row in cells_of(report, "gpu")[1])
    assert summary(report)[1].startswith("40 pages, 1 failure, $")
    assert len(day_chart(report).lines[0].values) == len(report.days)
    assert run_chart(report).lines[0].now == pytest.approx(40)
    assert "never evaluated" in quality_chart(report).note
    bars = waste_bars(report.waste, report.total_usd, 60)
    assert bars[0].startswith("✗")
    assert max(map(len, bars)) <= 60


def test_what_burned_is_drawn_where_it_was_noted(session: Session) -> None:
    points = [MoneyPoint(1000.0 + 60 * n, 0.5, 1.0, None) for n in range(10)]
    chart = burn_chart(points, 0.0, 1000.0 + 7200)
    known = [value for value in chart.lines[0].values if value is not None]
    assert set(known) == {0.5}
    assert len(known) < 20
    assert burn_chart([], 0.0, 5000.0).note == "no console was there to note it"


@pytest.mark.parametrize(("span", "seconds"), [("90m", 5400.0), ("12h", 12 * HOUR), ("7d", 7 * DAY), ("all", None)])
def test_a_span_is_said_in_short(span: str, seconds: float | None) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["", "7", "d", "-1d", "0h", "7 days"])
def test_a_span_that_is_none_is_refused_with_an_example(span: str) -> None:
    with pytest.raises(WrongInput, match="7d"):
        seconds_of(span)


def test_the_command_prints_what_the_screen_shows(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.commands.metrics.session", lambda: session)
    assert metrics("all", By.WASTE) == 0
    printed = capsys.readouterr().out
    assert "bought nothing" in printed
    assert "RTX [/x]" in printed
    assert metrics("7d", By.DAY, as_json=True) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["total_usd"] == pytest.approx(sum(day["usd"] for day in data["days"]))
    assert data["figures"][0]["usd_per_1000"] > 0
    assert data["pages"] == 40
    assert as_data(read_metrics(session, 0.0))["waste"]


# ---- screen ----


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_sections_spans_and_rows(session: Session, size: tuple[int, int]) -> None:
    app = SpotterApp(session.workspace, "metrics", live=False)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Metrics)
        await until(pilot, lambda: view.is_mounted, "the view")
        view.show(news(session, time.time() - 7 * DAY))
        await until(pilot, lambda: "Spent a day" in shown(app), "the chart")
        assert "span 7 d" in said(app, "#metrics-head")
        assert view.crumbs == ("Days", "7 d")
        await pilot.press("n")
        await until(pilot, lambda: "Pages an hour, run by run" in shown(app), "the runs")
        await pilot.press("n", "n")
        await until(pilot, lambda: "[Waste]" in shown(app) and "setup" in shown(app), "waste")
        listing = view.listing()
        assert listing is not None
        assert listing.rows
        await pilot.press("3")
        assert view.window_s == DAY
        assert app.view is view
        await pilot.press("b", "b", "enter")
        await until(pilot, lambda: app.view.NAME == "run", "the run")


async def test_time_is_walked_back_and_played_forward(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.metrics_replay.PLAY_S", 0.01)
    now = time.time()
    at = now - 3 * HOUR
    session.recorder.keep(
        BOX, [Sample(at=at - 5 * n, gpus=(GpuLoad(0, "RTX", 87.0, 1024, 24576, 71, 300),)) for n in range(20)]
    )
    session.recorder.note(RecordedEvent(at - 10, "state", "ready → draining [/x]", BOX))
    app = SpotterApp(session.workspace, "metrics", "replay 1h", live=False, clock=lambda: now)
    async with app.run_test(size=(120, 40)) as pilot:
        view, pane = app.view, app.query_one(ReplayPane)
        await until(pilot, lambda: view.crumbs == ("Replay", "1 h"), "the replay")
        assert pane.at == now
        await pilot.press("comma", "comma")
        assert pane.at == now - 30
        await pilot.press("full_stop", "right_curly_bracket")
        assert pane.at == now
        await pilot.press("p")
        assert not pane.playing
        await pilot.press("left_curly_bracket")
        assert pane.at == now - 150
        await pilot.press("p")
        await until(pilot, lambda: pane.at == now and not pane.playing, "now, where it stops")
        pane.at = at
        pane.show(read_scene(app, at, None, 100))
        await until(pilot, lambda: "87" in shown(app), "the load of then")
        screen = shown(app)
        assert "ready → draining [/x]" in screen
        assert "$1.100/h" in screen
        assert "3h 00m ago" in screen
        went: list[tuple[str, str]] = []
        monkeypatch.setattr(app, "go", lambda view, argument="": went.append((view, argument)))
        await pilot.press("l")
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at))
        assert went == [("log", f"{RUN}@{clock}")]
        await pilot.press("escape")
        assert view.crumbs == ("Days", "1 h")
        assert pane.at is None


def test_before_anything_was_rented_there_is_no_fleet(session: Session) -> None:
    assert read_past(session, time.time() - 30 * DAY).instances == ()
    past = read_past(session, time.time() - 2.5 * DAY)
    assert [(each.instance_id, each.usd_per_hour) for each in past.instances] == [(BOX, 0.1)]


@pytest.mark.parametrize(
    ("argument", "back_s", "charts_of"),
    [
        (RUN, HOUR - 60, BOX),
        (f"{RUN}@{{clock}}", 1.5 * HOUR, BOX),
        ("5@{clock}", 1.5 * HOUR, 5),
        ("@{clock}", 1.5 * HOUR, None),
    ],
)
async def test_a_log_line_or_a_hit_opens_the_replay_at_its_second(
    session: Session, argument: str, back_s: float, charts_of: int | None
) -> None:
    now = float(int(time.time()))
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now - back_s))
    app = SpotterApp(session.workspace, "metrics", argument.format(clock=clock), live=False, clock=lambda: now)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = app.query_one(ReplayPane)
        await until(pilot, lambda: pane.at is not None and abs(pane.at - (now - back_s)) < 5, "the moment")
        assert app.view.crumbs == ("Replay", "1 h")
        assert pane.instance_id == charts_of


async def test_keys_that_come_at_once_all_reach_the_view(session: Session) -> None:
    app = SpotterApp(session.workspace, "metrics", live=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.is_mounted and app.focused is not None, "the view")
        for key in "nnnnn2":
            app.post_message(Key(key, key))
        await until(pilot, lambda: app.view.crumbs == ("Replay", "6 h"), "the last key")


async def test_what_cannot_be_meant_is_said(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    app = SpotterApp(session.workspace, "metrics", live=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.view.is_mounted, "the view")
        told: list[str] = []
        monkeypatch.setattr(app, "tell", lambda message, _severity="": told.append(message))
        app.view.open("nonsense 30d")
        assert told[0].startswith("nonsense is no section and no span")
        assert app.view.crumbs == ("Days", "30 d")
