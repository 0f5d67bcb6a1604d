"""The look: one palette, dark and light; colour carries meaning only beside a word or a sign."""

from __future__ import annotations

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

DARK = Theme(
    name="spotter-dark",
    primary="#7aa2f7",
    secondary="#9ece6a",
    accent="#e0af68",
    warning="#e0af68",
    error="#f7768e",
    success="#9ece6a",
    background="#15161e",
    surface="#1a1b26",
    panel="#24283b",
    foreground="#c0caf5",
    dark=True,
)

LIGHT = Theme(
    name="spotter-light",
    primary="#2e5cc5",
    secondary="#3f7d20",
    accent="#8c5a00",
    warning="#8c5a00",
    error="#b3203a",
    success="#3f7d20",
    background="#f7f7fa",
    surface="#ffffff",
    panel="#e6e8f0",
    foreground="#24283b",
    dark=False,
)


def _named_colours(theme: Theme, rest: tuple[str, str, str]) -> TerminalTheme:
    """What `red`, `green` and so on mean inside the app: the theme's own, which can be read without colour too."""
    blue, magenta, cyan = rest
    assert theme.background and theme.foreground and theme.panel  # noqa: PT018 (a theme of ours has them all)
    assert theme.error and theme.success and theme.warning  # noqa: PT018
    names = (theme.panel, theme.error, theme.success, theme.warning, blue, magenta, cyan, theme.foreground)
    rgb = [_rgb(each) for each in names]
    return TerminalTheme(_rgb(theme.background), _rgb(theme.foreground), rgb, rgb)


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


DARK_NAMES = _named_colours(DARK, ("#7aa2f7", "#bb9af7", "#7dcfff"))
LIGHT_NAMES = _named_colours(LIGHT, ("#2e5cc5", "#7a3fb0", "#00708c"))
