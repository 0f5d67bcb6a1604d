"""Whatever touches money or data asks first, about the row at the key press, and is refused in read-only.

Made from the registry: an action with a stake that no case here reaches is a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

import console.app
from console.actions.action import EVERYWHERE, TABLE, Action, Question
from console.actions.registry import ACTIONS, action_called, actions_of
from console.app import SpotterApp
from console.models.services import NO_JUPYTER, BoxServices, ServiceView
from console.models.sync_plan import Box, BoxPlan
from console.operations.transfers import Transfer
from console.screens.catalog import CLASSES
from console.screens.services import Rented
from console.screens.sync import SyncNews
from console.screens.view import View
from console.widgets.confirm import Confirm
from console.workspace import Workspace
from remote.sync.compare import Difference, Side
from tests.console.piloting import shown, until
from tests.console.worlds import BUSY, DONE, FAILED, IDLE, LEFT, LIVE, World, world

pytestmark = pytest.mark.xdist_group("destructive")  # they share one world


@dataclass(frozen=True)
class Case:
    """Where an action can be asked for: what is opened, the row that it is about, and what its commands must name."""

    argument: str = ""
    row: str = ""
    names: str = ""
    before: Callable[[Any], bool] | None = None
    """Done before the key, as soon as the view is ready for it; says whether it was."""
    keys: tuple[str, ...] = ()
    """Pressed before the key."""
    live: bool = True
    """Whether the view asks by itself; boxes that nobody can reach are told of by hand."""


def _one_decision(view: Any) -> bool:
    if view.looked_at is None or view._asking:
        return False
    view.action_review_accept()
    return True


def _compared(view: Any) -> bool:
    view.show(SyncNews((Box(IDLE, "RTX 4090"), Box(BUSY, "RTX 4090"))))
    view.told(BoxPlan(IDLE, 1.0, (Difference("code.py", "changed here", HERE, THERE),
                                  Difference("there.py", "only there", None, THERE))))  # fmt: skip
    view.told(BoxPlan(BUSY, 1.0, ()))
    return True


def _sending(view: Any) -> bool:
    sent = Transfer("push", 42, "running", "sending", 1.0, 60.0, 30.0, 50.0, 250.0, 1000.0, "bytes")
    view.show(SyncNews((Box(IDLE, "RTX 4090", sent), Box(BUSY, "RTX 4090"))))
    return True


def _served(view: Any) -> bool:
    view.show(Rented(((IDLE, "RTX 4090"), (BUSY, "RTX 4090"))))
    service = ServiceView("tensorboard", "running", 6006, 1.0, "service-tensorboard.1")
    view.told(BoxServices(IDLE, (service, NO_JUPYTER)))
    view.told(BoxServices(BUSY, (NO_JUPYTER,)))
    return True


HERE, THERE = Side(10, 1.0, "a"), Side(9, 1.0, "b")


CASES = {
    "fleet.extend": Case(row=str(BUSY)),
    "fleet.stop": Case(row=str(IDLE)),
    "fleet.destroy": Case(row=str(IDLE)),
    "fleet.rerent": Case(row=str(BUSY)),
    "offers.rent": Case(row="7"),
    "instance.stop": Case(str(IDLE), names=str(IDLE)),
    "instance.destroy": Case(str(IDLE), names=str(IDLE)),
    "runs.resume": Case(row=FAILED),
    "runs.cancel": Case(row=LIVE),
    "run.resume": Case(LEFT, names=LEFT),
    "run.cancel": Case(LIVE, names=LIVE),
    "form.start": Case(names="run"),
    "index.ask": Case("node", names="node", keys=("enter",)),
    "sync.push": Case(row=f"{IDLE}/code", names=str(IDLE), before=_compared, live=False),
    "sync.fetch": Case(row=f"{IDLE}/code", names=str(IDLE), before=_compared, live=False),
    "sync.abort": Case(row=f"{IDLE}/code", names=str(IDLE), before=_sending, live=False),
    "services.start": Case(row=f"{IDLE}/jupyter", names=str(IDLE), before=_served, live=False),
    "services.stop": Case(row=f"{IDLE}/tensorboard", names=str(IDLE), before=_served, live=False),
    "review.take": Case(DONE, names=DONE, before=_one_decision),
}
STAKES = [action for action in ACTIONS if action.stake]


class Watched(SpotterApp):
    """The console, with what it would run written down instead of run, and what it says kept."""

    CSS_PATH = [Path(console.app.__file__).parent / name for name in SpotterApp.CSS_PATH]  # noqa: RUF012

    def __init__(self, workspace: Workspace, view: str = "fleet", argument: str = "", **more: Any) -> None:
        super().__init__(workspace, view, argument, **more)
        self.ran: list[tuple[str, ...]] = []
        self.told: list[str] = []

    def run_command(self, argv: tuple[str, ...], note: str) -> None:
        self.ran.append(argv)

    def tell(self, message: str, *rest: Any) -> None:
        self.told.append(message)
        super().tell(message, *rest)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("destructive") / "w", seed=5) as made:
        yield made


@pytest.fixture(autouse=True)
def one_name_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question to a model names the file of its answer anew each time."""
    monkeypatch.setattr("console.screens.index_ask.uuid4", lambda: UUID(int=1))


@asynccontextmanager
async def asking(place: World, action: Action) -> AsyncIterator[tuple[Watched, Pilot[None], View]]:
    """The console in the view of an action, on its row, where it can be asked for."""
    case = CASES[action.id]
    app = Watched(place.workspace, action.view, case.argument, live=case.live)
    async with app.run_test(size=(140, 40)) as pilot:
        view = app.view
        if case.before is not None:
            before = case.before
            await until(pilot, lambda: before(view), "the view to be ready")
        if case.row:
            await until(pilot, lambda: view.table is not None and view.table.put_cursor(case.row), f"row {case.row}")
        await until(pilot, lambda: isinstance(question(view, action), Question), f"what {action.id} is about")
        view.focus_main()
        await pilot.press(*case.keys)
        yield app, pilot, view


def question(view: View, action: Action) -> Question | str:
    answer = getattr(view, f"question_{action.name}")(view.targets())
    assert isinstance(answer, Question | str)
    return answer


def is_asking(app: SpotterApp) -> bool:
    return isinstance(app.screen, Confirm) and bool(app.screen.query("#cancel")) and app.focused is not None


async def press(pilot: Pilot[None], action: Action) -> None:
    """By its key; one without a key by the way of palette and command line."""
    if action.keys:
        await pilot.press(action.keys.split(",")[0])
    else:
        await pilot.app.run_action(f"do('{action.id}')")


def move_rows(view: View) -> None:
    """What a live list does: another order, so that another row lies where the cursor's was."""
    table = view.table
    if table is None:
        return
    table.action_table_reverse()
    table.action_table_sort_right()
    table.action_table_top()


def test_every_action_with_a_stake_is_reached_here() -> None:
    made = {action.id for action in STAKES if action.view in VIEWS}
    assert made == set(CASES)


def test_no_two_actions_ask_with_one_question_method_and_none_acts_without_one() -> None:
    for action in STAKES:
        assert action.command, f"{action.id} has no command: after a yes nothing could run"
        assert action.view not in (EVERYWHERE, TABLE), f"{action.id}: a row is captured by its view"


@pytest.mark.parametrize("action", [action_called(name) for name in CASES], ids=lambda action: action.id)
async def test_it_asks_about_the_row_at_the_key_press_with_cancel_under_the_fingers_and_is_refused_in_read_only(
    place: World, action: Action
) -> None:
    async with asking(place, action) as (app, pilot, view):
        meant = question(view, action)
        assert isinstance(meant, Question)
        named = CASES[action.id].names or CASES[action.id].row

        app.action_everywhere_read_only()
        await press(pilot, action)
        await until(pilot, lambda: any("read-only" in each and "refused" in each for each in app.told), "the reason")
        assert not isinstance(app.screen, Confirm)
        assert app.ran == []
        app.action_everywhere_read_only()

        await press(pilot, action)
        await until(pilot, lambda: is_asking(app), "the question")
        move_rows(view)
        await pilot.pause()
        asked = app.screen
        assert isinstance(asked, Confirm)
        assert asked.question == meant, "what is asked is what the row said at the key press"
        assert all(named in command for command in meant.commands), meant.commands
        if meant.typed:
            assert isinstance(app.focused, Input)
            assert asked.query_one("#go", Button).disabled
            await pilot.press("enter", "y", "enter")
            assert app.screen is asked
            await pilot.press("escape")
        else:
            assert isinstance(app.focused, Button)
            assert app.focused.id == "cancel"
            await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Confirm), "the question to go")
        assert app.ran == [], "a no runs nothing"

        app.ask(meant)
        await until(pilot, lambda: is_asking(app), "the question")
        move_rows(view)
        await pilot.press(*(meant.typed or "y"), *(("enter",) if meant.typed else ()))
        await until(pilot, lambda: app.ran, "what runs after a yes")
        assert tuple(app.ran) == meant.commands

        app.ran.clear()
        app.ask(meant)
        await until(pilot, lambda: is_asking(app), "the question")
        app.action_everywhere_read_only()
        app.screen.dismiss(True)
        await until(pilot, lambda: not isinstance(app.screen, Confirm), "the question to go")
        assert app.ran == [], "the console became read-only under the question"
    assert place.market.changes == []


VIEWS = [name for name in CLASSES if name != "welcome"]


@pytest.mark.parametrize("name", VIEWS)
async def test_keys_without_a_stake_start_nothing_that_touches_money_or_data(
    place: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs: list[Any] = []
    monkeypatch.setattr("console.operations.browser.open_in_browser", lambda url: programs.append(url) or False)
    monkeypatch.setattr(
        "console.screens.instance_shell.open_shell", lambda _app, number: programs.append(("ssh", number))
    )
    arguments = {"instance": str(BUSY), "run": DONE, "log": DONE, "review": DONE}
    app = Watched(place.workspace, name, arguments.get(name, ""))
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: name == app.view.NAME and bool(shown(app).strip()), "the view")
        table = app.view.table
        if table is not None and name in ("fleet", "offers", "runs"):
            await until(pilot, lambda: table.cursor_key is not None, "its rows")
        for action in (*actions_of(name), *actions_of(TABLE)):
            if action.stake:
                continue
            for key in action.keys.split(",") if action.keys else ():
                await pilot.press(key)
                for _ in range(3):
                    if app.screen is app.screen_stack[0]:
                        break
                    await pilot.press("escape")
                while len(app.screen_stack) > 1:
                    app.pop_screen()
                if name != app.view.NAME:
                    app.go(name)
                app.view.focus_main()
        assert Counter(command[0] for command in app.ran) == {}, app.ran
    assert place.market.changes == []
