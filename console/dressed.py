"""An app that has its theme on before it runs.

Textual puts a theme on by reading the whole style sheet again, and once more for the terminal's colours; an app that
chooses both when it is mounted pays for three readings before its first frame, which is a sixth of that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.terminal_theme import TerminalTheme
from textual.app import App
from textual.filter import LineFilter, NoColor
from textual.theme import Theme


class DressedApp(App[None]):
    """Call `dress` from `__init__`, and `begun` once the first frame is out."""

    _worn = ""
    """The theme that the style sheet will be read with; empty once it has been."""

    def dress(self, theme: str, themes: Iterable[Theme], dark: TerminalTheme, light: TerminalTheme) -> None:
        """Put on `theme`, one of `themes` or of Textual's own; `dark` and `light` are what colour names mean."""
        for each in themes:
            self.register_theme(each)
        self.ansi_theme_dark, self.ansi_theme_light = dark, light
        self.theme = self._worn = theme
        self.stylesheet.set_variables(self.get_css_variables())

    def refresh_css(self, animate: bool = True) -> None:
        """Read the style sheet again, unless it was not read yet, or is on screen for the first time just as it is."""
        if not self._worn or self._worn != self.theme:
            super().refresh_css(animate)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With NO_COLOR nothing is coloured: Textual's own way is greys, which a light terminal could not wish for."""
        return (NoColor(),) if self.no_color else super().get_line_filters()

    def begun(self) -> None:
        """From now on every change of the theme counts."""
        self._worn = ""
