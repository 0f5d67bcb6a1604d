"""A list of options that bears a terminal without room for it."""

from __future__ import annotations

from textual.widgets import OptionList


class Options(OptionList):
    """Textual's, whose pages raise KeyError where none of its lines has been laid out."""

    def action_page_up(self) -> None:
        """A page up, where there are pages."""
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """A page down, where there are pages."""
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]
