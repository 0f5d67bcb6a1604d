"""The look: one palette, dark and light; colour carries meaning only beside a word or a sign."""

from __future__ import annotations

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
