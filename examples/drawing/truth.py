"""What was drawn where: the drawer knows every region, so detectors can be measured against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from drawing.geometry import Box

LABELS = ("diagram", "canvas", "table", "legend", "node", "arrow", "textbox")


@dataclass(frozen=True, slots=True)
class Region:
    """One drawn thing: its label, its box in points as the page is shown, and the region it lies in.

    `role` says which kind of its label it is (a textbox: paragraph, heading, cell, callout, note);
    `source` and `target` are the ids of the nodes that an arrow joins.
    """

    id: int
    label: str
    box: Box
    parent: int | None = None
    text: str = ""
    role: str = ""
    source: int | None = None
    target: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The region as a JSON object; empty fields are left out, coordinates rounded to 0.1 pt."""
        bbox = [round(edge, 1) for edge in (self.box.x0, self.box.y0, self.box.x1, self.box.y1)]
        told: dict[str, Any] = {"id": self.id, "label": self.label, "bbox_pt": bbox}
        optional = {
            "parent": self.parent,
            "text": self.text or None,
            "role": self.role or None,
            "from": self.source,
            "to": self.target,
        }
        return told | {key: value for key, value in optional.items() if value is not None}


class Record:
    """Collects the regions of one page while it is drawn; groups take the union of the ink inside them."""

    def __init__(self) -> None:
        self._regions: dict[int, Region] = {}
        self._open: list[tuple[int, list[Box]]] = []
        self._next_id = 1

    @property
    def regions(self) -> list[Region]:
        """Every region in drawing order."""
        return [self._regions[key] for key in sorted(self._regions)]

    def ink(self, box: Box) -> None:
        """Note that something visible fills this box."""
        if self._open:
            self._open[-1][1].append(box)

    def mark(self, label: str, box: Box, text: str = "", role: str = "", joins: tuple[int, int] | None = None) -> int:
        """Record one region and return its id; `joins` are the two nodes an arrow leads between."""
        if label not in LABELS:
            raise ValueError(f"unknown label {label!r}: use one of {', '.join(LABELS)}")
        source, target = joins or (None, None)
        parent = self._open[-1][0] if self._open else None
        region = Region(self._take_id(), label, box, parent, " ".join(text.split()), role, source, target)
        self._regions[region.id] = region
        self.ink(box)
        return region.id

    @contextmanager
    def group(self, label: str, text: str = "", role: str = "") -> Iterator[int]:
        """Record a region around everything drawn inside the `with` block."""
        region_id = self._take_id()
        self._open.append((region_id, []))
        yield region_id
        _, inks = self._open.pop()
        if not inks:
            raise ValueError(f"the group {label!r} {text!r} holds no ink")
        parent = self._open[-1][0] if self._open else None
        box = Box.union(inks)
        self._regions[region_id] = Region(region_id, label, box, parent, " ".join(text.split()), role)
        self.ink(box)

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


def turned(regions: Sequence[Region], degrees: float, about: tuple[float, float]) -> list[Region]:
    """The regions of a page that was turned on the scanner's glass."""
    return [replace(region, box=region.box.turned(degrees, about)) for region in regions]
