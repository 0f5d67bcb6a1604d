"""A list of options that bears a terminal without room for it, or without colour."""

from __future__ import annotations

from textual.geometry import Size
from textual.style import Style
from textual.widgets import OptionList


class Options(OptionList):
    """Textual's, whose pages raise KeyError where none of its lines has been laid out."""

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """Textual's, with the `reverse` that it leaves out: without colour nothing else shows where the mark is."""
        style = super().get_visual_style(*component_classes, partial=partial)
        turned = any(self.get_component_styles(name).text_style.reverse for name in component_classes)
        return style + Style(reverse=True) if turned else style

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """How high it is at a width; where its padding leaves nothing, as high as at one cell: rich divides by none."""
        padding = self.get_component_styles("option-list--option").padding.width
        return super().get_content_height(container, viewport, max(width, padding + 1))

    def action_page_up(self) -> None:
        """A page up, where there are pages."""
        if self.scrollable_content_region:
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """A page down, where there are pages."""
        if self.scrollable_content_region:
            super().action_page_down()  # type: ignore[no-untyped-call]
