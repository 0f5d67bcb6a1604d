"""Figures of quality: on cases worked out by hand, beside pycocotools, on a user's labels, and of the detector."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.docparse.labels import LABELS
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.quality.evaluate import EvaluatorMissing, coco_dicts, evaluate, from_detections
from pipeline.docparse.quality.labelled import LabelsUnreadable, PagesUnmatched, found_in, read_labels
from pipeline.docparse.quality.matching import FoundRegion, mask_agreement, matched
from pipeline.docparse.quality.report import table
from pipeline.docparse.quality.synthetic.pages import page
from pipeline.docparse.quality.truth import Mask, TruePage, TrueRegion

A, B, C = (0.0, 0.0, 100.0, 50.0), (200.0, 0.0, 300.0, 50.0), (100.0, 20.0, 200.0, 30.0)
WHOLE = (0.0, 0.0, 300.0, 50.0)
TRUE = (
    TrueRegion("diagram", WHOLE, order=0),
    TrueRegion("node", A, parent=0),
    TrueRegion("node", B, parent=0),
    TrueRegion("arrow", C, parent=0, start=1, end=2),
    TrueRegion("textbox", (0.0, 100.0, 300.0, 120.0), order=1),
)
PAGE = TruePage("p", 400, 300, TRUE)
PERFECT = [FoundRegion(r.label, r.box, 0.9, r.parent, r.start, r.end) for r in TRUE]


def test_the_truth_itself_is_found_perfect() -> None:
    quality = evaluate([(PAGE, PERFECT)])
    assert quality.ap == quality.ap50 == quality.ar100 == 1
    assert quality.hierarchy_f1 == quality.link_f1 == quality.reading_order == 1
    assert all(one.counting_error == 0 for one in quality.labels)
    assert quality.of("table").ap50 is None
    assert quality.mask_iou is None


def test_nothing_found_is_nought_and_not_an_error() -> None:
    quality = evaluate([(PAGE, [])])
    assert quality.ap50 == 0
    assert quality.of("node").recall == 0
    assert quality.of("node").precision is None
    assert quality.of("node").counting_error == 2


def test_a_wrong_region_scored_above_a_right_one_costs_half() -> None:
    found = [FoundRegion("table", B, 0.9), FoundRegion("table", A, 0.8)]
    quality = evaluate([(TruePage("p", 400, 300, (TrueRegion("table", A),)), found)])
    assert quality.of("table").ap50 == pytest.approx(0.5)
    assert quality.of("table").precision == 0.5
    assert quality.of("table").recall == 1
    assert quality.of("table").counting_error == 1


def test_a_box_half_right_counts_at_fifty_and_not_at_seventy_five() -> None:
    quality = evaluate(
        [(TruePage("p", 400, 300, (TrueRegion("table", A),)), [FoundRegion("table", (0, 0, 60, 50), 1.0)])]
    )
    assert (quality.of("table").ap50, quality.of("table").ap75) == (1, 0)


def test_regions_below_the_shown_score_count_for_ap_only() -> None:
    quality = evaluate([(TruePage("p", 400, 300, (TrueRegion("table", A),)), [FoundRegion("table", A, 0.2)])])
    assert quality.of("table").ap50 == 1
    assert quality.of("table").recall == 0


def test_an_arrow_turned_round_is_a_wrong_link_and_a_right_arrow() -> None:
    turned = [*PERFECT[:3], FoundRegion("arrow", C, 0.9, 0, 2, 1), PERFECT[4]]
    quality = evaluate([(PAGE, turned)])
    assert quality.link_f1 == 0
    assert quality.of("arrow").ap50 == 1
    assert quality.hierarchy_f1 == 1


def test_a_lost_parent_costs_recall_of_the_hierarchy() -> None:
    flat = [FoundRegion(one.label, one.box, one.score) for one in PERFECT[:2]] + PERFECT[2:]
    assert evaluate([(PAGE, flat)]).hierarchy_f1 == pytest.approx(2 * 2 / (2 + 3))


def test_top_level_regions_read_backwards_agree_minus_one() -> None:
    backwards = [PERFECT[4], PERFECT[0]]
    assert evaluate([(PAGE, backwards)]).reading_order == -1


def test_masks_are_compared_pixel_by_pixel() -> None:
    true, found = np.ones((40, 40), bool), np.ones((40, 40), bool)
    found[:, 20:] = False
    overlap, edge = mask_agreement(Mask(0, 0, found), Mask(0, 0, true), PAGE)
    assert overlap == pytest.approx(0.5)
    assert 0 < edge < 1
    assert mask_agreement(Mask(7, 3, true), Mask(7, 3, true), PAGE) == (1, 1)
    assert mask_agreement(Mask(0, 0, true), Mask(100, 100, true), PAGE)[0] == 0


def test_each_true_region_is_matched_once() -> None:
    found = [FoundRegion("node", A, 0.5), FoundRegion("node", A, 0.9)]
    assert matched(found, TRUE) == {1: 1}


def shaken(pages: int, seed: int) -> list[tuple[TruePage, list[FoundRegion]]]:
    """Pages with random truth, and what a poor detector would say of them."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(pages):
        true, found = [], []
        for _ in range(int(random.integers(3, 12))):
            x, y = random.uniform(0, 700, 2)
            w, h = random.uniform(20, 250, 2)
            label = LABELS[int(random.integers(0, 4))]
            true.append(TrueRegion(label, (x, y, x + w, y + h)))
            for _ in range(int(random.integers(0, 3))):
                dx, dy = random.normal(0, 0.12, 2) * (w, h)
                found.append(FoundRegion(label, (x + dx, y + dy, x + dx + w, y + dy + h), float(random.uniform(0, 1))))
        made.append((TruePage(f"p{number}", 1000, 1000, tuple(true)), found))
    return made


def test_figures_are_those_of_pycocotools() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    pages = shaken(12, 5)
    ours = evaluate(pages)
    truth, told = coco_dicts(pages)
    with contextlib.redirect_stdout(io.StringIO()):
        real = COCO()
        real.dataset = truth
        real.createIndex()
        reference = COCOeval(real, real.loadRes(told), "bbox")
        reference.evaluate()
        reference.accumulate()
    precision, recall = reference.eval["precision"], reference.eval["recall"]
    for place, label in enumerate(LABELS[:4]):
        one = ours.of(label)
        assert one.ap == pytest.approx(precision[:, :, place, 0, -1].mean(), abs=1e-6)
        assert one.ap50 == pytest.approx(precision[0, :, place, 0, -1].mean(), abs=1e-6)
        assert one.ap75 == pytest.approx(precision[5, :, place, 0, -1].mean(), abs=1e-6)
        assert one.ar100 == pytest.approx(recall[:, place, 0, -1].mean(), abs=1e-6)
        assert 0 < (one.ap or 0) < 1


def test_a_missing_evaluator_is_said_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(EvaluatorMissing, match=r"spotter-console\[quality\]"):
        evaluate([(PAGE, PERFECT)])


def test_the_table_names_every_label_and_figure() -> None:
    told = table(evaluate([(PAGE, PERFECT)]))
    assert all(label in told for label in LABELS)
    assert "reading order τ 1.000" in told


# ------------------------------------------------------------------ a user's own labels


def coco(tmp_path: Path, **changes: Any) -> Path:
    labels = {
        "images": [{"id": 1, "file_name": "board.png", "width": 400, "height": 300}],
        "categories": [{"id": 1, "name": "node"}, {"id": 2, "name": "arrow"}],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 50]},
            {"id": 12, "image_id": 1, "category_id": 1, "bbox": [200, 0, 100, 50],
             "segmentation": [[200, 0, 300, 0, 300, 50, 200, 50]]},
            {"id": 13, "image_id": 1, "category_id": 2, "bbox": [100, 20, 100, 10], "from": 11, "to": 12},
        ],
    } | changes  # fmt: skip
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(labels))
    return path


def test_labels_are_read_with_relations_and_masks(tmp_path: Path) -> None:
    (one,) = read_labels(coco(tmp_path))
    assert [region.label for region in one.regions] == ["node", "node", "arrow"]
    assert (one.regions[2].start, one.regions[2].end) == (0, 1)
    assert one.regions[0].mask is None
    assert one.regions[1].mask is not None
    assert one.regions[1].mask.box == (200, 0, 300, 50)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"categories": [{"id": 1, "name": "knot"}, {"id": 2, "name": "arrow"}]}, "knot: rename them to diagram"),
        ({"images": None}, "is no COCO file"),
        ({"annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 9]}]}, "annotation 7 .*an area"),
    ],
)  # fmt: skip
def test_unusable_labels_are_one_sentence(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(LabelsUnreadable, match=said):
        read_labels(coco(tmp_path, **changes))


def test_no_file_of_labels_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabelsUnreadable, match=r"there is no .*nothing\.json"):
        read_labels(tmp_path / "nothing.json")


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(PagesUnmatched, match="is no run"):
        found_in(tmp_path, [PAGE])


# ------------------------------------------------------------------ the detector


def test_the_detector_keeps_its_quality_on_a_few_pages() -> None:
    """A floor, far below the figures of `benchmarks/detect_quality.py`, that a broken finder falls through."""
    detector = OpenCvDetector(0.05, LABELS)
    for split, least in (("dev", 0.85), ("hard-dev", 0.6)):
        told = []
        for number in (0, 1):
            drawn = page(split, 1, number)  # type: ignore[arg-type]
            assert drawn.pixels is not None
            assert drawn.text is not None
            told.append((drawn, from_detections(detector.detect([(drawn.pixels, drawn.text)])[0])))
        quality = evaluate(told)
        assert (quality.ap50 or 0) >= least, table(quality)


def test_the_detector_says_the_same_twice() -> None:
    drawn = page("hard-dev", 1, 0)
    assert drawn.pixels is not None
    assert drawn.text is not None
    detector = OpenCvDetector(0.3, LABELS)
    first = detector.detect([(drawn.pixels.copy(), drawn.text)])
    assert detector.detect([(drawn.pixels, drawn.text)]) == first
