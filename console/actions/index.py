"""What can be done in the index view."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS: tuple[Action, ...] = ()
