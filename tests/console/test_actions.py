"""The table of actions: one id, one key a screen, one method that does it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import import_module
from itertools import combinations

import pytest
from textual.binding import Binding

from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import ACTIONS, action_called, actions_of, bindings_of, title_of
from console.app import SpotterApp
from console.screens.catalog import CLASSES
from console.screens.view import View
from console.tools import TOOLS
from console.widgets.keyed_table import KeyedTable

STAKE_KEYS = frozenset("XDRKUF")
OWN_DIGITS = frozenset({"log", "review", "metrics"})
"""Views in which digits act on the pane; alt and a digit always switch."""


@cache
def class_of(view: str) -> type[View]:
    found: type[View] = getattr(import_module(f"console.screens.{view}"), CLASSES[view])
    return found


def keys_of(action: Action) -> set[str]:
    return {key for key in action.keys.split(",") if key}


def test_ids_are_unique() -> None:
    assert max(Counter(action.id for action in ACTIONS).values()) == 1


def test_every_action_belongs_to_a_view_that_there_is() -> None:
    assert {action.view for action in ACTIONS} <= {*CLASSES, EVERYWHERE, TABLE}


@pytest.mark.parametrize("group", [*CLASSES, EVERYWHERE, TABLE])
def test_no_two_actions_of_a_group_share_a_key(group: str) -> None:
    for one, other in combinations(actions_of(group), 2):
        assert not keys_of(one) & keys_of(other), (one.id, other.id)


@pytest.mark.parametrize("view", list(CLASSES))
def test_a_view_takes_no_key_that_leads_out_of_it(view: str) -> None:
    kept = {"question_mark", "colon", "q", "at", "escape", "ctrl+p"}
    taken = set().union(*map(keys_of, actions_of(view)))
    assert not taken & kept
    digits = {key for key in taken if key.isdigit()}
    assert not digits or view in OWN_DIGITS, digits


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_is_done_by_someone(action: Action) -> None:
    if action.view == EVERYWHERE:
        done = action.id in TOOLS or action.verb in CLASSES or hasattr(SpotterApp, f"action_{action.name}")
    elif action.view == TABLE:
        done = hasattr(KeyedTable, f"action_{action.name}")
    else:
        prefix = "question" if action.stake else "action"
        done = hasattr(class_of(action.view), f"{prefix}_{action.name}")
    assert done


@pytest.mark.parametrize("action", [each for each in ACTIONS if each.stake], ids=lambda action: action.id)
def test_what_touches_money_or_data_is_on_its_own_keys(action: Action) -> None:
    assert keys_of(action) <= STAKE_KEYS
    assert action.command, "there is no command that does the same"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_those_keys_do_nothing_else(action: Action) -> None:
    assert action.stake or not keys_of(action) & STAKE_KEYS


def test_bindings_carry_the_actions_ids_and_go_through_the_one_door() -> None:
    fleet = [each for each in actions_of("fleet") if each.keys]
    made = [(each.id, each.action) for each in bindings_of("fleet") if isinstance(each, Binding)]
    assert made == [(each.id, f"app.do('{each.id}')") for each in fleet]


@pytest.mark.parametrize("view", list(CLASSES))
def test_every_view_has_a_title_and_its_name(view: str) -> None:
    assert view == class_of(view).NAME
    assert title_of(view) == class_of(view).TITLE


def test_an_action_is_found_by_its_id() -> None:
    assert action_called("everywhere.quit").keys == "q"
    with pytest.raises(KeyError):
        action_called("everywhere.nonsense")
