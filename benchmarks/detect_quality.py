"""How well the `opencv` detector finds regions on pages whose truth is exact, and what a page costs it.

Pages come from `pipeline/docparse/quality/synthetic`: `test` (clean: PDFs, some without a text layer) and `hard` (scan
noise, blur, tilt, JPEG, dark themes, touching arrows; no text layer). Neither was looked at while tuning, which is
done on `dev` and `hard-dev`. `--seed` draws other pages. The alternative is a detector of the obvious kind, measured
on the same pages in the same run: connected components, holes in line work, letters closed to blocks.

`…_ap50` is COCO's AP at IoU .50, mean over labels; `cpu_ms_per_page` the detector's processor time on A4 at 150 dpi,
one thread, the median over pages.

Run: `uv run python benchmarks/detect_quality.py [--seed N] [--pages N] [--quick] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.quality.evaluate import Quality, evaluate, from_detections
from pipeline.docparse.quality.matching import FoundRegion
from pipeline.docparse.quality.report import table
from pipeline.docparse.quality.synthetic.digests import SEED, pages_with_other_truth
from pipeline.docparse.quality.synthetic.pages import Split, page
from pipeline.docparse.quality.truth import TruePage
from pipeline.docparse.words import Box

LOWEST_SCORE = 0.05
"""AP asks for regions down to low scores."""


class Plain:
    """The alternative: components of dark pixels, holes in them, and closing; no text layer, no tilt, no theme."""

    def detect(self, pixels: np.ndarray[Any, Any]) -> list[FoundRegion]:
        """Regions of one page."""
        grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        ink = (grey < 200).astype(np.uint8)
        contours, tree = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        boxes = [cv2.boundingRect(contour) for contour in contours]
        holes: dict[int, list[int]] = {}
        for index in range(len(contours)):
            parent = int(tree[0][index][3])
            if parent >= 0 and boxes[index][2] > 25 and boxes[index][3] > 12:
                holes.setdefault(parent, []).append(index)
        found: list[FoundRegion] = []
        letters = np.zeros_like(ink)
        for index, (x, y, w, h) in enumerate(boxes):
            if int(tree[0][index][3]) >= 0:
                continue
            inside = holes.get(index, [])
            box = (float(x), float(y), float(x + w), float(y + h))
            if max(w, h) < 40:
                letters[y : y + h, x : x + w] = 1
            elif len(inside) >= 6:
                tall = statistics.median(boxes[hole][3] for hole in inside)
                found.append(FoundRegion("canvas" if tall > 90 else "table", box, 0.8))
            elif len(inside) == 1:
                found.append(FoundRegion("node", box, 0.7))
            elif not inside and min(w, h) < 60:
                found.append(FoundRegion("arrow", box, 0.5))
            elif inside:
                found.append(FoundRegion("diagram", box, 0.6))
        return found + self._blocks(letters, [one.box for one in found if one.label != "arrow"])

    def _blocks(self, letters: np.ndarray[Any, Any], taken: Sequence[Box]) -> list[FoundRegion]:
        closed = cv2.morphologyEx(letters, cv2.MORPH_CLOSE, np.ones((19, 25), np.uint8))
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        blocks = []
        for x, y, w, h in map(cv2.boundingRect, contours):
            middle = (x + w / 2, y + h / 2)
            if w > 20 and not any(a <= middle[0] <= c and b <= middle[1] <= d for a, b, c, d in taken):
                blocks.append(FoundRegion("textbox", (float(x), float(y), float(x + w), float(y + h)), 0.6))
        return blocks


def measure(split: Split, seed: int, count: int) -> tuple[Quality, Quality, float]:
    """(ours, the alternative's, our CPU milliseconds a page)."""
    ours = OpenCvDetector(LOWEST_SCORE, LABELS)
    ours.setup()
    told: list[tuple[TruePage, list[FoundRegion]]] = []
    plain: list[tuple[TruePage, list[FoundRegion]]] = []
    costs = []
    for number in range(count):
        drawn = page(split, seed, number)
        assert drawn.pixels is not None
        assert drawn.text is not None
        begun = time.process_time()
        (found,) = ours.detect([(drawn.pixels, drawn.text)])
        costs.append(time.process_time() - begun)
        bare = TruePage(drawn.name, drawn.width, drawn.height, drawn.regions)
        told.append((bare, from_detections(found)))
        plain.append((bare, Plain().detect(drawn.pixels)))
    return evaluate(told), evaluate(plain), statistics.median(costs) * 1000


def lowest(quality: Quality) -> tuple[float, Label]:
    """The label that fares worst."""
    return min((one.ap50 or 0.0, one.label) for one in quality.labels if one.true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--split", choices=("dev", "test", "hard-dev", "hard"), action="append")
    arguments = parser.parse_args()
    count = 6 if arguments.quick else arguments.pages
    figures: dict[str, Any] = {"seed": arguments.seed, "pages": count}
    costs = []
    for split in arguments.split or ("test", "hard"):
        changed = pages_with_other_truth(split, arguments.seed, min(count, 2))
        if changed:
            sys.exit(
                f"the truth of {', '.join(changed)} isn't the one on record: a changed generator needs a new VERSION"
            )
        ours, plain, cost = measure(split, arguments.seed, count)
        costs.append(cost)
        worst, label = lowest(ours)
        figures[f"{split}_ap50"] = round(ours.ap50 or 0, 4)
        figures[f"{split}_ap50_min"] = round(worst, 4)
        figures[f"{split}_ap50_alternative"] = round(plain.ap50 or 0, 4)
        figures[f"{split}_link_f1"] = round(ours.link_f1 or 0, 4)
        figures[f"{split}_hierarchy_f1"] = round(ours.hierarchy_f1 or 0, 4)
        figures |= {f"{split}_ap50_{one.label}": round(one.ap50, 4) for one in ours.labels if one.ap50 is not None}
        if not arguments.json:
            print(f"{split}: opencv, {cost:.0f} ms CPU a page; worst label {label} {worst:.3f}\n{table(ours)}\n")
            print(f"{split}: components, holes and closing\n{table(plain)}\n")
    figures["cpu_ms_per_page"] = round(max(costs), 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
