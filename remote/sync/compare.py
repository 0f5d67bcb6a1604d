"""What differs between this machine's workspace and its working copy on a box, and who changed it since they met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["only here", "only there", "changed here", "changed there", "changed on both"]


@dataclass(frozen=True, slots=True)
class Side:
    """One file on one machine; `mtime` is seconds since 1970 by that machine's clock."""

    size: int
    mtime: float
    sha256: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One name that is not the same on both machines."""

    name: str
    kind: Kind
    here: Side | None
    there: Side | None
    removed_here: bool = False
    """It came from here, is not here any more, and was not edited there: a push of everything removes it there."""


def compare(here: Mapping[str, Side], there: Mapping[str, Side], base: Mapping[str, str]) -> list[Difference]:
    """The differences by name; `base` is what each file was (sha256) when both machines last had the same."""
    found = []
    for name in sorted({*here, *there}):
        mine, theirs = here.get(name), there.get(name)
        if mine is None or theirs is None:
            removed = theirs is not None and base.get(name) == theirs.sha256
            found.append(Difference(name, "only here" if theirs is None else "only there", mine, theirs, removed))
        elif mine.sha256 != theirs.sha256:
            found.append(Difference(name, _who_changed(mine, theirs, base.get(name)), mine, theirs))
    return found


def _who_changed(mine: Side, theirs: Side, base: str | None) -> Kind:
    if base == mine.sha256:
        return "changed there"
    return "changed here" if base == theirs.sha256 else "changed on both"
