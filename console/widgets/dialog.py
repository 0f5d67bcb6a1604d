"""What is laid over a view and closed again: help, questions, menus, pages."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A screen over the view that closes once, and does nothing before it can be read.

    Keys come faster than a screen goes: a second esc or enter still reaches the one that is closed already. Textual
    then takes away whatever lies on top by that time, or raises ScreenStackError where nothing but the shell is left.
    They come faster than one is drawn, too: its widgets are not there yet, and nobody has read what it asks.
    """

    EARLY: ClassVar[frozenset[str]] = frozenset({"dismiss"})
    """Actions that need none of its widgets and do no harm: closing it."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuse keys that came in one go with the one that opened it."""
        if not self.is_mounted and action not in self.EARLY:
            return False
        return super().check_action(action, parameters)

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close it with a result; nothing where it is not on top."""
        if self.app.screen_stack[-1:] != [self]:
            return AwaitComplete()
        return super().dismiss(result)
