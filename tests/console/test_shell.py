"""The shell itself, over two small views: keys, questions, read-only, what is stale, the lines above and below."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import ComposeResult
from textual.command import DiscoveryHit
from textual.keys import _character_to_key
from textual.widgets import Input, OptionList, Static

from console.actions.action import Action, Question
from console.app import SpotterApp
from console.models.burn import BurnWords
from console.screens import catalog
from console.screens.view import Copyable, PolledView, View
from console.widgets.burn_line import TopLine
from console.widgets.command_log import CommandLogPane
from console.widgets.confirm import Confirm
from console.widgets.dialog import Dialog
from console.widgets.jump import JumpOverlay
from console.widgets.key_line import KeyLine
from console.widgets.key_names import beside_typing
from console.widgets.palette import PaletteScreen
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until


class Boxes(PolledView[list[str]]):
    NAME = "runs"
    POLL_S = 0.05

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[list[str] | Exception] = [["one", "two"]]
        self.drawn: list[list[str]] = []
        self.marked = "one"
        self.gate: threading.Event | None = None

    def compose_main(self) -> ComposeResult:
        yield Static("boxes", id="boxes-body")
        yield Input(id="boxes-field")

    def compose_side(self) -> ComposeResult:
        yield Static("details")

    def focus_main(self) -> None:
        self.focus()

    def read(self) -> list[str]:
        if self.gate is not None:
            self.gate.wait(60)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def show(self, news: list[str]) -> None:
        self.drawn.append(news)

    def targets(self) -> tuple[str, ...]:
        return (self.marked,)

    def refusal(self, action: Action) -> str:
        return "Mark something first." if not self.marked else ""

    def question_runs_cancel(self, targets: tuple[str, ...]) -> Question | str:
        if targets == ("foreign",):
            return "It is not ours."
        return Question(f"Destroy {targets[0]}?", "gone [/x]", "Destroy", (("destroy", targets[0]),), "destroy", "3456")

    def question_runs_resume(self, targets: tuple[str, ...]) -> Question | str:
        return Question(f"Stop {targets[0]}?", "costs disk", "Stop", (("stop", targets[0]),), f"stop {targets[0]}")


class Market(View):
    NAME = "offers"

    def compose_main(self) -> ComposeResult:
        yield Static("market")

    def open(self, argument: str) -> None:
        super().open(argument)
        self.query_one(Static).update(argument)

    @property
    def crumbs(self) -> tuple[str, ...]:
        return (self.argument,) if self.argument else ()


class Quiet(View):
    NAME = "fleet"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpotterApp:
    views = {"runs": Boxes, "offers": Market, "fleet": Quiet}
    monkeypatch.setattr("console.viewing.make_view", lambda name: views[name]())
    assert set(views) <= set(catalog.CLASSES)
    workspace: Workspace
    workspace, _ = create_workspace(tmp_path)
    return SpotterApp(workspace, "runs")


def boxes(app: SpotterApp) -> Boxes:
    view = app.view_called("runs")
    assert isinstance(view, Boxes)
    return view


def runs_of(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    begun: list[tuple[str, ...]] = []
    monkeypatch.setattr(app, "run_command", lambda argv, note: begun.append(argv))
    return begun


async def test_a_yes_runs_what_was_asked_though_the_rows_moved_meanwhile(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("R")
        boxes(app).marked = "two"
        await pilot.press("y")
        assert begun == [("stop", "one")]


async def test_a_yes_leads_to_the_view_that_shows_what_comes_of_it(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30)) as pilot:
        app.ask(Question("Rent 7?", "costs", "Rent", (("rent", "7"),), "rent 7", then="fleet"))
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert app.view.NAME == "runs"
        await pilot.press("y")
        await until(pilot, lambda: app.view.NAME == "fleet", "the fleet")
        assert begun == [("rent", "7")]


async def test_enter_on_a_question_is_no(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("R")
        assert isinstance(app.screen, Confirm)
        await pilot.press("enter")
        assert not isinstance(app.screen, Confirm)
        assert begun == []


async def test_a_question_that_is_dismissed_before_it_is_drawn_is_gone(app: SpotterApp) -> None:
    answers: list[bool | None] = []
    async with app.run_test(size=(120, 36)) as pilot:
        shell = app.screen
        for typed in ("", "42"):
            asked = Confirm(Question("Stop one?", "", "Stop", (), "", typed=typed))
            app.push_screen(asked, answers.append)
            asked.action_answer(False)
        await until(pilot, lambda: app.screen is shell, "the shell")
        await pilot.pause()
        assert answers == [False, False]


async def test_a_yes_to_a_question_that_is_not_drawn_yet_is_none(app: SpotterApp) -> None:
    answers: list[bool | None] = []
    async with app.run_test(size=(120, 36)) as pilot:
        asked = Confirm(Question("Stop one?", "", "Stop", (), ""))
        app.push_screen(asked, answers.append)
        asked.action_agree()
        await until(pilot, lambda: asked.is_mounted and app.screen is asked, "the question")
        assert answers == []
        await pilot.press("y")
        assert answers == [True]


@pytest.mark.parametrize("make", [
    lambda _app: CommandLogPane(), lambda _app: Confirm(Question("Stop one?", "", "Stop", (), "")),
    JumpOverlay, lambda _app: PaletteScreen(),
])  # fmt: skip
async def test_what_is_closed_twice_takes_away_nothing_else(
    app: SpotterApp, make: Callable[[SpotterApp], Dialog[Any] | PaletteScreen]
) -> None:
    """A second key still reaches a screen that is closed already."""
    async with app.run_test(size=(120, 36)) as pilot:
        below, above = CommandLogPane(), make(app)
        shell = app.screen
        await app.push_screen(below)
        await app.push_screen(above)
        above.dismiss(None)
        above.dismiss(None)
        await pilot.pause()
        assert app.screen is below
        below.dismiss(None)
        below.dismiss(None)
        await pilot.pause()
        assert app.screen is shell


async def test_a_second_enter_does_not_do_twice_what_was_chosen_in_the_palette(app: SpotterApp) -> None:
    done: list[str] = []
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("ctrl+p")
        palette = app.screen
        assert isinstance(palette, PaletteScreen)
        await until(pilot, lambda: palette.is_mounted, "the palette")
        palette._list_visible, palette._selected_command = False, DiscoveryHit("one", lambda: done.append("one"))
        palette._select_or_command()
        palette._select_or_command()
        await until(pilot, lambda: app.screen is not palette and bool(done), "what was chosen")
        await pilot.pause()
        assert done == ["one"]


async def test_what_a_palette_that_goes_still_gathers_breaks_nothing(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("ctrl+p")
        palette = app.screen
        assert isinstance(palette, PaletteScreen)
        await until(pilot, lambda: palette.is_mounted and palette._list_visible, "the palette")
        await palette.query("*").remove()
        palette._list_visible = False
        palette._show_busy = True
        await pilot.pause()
        assert app._exception is None


async def test_esc_in_a_view_that_is_not_there_yet_leads_back(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async with app.run_test(size=(120, 36)):
        view = app.view
        monkeypatch.setattr(type(view), "is_mounted", property(lambda _view: False))
        monkeypatch.setattr(view, "step_out", lambda: view.query_one("#not-there-yet"))
        app.action_everywhere_back()


@pytest.mark.parametrize("digit", "1234567890")
def test_alt_and_a_digit_are_what_a_terminal_sends_for_them(app: SpotterApp, digit: str) -> None:
    assert [event.key for event in XTermParser().feed(f"\x1b{digit}") if isinstance(event, events.Key)] == [
        f"alt+{digit}"
    ]


def test_a_sign_of_the_keyboard_stays_one(app: SpotterApp) -> None:
    typed = [event.character for event in XTermParser().feed("¡£§") if isinstance(event, events.Key)]
    assert typed == ["¡", "£", "§"]


async def test_what_was_put_off_until_the_console_had_left_does_nothing(app: SpotterApp) -> None:
    async with app.run_test(size=(80, 24)):
        view = app.view
    assert app.screen_stack == []
    app._views.clear()
    app._watch_runs()
    app._views["runs"] = view
    app.give_keys(view)


@pytest.mark.parametrize("key", ["ctrl+p", "@", "y"])
async def test_pages_of_a_list_without_room_are_none(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    async with app.run_test(size=(1, 1)) as pilot:
        app.log_command("spotter ps", "")
        monkeypatch.setattr(app.view, "copies", lambda: [Copyable("one", "1"), Copyable("two", "2")])
        await pilot.press(key)
        await until(pilot, lambda: len(app.screen_stack) == 2 and app.screen.is_mounted, "the list")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count > 0, "what is in it")
        await pilot.press("pagedown", "pageup", "pagedown")
        await pilot.resize_terminal(80, 24)
        await pilot.press("pagedown", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "the way out")


async def test_what_comes_in_one_go_with_the_colon_is_the_command_line_s(app: SpotterApp) -> None:
    """Over a slow line keys come together; none of them is a key of the view."""
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        driver = app._driver
        assert driver is not None
        for key in (":", *"fly 7"):
            event = events.Key(_character_to_key(key), key)
            event.set_sender(app)
            driver.send_message(event)
        await until(pilot, lambda: app.query_one("#command-field", Input).value == "fly 7", "all that was typed")
        assert app.view.NAME == "runs"
        await pilot.press(":")
        assert app.query_one("#command-field", Input).value == "fly 7:", "in the line it is a letter"


@pytest.mark.parametrize(("typed", "runs"), [("3456", 1), ("345", 0), ("y", 0), ("", 0)])
async def test_destroying_wants_the_last_digits(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch, typed: str, runs: int
) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("K", *typed, "enter")
        await pilot.press("escape")
        assert len(begun) == runs


async def test_the_question_shows_the_command_and_data_as_text(app: SpotterApp) -> None:
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("K")
        await until(pilot, lambda: "gone [/x]" in shown(app), "the detail")
        assert "spotter destroy one" in shown(app)


async def test_read_only_refuses_and_says_why(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = runs_of(app, monkeypatch)
    app.read_only = True
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("R", "y")
        assert not isinstance(app.screen, Confirm)
        await until(pilot, lambda: "read-only" in shown(app), "the reason")
        assert begun == []


async def test_a_question_that_stood_when_the_console_became_read_only_runs_nothing(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("R")
        app.read_only = True
        await pilot.press("y")
        assert begun == []


@pytest.mark.parametrize(("marked", "reason"), [("", "Mark something first."), ("foreign", "It is not ours.")])
async def test_what_cannot_be_done_is_said(app: SpotterApp, marked: str, reason: str) -> None:
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        boxes(app).marked = marked
        await pilot.press("K")
        assert not isinstance(app.screen, Confirm)
        await until(pilot, lambda: reason in shown(app), "the reason")


async def test_a_failed_poll_keeps_what_is_shown_and_says_stale_with_the_reason(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: boxes(app).drawn, "the first answer")
        boxes(app).answers = [OSError("the market does not answer")]
        await until(pilot, lambda: "the market does not answer" in shown(app), "the reason")
        assert boxes(app).news == ["one", "two"]
        await until(pilot, lambda: "STALE" in app.query_one(TopLine)._drawn.plain, "the sign")
        boxes(app).answers = [["three"]]
        await until(pilot, lambda: boxes(app).news == ["three"], "the next good answer")
        await until(pilot, lambda: "STALE" not in app.query_one(TopLine)._drawn.plain, "the sign's end")


async def test_polls_never_overlap_and_a_wish_meanwhile_is_kept(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: boxes(app).drawn, "the first answer")
        gate = boxes(app).gate = threading.Event()
        await until(pilot, lambda: boxes(app)._asking, "a question under way")
        await pilot.press("r", "r")
        assert boxes(app)._again
        gate.set()
        await until(pilot, lambda: not boxes(app)._again, "the wish fulfilled")


async def test_a_paused_console_asks_nothing(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: boxes(app).drawn, "the first answer")
        await pilot.press("p")
        await until(pilot, lambda: not boxes(app)._asking, "the last question's end")
        seen = len(boxes(app).drawn)
        for _step in range(8):
            await pilot.pause(0.02)
        assert len(boxes(app).drawn) <= seen + 1
        assert "paused" in app.query_one(TopLine)._drawn.plain
        await pilot.press("p")
        await until(pilot, lambda: len(boxes(app).drawn) > seen + 1, "answers again")


async def test_views_are_made_when_wanted_and_history_retraces_the_way(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        assert not app.query("#offers")
        app.go("offers", "gpu=4090")
        await until(pilot, lambda: "OFFERS ▸ gpu=4090" in app.query_one(TopLine)._drawn.plain, "what was asked for")
        await pilot.press("escape")
        assert app.view.NAME == "runs"
        await pilot.press("right_square_bracket")
        assert (app.view.NAME, app.view.argument) == ("offers", "gpu=4090")
        await pilot.press("minus")
        assert app.view.NAME == "runs"


async def test_letters_in_a_field_are_text_and_esc_leaves_it(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = runs_of(app, monkeypatch)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: boxes(app).has_focus and boxes(app).drawn, "the keyboard on the view")
        await pilot.pause()
        field = app.query_one("#boxes-field", Input)
        field.focus()
        await pilot.press("R", "y", "q", "2")
        assert field.value == "Ryq2"
        assert begun == []
        assert app.view.NAME == "runs"


async def test_the_line_of_keys_offers_no_letters_while_a_field_takes_them(app: SpotterApp) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        keys = app.query_one(KeyLine)
        await until(pilot, lambda: boxes(app).has_focus and "? Help" in keys._drawn.plain, "the keyboard on the view")
        before = keys._drawn.plain
        app.query_one("#boxes-field", Input).focus()
        await until(pilot, lambda: "esc Back to the keys" in keys._drawn.plain, "the way out of the filter")
        assert "f1 Help" in keys._drawn.plain
        assert "Quit" not in keys._drawn.plain
        assert beside_typing("slash,q,at,space,question_mark,f1,ctrl+q,enter,tab,up") == "f1,ctrl+q,enter,tab,up"
        boxes(app).focus()
        await until(pilot, lambda: keys._drawn.plain == before, "the keys of the view")


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
async def test_the_lines_above_and_below_fit_and_keep_what_matters(app: SpotterApp, width: int) -> None:
    async with app.run_test(size=(width, 24)) as pilot:
        top = app.query_one(TopLine)
        top.burn = BurnWords("$1.84/h", "today $14.20", "runway 3d 4h", "2 idle !", "warning", emulated=True)
        top.draw()
        assert top._drawn.cell_len <= max(top.size.width, 20)
        keys = app.query_one(KeyLine)._drawn
        assert keys.cell_len <= max(width, 30)
        assert "? " in keys.plain
        if width >= 80:
            assert "$1.84/h" in top._drawn.plain
        await pilot.pause()


async def test_what_ends_rings_and_shows_its_last_line(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    class Beside:
        exit_code: int | None = None

        def last_line(self) -> str:
            return "instance 31245 is gone"

    beside = Beside()
    monkeypatch.setattr("console.operations.background.start_beside", lambda *_: beside)
    rung: list[Any] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(True))
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        app.run_command(("destroy", "31245", "--yes"), "destroy 31245")
        await until(pilot, lambda: "started: destroy 31245" in shown(app), "the note")
        assert app.running.notes == ("destroy 31245",)
        beside.exit_code = 1
        await until(pilot, lambda: "instance 31245 is gone" in shown(app), "the last line")
        assert rung
        [last] = [entry for entry in app.commands.entries if entry.note == "destroy 31245"]
        assert (last.exit_code, last.line) == (1, "spotter destroy 31245 --yes")


async def test_what_was_said_yes_to_is_started_though_the_console_leaves_before_its_turn(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    late: list[Any] = []

    def start(_workspace: Workspace, arguments: list[str]) -> Any:
        started.append(arguments[1])
        return SimpleNamespace(exit_code=None, last_line=lambda: "")

    monkeypatch.setattr("console.operations.background.start_beside", start)
    numbers = [str(number) for number in range(2, 9)]
    async with app.run_test(size=(100, 30)) as pilot:
        monkeypatch.setattr(app, "in_background", lambda ask, then: late.append(ask))
        for number in numbers:
            app.run_command(("destroy", number, "--yes"), f"destroy {number}")
        assert app.running.notes == tuple(f"destroy {number}" for number in numbers)
        await pilot.press("q", "q")  # it says that they go on without the console
    for ask in late:
        ask()
    assert sorted(started) == numbers


async def test_runs_that_go_on_for_hours_hold_no_destroy_back(app: SpotterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(_workspace: Workspace, arguments: list[str]) -> Any:
        started.append(arguments[0])
        return SimpleNamespace(exit_code=None, last_line=lambda: "")

    monkeypatch.setattr("console.operations.background.start_beside", start)
    monkeypatch.setattr("console.running.BEGINS_S", 0.05)
    async with app.run_test(size=(100, 30)) as pilot:
        for number in range(5):
            app.run_command(("run", "--resume", str(number), "--yes"), f"resume {number}")
        app.run_command(("destroy", "31245", "--yes"), "destroy 31245")
        await until(pilot, lambda: "destroy" in started, "the destroy")


async def test_what_cannot_be_started_as_the_console_leaves_is_not_lost(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_workspace: Workspace, arguments: list[str]) -> Any:
        raise ValueError("embedded null byte") if "label" in arguments else OSError(28, "No space left on device")

    monkeypatch.setattr("console.operations.background.start_beside", start)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        app.run_command(("label", "31245", "\0"), "label 31245")
        await until(pilot, lambda: "embedded null byte" in shown(app), "why")
        assert app.running.notes == ()
        monkeypatch.setattr(app, "in_background", lambda ask, then: None)
        app.run_command(("destroy", "31245", "--yes"), "destroy 31245")
    assert app.not_started == ("destroy 31245: it could not be started: [Errno 28] No space left on device",)


async def test_a_dump_is_a_picture_and_a_text(app: SpotterApp) -> None:
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("S")
        folder = app.workspace.state / "screens"
        await until(pilot, lambda: len(list(folder.glob("runs-*"))) == 2, "both files")
        assert "boxes" in next(folder.glob("*.txt")).read_text()


async def test_side_pane_and_zoom_give_and_take_room(app: SpotterApp) -> None:
    async with app.run_test(size=(140, 30)) as pilot:
        side = boxes(app).query_one(".side")
        wide = boxes(app).query_one(".main").size.width
        assert side.display
        await pilot.press("v")
        await until(pilot, lambda: boxes(app).query_one(".main").size.width > wide, "all of the width")
        await pilot.press("v", "z")
        await until(pilot, lambda: boxes(app).query_one(".main").size.width > wide, "the zoomed pane")
        assert not app.query_one(TopLine).display
        await pilot.press("z")
        await until(pilot, lambda: boxes(app).query_one(".main").size.width == wide, "the room as it was")
