"""A page made ready for looking: upright, dark on light, at one size; strokes lifted and areas told apart.

All lengths in the finders are pixels of this working page, whose A4 is 1240 × 1754 (150 dpi).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipeline.docparse.opencv.components import components
from pipeline.docparse.opencv.tilt import Straightening, straightening, tilt_degrees

Pixels = np.ndarray[Any, Any]

REFERENCE_DPI = 150
REFERENCE_AREA_PX = 1240 * 1754
"""A page that does not say its resolution is taken for an A4 sheet."""
SCALE_SLACK = 0.15
"""A page so little off the reference size is looked at as it is."""
MOST_ENLARGED = 2.0
DARK_PAGE_BELOW = 115
"""A page whose middle grey is below this is light on dark."""
STROKE_SIDE_PX = 17
"""Things narrower than this are strokes; an arrow's head is."""
STROKE_CONTRAST = 21
CONTRAST_PER_GRAIN = 6.0
"""How much more contrast a stroke needs per grey level of noise."""
FLAT_STEP = 4.0
"""Largest change within 3 × 3 pixels at half size, of an area of one colour."""
TINT_STEP = 4.0
TINT_STEP_NOISY = 8.5
"""An area that differs from the paper by more, in any channel, is tinted."""
FAINT_BLUR_PX = 7
FAINT_TINT_STEP = 5.5
FAINT_TINT_MEANS = (7.5, 20.0)
"""Of an area so faint, what blur adds at its edge is narrow."""
FAINT_LEAST_PX = 400
FAINT_LEAST_FLAT = 0.6
INK_SHARE = 0.27
FAINT_SHARE = 0.68
MOST_INK_CONTRAST = 46.0
RINGING = 0.15
RINGING_GRAIN = 0.5
"""Grain that a page with ringing edges counts as having at least."""
LINE_PX = 61
LINE_THICK_PX = 9
LINE_CONTRAST = 12.0
LINE_CONTRAST_PER_GRAIN = 3.0
SOLID_CONTRAST = 38
SOLID_CONTRAST_MOST = 56
"""Where many pixels have just that contrast, as a fill may, noise would tear it: the limit rises so far at most."""
SOLID_CONTRAST_DARK = 64
"""On a dark page, a fill is a little lighter than it and has light letters, or bright and has dark ones."""
SOLID_MARGIN = 4
SOLID_TORN_SHARE = 0.002
"""Share of the page that is torn by a limit within its noise."""
SOLID_SIDE_PX = 7
NOISY_ABOVE = 0.3
"""Grain above which a page counts as a scan or photo."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the finders look at; arrays are (height, width) of the working page unless they say half."""

    grey: Pixels
    """uint8; light paper."""
    half: Pixels
    """uint8 (height / 2, width / 2, 3): colours, smoothed where the page is noisy."""
    strokes: Pixels
    """bool: thin dark things on anything lighter: lines, outlines, letters."""
    inked: Pixels
    """bool: the same without faint hairlines, which would run through letters."""
    faint: Pixels
    """bool: the same with fainter ink: thin letters of a scan."""
    solid: Pixels
    """bool: dark or coloured things wider than a stroke: fills, swatches, dots."""
    flat: Pixels
    """bool, half: the inside of areas: no stroke runs there, and on a clean page the colour does not change."""
    tint: Pixels
    """bool, half: areas that are coloured lightly, text and lines in them filled up."""
    across: Pixels
    """bool: long level lines, hairlines that are too faint for `strokes` as well."""
    down: Pixels
    """bool: long upright lines."""
    paper: tuple[int, int, int]
    """Blue, green, red of the paper."""
    paper_grey: int
    contrast: float
    """Grey levels from which a stroke counts."""
    grain: float
    """Noise in grey levels."""
    way: Straightening

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.grey.shape[1], self.grey.shape[0]

    @property
    def noisy(self) -> bool:
        """Whether it was scanned or photographed."""
        return self.grain > NOISY_ABOVE


def make_sheet(pixels: Pixels, dpi: int | None) -> Sheet:
    """Prepare a page of blue-green-red pixels."""
    height, width = pixels.shape[:2]
    scale = _scale(width, height, dpi)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    dark = float(np.median(grey[::4, ::4])) < DARK_PAGE_BELOW
    if dark:
        grey = cv2.bitwise_not(grey)
    grain = max(noise(grey), RINGING_GRAIN if rings(grey) else 0.0)
    way = straightening(0.0, (width, height), scale)
    if scale != 1.0:
        grey = _sized(grey, scale)
    turn = _tilt(grey, grain)
    if turn:
        way = straightening(turn, (width, height), scale)
        local = straightening(turn, (grey.shape[1], grey.shape[0]), 1.0)
        grey = cv2.warpAffine(
            grey,
            np.array(local.forth),
            (grey.shape[1], grey.shape[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    half = _half_of(pixels, way, grey.shape[1], grey.shape[0])
    if dark:
        half = cv2.bitwise_not(half)
    if grain > NOISY_ABOVE:
        half = cv2.medianBlur(half, 5 if grain > 1.0 and min(half.shape[:2]) > 5 else 3)
    contrast = STROKE_CONTRAST + CONTRAST_PER_GRAIN * max(0.0, grain - NOISY_ABOVE)
    smooth = cv2.GaussianBlur(grey, (3, 3), 0) if grain > 1.0 else grey
    lifted = cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, np.ones((STROKE_SIDE_PX, STROKE_SIDE_PX), np.uint8))
    across, down = _long_lines(smooth, grain)
    least = _ink_contrast(lifted, contrast, grain)
    inked, faint = lifted > least, lifted > max(contrast, FAINT_SHARE * least)
    strokes = inked | across | down
    paper = (_most_common(half[:, :, 0]), _most_common(half[:, :, 1]), _most_common(half[:, :, 2]))
    paper_grey = _most_common(grey)
    dark_area = (smooth < paper_grey - _solid_contrast(smooth, paper_grey, grain, dark)).view(np.uint8)
    solid = cv2.morphologyEx(dark_area, cv2.MORPH_OPEN, np.ones((SOLID_SIDE_PX, SOLID_SIDE_PX), np.uint8)).view(bool)
    flat = _flat(half, strokes, solid, grain)
    tint = _tint(half, paper, solid, flat, grain)
    return Sheet(
        grey, half, strokes, inked, faint, solid, flat, tint, across, down, paper, paper_grey, contrast, grain, way
    )


def _ink_contrast(lifted: Pixels, contrast: float, grain: float) -> float:
    """Grey levels from which ink counts: on a page with ringing edges, a quarter of what most of its ink has."""
    if grain <= NOISY_ABOVE:
        return contrast
    seen = lifted[::3, ::3]
    seen = seen[seen > contrast]
    return (
        contrast if seen.size < 50 else float(np.clip(INK_SHARE * np.quantile(seen, 0.9), contrast, MOST_INK_CONTRAST))
    )


def _solid_contrast(grey: Pixels, paper_grey: int, grain: float, dark: bool) -> int:
    """Grey levels from which an area is dark: the usual ones, or on a noisy page the next that no fill is at: a fill
    so light has dark letters, which show as strokes on an area that is not solid."""
    if dark:
        return SOLID_CONTRAST_DARK
    if grain <= NOISY_ABOVE:
        return SOLID_CONTRAST
    seen = np.ascontiguousarray(grey[::3, ::3])
    counts = np.convolve(np.bincount(seen.ravel(), minlength=256), np.ones(2 * SOLID_MARGIN + 1), "same")
    at = [float(counts[paper_grey - away]) for away in range(SOLID_CONTRAST, min(SOLID_CONTRAST_MOST, paper_grey) + 1)]
    if not at or at[0] <= SOLID_TORN_SHARE * seen.size:
        return SOLID_CONTRAST
    few = max(1.5 * min(at), SOLID_TORN_SHARE * seen.size)
    return SOLID_CONTRAST + next(index for index, count in enumerate(at) if count <= few)


def _long_lines(grey: Pixels, grain: float) -> tuple[Pixels, Pixels]:
    """(level, upright) thin lines of at least `LINE_PX`: what is dark in all of that length along the line, averaged a
    little along it, so that a faint hairline stands out of the noise and a row of letters does not."""
    least = LINE_CONTRAST + LINE_CONTRAST_PER_GRAIN * max(0.0, grain - NOISY_ABOVE)
    masks = []
    for level in (True, False):
        thin = np.ones((LINE_THICK_PX, 1) if level else (1, LINE_THICK_PX), np.uint8)
        lifted = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, thin)
        if grain > NOISY_ABOVE:
            lifted = cv2.blur(lifted, (7, 1) if level else (1, 7))
        along = lifted > least
        size = (1, LINE_PX) if level else (LINE_PX, 1)
        masks.append(cv2.morphologyEx(along.view(np.uint8), cv2.MORPH_OPEN, np.ones(size, np.uint8)).view(bool))
    return masks[0], masks[1]


def _half_size(mask: Pixels, width: int, height: int) -> Pixels:
    """Share of ink (0 to 255) of a mask at half size."""
    shares: Pixels = cv2.resize(mask.view(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
    return shares


def rings(grey: Pixels) -> bool:
    """Whether edges ring, as they do after JPEG and scanners: many pixels change a little. Drawn ones jump or don't."""
    step = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[::2, ::2]
    counts = cv2.calcHist([np.ascontiguousarray(step)], [0], None, [256], [0, 256]).ravel()
    return bool(counts[1:7].sum() > RINGING * max(50.0, counts[30:].sum()))


def _scale(width: int, height: int, dpi: int | None) -> float:
    wanted = REFERENCE_DPI / dpi if dpi else (REFERENCE_AREA_PX / (width * height)) ** 0.5
    wanted = min(MOST_ENLARGED, wanted)
    if min(width, height) * wanted < 24 or abs(wanted - 1) <= SCALE_SLACK:
        return 1.0
    return wanted


def _sized(image: Pixels, scale: float) -> Pixels:
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    sized: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return sized


def _half_of(pixels: Pixels, way: Straightening, width: int, height: int) -> Pixels:
    """The straightened page at half size, in colour."""
    size = (max(1, width // 2), max(1, height // 2))
    (a, b, c), (d, e, f) = way.forth
    if b == 0.0:
        shrunken: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return shrunken
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    shrunk = pixels.shape[1] / size[0]
    # The page was shrunk first, so its pixels are `shrunk` times as large, and the target's twice the working ones.
    forth = np.array([[a * shrunk / 2, b * shrunk / 2, c / 2], [d * shrunk / 2, e * shrunk / 2, f / 2]])
    warped: Pixels = cv2.warpAffine(small, forth, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped


def _tilt(grey: Pixels, grain: float) -> float:
    """Tilt by the strokes at half size; a drawn page has no grain and no tilt."""
    if grain <= NOISY_ABOVE or min(grey.shape) < 100:
        return 0.0
    small = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    lifted = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, np.ones((9, 9), np.uint8))
    return tilt_degrees(lifted > 30 + 4 * grain)


def _most_common(values: Pixels) -> int:
    """The most common value of a uint8 array, smoothed over neighbours: the paper."""
    counts = np.bincount(values[::3, ::3].ravel(), minlength=256).astype(np.float64)
    return int(np.convolve(counts, np.ones(7), "same").argmax())


def _flat(half: Pixels, strokes: Pixels, solid: Pixels, grain: float) -> Pixels:
    height, width = half.shape[:2]
    flat: Pixels = _half_size(strokes | solid, width, height) < 100
    if grain <= NOISY_ABOVE:
        # Only here does a change of colour mean an edge; in a scan it is noise, and lines alone close areas.
        step = _strongest(cv2.morphologyEx(half, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
        flat &= step <= FLAT_STEP
    return flat


def _tint(half: Pixels, paper: tuple[int, int, int], solid: Pixels, flat: Pixels, grain: float) -> Pixels:
    """Lightly coloured areas: what differs from paper after lines and letters were closed and light was evened out."""
    height, width = half.shape[:2]
    closed = cv2.morphologyEx(half, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    least = TINT_STEP
    if grain > NOISY_ABOVE:
        away = _from_plane(cv2.blur(closed, (5, 5)), paper)
        least = TINT_STEP_NOISY
    else:
        away = _strongest(cv2.absdiff(closed, np.full_like(closed, paper)))
    tinted = ((away > least) & (_half_size(solid, width, height) < 60)).astype(np.uint8)
    tinted = cv2.morphologyEx(tinted, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    if grain > NOISY_ABOVE:
        tinted |= _faint_tint(away, flat)
    found: Pixels = tinted.view(bool)
    return found


def _faint_tint(away: Pixels, flat: Pixels) -> Pixels:
    """uint8: areas that noise would tear were each of their pixels asked alone: smoothed, and judged by their mean."""
    smooth = cv2.blur(away, (FAINT_BLUR_PX, FAINT_BLUR_PX))
    above = cv2.morphologyEx((smooth > FAINT_TINT_STEP).view(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    labels, stats = components(above, 4)
    faint: Pixels = np.zeros_like(above)
    for index in np.flatnonzero(stats[:, 4] >= FAINT_LEAST_PX):
        left, top, wide, tall = (int(value) for value in stats[index, :4])
        part = np.s_[top : top + tall, left : left + wide]
        own = labels[part] == index
        mean = float(smooth[part][own].mean())
        # A bold heading is mostly ink.
        if FAINT_TINT_MEANS[0] <= mean <= FAINT_TINT_MEANS[1] and flat[part][own].mean() >= FAINT_LEAST_FLAT:
            faint[part] |= own.view(np.uint8)
    return faint


def _strongest(image: Pixels) -> Pixels:
    """The largest of the three channels."""
    blue, green, red = cv2.split(image)
    strongest: Pixels = cv2.max(cv2.max(blue, green), red)
    return strongest


def _from_plane(image: Pixels, paper: tuple[int, int, int]) -> Pixels:
    """How far pixels are, in the channel that differs most, from paper under a lamp that stands to one side: a plane
    through the paper's values in each channel."""
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height:12, 0:width:12]
    sample = image[::12, ::12].astype(np.float64)
    far = np.zeros((height, width), np.uint8)
    terms = np.stack([np.ones(xs.size), xs.ravel() / width, ys.ravel() / height], axis=1)
    for channel in range(3):
        values = sample[:, :, channel].ravel()
        level = float(np.median(values[np.abs(values - paper[channel]) < 25])) if len(values) else float(paper[channel])
        known = np.abs(values - level) < 16
        if int(known.sum()) < 20:
            continue
        plane, *_ = np.linalg.lstsq(terms[known], values[known], rcond=None)
        known = np.abs(values - terms @ plane) < 8
        if int(known.sum()) >= 20:
            plane, *_ = np.linalg.lstsq(terms[known], values[known], rcond=None)
        row = (plane[0] + plane[1] * np.arange(width) / width).astype(np.float32)
        column = (plane[2] * np.arange(height) / height).astype(np.float32)
        lit = cv2.convertScaleAbs(np.add.outer(column, row))
        far = cv2.max(far, cv2.absdiff(cv2.extractChannel(image, channel), lit))
    return far


def noise(grey: Pixels) -> float:
    """How grainy the paper is, in grey levels: the mean absolute Laplacian (Immerkær 1996) where it is least disturbed.

    Taken over 16 × 16 tiles, of which the quietest quarter counts, so that drawings and letters do not; a drawn page
    gives 0, a scan 0.5 and more.
    """
    kernel = np.array([1, -2, 1], np.float32)
    laplacian = cv2.convertScaleAbs(cv2.sepFilter2D(grey, cv2.CV_16S, kernel, kernel))
    # Whole tiles of whole pixels: shares of pixels take ten times as long.
    height, width = (max(side // 16, 1) for side in grey.shape)
    tiles = cv2.resize(laplacian[: 16 * height, : 16 * width], (width, height), interpolation=cv2.INTER_AREA)
    return float(np.quantile(tiles, 0.25)) / 6
