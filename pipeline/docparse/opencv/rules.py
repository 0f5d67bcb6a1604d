"""Long straight lines: rules of tables, axes of charts."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box

THICKEST_PX = 12
JOIN_PX = 9


def level_lines(sheet: Sheet) -> list[Box]:
    """Boxes of long level lines, from the top."""
    return sorted(_boxes(sheet.across, level=True), key=lambda box: box[1])


def upright_lines(sheet: Sheet) -> list[Box]:
    """Boxes of long upright lines, from the left."""
    return sorted(_boxes(sheet.down, level=False), key=lambda box: box[0])


def _boxes(mask: Pixels, *, level: bool) -> list[Box]:
    joined = cv2.dilate(mask.view(np.uint8), np.ones((1, JOIN_PX) if level else (JOIN_PX, 1), np.uint8))
    contours, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    half = JOIN_PX // 2
    found = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        if (h if level else w) > THICKEST_PX:
            continue
        box = (x + half, y, x + w - half, y + h) if level else (x, y + half, x + w, y + h - half)
        found.append((float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    return found
