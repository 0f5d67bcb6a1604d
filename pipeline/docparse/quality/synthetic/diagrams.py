"""Diagrams: nodes joined by arrows, as grids, trees, hubs, rings and chains.

A diagram is one group of nodes that arrows connect; nodes that no arrow reaches are not drawn. An enclosure around some
of its nodes is a `canvas` inside the diagram, and its name a `textbox`, as the label of an arrow is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.docparse.quality.synthetic.ink import Path, Rect, text_width
from pipeline.docparse.quality.synthetic.links import Way, curved, draw_arrow, draw_label, elbow, fits, straight
from pipeline.docparse.quality.synthetic.nodes import (
    Manner,
    Placed,
    draw_dot,
    draw_manner,
    draw_node,
    node_size,
    placed_at,
)
from pipeline.docparse.quality.synthetic.outline import outline, room
from pipeline.docparse.quality.synthetic.running_text import set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch

KINDS = ("grid", "grid", "grid", "tree", "hub", "ring", "chain")
ZONE_SHARE = 0.25


def diagram(sketch: Sketch, x: float, y: float, width: float, most_height: float, touching: bool) -> float:
    """Draw a diagram no wider than `width`; returns its bottom edge, or infinity when there is no room for one."""
    random = sketch.random
    manner = draw_manner(random, sketch.theme, touching)
    kind = random.choice(KINDS)
    if kind in ("hub", "ring") and (most_height < 260 or width < 300):
        kind = "chain"
    layout = {"grid": _grid, "tree": _tree, "hub": _hub, "ring": _ring, "chain": _chain}[kind]
    places, names, pairs, rows = layout(sketch, manner, x, y, width)
    if not places or max(place.box[3] for place in places) - y > most_height:
        return math.inf
    frame = (x - 2, y - 2, x + width + 2, y + most_height)
    ways = _routed(sketch, manner, places, pairs, frame, kind)
    chosen = _largest(len(places), ways)
    if len(chosen) < 3 or len(ways) < 2:
        return math.inf
    return _draw(sketch, manner, places, names, ways, chosen, rows if kind == "grid" else None, x, width)


def _routed(
    sketch: Sketch, manner: Manner, places: Sequence[Placed], pairs: Sequence[tuple[int, int]], frame: Rect, kind: str
) -> list[Way]:
    random = sketch.random
    ways: list[Way] = []
    for a, b in pairs:
        first, second = places[a], places[b]
        route = manner.route if manner.route != "mixed" else random.choice(("straight", "elbow", "curved"))
        aligned = min(abs(first.centre[0] - second.centre[0]), abs(first.centre[1] - second.centre[1])) < 12
        if kind == "tree":
            points = elbow(first, second, 2) if manner.route != "straight" else straight(first, second)
        elif kind == "ring" or (route == "curved" and random.random() < 0.8):
            points = curved(
                first, second, random.choice((-1, 1)) * random.uniform(0.12, 0.28) if kind != "ring" else 0.2
            )
        elif route == "elbow" and not aligned:
            points = elbow(first, second, random.choice((1, 2)))
        else:
            points = straight(first, second)
        if kind != "tree" and not fits(points, (a, b), places, ways, frame):
            continue
        ways.append(Way(a, b, tuple(points)))
    return ways


def _largest(count: int, ways: Sequence[Way]) -> set[int]:
    """The nodes of the largest connected part."""
    group = list(range(count))
    for _ in range(count):
        for way in ways:
            group[way.source] = group[way.target] = min(group[way.source], group[way.target])
    parts = [{index for index in range(count) if group[index] == root} for root in set(group)]
    return max(parts, key=lambda part: (len(part), -min(part)))


def _draw(
    sketch: Sketch, manner: Manner, places: Sequence[Placed], names: Sequence[list[str]], ways: Sequence[Way],
    chosen: set[int], rows: Sequence[Sequence[int]] | None, x: float, width: float,
) -> float:  # fmt: skip
    random = sketch.random
    group = sketch.add("diagram", ())
    zone: int | None = None
    members: frozenset[int] = frozenset()
    if rows is not None and random.random() < ZONE_SHARE:
        zone, members = _zone(sketch, manner, places, rows, chosen, ways, group, x, width)
    numbers = [-1] * len(places)
    for index in sorted(chosen):
        parent = zone if index in members else group
        if names[index]:
            numbers[index] = draw_node(sketch, manner, places[index], names[index], parent)
        else:
            numbers[index] = draw_dot(sketch, manner, places[index], parent)
    drawn = []
    used = [way for way in ways if way.source in chosen]
    for way in used:
        inside = way.source in members and way.target in members
        dashed, both = random.random() < manner.dashed_share, random.random() < 0.08
        drawn.append(draw_arrow(sketch, manner, way, numbers, zone if inside else group, dashed, both))
    taken: list[Rect] = []
    if zone is None and random.random() < 0.6:
        shown = [places[index] for index in chosen]
        for line in drawn:
            if random.random() < 0.4:
                draw_label(sketch, manner, line, shown, drawn, taken, group)
    return max(ink.reach()[3] for element in sketch.elements[group + 1 :] for ink in element.inks)


def _zone(
    sketch: Sketch, manner: Manner, places: Sequence[Placed], rows: Sequence[Sequence[int]], chosen: set[int],
    ways: Sequence[Way], group: int, x: float, width: float,
) -> tuple[int | None, frozenset[int]]:  # fmt: skip
    """An enclosure around one row of nodes, where no arrow runs along its border or through its name."""
    theme, random = sketch.theme, sketch.random
    full = [frozenset(index for index in row if index in chosen) for row in rows]
    full = [row for row in full if len(row) >= 2]
    if not full:
        return None, frozenset()
    members = random.choice(full)
    boxes = [places[index].box for index in sorted(members)]
    left, right = max(x, min(box[0] for box in boxes) - 10), min(x + width, max(box[2] for box in boxes) + 10)
    top, bottom = min(box[1] for box in boxes) - 18, max(box[3] for box in boxes) + 9
    crossing = [
        way
        for way in ways
        for px, py in way.points
        if way.source in chosen and py < top + 14 and left - 12 < px < right + 12 and py > top - 30
    ]
    others = [place.box for index, place in enumerate(places) if index not in members and index in chosen]
    if crossing or any(box[1] < bottom + 8 and box[3] > top - 8 and box[0] < right and box[2] > left for box in others):
        return None, frozenset()
    tone = random.choice(theme.tones)
    frame = outline(random.choice(("box", "round")), (left, top, right, bottom))
    dashes = random.choice(("[5 3] 0", "[3 2] 0", None))
    zone = sketch.add("canvas", [Path(tuple(frame), True, None, tone.strong, max(0.9, theme.stroke_pt), dashes)], group)
    text, size = sketch.phrases.name(), 7.5
    if text_width(text, theme.bold, size) < right - left - 16:
        inks, _ = set_lines([text], left + 7, top + 3.5, right - left, theme.bold, size, theme.ink)
        sketch.add("textbox", inks, zone, text=text)
    return zone, members


Layout = tuple[list[Placed], list[list[str]], list[tuple[int, int]], list[list[int]]]


def _node(
    sketch: Sketch, manner: Manner, cx: float, cy: float, most: float, dot: bool = False
) -> tuple[Placed, list[str]]:
    if dot:
        side = sketch.random.choice((13.0, 17.0))
        return placed_at("ellipse", cx, cy, side, side), []
    form = sketch.random.choice(manner.forms)
    text = sketch.phrases.name()
    if sketch.random.random() < 0.25:
        text += " " + sketch.phrases.words(1, 3)
    size, face = manner.letters_pt, sketch.theme.face
    if max(text_width(word, face, size) for word in text.split()) > room(form, most):
        form = "box"
    width, height, lines = node_size(sketch, manner, form, text, most)
    return placed_at(form, cx, cy, width, height), lines


def _grid(sketch: Sketch, manner: Manner, x: float, y: float, width: float) -> Layout:
    random = sketch.random
    columns = random.randint(2, 4) if width > 330 else random.randint(2, 3) if width > 230 else 2
    rows = random.randint(2, 4)
    pitch_x = width / columns
    most = max(76.0, min(120.0, pitch_x - random.choice((30, 38, 48))))
    pitch_y = random.choice((78, 88, 100))
    places: list[Placed] = []
    names: list[list[str]] = []
    cells: dict[tuple[int, int], int] = {}
    for row in range(rows):
        for column in range(columns):
            if random.random() < 0.15 and rows * columns > 5:
                continue
            dot = random.random() < 0.06
            place, lines = _node(sketch, manner, x + (column + 0.5) * pitch_x, y + 28 + row * pitch_y, most, dot)
            if place.box[3] - place.box[1] > pitch_y - 26:
                continue
            cells[row, column] = len(places)
            places.append(place)
            names.append(lines)
    pairs = []
    for (row, column), index in cells.items():
        for dr, dc, share in ((0, 1, 0.75), (1, 0, 0.7), (1, 1, 0.25), (1, -1, 0.2), (0, 2, 0.15), (2, 0, 0.1)):
            other = cells.get((row + dr, column + dc))
            if other is not None and random.random() < share:
                pairs.append((index, other) if random.random() < 0.8 else (other, index))
    top = min((place.box[1] for place in places), default=y)
    return (
        _lifted(places, y - top + 20),
        names,
        pairs,
        [[index for (r, _), index in cells.items() if r == row] for row in range(rows)],
    )


def _lifted(places: Sequence[Placed], by: float) -> list[Placed]:
    return [placed_at(p.form, p.centre[0], p.centre[1] + by, p.box[2] - p.box[0], p.box[3] - p.box[1]) for p in places]


def _tree(sketch: Sketch, manner: Manner, x: float, y: float, width: float) -> Layout:
    """A root, its children, and children of one of them; all arrows of a parent share a trunk when they have elbows."""
    random = sketch.random
    children = random.randint(2, 4) if width > 330 else 2
    pitch = width / children
    most = min(110.0, pitch - 24)
    root, root_name = _node(sketch, manner, x + width / 2, y + 26, most)
    places, names, pairs = [root], [root_name], []
    for child in range(children):
        place, lines = _node(sketch, manner, x + (child + 0.5) * pitch, y + 116, most)
        places.append(place)
        names.append(lines)
        pairs.append((0, len(places) - 1))
    if random.random() < 0.5:
        below = random.randrange(1, children + 1)
        place, lines = _node(sketch, manner, places[below].centre[0], y + 204, most)
        places.append(place)
        names.append(lines)
        pairs.append((below, len(places) - 1))
    return places, names, pairs, []


def _hub(sketch: Sketch, manner: Manner, x: float, y: float, width: float) -> Layout:
    random = sketch.random
    count = random.randint(4, 7)
    cx, cy = x + width / 2, y + 130
    places: list[Placed] = []
    names: list[list[str]] = []
    pairs: list[tuple[int, int]] = []
    place, lines = _node(sketch, manner, cx, cy, 100)
    places.append(place)
    names.append(lines)
    radius_x = min(width / 2 - 50, 190.0)
    for index in range(count):
        turn = 2 * math.pi * (index + 0.5 * (count % 2)) / count
        place, lines = _node(sketch, manner, cx + radius_x * math.cos(turn), cy + 104 * math.sin(turn), 88)
        if any(_near(place.box, other.box, 16) for other in places):
            continue
        places.append(place)
        names.append(lines)
        pairs.append((0, len(places) - 1) if random.random() < 0.5 else (len(places) - 1, 0))
    return places, names, pairs, []


def _ring(sketch: Sketch, manner: Manner, x: float, y: float, width: float) -> Layout:
    random = sketch.random
    count = random.randint(3, 6)
    places: list[Placed] = []
    names: list[list[str]] = []
    radius_x = min(width / 2 - 50, 170.0)
    for index in range(count):
        turn = 2 * math.pi * index / count - math.pi / 2
        place, lines = _node(
            sketch, manner, x + width / 2 + radius_x * math.cos(turn), y + 130 + 100 * math.sin(turn), 92
        )
        if any(_near(place.box, other.box, 24) for other in places):
            continue
        places.append(place)
        names.append(lines)
    return places, names, [(index, (index + 1) % len(places)) for index in range(len(places))], []


def _chain(sketch: Sketch, manner: Manner, x: float, y: float, width: float) -> Layout:
    random = sketch.random
    most_count = int(width / 105)
    if most_count < 3:
        return _grid(sketch, manner, x, y, width)
    count = random.randint(3, min(5, most_count))
    pitch = width / count
    places: list[Placed] = []
    names: list[list[str]] = []
    for index in range(count):
        dot = index in (0, count - 1) and random.random() < 0.2
        place, lines = _node(sketch, manner, x + (index + 0.5) * pitch, y + 40, min(110.0, pitch - 30), dot)
        places.append(place)
        names.append(lines)
    pairs = [(index, index + 1) for index in range(count - 1)]
    return places, names, pairs, []


def _near(a: Rect, b: Rect, by: float) -> bool:
    return a[0] - by < b[2] and b[0] < a[2] + by and a[1] - by < b[3] and b[1] < a[3] + by
