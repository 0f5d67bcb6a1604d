"""What is laid over a view and closed again: help, questions, menus, pages."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A screen over the view that closes once.

    Keys come faster than a screen goes: a second esc or enter still reaches the one that is closed already. Textual
    then takes away whatever lies on top by that time, or raises ScreenStackError where nothing but the shell is left.
    """

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close it with a result; nothing where it is not on top."""
        if self.app.screen_stack[-1:] != [self]:
            return AwaitComplete()
        return super().dismiss(result)
