"""Which boosts a search ranks with: its own, the workspace's, the environment's, and whether they fit this index."""

from __future__ import annotations

import os
from pathlib import Path

from index.boosts import Boosts, parse_overrides, read_boosts
from index.rank import Fusion, default_fusion

TAG_BOOSTS_VARIABLE = "TAG_WEIGHTS"
"""Boosts of tags for one process, as `Canvas=1.06,Layer=1.05`, on top of those of the workspace."""
FILE = Path("tags") / "boosts.json"
"""The workspace's boosts."""


class BoostsInUse:
    """The boosts of one searcher; the workspace's are read anew when their file has changed."""

    def __init__(self, workspace: Path, given: Boosts | None) -> None:
        self._path = workspace / FILE
        self._given = given
        self._read: tuple[tuple[int, int] | None, str, Boosts] | None = None

    def own(self) -> Boosts:
        """What weighs records unless a query brings its own. Raises BoostsInvalid."""
        if self._given is not None:
            return self._given
        try:
            status = os.stat(self._path)  # noqa: PTH116
            seen: tuple[int, int] | None = (status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:
            seen = None
        overrides = os.environ.get(TAG_BOOSTS_VARIABLE, "")
        if self._read is None or self._read[:2] != (seen, overrides):
            boosts = read_boosts(self._path)
            if overrides:
                boosts = boosts.with_tags(parse_overrides(overrides))
            self._read = (seen, overrides, boosts)
        return self._read[2]

    def chosen(self, space: str, given: Boosts | None, fusion: Fusion | None) -> tuple[Boosts, Fusion, str]:
        """Boosts and fusion of one query, and what is to be said of them.

        Fitted boosts hold for the space and fusion that they were fitted with. Handed in, they are used and it is said
        when they don't fit; those of the workspace are then left out.

        Args:
            space: id of the index's space.
            given: the query's own boosts.
            fusion: the query's own fusion; None: that of fitted boosts, else the space's default.

        Raises:
            BoostsInvalid: the workspace's boosts can't be read.
        """
        boosts = given if given is not None else self.own()
        joined: Fusion = fusion or default_fusion(space)
        if fusion is None and boosts.fusion in ("convex", "rrf"):
            joined = "convex" if boosts.fusion == "convex" else "rrf"
        if boosts.is_neutral:
            return boosts, joined, ""
        foreign = ", ".join(
            f"{name} {theirs} (this search: {ours})"
            for name, theirs, ours in (("space", boosts.space, space), ("fusion", boosts.fusion, joined))
            if theirs is not None and theirs != ours
        )
        if boosts.origin != "fitted" or not foreign:
            return boosts, joined, _told(boosts)
        if given is not None or self._given is not None:
            return boosts, joined, f"{_told(boosts)}, fitted for {foreign}"
        note = f"Boosts not used: they were fitted for {foreign}; fit them anew: spotter index learn"
        return Boosts.neutral(), fusion or default_fusion(space), note


def _told(boosts: Boosts) -> str:
    numbers = {"type": boosts.types, "group": boosts.groups, "tag": boosts.tags, "zone": boosts.zones}
    counted = [f"{len(of)} {kind}{'s' if len(of) > 1 else ''}" for kind, of in numbers.items() if of]
    return ", ".join([f"boosts: {boosts.origin}", *counted])
