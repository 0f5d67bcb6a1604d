"""A line to type in that does what is typed in the order of typing."""

from __future__ import annotations

from textual import events
from textual.binding import NoBinding
from textual.widgets import Input


class Field(Input):
    """Textual's, whose editing keys overtake nothing and are overtaken by nothing.

    Textual lets a key that is no letter rise to the app before it is done, while the field takes letters at once: of
    `12 ⌫ 3` that came in one go, over a slow line say, it would make `12`, and of ctrl+u and a new query nothing.
    """

    async def _on_key(self, event: events.Key) -> None:
        """Do an editing key here; what is none, or does nothing here now, goes its usual way."""
        if event.is_printable:
            return  # Textual's own handler, which is called after this one, takes it
        try:
            bindings = self._bindings.get_bindings_for_key(event.key)
        except NoBinding:
            return
        for binding in bindings:
            if await self.app.run_action(binding.action, self):
                event.stop()
                return
