"""Nodes of a diagram: shapes with a name inside, or a filled dot."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.docparse.quality.synthetic.ink import Colour, Ink, Path, Point, Rect
from pipeline.docparse.quality.synthetic.outline import arc, outline, room, trembling
from pipeline.docparse.quality.synthetic.running_text import broken, set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch
from pipeline.docparse.quality.synthetic.theme import Theme, Tone

PITCH = 1.25


@dataclass(frozen=True, slots=True)
class Placed:
    """A node's place: its outline without the tremble of the hand."""

    box: Rect
    points: tuple[Point, ...]
    form: str

    @property
    def centre(self) -> Point:
        """The middle of its box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True)
class Manner:
    """How one diagram draws: which forms, how filled, how its arrows run."""

    forms: tuple[str, ...]
    filling: str
    """`outline`, `soft`, `solid` or `bare` (solid without an outline)."""
    tones: tuple[Tone, ...]
    stroke_pt: float
    route: str
    """`straight`, `elbow`, `curved` or `mixed`."""
    dashed_share: float
    head: str
    """`full`, `open` or `hollow`."""
    head_pt: float
    gap_pt: float
    """Between a node's outline and an arrow's ends; below zero an arrow reaches into the outline."""
    arrow_colour: Colour
    arrow_pt: float
    letters_pt: float


def draw_manner(random: Random, theme: Theme, touching: bool) -> Manner:
    """A manner at random; in a `touching` one arrows run right up to the nodes."""
    several = random.random() < 0.5
    forms: tuple[str, ...] = tuple(
        random.sample(("box", "round", "pill", "ellipse", "diamond", "slanted", "hexagon", "cylinder"), 3)
    )
    forms = (
        (random.choice(("box", "round")), *forms)
        if several
        else (random.choice(("box", "round", "box", "pill", "ellipse")),)
    )
    tone = random.choice(theme.tones)
    return Manner(
        forms=forms,
        filling=random.choice(("outline", "outline", "soft", "soft", "soft", "solid", "bare")),
        tones=(tone,) if random.random() < 0.5 else theme.tones,
        stroke_pt=theme.stroke_pt,
        route=random.choice(("straight", "straight", "elbow", "curved", "mixed")),
        dashed_share=random.choice((0, 0, 0.25, 1.0)),
        head=random.choice(("full", "full", "full", "open", "hollow")),
        head_pt=random.choice((5.5, 6.5, 8.0)),
        gap_pt=random.choice((0.0, 0.0, -0.3)) if touching else random.choice((0.0, 1.5, 2.5, 4.0)),
        arrow_colour=random.choice((theme.ink, tone.strong, theme.faint)),
        arrow_pt=max(0.9, min(1.8, theme.stroke_pt * random.choice((1, 1.2)))),
        letters_pt=random.choice((7.5, 8.5, 9.5)),
    )  # fmt: skip


def node_size(sketch: Sketch, manner: Manner, form: str, text: str, most_pt: float) -> tuple[float, float, list[str]]:
    """(width, height, lines) of a node that holds a text and is no wider than `most_pt`."""
    from pipeline.docparse.quality.synthetic.ink import text_width

    size, face = manner.letters_pt, sketch.theme.face
    inner = room(form, most_pt)
    lines = broken(text, face, size, inner)
    widest = max(text_width(line, face, size) for line in lines)
    width = min(most_pt, max(54.0, (widest + 12) * most_pt / inner))
    height = len(lines) * PITCH * size + sketch.random.choice((12, 16, 22))
    if form in ("diamond", "ellipse", "hexagon", "cylinder"):
        height *= {"diamond": 1.7, "ellipse": 1.3, "hexagon": 1.15, "cylinder": 1.35}[form]
    return width, height, lines


def draw_node(sketch: Sketch, manner: Manner, placed: Placed, lines: list[str], parent: int | None) -> int:
    """Draw a node; returns its index."""
    theme, random = sketch.theme, sketch.random
    tone = random.choice(manner.tones)
    fill, stroke, letters = {
        "outline": (theme.page, tone.strong, theme.ink),
        "soft": (tone.soft, tone.strong, tone.text),
        "solid": (tone.strong, theme.ink, tone.on_strong),
        "bare": (tone.strong, None, tone.on_strong),
    }[manner.filling]
    outer = trembling(placed.points, random, theme.tremble_pt, closed=True)
    inks: list[Ink] = [Path(tuple(outer), True, fill, stroke, manner.stroke_pt)]
    left, top, right, bottom = placed.box
    if placed.form == "cylinder":
        lid = min(0.14 * (bottom - top), 7.0)
        rim = arc((left + right) / 2, top + lid, (right - left) / 2, lid, 0, 180)
        inks.append(Path(tuple(rim), stroke=stroke or theme.page, width=manner.stroke_pt))
    height = len(lines) * PITCH * manner.letters_pt
    y = (top + bottom) / 2 - height / 2 + (3 if placed.form == "cylinder" else 0)
    text, _ = set_lines(lines, left, y, right - left, theme.face, manner.letters_pt, letters, "centre", PITCH)
    return sketch.add("node", [*inks, *text], parent, text=" ".join(lines))


def draw_dot(sketch: Sketch, manner: Manner, placed: Placed, parent: int | None) -> int:
    """Draw a node that is a filled dot: where a process begins or ends."""
    tone = manner.tones[0]
    return sketch.add("node", [Path(placed.points, True, tone.strong, sketch.theme.ink, manner.stroke_pt)], parent)


def placed_at(form: str, cx: float, cy: float, width: float, height: float) -> Placed:
    """A form of a size around a point."""
    box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    return Placed(box, tuple(outline(form, box)), form)
