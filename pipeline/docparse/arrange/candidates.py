"""What steps of arranging work on, and what each says that it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.words import Box

RANK: dict[Label, int] = {label: number for number, label in enumerate(LABELS)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box that may become a region."""

    label: Label
    box: Box
    score: float
    prompt: str | None = None
    alternatives: Mapping[Label, float] = field(default_factory=dict)
    raw: tuple[int, ...] = ()
    """Indices of the raw boxes that it was made of."""
    tile: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Sorts better boxes first. Nothing in it depends on the order in which a detector told its boxes."""
        tile = -1 if self.tile is None else self.tile
        return -self.score, RANK[self.label], self.box, self.prompt or "", tile, sorted(self.alternatives.items())


@dataclass(frozen=True, slots=True)
class Drop:
    """Raw boxes that a step took out, and why."""

    raw: tuple[int, ...]
    reason: str
    by: tuple[int, ...] = ()
    """The raw boxes in whose favour."""
    value: float | None = None
    """The number that decided: a score, an area, an overlap."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did."""

    name: str
    before: int
    kept: tuple[Candidate, ...]
    dropped: tuple[Drop, ...] = ()
    merged: tuple[tuple[int, ...], ...] = ()
    """Raw boxes that go on as one."""

    def told(self) -> dict[str, Any]:
        """The step as JSON: drops that need no further word are grouped by their reason."""
        groups: dict[str, list[int]] = {}
        for drop in self.dropped:
            if not drop.by:
                groups.setdefault(drop.reason, []).extend(drop.raw)
        alone: list[dict[str, Any]] = [{"reason": reason, "raw": sorted(raw)} for reason, raw in sorted(groups.items())]
        paired = sorted((drop for drop in self.dropped if drop.by), key=lambda drop: (drop.raw, drop.reason))
        alone += [
            {"reason": drop.reason, "raw": list(drop.raw), "by": list(drop.by)}
            | ({} if drop.value is None else {"value": round(drop.value, 4)})
            for drop in paired
        ]
        told: dict[str, Any] = {"name": self.name, "in": self.before, "out": len(self.kept), "dropped": alone}
        return told | ({"merged": sorted(map(list, self.merged))} if self.merged else {})


def in_order(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Better candidates first; the same for every order of the same candidates."""
    return tuple(sorted(candidates, key=lambda one: one.key))
