"""The form of a new run: made from the pipeline's own models, checked by them, and told as a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import SpotterApp
from console.commands.parameters import parameters
from console.models.parameter_form import FormField, ParameterForm, as_typed, attribute_docs
from console.models.run_choices import RunForm, documents_of, open_form
from console.operations.dry_run import DryRun
from console.operations.session import open_session
from console.screens.form import Form
from console.widgets.confirm import Confirm
from console.widgets.field_form import FieldForm
from console.workspace import Workspace, create_workspace
from tests.console.piloting import said, until


class Inner(BaseModel):
    """A section."""

    share: float | None = Field(default=0.5, ge=0, le=1)
    """How much."""


class Model(BaseModel):
    """A model with a field of each kind."""

    count: int = Field(default=3, ge=1)
    """How many."""
    deep: bool = False
    mode: Literal["fast", "good"] = "fast"
    words: tuple[str, ...] = ()
    title: str = "x"
    inner: Inner = Inner()


def plan(changed: Mapping[str, Any]) -> Mapping[str, Any]:
    return changed


@pytest.fixture
def form() -> ParameterForm:
    return ParameterForm(Model, plan)


def by_path(form: ParameterForm | RunForm) -> dict[str, FormField]:
    return {state.field.path: state.field for state in form.states()}


def test_the_fields_are_those_of_the_model_with_its_own_words(form: ParameterForm) -> None:
    fields = by_path(form)
    assert {path: field.kind for path, field in fields.items()} == {
        "count": "number", "deep": "switch", "mode": "choice", "words": "yaml", "title": "text",
        "inner.share": "number",
    }  # fmt: skip
    assert fields["count"].doc == "How many."
    assert fields["count"].bounds == "≥ 1"
    assert fields["mode"].choices == ("fast", "good")
    assert fields["inner.share"].optional
    assert fields["inner.share"].doc == "How much."
    assert attribute_docs(Inner) == {"share": "How much."}


def test_what_is_changed_is_marked_and_what_is_changed_back_is_not(form: ParameterForm) -> None:
    count = by_path(form)["count"]
    form.set(count, 4)
    assert [state.field.path for state in form.states() if state.changed] == ["count"]
    form.set(count, 3)
    assert form.overrides == {}


@pytest.mark.parametrize(
    ("path", "typed", "sentence"),
    [
        ("count", "0", "parameter count: Input should be greater than or equal to 1 (it is 0)"),
        ("count", "many", "parameter count: Input should be a valid integer"),
        ("inner.share", "1.5", "parameter inner.share: Input should be less than or equal to 1"),
        ("inner.share", "", ""),
        ("words", "[a, b]", ""),
        ("title", "", ""),
    ],
)
def test_the_model_itself_says_what_is_wrong(form: ParameterForm, path: str, typed: str, sentence: str) -> None:
    field = by_path(form)[path]
    form.set(field, form.read(field, typed))
    assert form.problem().startswith(sentence)
    assert bool(form.problem()) == bool(sentence)


def test_what_is_no_yaml_is_said_where_it_is_typed(form: ParameterForm) -> None:
    with pytest.raises(ValueError, match="expected"):
        form.read(by_path(form)["words"], "[a, b")


@pytest.mark.parametrize(
    "value", ["plain", "yes", "1", "a: b", " spaced ", "[x]", "", "слово", True, None, 0.5, [1, "a"]]
)
def test_what_is_typed_is_read_back_as_the_same(value: object) -> None:
    assert parameters([f"x={as_typed(value)}"]) == {"x": value}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place, _ = create_workspace(tmp_path_factory.mktemp("form"))
    (place.data / "папка").mkdir()
    (place.data / "папка" / "a.pdf").write_bytes(b"x" * 10)
    (place.data / "b.pdf").write_bytes(b"y")
    (place.data / ".hidden").write_bytes(b"")
    return place


def test_an_alternative_brings_its_own_fields_and_the_command_says_what_was_chosen(workspace: Workspace) -> None:
    form = open_form(open_session(workspace))
    assert form.arguments() == ("run", "docparse")
    form.set(by_path(form)["detector.name"], "layout")
    assert "detector.labels_map" in by_path(form)
    assert not any(state.changed for state in form.states() if state.field.path == "detector.min_score")
    form.set(by_path(form)["detector.min_score"], 0.5)
    form.set(by_path(form)["run.profile"], "B")
    form.set(by_path(form)["run.keep"], True)
    form.sources = ("data/b.pdf",)
    assert form.arguments() == (
        "run", "docparse", "data/b.pdf", "--profile", "B", "--keep",
        "--param", "detector=layout", "--param", "detector.min_score=0.5",
    )  # fmt: skip
    assert form.problem() == ""
    form.set(by_path(form)["detector.name"], "opencv")
    assert form.params.overrides == {}, "another alternative begins with its own defaults"


def test_choices_that_exclude_each_other_are_said(workspace: Workspace) -> None:
    form = open_form(open_session(workspace))
    form.set(by_path(form)["run.here"], True)
    form.set(by_path(form)["run.instances"], 2)
    assert form.problem() == "here rents nothing: choose it without profile, instances, instance and keep"


def test_a_part_that_wants_more_says_so(workspace: Workspace) -> None:
    form = open_form(open_session(workspace))
    form.set(by_path(form)["detector.name"], "given")
    assert form.problem() == "parameter detector.regions: it must be said, for there is no default"


def test_the_documents_are_those_of_data(workspace: Workspace) -> None:
    found = documents_of(workspace.data, workspace.root)
    assert found.files == (("data/b.pdf", 1), ("data/папка/a.pdf", 10))
    assert found.bytes == 11


# ---- on screen ----


def doc(app: SpotterApp) -> str:
    return said(app, "#field-doc")


@asynccontextmanager
async def opened(
    workspace: Workspace, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[SpotterApp, Pilot[None], Form]]:
    """The console on the form of a run as the settings have it."""
    app = SpotterApp(workspace, "form", live=False)
    async with app.run_test(size=size) as pilot:
        view = app.view
        assert isinstance(view, Form)
        view.show(open_form(open_session(workspace)))
        await pilot.pause()
        yield app, pilot, view


async def test_a_run_is_chosen_checked_and_started_by_keys_alone(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "form", live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.view
        assert isinstance(view, Form)
        await pilot.press("R")
        assert not isinstance(app.screen, Confirm), "there is no form yet"
        view.show(open_form(open_session(workspace)))
        await pilot.pause()
        fields = view.query_one(FieldForm)
        assert fields.list.mark("dpi")
        await pilot.press("enter", "ctrl+u", "9")
        field = view.query_one("#field-edit", Input)
        assert field.has_focus
        field.value = "9"
        await until(pilot, lambda: "greater than or equal to 36 (it is 9)" in doc(app), "the model's sentence")
        await pilot.press("enter")
        assert field.has_focus, "what the model refuses is not taken"
        field.value = "200"
        await until(pilot, lambda: "✗" not in doc(app), "that it is right")
        await pilot.press("enter")
        await until(pilot, lambda: "--param dpi=200" in said(app, "#form-command"), "the command")
        assert fields.list.has_focus
        assert fields.list.mark("run.here")
        await pilot.press("space")
        await until(pilot, lambda: "--here" in said(app, "#form-command"), "the option")
        await pilot.press("u")
        await until(pilot, lambda: "--here" not in said(app, "#form-command"), "its default")
        assert fields.list.mark("detector.name")
        await pilot.press("left")
        await until(pilot, lambda: "--param detector=layout" in said(app, "#form-command"), "the alternative")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        question = app.screen.question  # type: ignore[attr-defined]
        assert question.commands == (("run", "docparse", "--param", "dpi=200", "--param", "detector=layout", "--yes"),)
        assert "no dry run told a price yet" in question.detail
        await pilot.press("escape")


async def test_esc_while_typing_leaves_the_value_as_it_was(workspace: Workspace) -> None:
    async with opened(workspace) as (app, pilot, view):
        view.query_one(FieldForm).list.mark("dpi")
        await pilot.press("enter", "7", "7")
        await until(pilot, lambda: "dpi=15077" in said(app, "#form-command"), "what is typed")
        await pilot.press("escape")
        await until(pilot, lambda: "dpi" not in said(app, "#form-command"), "the default")
        assert app.view is view


async def test_a_dry_run_tells_pages_and_price_and_a_change_makes_it_stale(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def dry_run(_workspace: Workspace, arguments: tuple[str, ...]) -> DryRun:
        asked.append(arguments)
        estimate = {"seconds": 720.0, "seconds_per_item": 2.0, "usd": 0.062, "like": "01m7y5p59xc6fey9ep0kj13082"}
        stages = (("render", "box"), ("analyze", "laptop"))
        problems = (("data/[/x].pdf", "torn"),)
        return DryRun(360, 2, 0.31, (), ("analyze: 12 questions",), stages, problems, estimate=estimate)

    monkeypatch.setattr("console.operations.dry_run.dry_run", dry_run)
    async with opened(workspace) as (app, pilot, view):
        await pilot.press("d")
        await until(pilot, lambda: "360 pages" in said(app, "#form-plan"), "the plan")
        assert asked == [("run", "docparse", "--dry-run", "--json")]
        plan_words = said(app, "#form-plan")
        for words in ("$0.310/h", "12m 00s", "kj13082", "analyze    laptop", "data/[/x].pdf: torn", "12 questions"):
            assert words in plan_words
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert "about $0.0620 in 12m 00s" in app.screen.question.detail  # type: ignore[attr-defined]
        await pilot.press("escape")
        view.query_one(FieldForm).list.mark("run.keep")
        await pilot.press("space")
        await until(pilot, lambda: "something else is chosen since" in said(app, "#form-plan"), "that it is stale")


async def test_a_dry_run_that_fails_says_why(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from console.operations.dry_run import DryRunFailed

    def dry_run(_workspace: Workspace, _arguments: tuple[str, ...]) -> DryRun:
        raise DryRunFailed("nothing in data/ can be parsed [/x]")

    monkeypatch.setattr("console.operations.dry_run.dry_run", dry_run)
    async with opened(workspace) as (app, pilot, _view):
        await pilot.press("d")
        await until(pilot, lambda: "nothing in data/ can be parsed [/x]" in said(app, "#form-plan"), "why")


async def test_documents_are_chosen_by_marks(workspace: Workspace) -> None:
    async with opened(workspace, (80, 24)) as (app, pilot, view):
        await pilot.press("o")
        await until(pilot, lambda: app.screen.query("#documents-table"), "the page")
        await pilot.press("down", "space", "enter")
        await until(pilot, lambda: "1 document chosen" in said(app, "#form-documents"), "the choice")
        assert view.form is not None
        assert len(view.form.sources) == 1


def test_what_the_command_refuses_is_told_in_its_own_words(workspace: Workspace) -> None:
    import subprocess

    from console.operations.dry_run import DryRunFailed, dry_run

    done = subprocess.CompletedProcess([], 2, b'{"error": "no such parameter", "type": "PlanError"}\n', b"spotter: x\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.operations.dry_run.subprocess.run", lambda *_a, **_k: done)
        with pytest.raises(DryRunFailed, match="no such parameter"):
            dry_run(workspace, ("run", "docparse", "--dry-run", "--json"))


def test_a_dry_run_of_real_documents_tells_stages_and_leaves_no_run(tmp_path: Path) -> None:
    from PIL import Image

    from console.operations.dry_run import dry_run

    place, _ = create_workspace(tmp_path)
    place.data.mkdir(exist_ok=True)
    Image.new("RGB", (200, 200), "white").save(place.data / "page.png")
    told = dry_run(place, ("run", "docparse", "--dry-run", "--json"))
    assert (told.pages, told.documents, told.known, told.estimate) == (1, 1, False, None)
    assert ("records", "box") in told.stages
    assert not list((place.state / "runs").glob("*.json"))
    open_session(place).stop_local_cloud()
