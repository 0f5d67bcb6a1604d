"""The fleet's screen over hand-made news: what it shows at every size, what its keys do, and when it rings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from console import language
from console.app import SpotterApp
from console.models.fleet import FleetView
from console.screens.fleet import Fleet, FleetSilent
from console.screens.fleet_guard import GuardPanel, LabelField
from console.widgets.burn_line import TopLine
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import said, shown, until
from tests.console.test_burn import NOW, OURS, fleet
from tests.console.test_fleet import LOAD, WORK

FREE = replace(OURS, run_id=None, note="free one")
BUSY = replace(OURS, id=40000, run_id=WORK.run_id, work=replace(WORK, heard_at=NOW, progressed_at=NOW),
               load=replace(LOAD, at=NOW), since=NOW - 60)  # fmt: skip
FOREIGN = replace(FREE, id=50000, standing="foreign", label="[/x] somebody-elses", note="")
VIEW = fleet(FREE, BUSY, FOREIGN)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")[0]


@pytest.fixture
def russian() -> Iterator[None]:
    language.use("ru")
    yield
    language.use("en")


def app_of(workspace: Workspace, **more: Any) -> SpotterApp:
    return SpotterApp(workspace, "fleet", live=False, clock=lambda: NOW, **more)


@asynccontextmanager
async def opened(
    app: SpotterApp, view: FleetView = VIEW, size: tuple[int, int] = (120, 36), **more: Any
) -> AsyncIterator[tuple[Pilot[None], Fleet]]:
    """The console on the fleet, with these rows on screen."""
    async with app.run_test(size=size, **more) as pilot:
        await until(pilot, lambda: app.query_one(KeyedTable).is_attached, "the table")
        made = app.query_one(Fleet)
        made.show(view)
        await until(pilot, lambda: not view.instances or made.marked is not None, "the rows")
        yield pilot, made


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that were begun."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(SpotterApp, "run_command", lambda _app, argv, _note: commands.append(argv))
    return commands


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was said in the corner."""
    told: list[str] = []
    monkeypatch.setattr(SpotterApp, "tell", lambda _app, message, *_more: told.append(message))
    return told


def put(made: Fleet, instance_id: int) -> None:
    assert made.query_one(KeyedTable).put_cursor(str(instance_id))


@pytest.mark.parametrize(
    ("size", "lang"), [((80, 24), "en"), ((80, 24), "ru"), ((120, 36), "en"), ((200, 50), "ru")], ids=str
)
async def test_every_size_shows_whose_it_is_how_it_does_and_what_it_costs(
    workspace: Workspace, size: tuple[int, int], lang: str
) -> None:
    language.use(lang)
    try:
        app = app_of(workspace)
        async with opened(app, size=size) as (pilot, made):
            put(made, BUSY.id)
            await until(pilot, lambda: "97%" in said(app, "#fleet-card"), "the card of the busy one")
            text = shown(app)
            for words in ("31245", "40000", "50000", "0.400", "$0.400/ч" if lang == "ru" else "$0.400/h", "RTX 4090"):
                assert words in text
    finally:
        language.use("en")


async def test_the_top_line_is_told_what_burns_also_while_another_view_is_on_screen(workspace: Workspace) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        line = app.query_one(TopLine)
        await pilot.pause()
        assert line.burn is not None
        assert (line.burn.burn, line.burn.alarms) == ("$0.400/h", "1 idle ⚠")
        made.news = replace(VIEW, error="no answer", heard_at=NOW - 60)
        app.go("instance")
        made._draw()
        assert "stale 1m 00s" in line.burn.alarms


async def test_a_key_leads_from_the_marked_instance_to_what_belongs_to_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[tuple[str, str]] = []
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        put(made, BUSY.id)
        monkeypatch.setattr(app, "go", lambda view, argument="": went.append((view, argument)))
        await pilot.press("enter", "t", "l", "u", "J", "n")
        await until(pilot, lambda: len(went) == 6, "the ways there")
    run = WORK.run_id
    assert went == [
        ("instance", "40000"), ("run", run), ("log", run), ("sync", "40000"), ("services", "40000"), ("offers", ""),
    ]  # fmt: skip


async def test_keys_that_cannot_help_say_why(workspace: Workspace, notes: list[str]) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        put(made, FOREIGN.id)
        for key in ("s", "a", "b", "X", "D", "R"):
            await pilot.press(key)
        await until(pilot, lambda: len(notes) >= 6, "the reasons")
        assert all("was not rented from this workspace" in each for each in notes)
        put(made, FREE.id)
        await pilot.press("t")
        await until(pilot, lambda: len(notes) >= 7, "the reason")
        assert notes[-1] == "No run works on instance 31245."
        made.show(fleet())
        await until(pilot, lambda: made.marked is None, "no rows")
        await pilot.press("s", "D")
        await until(pilot, lambda: len(notes) >= 9, "the reasons")
        assert notes[-2:] == ["Mark an instance first."] * 2


async def test_a_row_says_what_is_being_done_to_it_from_the_yes_until_it_is_gone_or_failed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = SimpleNamespace(exit_code=None, last_line=lambda: "")
    monkeypatch.setattr("console.operations.background.start_beside", lambda *_: process)
    app = app_of(workspace)

    def states() -> list[str]:
        return [row.cells[6].plain for row in made.query_one(KeyedTable).rows]

    async with opened(app) as (pilot, made):
        put(made, FREE.id)
        before = states()
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press(*"1245", "enter")
        await until(pilot, lambda: not isinstance(app.screen, Confirm), "the yes")
        assert states() == ["destroying…", *before[1:]]
        made.show(VIEW)  # the cloud lists it still
        assert states()[0] == "destroying…"
        process.exit_code = 1
        await until(pilot, lambda: app.commands.entries[-1].exit_code == 1, "its end")
        made.show(VIEW)
        assert states() == before


async def test_a_destroy_asks_about_the_row_at_the_key_press_while_rows_move_under_it(
    workspace: Workspace, ran: list[tuple[str, ...]]
) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        put(made, BUSY.id)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        made.show(fleet(replace(FREE, id=1), replace(FREE, id=2), FREE, BUSY))
        await pilot.press("y", "enter")
        assert isinstance(app.screen, Confirm)
        await pilot.press("backspace", *"0000", "enter")
        await until(pilot, lambda: ran, "the command")
    assert ran == [("destroy", "40000", "--yes")]


async def test_marked_rows_go_together_after_their_count_is_typed(
    workspace: Workspace, ran: list[tuple[str, ...]]
) -> None:
    app = app_of(workspace)
    async with opened(app, fleet(FREE, replace(FREE, id=31246))) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("space", "down", "space", "D")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("2", "enter")
        await until(pilot, lambda: ran, "the commands")
    assert ran == [("destroy", "31245", "--yes"), ("destroy", "31246", "--yes")]


async def test_read_only_refuses_what_touches_money_also_in_the_guards_panel(
    workspace: Workspace, notes: list[str]
) -> None:
    app = app_of(workspace, read_only=True)
    async with opened(app) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("X", "D", "R", "a")
        await until(pilot, lambda: isinstance(app.screen, GuardPanel), "the panel")
        await pilot.press("R")
        await until(pilot, lambda: len(notes) == 4, "four refusals")
        assert all("read-only" in each for each in notes)
        assert not isinstance(app.screen, Confirm)


async def test_the_guard_is_shown_and_prolonged_by_the_hours_that_were_chosen(
    workspace: Workspace, ran: list[tuple[str, ...]]
) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("a")
        await until(pilot, lambda: "at most $0.80 more" in said(app, "#guard-words"), "the terms")
        assert "$1.80 when it fires" in said(app, "#guard-words")
        await pilot.press("5")
        await until(pilot, lambda: "5 hours longer" in said(app, "#guard-words"), "five hours")
        made.show(fleet(BUSY))  # it goes meanwhile
        await pilot.press("R")
        await until(pilot, lambda: app.screen is app.screen_stack[0], "the end of the panel")
        made.show(VIEW)
        put(made, FREE.id)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, GuardPanel), "the panel")
        await pilot.press("5", "R")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("y")
        await until(pilot, lambda: ran, "the command")
    assert ran == [("guard", "31245", "--add-hours", "5", "--yes")]


async def test_a_label_is_kept_on_this_machine_and_shown_at_once(workspace: Workspace) -> None:
    app = app_of(workspace)
    async with opened(app, size=(160, 40)) as (pilot, made):
        put(made, BUSY.id)
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, LabelField), "the field")
        await pilot.press(*"night[/x]", "enter")
        await until(pilot, lambda: made.marked is not None and made.marked.note == "night[/x]", "the label")
        assert "night[/x]" in shown(app)
    from console.models.fleet_facts import read_notes

    assert read_notes(workspace.state, app.session().cloud_name) == {40000: "night[/x]"}


async def test_a_silence_keeps_the_rows_greys_them_and_says_why_and_what_is_rented_by_the_ledger(
    workspace: Workspace,
) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        made._silent = replace(
            VIEW, instances=tuple(replace(each, stale=True) for each in VIEW.instances), error="HTTP 500 [/x]"
        )
        made._heard((None, "HTTP 500 [/x]"))
        await until(pilot, lambda: "HTTP 500 [/x]" in shown(app), "why")
        assert [row.stale for row in made.query_one(KeyedTable).rows] == [True] * 3
        assert "31245" in shown(app)
        assert "STALE" in shown(app)


async def test_what_went_between_two_answers_rings_and_what_was_asked_for_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rang: list[str] = []
    monkeypatch.setattr(SpotterApp, "ring", lambda _app, title, _text, _severity="information": rang.append(title))
    app = app_of(workspace)
    async with opened(app, fleet(FREE, replace(BUSY, state="destroying"))) as (pilot, made):
        made._heard((fleet(), ""))
        await until(pilot, lambda: rang, "the bell")
    assert rang == ["instance 31245 is gone"]


def test_reading_raises_when_nobody_answers_and_hands_over_what_is_known(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(VIEW, error="no answer")
    monkeypatch.setattr("console.models.fleet.read_fleet", lambda *_: known)

    async def read() -> None:
        app = app_of(workspace)
        async with opened(app, size=(80, 24)) as (_pilot, made):
            with pytest.raises(FleetSilent, match="no answer"):
                made.read()
            assert made._silent is known

    asyncio.run(read())


@pytest.mark.parametrize("made", ["folder", "[1]", "{", '{"local": {"x": 1}}'])
def test_labels_that_cannot_be_read_hide_no_machine(tmp_path: Path, made: str) -> None:
    from console.models.fleet_facts import notes_file, read_notes

    if made == "folder":
        notes_file(tmp_path).mkdir()
    else:
        notes_file(tmp_path).write_text(made)
    assert read_notes(tmp_path, "local") == {}


async def test_names_for_ssh_that_cannot_be_written_hide_no_money(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_session: object) -> bool:
        raise PermissionError(13, "Permission denied", "/home/op/.ssh/spotter.d/x.conf")

    monkeypatch.setattr("console.models.fleet.read_fleet", lambda *_: VIEW)
    monkeypatch.setattr("console.operations.ssh_config.refresh", refuse)
    monkeypatch.setattr("console.operations.samples.Sampling.want", lambda *_: None)
    app = app_of(workspace)
    async with opened(app, size=(120, 24), notifications=True) as (pilot, made):
        for _look in range(2):
            made._heard((made.read(), ""))
        await until(pilot, lambda: "x.conf: Permission denied" in shown(app), "why")
        assert made.stale == ""


async def test_what_can_be_copied_is_named(workspace: Workspace) -> None:
    app = app_of(workspace)
    async with opened(app, fleet(replace(BUSY, endpoints=("direct 10.0.0.1:22",)))) as (pilot, made):
        found = {each.label: each.text for each in made.copies()}
        assert found["id"] == "40000"
        assert found["ssh command"].endswith("ssh 40000")
        assert found["endpoint"] == "direct 10.0.0.1:22"
        assert found["run"] == WORK.run_id
        made.show(fleet(FOREIGN))
        await until(pilot, lambda: made.marked is not None and made.marked.id == FOREIGN.id, "the foreign one")
        assert "ssh command" not in {each.label for each in made.copies()}


@pytest.mark.usefixtures("russian")
async def test_an_argument_puts_the_cursor_on_an_instance_or_filters(workspace: Workspace) -> None:
    app = app_of(workspace)
    async with opened(app) as (pilot, made):
        made.open("40000")
        await until(pilot, lambda: made.marked is not None and made.marked.id == 40000, "the instance")
        made.open("whose:foreign")
        await until(pilot, lambda: [row.key for row in made.query_one(KeyedTable).rows] == ["50000"], "the filter")
