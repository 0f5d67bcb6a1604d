"""The palette of actions; a second enter does not do twice what was chosen, and closes nothing else."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit
from textual.widgets import OptionList

from console.language import _


class PaletteScreen(CommandPalette):
    """Textual's, which speaks English, and closes and runs its command again for an enter that comes while it goes."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(placeholder=_("name of an action, or what it does"), id=id)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close it; nothing where it is not on top."""
        if self.app.screen_stack[-1:] != [self]:
            self._selected_command = DiscoveryHit("", _nothing)  # what Textual runs after this
            return AwaitComplete()
        return super().dismiss(result)

    def _watch__list_visible(self) -> None:
        """Show or hide the list; what is still gathered for a palette that goes finds none, and nobody looks."""
        if self.query(OptionList):
            super()._watch__list_visible()

    async def _watch__show_busy(self) -> None:
        """Show that it gathers, likewise."""
        if self.query(OptionList):
            await super()._watch__show_busy()

    def _action_command_list(self, action: str) -> None:
        """Move in the list, or choose from it: where it has no room, its pages would raise KeyError."""
        if self.query_one(OptionList).scrollable_content_region:
            super()._action_command_list(action)


def _nothing() -> None:
    """The command of a palette that is closed already."""
