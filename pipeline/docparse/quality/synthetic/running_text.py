"""Text on a page: headings, paragraphs, lists, callouts, captions. Every block is one `textbox`.

Blocks stand further apart than the lines inside them: two paragraphs set without a gap or an indent are one block to
every reader, and to this truth.
"""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Colour, Ink, Letters, Path, text_width
from pipeline.docparse.quality.synthetic.outline import arc, outline
from pipeline.docparse.quality.synthetic.sketch import Sketch

PITCH = 1.38
"""From line to line, in letter sizes."""


def broken(text: str, face: str, size: float, width: float) -> list[str]:
    """Lines no longer than `width`; a word longer than that stands alone."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, face, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def set_lines(
    lines: list[str],
    x: float,
    y: float,
    width: float,
    face: str,
    size: float,
    colour: Colour,
    align: str = "left",
    pitch: float = PITCH,
) -> tuple[list[Ink], float]:
    """Letters of lines from the top edge `y`, aligned in `width`; returns them and the bottom edge."""
    inks: list[Ink] = []
    for index, line in enumerate(lines):
        free = width - text_width(line, face, size)
        start = x + {"left": 0.0, "centre": free / 2, "right": free}[align]
        inks.append(Letters(start, y + index * pitch * size + 0.95 * size, line, face, size, colour))
    return inks, y + len(lines) * pitch * size


def heading(sketch: Sketch, x: float, y: float, width: float, size: float | None = None) -> float:
    """A bold title; returns the bottom edge, as every block does."""
    theme, random = sketch.theme, sketch.random
    size = size or theme.body_pt * random.choice((1.2, 1.4, 1.8))
    text = sketch.phrases.title()
    inks, bottom = set_lines(broken(text, theme.bold, size, width), x, y, width, theme.bold, size, theme.ink)
    sketch.add("textbox", inks, text=text)
    return bottom


def paragraph(sketch: Sketch, x: float, y: float, width: float) -> float:
    """Running text."""
    theme = sketch.theme
    text = sketch.phrases.sentence(9, 55)
    inks, bottom = set_lines(
        broken(text, theme.face, theme.body_pt, width), x, y, width, theme.face, theme.body_pt, theme.ink
    )
    sketch.add("textbox", inks, text=text)
    return bottom


def bullets(sketch: Sketch, x: float, y: float, width: float) -> float:
    """A list; entries follow one another as closely as lines, so that the list is one block."""
    theme, random = sketch.theme, sketch.random
    numbered, size, indent = random.random() < 0.4, theme.body_pt, theme.body_pt * 1.5
    inks: list[Ink] = []
    said = []
    for number in range(1, random.randint(3, 5)):
        text = sketch.phrases.sentence(4, 16)
        said.append(text)
        if numbered:
            inks.append(Letters(x, y + 0.95 * size, f"{number}.", theme.face, size, theme.ink))
        else:
            dot = size * 0.16
            circle = arc(x + size * 0.4, y + 0.62 * size, dot, dot, 0, 360, 16)
            inks.append(Path(tuple(circle), closed=True, fill=theme.ink))
        lines, y = set_lines(
            broken(text, theme.face, size, width - indent), x + indent, y, width - indent, theme.face, size, theme.ink
        )
        inks += lines
    sketch.add("textbox", inks, text=" ".join(said))
    return y


def callout(sketch: Sketch, x: float, y: float, width: float) -> float:
    """A note in a frame or on a tint: the frame is its box."""
    theme, random = sketch.theme, sketch.random
    tone, size, pad = random.choice(theme.tones), theme.body_pt, 10.0
    text = sketch.phrases.sentence(12, 35)
    lines, bottom = set_lines(
        broken(text, theme.face, size, width - 2 * pad - 4),
        x + pad + 4,
        y + pad,
        width - 2 * pad - 4,
        theme.face,
        size,
        theme.ink,
    )
    bottom += pad * 0.8
    style = random.choice(("framed", "barred", "tinted"))
    frame = outline(random.choice(("box", "round")) if style == "framed" else "box", (x, y, x + width, bottom))
    if style == "framed":
        inks: list[Ink] = [Path(tuple(frame), True, theme.page, tone.strong, theme.stroke_pt)]
    else:
        inks = [Path(tuple(frame), True, tone.soft)]
        if style == "barred":
            inks.append(Path(tuple(outline("box", (x, y, x + 3.2, bottom))), True, tone.strong))
    sketch.add("textbox", [*inks, *lines], text=text)
    return bottom


def caption(sketch: Sketch, x: float, y: float, width: float) -> float:
    """A small line under or above a figure."""
    theme = sketch.theme
    size = theme.body_pt * 0.9
    text = f"{'Рис.' if theme.russian else 'Figure'} {sketch.random.randint(1, 30)}. {sketch.phrases.words(3, 8)}"
    align = sketch.random.choice(("left", "centre"))
    inks, bottom = set_lines(broken(text, theme.face, size, width), x, y, width, theme.face, size, theme.faint, align)
    sketch.add("textbox", inks, text=text)
    return bottom


def small_line(sketch: Sketch, text: str, x: float, y: float, width: float, align: str) -> None:
    """A running head, a page number."""
    theme = sketch.theme
    inks, _ = set_lines([text], x, y, width, theme.face, 8, theme.faint, align)
    sketch.add("textbox", inks, text=text)
