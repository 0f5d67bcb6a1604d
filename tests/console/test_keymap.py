"""The operator's own keys over the registry's."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from textual.binding import BindingsMap
from textual.keys import _character_to_key
from typer.main import get_command
from typer.testing import CliRunner

from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import ACTIONS, actions_of, bindings_of
from console.app import SpotterApp
from console.cli import app
from console.commands.keys import page
from console.models.keymap import canonical, default_keymap, is_key, resolve
from console.preferences import Preferences, read_preferences
from console.settings import ConsoleSettings, load_settings
from console.widgets.palette import PaletteScreen
from console.workspace import Workspace, create_workspace
from tests.console.piloting import until

SOME = (
    Action("everywhere.help", "question_mark,f1", "Help", "h"),
    Action("everywhere.theme", "T", "Theme", "t"),
    Action("everywhere.log", "L", "Log", "l"),
    Action("table.mark", "space", "Mark", "m"),
    Action("table.down", "j,down", "Down", "d"),
    Action("fleet.destroy", "D", "Destroy", "d", stake="money"),
    Action("fleet.shell", "s", "Shell", "s"),
    Action("fleet.log", "l", "Log", "l"),
    Action("runs.new", "n", "New", "n"),
    Action("log.error", "E", "Error", "e"),
)


def test_without_wishes_the_registrys_keys_stand() -> None:
    keymap = resolve(SOME, {})
    assert keymap.of("everywhere.help") == ("question_mark", "f1")
    assert (keymap.changed(), keymap.problems, keymap.source("fleet.shell")) == ({}, (), "default")


def test_a_wish_applies_and_is_known_as_the_operators() -> None:
    keymap = resolve(SOME, {"fleet.shell": "ctrl+t, $", "runs.new": ["ctrl+n"]})
    assert keymap.of("fleet.shell") == ("ctrl+t", "dollar_sign")
    assert keymap.changed() == {"fleet.shell": "ctrl+t,dollar_sign", "runs.new": "ctrl+n"}
    assert keymap.source("fleet.shell") == "user"


def test_an_action_may_lose_its_key_but_not_help() -> None:
    keymap = resolve(SOME, {"fleet.shell": "", "everywhere.help": []})
    assert keymap.changed() == {"fleet.shell": "unbound"}
    assert keymap.of("fleet.shell") == ()
    assert keymap.problems == ("everywhere.help: it must have a key",)


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        ({"fleet.destory": "D"}, "fleet.destory: there is no such action (did you mean fleet.destroy?)"),
        ({"zzz": "x"}, "zzz: there is no such action"),
        ({"fleet.shell": "ctrll+x"}, "fleet.shell: 'ctrll+x' is no key"),
        ({"fleet.shell": "squiggle"}, "fleet.shell: 'squiggle' is no key"),
        ({"fleet.shell": "ctrl+i"}, "fleet.shell: terminals send tab for ctrl+i"),
        ({"fleet.shell": "tab"}, "fleet.shell: tab moves about on every screen"),
        ({"fleet.shell": "j"}, "fleet.shell: j is taken by table.down"),
        ({"fleet.destroy": "d"}, "fleet.destroy: what touches money or data wants an upper-case letter"),
        ({"fleet.shell": "T"}, "fleet.shell: T is taken by everywhere.theme; it keeps s"),
        ({"fleet.shell": "l"}, "fleet.shell: l is taken by fleet.log"),
        ({"everywhere.theme": "space"}, "everywhere.theme: space is taken by table.mark"),
        ({"everywhere.theme": "n"}, "everywhere.theme: n is taken by runs.new"),
        ({"fleet.shell": "ctrl+t", "fleet.log": "ctrl+t"}, "fleet.log: ctrl+t is taken by fleet.shell"),
    ],
)
def test_what_cannot_be_is_told_and_the_rest_applies(wishes: dict[str, str], named: str) -> None:
    keymap = resolve(SOME, {**wishes, "log.error": "ctrl+e"})
    assert [problem for problem in keymap.problems if problem.startswith(named)], keymap.problems
    assert len(keymap.problems) == 1
    assert keymap.of("log.error") == ("ctrl+e",)
    for one, other in combinations(SOME, 2):
        if one.view == other.view or {one.view, other.view} & {EVERYWHERE, TABLE}:
            assert not set(keymap.of(one.id)) & set(keymap.of(other.id)), (one, other)


def test_views_that_are_never_on_screen_together_may_share_a_key() -> None:
    assert resolve(SOME, {"runs.new": "s"}).problems == ()


def test_two_actions_may_exchange_their_keys() -> None:
    keymap = resolve(SOME, {"fleet.shell": "l", "fleet.log": "s"})
    assert (keymap.problems, keymap.of("fleet.shell"), keymap.of("fleet.log")) == ((), ("l",), ("s",))


def test_a_key_that_was_given_up_is_free() -> None:
    assert resolve(SOME, {"everywhere.theme": "ctrl+t", "fleet.shell": "T"}).problems == ()


@pytest.mark.parametrize("sign", list("?/:@[]-<>^!;,.'\"#$%&*()_+={}|\\~`"))
def test_a_sign_has_the_name_that_the_framework_gives_it(sign: str) -> None:
    assert canonical(sign) == _character_to_key(sign)
    assert is_key(canonical(sign))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ctrl+X", "ctrl+shift+x"),
        ("ctrl+/", "ctrl+slash"),
        ("Alt+1", "alt+1"),
        ("esc", "escape"),
        ("ctrl++", "ctrl+plus"),
        ("Ж", "Ж"),
    ],
)
def test_keys_are_written_as_hands_write_them(written: str, name: str) -> None:
    assert canonical(written) == name
    assert is_key(name)


def test_the_framework_takes_the_changed_keys() -> None:
    bindings = BindingsMap(bindings_of("table"))
    keymap = resolve(ACTIONS, {"table.mark": "ctrl+x", "table.range": ""})
    assert keymap.problems == ()
    assert not bindings.apply_keymap(keymap.changed()).clashed_bindings
    assert [binding.id for binding in bindings.get_bindings_for_key("ctrl+x")] == ["table.mark"]
    assert "space" not in bindings.key_to_bindings
    assert "V" not in bindings.key_to_bindings


async def test_every_action_everywhere_answers_to_the_key_that_was_chosen_for_it(workspace: Workspace) -> None:
    wish(workspace, '[keymap]\neverywhere.palette = "ctrl+k"\neverywhere.theme = "ctrl+t"\n')
    console = SpotterApp(workspace, live=False)
    async with console.run_test(size=(80, 24)) as pilot:
        assert console.keymap.problems == ()
        assert {bound.binding.id for bound in console.screen.active_bindings.values()} >= {
            action.id for action in actions_of(EVERYWHERE) if action.keys
        }
        await pilot.press("ctrl+p")
        assert len(console.screen_stack) == 1
        await pilot.press("ctrl+k")
        await until(pilot, lambda: isinstance(console.screen, PaletteScreen), "the palette")


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.keys], ids=lambda action: action.id)
def test_every_key_of_the_registry_is_one(action: Action) -> None:
    for key in action.keys.split(","):
        assert is_key(key)
        assert canonical(key) == key


def wish(workspace: Workspace, text: str) -> None:
    workspace.settings_file.write_text(text)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


@pytest.mark.parametrize(
    ("text", "keymap"),
    [
        ('[keymap]\n"fleet.shell" = "ctrl+t"\n', {"fleet.shell": "ctrl+t"}),
        ('[keymap]\nfleet.shell = ["ctrl+t", "s"]\n', {"fleet.shell": ("ctrl+t", "s")}),
        ('[keymap]\ntable.sort-left = ""\n', {"table.sort-left": ""}),
        ("[keymap]\nfleet.shell = 5\n", {}),
        ("keymap = 5\n", {}),
        ("[keymap", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_wishes_are_read_with_and_without_quotes_and_a_broken_file_has_none(
    workspace: Workspace, text: str, keymap: dict[str, object]
) -> None:
    wish(workspace, text)
    assert read_preferences(workspace, {}).keymap == keymap


def test_preferences_are_the_settings_of_the_same_name(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = ConsoleSettings()
    assert read_preferences(workspace, {}) == Preferences(**defaults.model_dump())
    wish(
        workspace,
        '[console]\nlanguage = "ru"\ntheme = "x"\nread_only = true\nbell = false\n[keymap]\nfleet.log = "ctrl+l"\n',
    )
    monkeypatch.setenv("SPOTTER_CONSOLE__BELL", "true")
    settings = load_settings(workspace)
    assert read_preferences(workspace) == Preferences(**settings.console.model_dump(), keymap=settings.keymap)
    assert read_preferences(workspace).bell


@pytest.mark.parametrize("text", ["[console]\nread_only = tru\n", '[console]\nread_only = "yes"\n'])
def test_what_may_have_asked_for_read_only_and_cannot_be_read_means_it(workspace: Workspace, text: str) -> None:
    wish(workspace, text)
    assert read_preferences(workspace, {}).read_only


async def test_settings_that_cannot_be_read_are_told_and_open_the_console_read_only(
    workspace: Workspace,
) -> None:
    wish(workspace, "[console\n")
    app = SpotterApp(workspace, live=False)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app._notifications, "a note")
        told = "\n".join(note.message for note in app._notifications)
        assert "spotter.toml cannot be read" in told
        assert ":ro" in told
        assert app.read_only


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_keys_are_listed_with_their_source_and_twin(workspace: Workspace) -> None:
    wish(workspace, '[keymap]\neverywhere.theme = "ctrl+t"\n')
    rows = {row["id"]: row for row in json.loads(run("-C", str(workspace.root), "keys", "--json").stdout)}
    assert set(rows) == {action.id for action in ACTIONS}
    assert (rows["everywhere.theme"]["keys"], rows["everywhere.theme"]["source"]) == (["ctrl+t"], "user")
    assert (rows["everywhere.doctor"]["source"], rows["everywhere.doctor"]["command"]) == ("default", "spotter doctor")


def test_the_check_names_what_cannot_be(workspace: Workspace) -> None:
    wish(workspace, '[keymap]\nfleet.destory = "D"\neverywhere.theme = "ctrl+t"\n')
    done = run("-C", str(workspace.root), "keys", "--check")
    assert done.exit_code == 1
    assert "fleet.destory: there is no such action" in done.stderr
    wish(workspace, "")
    assert run("-C", str(workspace.root), "keys", "--check").exit_code == 0
    workspace.settings_file.write_text("[keymap]\n[keymap]\n")
    broken = run("-C", str(workspace.root), "keys", "--check")
    assert broken.exit_code != 0
    assert "is not TOML" in broken.output, "none of its keys applies"
    assert run("-C", str(workspace.root), "keys").exit_code == 0, "the keys that hold now"


def test_the_page_of_keys_is_up_to_date() -> None:
    written = Path("docs/keys.md").read_text("utf-8")
    assert written == "\n".join(page(default_keymap(ACTIONS))) + "\n", "run  make keys"


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.command], ids=lambda action: action.id)
def test_every_command_that_help_names_is_one_with_these_options(action: Action) -> None:
    command: Any = get_command(app)
    words = action.command.split()
    assert words[0] == "spotter"
    for word in words[1:]:
        if not getattr(command, "commands", {}):
            break
        assert word in command.commands, action.command
        command = command.commands[word]
    known = {option for param in command.params for option in param.opts}
    assert {word.partition("=")[0] for word in words if re.match("--[a-z]", word)} <= known


def test_what_touches_money_or_data_can_be_done_by_a_command() -> None:
    assert [action.id for action in ACTIONS if action.stake and not action.command] == []
