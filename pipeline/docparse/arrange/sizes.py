"""What is too small, too large or not on the page at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.docparse.arrange.candidates import Candidate, Drop, Step, in_order
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.geometry import area, clipped

PARAMS_DPI = 150
"""The resolution that the sizes in the parameters are meant for."""
MAY_FILL_THE_PAGE = frozenset({"diagram", "canvas"})


def clip(candidates: Sequence[Candidate], page_size_px: tuple[int, int]) -> Step:
    """Cut boxes to the page; drop those that have no width or no height there, or are not numbers."""
    kept, dropped = [], []
    for one in candidates:
        box = clipped(one.box, *page_size_px)
        if not all(map(math.isfinite, one.box)):
            dropped.append(Drop(one.raw, "not a number"))
        elif box[2] <= box[0] or box[3] <= box[1]:
            dropped.append(Drop(one.raw, "no width or height on the page"))
        else:
            kept.append(replace(one, box=box))
    return Step("clip", len(candidates), in_order(kept), tuple(dropped))


def drop_odd_sizes(
    candidates: Sequence[Candidate], page_size_px: tuple[int, int], params: ArrangeParams, dpi: int | None = None
) -> Step:
    """Drop boxes too small for their label, and those of nearly the whole page.

    `dpi` is the page's; an image that does not tell is taken for one of `PARAMS_DPI`.
    """
    page = page_size_px[0] * page_size_px[1]
    scale = (dpi or PARAMS_DPI) / PARAMS_DPI
    kept, dropped = [], []
    for one in candidates:
        size = area(one.box)
        longer = max(one.box[2] - one.box[0], one.box[3] - one.box[1])
        if one.label == "arrow" and longer < params.min_arrow_px * scale:
            dropped.append(Drop(one.raw, "arrow shorter than min_arrow_px", value=longer))
        elif one.label != "arrow" and size < params.min_area_px.get(one.label, 0.0) * scale**2:
            dropped.append(Drop(one.raw, f"{one.label} smaller than min_area_px", value=size))
        elif (
            params.max_area_share is not None
            and size > params.max_area_share * page
            and one.label not in MAY_FILL_THE_PAGE
        ):
            dropped.append(Drop(one.raw, "larger than max_area_share", value=size / page))
        else:
            kept.append(one)
    return Step("sizes", len(candidates), tuple(kept), tuple(dropped))
