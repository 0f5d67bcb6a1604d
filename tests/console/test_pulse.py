"""The pulse: what each tile says of its instance, what is summed up below, the view, and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from console.app import SpotterApp
from console.models.fleet import FleetView, GuardView, InstanceView, Load, Work
from console.models.pulse import SIGNS, PulseNews, level_of, pulse_json, tile_of, tiles_of, wanted_runs
from console.models.pulse_words import (
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDEST_TILE,
    grid,
    pulse_lines,
    summary,
    tile_lines,
    tile_width,
    tiles_across,
)
from console.models.run_view import RunView, StageView
from console.models.runs import RunRow
from console.operations.doctor import Finding
from console.operations.pulse import PulseReader
from console.operations.runbook import Phase, RunEntry
from console.operations.session import open_session
from console.screens.pulse import Pulse
from console.workspace import create_workspace
from tests.console.piloting import said, shown, until

SPOTTER = Path(sys.executable).parent / "spotter"
NOW = 1_800_000_000.0
GUARD = GuardView(NOW + 7200, "destroy", 3600.0, "stop", True, "")
WELL = InstanceView(
    31245, "RTX 4090", "ready", 0.41, 1.5, NOW - 7200, "label", "Sweden", ("direct 1.2.3.4:22",), "", "01krun00000042",
    guard=GUARD, load=Load(NOW - 2, (0.2, 0.62)),
    work=Work("01krun00000042", "docparse", "running", 12, 40, 99, NOW - 5, NOW - 1),
)  # fmt: skip
ENTRY = RunEntry(run_id="01m7y5p59xc6fey9ep0kj13082", pipeline="docparse", plan_key="k", created_at=50.0)


def fleet(*instances: InstanceView, **more: Any) -> FleetView:
    return FleetView(instances, 3.2, 25.0, heard_at=NOW, now=NOW, **more)


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({}, "ok", ""),
        ({"standing": "foreign"}, "foreign", ""),
        ({"standing": "orphan"}, "error", "billed to nobody's use"),
        ({"standing": "missing"}, "error", "the cloud does not list it"),
        ({"stale": True}, "stale", "does not say"),
        ({"guard": None}, "warning", "nothing ends its bill"),
        ({"guard": replace(GUARD, proven=False)}, "warning", "nothing ends its bill"),
        ({"run_id": None, "work": None}, "warning", "idle"),
        ({"state": "stopped", "run_id": None, "work": None}, "warning", "its disk costs on"),
        ({"state": "loading", "since": NOW - 3600}, "warning", "still loading"),
        ({"state": "offline", "since": NOW - 3600}, "error", "host is away"),
        ({"load": Load(NOW - 2, (0.5,), disk=0.99)}, "error", "disk is 99% full"),
    ],
)
def test_a_tile_says_the_gravest_of_its_instance(change: dict[str, Any], level: str, words: str) -> None:
    tile = tile_of(replace(WELL, **change), NOW, NOW)
    assert tile.level == level
    assert words in tile.reason
    box = "\n".join(line.plain for line in tile_lines(tile))
    assert f"{SIGNS[tile.level]} 31245" in box


def test_a_tile_shows_gpu_price_run_and_age_and_old_figures_are_none() -> None:
    lines = [line.plain for line in tile_lines(tile_of(WELL, NOW, NOW))]
    assert "62%" in lines[2]
    assert "$0.410/h · 2h 00m" in lines[3]
    assert "run 00000042 12/40" in lines[4]
    assert "ready" in lines[5]
    assert tile_of(WELL, NOW, NOW + 61).busy is None
    assert "no figures" in tile_lines(tile_of(replace(WELL, load=None), NOW, NOW))[2].plain


@pytest.mark.parametrize(
    "name", ["", "a long name of the operator's own", "漢字漢字漢字漢字漢字漢字", "\x1b[31m[/x]\u202e"]
)
@pytest.mark.parametrize("chosen", [False, True])
def test_every_line_of_a_tile_is_as_wide_as_the_tile(name: str, chosen: bool) -> None:
    for change in ({}, {"guard": None}, {"id": 123456789012345678901234567890}):
        lines = tile_lines(tile_of(replace(WELL, note=name, **change), NOW, NOW), chosen=chosen)
        assert len(lines) == TILE_HEIGHT
        assert {cell_len(line.plain) for line in lines} == {TILE_WIDTH}
        assert all(line.plain.isprintable() for line in lines)


def test_what_is_wrong_comes_first_and_the_grid_fills_its_width() -> None:
    others = [replace(WELL, id=number) for number in range(1, 6)]
    tiles = tiles_of(fleet(*others, replace(WELL, id=9, guard=None), replace(WELL, id=8, standing="orphan")), NOW, NOW)
    assert [tile.key for tile in tiles] == ["8", "9", "1", "2", "3", "4", "5"]
    assert tiles_across(80) == 3
    drawn = grid(tiles, "9", 80).plain.splitlines()
    assert len(drawn) == 3 * TILE_HEIGHT
    assert max(map(cell_len, drawn)) == 3 * tile_width(7, 80)


def test_tiles_share_the_screen_so_that_less_of_their_words_is_cut() -> None:
    tiles = tiles_of(fleet(*[replace(WELL, id=number) for number in range(2, 4)]), NOW, NOW)
    assert [tile_width(count, 120) for count in (1, 2, 3, 4, 9)] == [WIDEST_TILE, WIDEST_TILE, 40, 30, 30]
    assert tile_width(2, 20) == TILE_WIDTH
    assert max(map(cell_len, grid(tiles, "2", 120).plain.splitlines())) == 2 * WIDEST_TILE


def run_row(state: str, done: int = 4, **more: Any) -> RunRow:
    view = RunView(state="running", stages={"render": StageView("render", state="started", done=done, total=10)})
    phase = Phase.LAUNCHED if state == "running" else Phase.DONE
    entry = ENTRY.model_copy(update={"phase": phase, "state": state})
    return RunRow(entry, view, 0, 42 if state == "running" else None, **more)


def test_runs_that_work_come_before_those_that_want_an_eye_and_well_ended_ones_are_left_out() -> None:
    rows = [run_row("failed"), run_row("succeeded"), run_row("running"), *[run_row("failed")] * 9]
    assert [row.state for row in wanted_runs(rows)] == ["running", *["failed"] * 5]


def test_the_lines_below_sum_money_runs_and_checks_up() -> None:
    findings = (
        Finding("python", "ok", "3.11"),
        Finding("disk", "warning", "1 GB free"),
        Finding("instances", "warning", "1 rented"),
        Finding("vast.ai key", "error", "\x1b missing"),
        Finding("index", "ok", "120 records"),
    )
    news = PulseNews(fleet(WELL, replace(WELL, id=2, standing="orphan")), (run_row("running"),), findings)
    lines = summary(news, NOW, NOW, 100).plain.splitlines()
    assert lines[0].endswith("2 instances · 1 wrong · 1 well")
    assert lines[1].startswith("✓ docparse 0kj13082 running · ")
    assert "4/10" in lines[1]
    assert lines[2:] == [
        "✗ vast.ai key: \\x1b missing",
        "! disk: 1 GB free",
        "✓ index: 120 records",
        "✓ 1 check is well",
    ]
    assert level_of(news, NOW, NOW) == "error"
    said_of = pulse_json(news, NOW, NOW)
    assert json.loads(json.dumps(said_of)) == said_of
    assert [each["level"] for each in said_of["instances"]] == ["error", "ok"]
    assert "instances" not in {each["subject"] for each in said_of["checks"]}, "the tiles say so already"


def test_an_error_never_reads_as_nothing_rented() -> None:
    silent = PulseNews(FleetView(error="the cloud is away", heard_at=NOW - 60, now=NOW))
    words = "\n".join(pulse_lines(silent, NOW, NOW))
    assert "NO ANSWER of the cloud 1m 00s: the cloud is away" in words
    assert "nothing is rented" not in words
    assert level_of(silent, NOW, NOW) == "stale"
    assert "nothing is rented" in "\n".join(pulse_lines(PulseNews(fleet()), NOW, NOW))
    assert "being asked" in "\n".join(pulse_lines(PulseNews(None), NOW, NOW))


# ---- the view ----


@pytest.fixture
def app(tmp_path: Path) -> SpotterApp:
    return SpotterApp(create_workspace(tmp_path)[0], "pulse", live=False, clock=lambda: NOW)


def pulse_of(app: SpotterApp) -> Pulse:
    view = app.view_called("pulse")
    assert isinstance(view, Pulse)
    return view


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_the_tiles_stand_at_every_size_and_the_chosen_one_stays_chosen(
    app: SpotterApp, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        view = pulse_of(app)
        boxes = [replace(WELL, id=number) for number in range(1, 10)]
        view.show(PulseNews(fleet(*boxes)))
        await until(pilot, lambda: "✓ 1 " in shown(app), "the tiles")
        assert app.focused is not None
        assert app.focused.id == "pulse-grid"
        await pilot.press("right", "down")
        across = tiles_across(view._width)
        place = 1 + across if 1 + across < 9 else 8
        assert view.targets() == (str(place + 1),)
        view.show(PulseNews(fleet(replace(boxes[8], standing="orphan"), *boxes[:8])))
        assert view.targets() == (str(place + 1),), "though it moved"
        await until(pilot, lambda: "✗ 9 " in shown(app), "the orphan in front")
        assert view.problem_count == 1
        await pilot.press(*["down"] * 9)
        await until(pilot, lambda: f" {view.targets()[0]} " in shown(app), "the last tile scrolled into sight")


async def test_enter_goes_to_the_instance_and_t_to_its_run(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[tuple[str, str]] = []
    async with app.run_test() as pilot:
        view = pulse_of(app)
        await until(pilot, lambda: app.focused is not None, "the keyboard")
        monkeypatch.setattr(app, "go", lambda name, argument="": went.append((name, argument)))
        await pilot.press("enter")
        assert went == [], "there is no tile yet"
        view.show(PulseNews(fleet(WELL)))
        await pilot.press("enter", "t")
        assert went == [("instance", "31245"), ("run", "01krun00000042")]
        view.show(PulseNews(fleet(replace(WELL, run_id=None, work=None))))
        await pilot.press("t")
        assert len(went) == 2
        listing = view.listing()
        assert listing is not None
        assert listing.rows[0][0] == 31245
        assert len(listing.rows[0]) == len(listing.columns)


async def test_a_click_chooses_and_a_second_opens(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[tuple[str, str]] = []
    async with app.run_test(size=(120, 36)) as pilot:
        view = pulse_of(app)
        view.show(PulseNews(fleet(WELL, replace(WELL, id=40000))))
        await until(pilot, lambda: "40000" in shown(app), "the tiles")
        monkeypatch.setattr(app, "go", lambda name, argument="": went.append((name, argument)))
        await pilot.click("#pulse-tiles", offset=(WIDEST_TILE + 3, 2))
        assert view.targets() == ("40000",)
        await pilot.click("#pulse-tiles", offset=(WIDEST_TILE + 3, 2), times=2)
        assert went == [("instance", "40000")]


async def test_before_the_cloud_answered_and_with_nothing_rented_the_view_says_so(app: SpotterApp) -> None:
    async with app.run_test() as pilot:
        view = pulse_of(app)
        view.show(PulseNews(None))
        await pilot.pause()
        assert "not heard yet" in said(app, "#pulse-tiles")
        view.show(PulseNews(fleet()))
        assert "Nothing is rented" in said(app, "#pulse-tiles")
        view.show(PulseNews(FleetView(error="away", now=NOW)))
        assert "Nothing is rented" not in said(app, "#pulse-tiles")


# ---- reading ----


def test_the_doctor_is_asked_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    clock = [0.0]

    def examine(*_told: object) -> list[Finding]:
        asked.append(clock[0])
        return []

    monkeypatch.setattr("console.operations.doctor.examine", examine)
    reader = PulseReader(open_session(create_workspace(tmp_path)[0]), lambda: clock[0])
    for clock[0] in (0.0, 2.0, 59.0, 60.0, 61.0):
        assert reader.read(None).fleet is None
    assert asked == [0.0, 60.0]


def test_the_command_says_the_same_in_lines_and_in_json(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path)[0]
    done = subprocess.run(
        [SPOTTER, "-C", workspace.root, "pulse", "--json"], capture_output=True, text=True, check=False
    )
    told = json.loads(done.stdout)
    assert done.returncode == (1 if told["level"] in ("error", "stale") else 0)
    assert told["instances"] == []
    assert told["emulated"] is True
    assert any(each["subject"] == "workspace" for each in told["checks"])
