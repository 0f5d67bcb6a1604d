"""Diagrams: what their nodes are called, and which arrow joins which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.docparse.analysis import Edge
from pipeline.docparse.regions import Region
from pipeline.docparse.textlayer.page import Draft, RegionPage, Said, fact
from pipeline.docparse.words import Box

LABEL_REACH_PX = 26.0
"""A label's middle, or the middle of one of its sides, lies no further from its arrow."""


def describe_diagram(region: Region, page: RegionPage, draft: Draft) -> None:
    """Nodes by name; an edge and a fact for every arrow that joins two nodes with words."""
    nodes = {node.id: node for node in page.within(region, "node")}
    names = {node_id: name for node_id in nodes if (name := page.name_of(node_id))}
    draft.labels = [name.text for name in names.values()]
    arrows = [a for a in page.within(region, "arrow") if a.from_node in names and a.to_node in names]
    labels = _labels(arrows, page.within(region, "textbox"), nodes, page)
    for arrow in arrows:
        start, end = names[arrow.from_node or ""], names[arrow.to_node or ""]
        label = labels.get(arrow.id)
        for source, target in [(start, end), (end, start)][: 1 + arrow.both_ways]:
            draft.edges.append(Edge(source=source.text, target=target.text, label=label and label.text))
            told = f"{source.text} → {target.text}{f' ({label.text})' if label else ''}"
            draft.facts.append(fact(source, "points to", target, told, *([label] if label else [])))
    parts = []
    if draft.labels:
        parts.append("nodes: " + ", ".join(draft.labels))
    if draft.edges:
        parts.append("arrows: " + "; ".join(fact.text for fact in draft.facts))
    draft.caption = "; ".join(parts) or page.joined(page.words_in(region))


def describe_arrow(region: Region, page: RegionPage, draft: Draft) -> None:
    """The nodes that it joins; the words inside its box are its neighbours', so they are told as such."""
    start, end = page.name_of(region.from_node), page.name_of(region.to_node)
    if start and end:
        draft.edges = [Edge(source=start.text, target=end.text, label=None)]
        draft.caption = f"from {start.text} to {end.text}"
    else:
        draft.caption = f"beside {page.joined(page.words_in(region))}"


def _labels(
    arrows: Sequence[Region], textboxes: Sequence[Region], nodes: Mapping[str, Region], page: RegionPage
) -> dict[str, Said]:
    """Arrow id → label: texts and arrows are matched one to one, nearest first."""
    pairs = []
    for textbox in textboxes:
        words = page.words_in(textbox)
        left, top, right, bottom = textbox.box
        x, y = _middle(textbox.box)
        around = [(x, y), (left, y), (right, y), (x, top), (x, bottom)]
        for arrow in arrows:
            start, end = nodes[arrow.from_node or ""], nodes[arrow.to_node or ""]
            away = min(_away(point, arrow, start, end) for point in around)
            if words and away <= LABEL_REACH_PX:
                pairs.append((away, textbox.id, arrow.id, Said(page.joined(words), tuple(words))))
    labels: dict[str, Said] = {}
    used: set[str] = set()
    for _, textbox_id, arrow_id, said in sorted(pairs, key=lambda pair: pair[:3]):
        if textbox_id not in used and arrow_id not in labels:
            used.add(textbox_id)
            labels[arrow_id] = said
    return labels


def _away(point: tuple[float, float], arrow: Region, start: Region, end: Region) -> float:
    """From a point to an arrow: to the straight line between its nodes, or to the border of its box if it has bends."""
    straight = _to_segment(point, _middle(start.box), _middle(end.box))
    width, height = arrow.bbox_px[2], arrow.bbox_px[3]
    if min(width, height) < LABEL_REACH_PX:
        return _to_border(point, arrow.box)
    return min(straight, _to_border(point, arrow.box) + LABEL_REACH_PX / 4)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _to_segment(point: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else max(0.0, min(1.0, ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length))
    return float(((a[0] + along * dx - point[0]) ** 2 + (a[1] + along * dy - point[1]) ** 2) ** 0.5)


def _to_border(point: tuple[float, float], box: Box) -> float:
    corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    return min(_to_segment(point, a, b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))
