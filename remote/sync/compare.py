"""What differs between this machine's workspace and its working copy on a box, and who changed it since they met."""

from __future__ import annotations

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
