"""What was found on several tiles of a page, or on a tile and on the whole page, is found once.

A tile sees a box only as far as the tile reaches. Two boxes are therefore compared where both of their tiles look:
there they must agree. Comparing whole boxes, as merging by a share of the smaller box does (SAHI's GREEDYNMM), misses
the two halves of a long arrow, which share no more than the tiles' overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.docparse.arrange.candidates import Candidate, Drop, Step, in_order
from pipeline.docparse.geometry import iou, overlap, union
from pipeline.docparse.words import Box

CUT_PX = 3.0
"""A box that comes so near to its tile's edge, where the page goes on, is taken for cut."""


def merge_tiles(
    candidates: Sequence[Candidate], tiles: Sequence[Box], page_size_px: tuple[int, int], agreement: float
) -> Step:
    """Join what tiles cut: a whole box beside cut ones wins, the page's own before a tile's; cut ones alone are united.

    Boxes that no tile cut are left to the suppression of doubles.
    """
    ordered = in_order(candidates)
    page: Box = (0.0, 0.0, float(page_size_px[0]), float(page_size_px[1]))
    seen = [page if one.tile is None else tiles[one.tile] for one in ordered]
    cut = [one.tile is not None and _is_cut(one.box, view, page) for one, view in zip(ordered, seen, strict=True)]
    if not any(cut):
        return Step("tiles", len(ordered), tuple(replace(one, tile=None) for one in ordered))
    kept: list[Candidate] = []
    dropped: list[Drop] = []
    merged: list[tuple[int, ...]] = []
    for group in _groups(ordered, seen, cut, agreement):
        whole = [index for index in group if not cut[index]]
        if len(group) == 1 or not any(cut[index] for index in group):
            kept += [ordered[index] for index in group]
        elif whole:
            best = min(whole, key=lambda index: (ordered[index].tile is not None, ordered[index].key))
            kept += [ordered[index] for index in whole]
            dropped += [
                Drop(ordered[index].raw, "cut by its tile: a whole box is there", ordered[best].raw)
                for index in group
                if cut[index]
            ]
        else:
            parts = [ordered[index] for index in group]
            raw = tuple(sorted(index for part in parts for index in part.raw))
            kept.append(replace(parts[0], box=union(part.box for part in parts), raw=raw))
            merged.append(raw)
    return Step(
        "tiles", len(ordered), in_order([replace(one, tile=None) for one in kept]), tuple(dropped), tuple(merged)
    )


def _is_cut(box: Box, tile: Box, page: Box) -> bool:
    """Whether a box ends where its tile does and the page does not."""
    return any(abs(box[side] - tile[side]) <= CUT_PX and abs(tile[side] - page[side]) > CUT_PX for side in range(4))


def _groups(
    ordered: Sequence[Candidate], seen: Sequence[Box], cut: Sequence[bool], agreement: float
) -> list[list[int]]:
    """Candidates that are one thing, at least one of every pair cut; each group best first."""
    group = list(range(len(ordered)))

    def find(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for i, one in enumerate(ordered):
        for j in range(i):
            other = ordered[j]
            if one.label != other.label or one.tile == other.tile or not (cut[i] or cut[j]):
                continue
            if overlap(one.box, other.box) and _agreement(one.box, seen[i], other.box, seen[j]) > agreement:
                first, last = sorted((find(i), find(j)))
                group[last] = first
    found: dict[int, list[int]] = {}
    for index in range(len(ordered)):
        found.setdefault(find(index), []).append(index)
    return list(found.values())


def _agreement(a: Box, a_seen: Box, b: Box, b_seen: Box) -> float:
    """IoU of two boxes within what both tiles see."""
    both = _common(a_seen, b_seen)
    return iou(_common(a, both), _common(b, both))


def _common(a: Box, b: Box) -> Box:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
