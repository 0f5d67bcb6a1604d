"""One colour a label, wherever regions are drawn."""

from __future__ import annotations

from pipeline.docparse.labels import Label

COLOURS: dict[Label, str] = {
    "diagram": "#0072B2", "canvas": "#56B4E9", "table": "#009E73", "legend": "#CC79A7", "node": "#E69F00",
    "arrow": "#D55E00", "textbox": "#7F7F7F",
}  # fmt: skip
"""Okabe and Ito's colours, which people with any kind of sight tell apart."""


def rgb(label: Label) -> tuple[int, int, int]:
    """Red, green, blue, 0 to 255."""
    red, green, blue = bytes.fromhex(COLOURS[label][1:])
    return red, green, blue
