"""A screen as text that can be kept and compared: its words first, then which cells wear which style.

A twentieth of the size of the SVG of the same screen, and a difference in one word or one colour is one changed line.
`drawing` makes the picture from it again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

STYLES = "=== styles"
ROWS = "=== style and cells, row by row"
PLAIN = "none"
ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike", "overline")


def written(rows: Iterable[Iterable[Segment]]) -> str:
    """The screen as text: one line a row, without blanks at its end, then the styles, then who wears them."""
    words: list[str] = []
    worn: list[str] = []
    numbers: dict[str, int] = {}
    for row in rows:
        segments = [each for each in row if not each.control]
        words.append("".join(each.text for each in segments).rstrip(" "))
        spans = []
        for look, run in groupby(segments, key=lambda each: _look(each.style)):
            spans.append(f"{numbers.setdefault(look, len(numbers))}:{sum(len(each.text) for each in run)}")
        worn.append(" ".join(spans))
    return "\n".join([*words, STYLES, *numbers, ROWS, *worn, ""])


def drawing(text: str, name: str, ground: TerminalTheme) -> str:
    """The SVG of a screen from what `written` made of it.

    Raises:
        ValueError: the text is not of that form.
    """
    words, _, rest = text.partition(f"{STYLES}\n")
    names, _, worn = rest.partition(f"{ROWS}\n")
    styles = [Style.parse(each) for each in names.splitlines()]
    rows = []
    for line, spans in zip(words.split("\n"), worn.split("\n"), strict=False):
        row, at = Text(no_wrap=True, end=""), 0
        pairs = [tuple(map(int, each.split(":"))) for each in spans.split()]
        padded = line.ljust(sum(cells for _style, cells in pairs))
        for number, count in pairs:
            row.append(padded[at : at + count], styles[number])
            at += count
        rows.append(row)
    rows = rows[:-1]  # after the last line's end
    width = max(row.cell_len for row in rows)
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", record=True,
        legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(Text("\n").join(rows), no_wrap=True, overflow="ignore", crop=False)
    return console.export_svg(title=name, theme=ground)


def _look(style: Style | None) -> str:
    """What is to be seen of a style, in words that `Style.parse` reads: no link, nothing for a mouse, no "not bold"."""
    if style is None:
        return PLAIN
    look = [each for each in ATTRIBUTES if getattr(style, each)]
    if style.color is not None:
        look.append(style.color.name)
    if style.bgcolor is not None:
        look.append(f"on {style.bgcolor.name}")
    return " ".join(look) or PLAIN
