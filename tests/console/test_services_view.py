"""The services view by hand-made news: what runs where, opened behind a tunnel that ends with the console."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.actions.action import Question
from console.app import SpotterApp
from console.models.services import NO_JUPYTER, BoxServices, ServiceView
from console.screens.service_rows import ServiceRow, service_card, service_row, start_question, stop_question
from console.screens.services import Rented, Services
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import said, shown, until

NOW = 5_000.0
JUPYTER = ServiceView("jupyter", "running", 8888, 4_880.0, "service-jupyter.1")
ENDED = ServiceView("tensorboard", "exited", 6006, None, "service-tensorboard.2")
BOXES = Rented(((7, "RTX 4090"), (8, "L40")))


def row(service: ServiceView | None, **more: object) -> ServiceRow:
    return ServiceRow(7, "RTX 4090", service, **more)  # type: ignore[arg-type]


def cells(service_row_: ServiceRow) -> list[str]:
    return [cell.plain for cell in service_row(service_row_, NOW).cells]


def test_a_service_tells_state_port_tunnel_and_age() -> None:
    assert cells(row(JUPYTER, local="127.0.0.1:8888"))[:6] == [
        "7", "jupyter", "● running", "8888", "127.0.0.1:8888", "2m 00s",
    ]  # fmt: skip
    assert cells(row(ENDED))[2] == "○ exited"
    assert cells(row(None, error="no route [/x]"))[2] == "✗ no route [/x]"
    assert service_row(row(None, error="no route"), NOW).problem


def test_what_is_lost_is_said_before_a_service_is_stopped() -> None:
    question = stop_question([row(JUPYTER, local="127.0.0.1:8888"), row(ENDED)])
    assert isinstance(question, Question)
    assert question.commands == (("service", "stop", "jupyter", "--on", "7"),)
    assert "kernels" in question.detail
    assert "1 tunnel leads to it." in question.detail
    assert stop_question([row(ENDED)]) == "It does not run."


def test_jupyter_is_started_by_its_own_command_and_others_as_they_were() -> None:
    question = start_question([row(NO_JUPYTER), row(ENDED)])
    assert isinstance(question, Question)
    assert question.commands == (
        ("jupyter", "7", "--start-only"), ("service", "restart", "tensorboard", "--on", "7"),
    )  # fmt: skip
    assert start_question([row(JUPYTER)]) == "It runs already: o opens it."
    assert start_question([row(None)]) == "The box has not answered yet."


def test_a_card_says_which_key_comes_next() -> None:
    assert "o opens it" in service_card(row(JUPYTER), NOW).plain
    assert "U starts it." in service_card(row(NO_JUPYTER), NOW).plain
    assert "http://127.0.0.1:9 leads to its port 8888" in service_card(row(JUPYTER, local="127.0.0.1:9"), NOW).plain


@dataclass
class OpenedFake:
    """A service behind a tunnel, as the operation hands it out."""

    service: ServiceView
    closed: list[str] = field(default_factory=list)
    url: str = "http://127.0.0.1:8888/lab"
    entry_url: str = "http://127.0.0.1:8888/lab?token=t"

    @property
    def tunnel(self) -> SimpleNamespace:
        return SimpleNamespace(local_address="127.0.0.1:8888", last_error=None)

    def close(self) -> None:
        self.closed.append("tunnel")


class UseFake:
    """Says nothing to any box."""

    ended = 0

    def __init__(self, _session: object, instance_id: int) -> None:
        assert instance_id == 7

    def close(self) -> None:
        UseFake.ended += 1


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_service_is_opened_in_the_browser_and_its_tunnel_ends_with_the_console(
    place: Workspace, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    opened = OpenedFake(JUPYTER)
    asked: list[tuple[int, str]] = []

    def open_named(_session: object, instance_id: int, name: str) -> OpenedFake:
        asked.append((instance_id, name))
        return opened

    monkeypatch.setattr("console.operations.services.open_named", open_named)
    monkeypatch.setattr("console.operations.browser.open_in_browser", lambda _url: True)
    monkeypatch.setattr("console.operations.in_use.Use", UseFake)
    app = SpotterApp(place, "services", live=False, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Services)
        view.show(BOXES)
        view.told(BoxServices(7, (JUPYTER, ENDED)))
        view.told(BoxServices(8, error="no route [/x]"))
        await until(pilot, lambda: "✗ no route" in shown(app), "the box that is away")
        assert view.problem_count == 1
        await pilot.press("o")
        await until(pilot, lambda: "127.0.0.1:8888" in said(app, "#services-card"), "the tunnel")
        assert asked == [(7, "jupyter")]
        await pilot.press("o")
        await until(pilot, lambda: not view._opening, "the second look")
        assert asked == [(7, "jupyter")], "the tunnel that is there is used again"
        assert "token" not in shown(app)
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("escape")
        assert not opened.closed
    assert opened.closed == ["tunnel"]


async def test_a_tunnel_is_closed_by_its_key_and_what_fails_to_open_is_said(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OpenedFake(JUPYTER)
    answers: list[OpenedFake | Exception] = [ConnectionError("port is taken [/x]"), opened]

    def open_named(_session: object, _instance_id: int, _name: str) -> OpenedFake:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    notes: list[str] = []
    monkeypatch.setattr(SpotterApp, "tell", lambda _app, text, *_more, **_named: notes.append(text))
    monkeypatch.setattr("console.operations.services.open_named", open_named)
    monkeypatch.setattr("console.operations.browser.open_in_browser", lambda _url: True)
    monkeypatch.setattr("console.operations.in_use.Use", UseFake)
    app = SpotterApp(place, "services", live=False, clock=lambda: NOW)
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Services)
        view.show(BOXES)
        view.told(BoxServices(7, (JUPYTER,)))
        await until(pilot, lambda: app.query_one(KeyedTable).cursor_key == "7/jupyter", "the row")
        await pilot.press("o")
        await until(pilot, lambda: "port is taken [/x]" in notes, "why")
        await pilot.press("o")
        await until(pilot, lambda: "127.0.0.1:8888" in said(app, "#services-card"), "the tunnel")
        await pilot.press("c")
        await until(pilot, lambda: opened.closed, "its end")
        await until(pilot, lambda: "o opens it" in said(app, "#services-card"), "that it is closed")


async def test_boxes_are_asked_when_it_is_opened_and_not_on_a_timer(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def read_services(_session: object, instance_id: int) -> BoxServices:
        asked.append(instance_id)
        return BoxServices(instance_id, (JUPYTER,))

    monkeypatch.setattr("console.screens.services.read_services", read_services)
    monkeypatch.setattr(Services, "read", lambda _view: BOXES)
    app = SpotterApp(place, "services")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: set(asked) == {7, 8}, "the questions")
        assert Services.POLL_S == 0, "to a box every question is a sign of life"
        asked.clear()
        await until(pilot, lambda: not app.view._asking_box, "the answers")  # type: ignore[attr-defined]
        await pilot.press("r")
        await until(pilot, lambda: set(asked) == {7, 8}, "the questions after r")
