"""What can be done in the sync view."""

from __future__ import annotations

from console.actions.action import Action

ACTIONS: tuple[Action, ...] = ()
