from collections import Counter

import pytest
from rich.console import Console

from console.actions import ACTIONS, EVERYWHERE, Action, actions_of, bindings_of
from console.app import VIEWS, SpotterApp
from console.widgets.help import help_table

MONEY_OR_DATA = {"fleet.destroy", "offers.rent", "runs.cancel", "run.cancel", "runs.resume"}


def test_ids_are_unique() -> None:
    assert max(Counter(action.id for action in ACTIONS).values()) == 1


@pytest.mark.parametrize("view", list(VIEWS))
def test_no_two_actions_of_a_view_share_a_key(view: str) -> None:
    keys = Counter(key for name in (view, EVERYWHERE) for action in actions_of(name) for key in action.keys.split(","))
    assert {key: count for key, count in keys.items() if count > 1} == {}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_has_its_method(action: Action) -> None:
    owner = SpotterApp if action.view == EVERYWHERE else VIEWS[action.view]
    if action.id in ("everywhere.palette", "runs.open"):  # the framework's own
        assert action.method not in dir(owner)
    else:
        assert hasattr(owner, f"action_{action.method}")


def test_what_touches_money_or_data_is_upper_case_and_nothing_else_changes_anything() -> None:
    for action in ACTIONS:
        if action.id in MONEY_OR_DATA:
            assert action.keys.isupper(), action.id


@pytest.mark.parametrize("view", list(VIEWS))
def test_the_help_page_names_every_action(view: str) -> None:
    console = Console(width=160, record=True)
    with console.capture() as capture:
        console.print(help_table(view))
    for action in (*actions_of(view), *actions_of(EVERYWHERE)):
        assert action.help in capture.get()


def test_bindings_carry_the_actions_ids() -> None:
    assert {binding.id for binding in bindings_of("fleet")} == {action.id for action in actions_of("fleet")}  # type: ignore[union-attr]
