"""All actions, view by view, and what is made of them: bindings, and the list for help and palette."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding, BindingType

from console.actions import (
    doctor,
    everywhere,
    fleet,
    form,
    index,
    instance,
    log,
    metrics,
    offers,
    pulse,
    review,
    run,
    runs,
    services,
    sync,
    table,
    welcome,
)
from console.actions.action import EVERYWHERE, Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    *everywhere.ACTIONS,
    *table.ACTIONS,
    *fleet.ACTIONS,
    *offers.ACTIONS,
    *instance.ACTIONS,
    *runs.ACTIONS,
    *form.ACTIONS,
    *run.ACTIONS,
    *log.ACTIONS,
    *sync.ACTIONS,
    *index.ACTIONS,
    *review.ACTIONS,
    *metrics.ACTIONS,
    *services.ACTIONS,
    *doctor.ACTIONS,
    *pulse.ACTIONS,
    *welcome.ACTIONS,
)
UNLISTED = {"run": N_("Run"), "form": N_("New run"), "welcome": N_("Welcome")}
"""Titles of views that no key shows from everywhere."""
_BY_ID = {action.id: action for action in ACTIONS}


def action_called(action_id: str) -> Action:
    """The action with this id.

    Raises:
        KeyError: there is none.
    """
    return _BY_ID[action_id]


def title_of(view: str) -> str:
    """What a view is called on screen, in English: the label of the action that shows it."""
    shows = _BY_ID.get(f"{EVERYWHERE}.{view}")
    return shows.label if shows is not None else UNLISTED[view]


def actions_of(view: str) -> list[Action]:
    """The actions that `view` offers beyond those offered everywhere."""
    return [action for action in ACTIONS if action.view == view]


def bindings_of(view: str, *, but: Sequence[str] = ()) -> list[BindingType]:
    """Textual bindings of one group but those named, each with its action's id so that a key map can rebind it.

    Every key goes through `app.do`, which knows what is refused, what asks first, and writes the command log.
    """
    return [
        Binding(action.keys, f"app.do('{action.id}')", action.label, show=False, id=action.id)
        for action in actions_of(view)
        if action.keys and action.id not in but
    ]
