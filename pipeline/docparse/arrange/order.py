"""In which order one reads boxes: recursive cuts across and down (XY-cut, Nagy and Seth 1984) that know columns.

Bands between gaps across the page are read from top to bottom; but bands that share a gutter are columns when the text
layer says so, or else when they look like it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.docparse.words import Box, PageText

SLACK_SHARE = 0.004
"""Boxes that overlap by less than this share of their extent can still be cut apart (7 px of A4 at 150 dpi)."""

FIRST_BANDS = 16
"""So many bands are looked at first for a gutter through them, then twice as many: most gutters are short."""

Names = list[int]


def text_ranks(boxes: Sequence[Box], text: PageText) -> list[float | None]:
    """The middle of the indices of the words in each box; None for a box without words."""
    import numpy as np

    if not boxes or not text.words:
        return [None] * len(boxes)
    centres = np.asarray([word.centre for word in text.words])
    sides = np.asarray(boxes, np.float64)
    held = (
        (centres[None, :, 0] >= sides[:, 0:1]) & (centres[None, :, 0] <= sides[:, 2:3])
        & (centres[None, :, 1] >= sides[:, 1:2]) & (centres[None, :, 1] <= sides[:, 3:4])
    )  # fmt: skip
    places = [np.flatnonzero(row) for row in held]
    return [float(np.median(place)) if len(place) else None for place in places]


def reading_order(boxes: Sequence[Box], ranks: Sequence[float | None] | None = None, *, columns: bool = True) -> Names:
    """Indices of boxes as one reads them.

    `ranks` say where a box's words stand in the text layer; they decide where the page alone allows two orders, and
    where boxes overlap so that it allows none. Without `columns` bands are always read across.
    """
    if not boxes:
        return []
    known = list(ranks) if ranks is not None else [None] * len(boxes)
    extent = max(max(box[3] for box in boxes) - min(box[1] for box in boxes), 1.0)
    return _Cutter(boxes, known, SLACK_SHARE * extent, columns).order(
        sorted(range(len(boxes)), key=lambda index: boxes[index])
    )


class _Cutter:
    def __init__(self, boxes: Sequence[Box], ranks: Sequence[float | None], slack_px: float, columns: bool) -> None:
        self._boxes = boxes
        self._ranks = ranks
        self._slack_px = slack_px
        self._columns = columns

    def order(self, names: Names) -> Names:
        if len(names) <= 1:
            return names
        bands = self._split(names, 1)
        if len(bands) > 1:
            return [name for block in self._blocks(bands) for name in block]
        stripes = self._split(names, 0)
        if len(stripes) > 1:
            return [name for stripe in stripes for name in self.order(stripe)]
        return self._unsplit(names)

    def _blocks(self, bands: list[Names]) -> list[Names]:
        """Bands in order; runs of bands with a common gutter, where they are columns, as one block."""
        blocks: list[Names] = []
        index = 0
        while index < len(bands):
            run, stripes = self._run(bands, index) if self._columns else (1, [])
            if run > 1 and self._are_columns(bands[index : index + run], stripes):
                blocks += [self.order(stripe) for stripe in stripes]
            else:
                run = 1
                blocks.append(self.order(bands[index]))
            index += run
        return blocks

    def _run(self, bands: list[Names], start: int) -> tuple[int, list[Names]]:
        """How many bands from `start` on one gutter runs through, and the stripes that it makes of them."""
        most = min(FIRST_BANDS, len(bands) - start)
        while (length := self._gutter(bands[start : start + most])) == most < len(bands) - start:
            most = min(2 * most, len(bands) - start)
        if length == 1:
            return 1, [bands[start]]
        return length, self._split([name for band in bands[start : start + length] for name in band], 0)

    def _gutter(self, bands: list[Names]) -> int:
        """How many of the first bands `_split` would cut into stripes, however many of those it is given."""
        import numpy as np

        named = [(self._boxes[name], number) for number, band in enumerate(bands) for name in band]
        named.sort(key=lambda one: one[0])
        sides, band = np.asarray([box for box, _ in named]), np.asarray([number for _, number in named])
        # One column for each number of bands: what of the boxes before it reaches furthest, of those that are in.
        is_in = band[:, None] <= np.arange(len(bands))[None, :]
        reached = np.maximum.accumulate(np.where(is_in, sides[:, 2:3], -np.inf), axis=0)[:-1]
        slack = np.minimum(self._slack_px, (sides[:, 2] - sides[:, 0]) / 2)[1:, None]
        apart = is_in[1:] & np.isfinite(reached) & (sides[1:, :1] >= reached - slack)
        uncut = np.flatnonzero(~apart.any(axis=0)[1:])
        return int(uncut[0]) + 1 if len(uncut) else len(bands)

    def _are_columns(self, bands: list[Names], stripes: list[Names]) -> bool:
        """Whether stripes are read one after the other, not band by band."""
        across = self._inversions(bands)
        down = self._inversions(stripes)
        if across != down:
            return down < across
        tall = [stripe for stripe in stripes if len(stripe) > 1]
        if len(tall) < 2:
            return False
        gutter = min(self._gaps(stripes, 0))
        between = sorted(self._gaps(bands, 1))
        return gutter >= between[len(between) // 2]

    def _inversions(self, parts: list[Names]) -> int:
        """Pairs of boxes in different parts whose words stand the other way round in the text layer."""
        import numpy as np

        known = [
            (rank, number)
            for number, part in enumerate(parts)
            for name in part
            if (rank := self._ranks[name]) is not None
        ]
        ranks, part = np.asarray(known, np.float64).reshape(-1, 2).T
        return int(((ranks[:, None] > ranks[None, :]) & (part[:, None] < part[None, :])).sum())

    def _gaps(self, parts: list[Names], axis: int) -> list[float]:
        ends = [max(self._boxes[name][axis + 2] for name in part) for part in parts]
        starts = [min(self._boxes[name][axis] for name in part) for part in parts]
        return [start - end for end, start in zip(ends, starts[1:], strict=False)]

    def _split(self, names: Names, axis: int) -> list[Names]:
        """Names in groups between which a gap runs; `axis` 0 for gaps down the page, 1 for gaps across it."""
        parts: list[Names] = []
        reached = 0.0
        for name in sorted(names, key=lambda one: (self._boxes[one][axis], self._boxes[one])):
            box = self._boxes[name]
            if not parts or box[axis] >= reached - min(self._slack_px, (box[axis + 2] - box[axis]) / 2):
                parts.append([])
            parts[-1].append(name)
            reached = max(reached, box[axis + 2])
        return parts

    def _unsplit(self, names: Names) -> Names:
        """Boxes that overlap so that nothing can be cut: by their words where all have some, else by their tops."""
        if all(self._ranks[name] is not None for name in names):
            return sorted(names, key=lambda name: (self._ranks[name], self._boxes[name]))
        return sorted(names, key=lambda name: (self._boxes[name][1], self._boxes[name][0], self._boxes[name]))
