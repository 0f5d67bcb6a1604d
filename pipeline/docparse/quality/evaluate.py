"""The figures that compare found regions with true ones.

Every figure is a share from 0 to 1 unless it says otherwise, and None where there is nothing to measure:

- `ap`: COCO's average precision: area under the precision-recall curve over all scores, mean over IoU .50 to .95;
  `ap50` and `ap75` at one IoU. Scores only order regions, so AP asks whether good regions are scored above bad ones.
- `ar100`: share of true regions found among the 100 best-scored of each page, mean over IoU .50 to .95.
- `precision`, `recall`: at IoU .50 among the regions scored at least `min_score`, that is, what a reader is shown.
- `counting_error`: mean over pages of |regions shown − true regions|; a number of regions.
- `hierarchy_f1`: "this lies in that" among the shown; `link_f1`: "this arrow leads from here to there".
- `reading_order`: Kendall's τ over pairs of top-level regions of a page, -1 to 1.
- `mask_iou`, `boundary_iou`: mean over matched regions where both sides have masks (boundary: Cheng et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import UsageError
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.quality.matching import (
    FoundRegion,
    Tally,
    hierarchy,
    links,
    mask_agreement,
    matched,
    order_agreement,
)
from pipeline.docparse.quality.truth import TruePage

if TYPE_CHECKING:
    from pipeline.docparse.regions import Detection

SHOWN_SCORE = 0.30
"""Regions scored lower are not shown unless one asks for them."""


class EvaluatorMissing(UsageError):
    """The library that computes COCO's figures is not installed."""


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Figures of one label."""

    label: Label
    true: int
    shown: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar100: float | None
    precision: float | None
    recall: float | None
    counting_error: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of a set of pages; those over labels are means over the labels that the truth has."""

    pages: int
    min_score: float
    labels: tuple[LabelQuality, ...]
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar100: float | None
    hierarchy_f1: float | None
    link_f1: float | None
    reading_order: float | None
    mask_iou: float | None
    boundary_iou: float | None

    def of(self, label: Label) -> LabelQuality:
        """Figures of one label."""
        return next(one for one in self.labels if one.label == label)

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def from_detections(detections: Sequence[Detection]) -> list[FoundRegion]:
    """A detector's answer for one page."""
    return [FoundRegion(d.label, d.box, d.score, d.parent, d.start, d.end, d.both_ways) for d in detections]


def evaluate(pages: Sequence[tuple[TruePage, Sequence[FoundRegion]]], min_score: float = SHOWN_SCORE) -> Quality:
    """Compare pages' found regions, in reading order, with their truth.

    Raises:
        EvaluatorMissing: faster-coco-eval is not installed.
    """
    figures = _coco_figures(pages)
    shown = [(truth, _scored(found, min_score)) for truth, found in pages]
    pairs = [matched(found, truth.regions) for truth, found in shown]
    labels = tuple(_of_label(label, shown, pairs, figures[label]) for label in LABELS)
    present = [one for one in labels if one.true]
    zipped = list(zip(shown, pairs, strict=True))
    nested = sum((hierarchy(found, truth.regions, pair) for (truth, found), pair in zipped), Tally())
    joined = sum((links(found, truth.regions, pair) for (truth, found), pair in zipped), Tally())
    orders = [order for (truth, _), pair in zipped if (order := order_agreement(truth.regions, pair)) is not None]
    compared = sum(count for _, count in orders)
    overlaps = [
        mask_agreement(mask, real, truth)
        for (truth, found), pair in zipped
        for index, place in pair.items()
        if (mask := found[index].mask) is not None and (real := truth.regions[place].mask) is not None
    ]
    return Quality(
        pages=len(pages),
        min_score=min_score,
        labels=labels,
        ap=_mean([one.ap for one in present]),
        ap50=_mean([one.ap50 for one in present]),
        ap75=_mean([one.ap75 for one in present]),
        ar100=_mean([one.ar100 for one in present]),
        hierarchy_f1=nested.f1,
        link_f1=joined.f1,
        reading_order=sum(tau * count for tau, count in orders) / compared if compared else None,
        mask_iou=_mean([one for one, _ in overlaps]),
        boundary_iou=_mean([one for _, one in overlaps]),
    )


def _scored(found: Sequence[FoundRegion], min_score: float) -> list[FoundRegion]:
    """The regions scored at least so much; relations to others are dropped with them."""
    kept = [index for index, one in enumerate(found) if one.score >= min_score]
    number: dict[int | None, int] = {index: place for place, index in enumerate(kept)}
    return [
        FoundRegion(
            one.label, one.box, one.score, number.get(one.parent), number.get(one.start), number.get(one.end),
            one.both_ways, one.mask,
        )
        for one in (found[index] for index in kept)
    ]  # fmt: skip


def _of_label(
    label: Label,
    shown: Sequence[tuple[TruePage, list[FoundRegion]]],
    pairs: Sequence[dict[int, int]],
    figures: _Figures,
) -> LabelQuality:
    tally, off = Tally(), []
    for (truth, found), pair in zip(shown, pairs, strict=True):
        count_found = sum(one.label == label for one in found)
        count_true = sum(one.label == label for one in truth.regions)
        right = sum(found[index].label == label for index in pair)
        tally += Tally(right, count_found, count_true)
        off.append(abs(count_found - count_true))
    return LabelQuality(
        label, tally.true, tally.found, figures.ap, figures.ap50, figures.ap75, figures.ar100, tally.precision,
        tally.recall, fmean(off) if off else 0.0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Figures:
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar100: float | None


def _coco_figures(pages: Sequence[tuple[TruePage, Sequence[FoundRegion]]]) -> dict[Label, _Figures]:
    """AP and AR per label by faster-coco-eval, which computes what pycocotools does."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise EvaluatorMissing(
            "measuring needs faster-coco-eval, which is not installed: `pip install 'spotter-console[quality]'`"
        ) from None
    truth, told = coco_dicts(pages)
    if not truth["annotations"] or not told:
        none = 0.0 if truth["annotations"] else None
        counts = {label: any(r.label == label for page, _ in pages for r in page.regions) for label in LABELS}
        return {label: _Figures(*([none if counts[label] else None] * 4)) for label in LABELS}
    real = COCO(truth)
    run = COCOeval_faster(real, real.loadRes(told), iouType="bbox")
    run.evaluate()
    run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]
    return {
        label: _Figures(
            _known(precision[:, :, place, 0, -1]), _known(precision[0, :, place, 0, -1]),
            _known(precision[5, :, place, 0, -1]), _known(recall[:, place, 0, -1]),
        )
        for place, label in enumerate(LABELS)
    }  # fmt: skip


def coco_dicts(pages: Sequence[tuple[TruePage, Sequence[FoundRegion]]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(a COCO file's truth, a COCO result list) of pages."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for number, (truth, found) in enumerate(pages, start=1):
        images.append({"id": number, "file_name": truth.name, "width": truth.width, "height": truth.height})
        for region in truth.regions:
            box = _coco_box(region.box)
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number, "category_id": LABELS.index(region.label) + 1,
                    "bbox": box, "area": box[2] * box[3], "iscrowd": 0,
                }
            )  # fmt: skip
        told += [
            {
                "image_id": number, "category_id": LABELS.index(one.label) + 1, "bbox": _coco_box(one.box),
                "score": one.score,
            }
            for one in found
        ]  # fmt: skip
    categories = [{"id": number, "name": label} for number, label in enumerate(LABELS, start=1)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, told


def _coco_box(box: tuple[float, float, float, float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _known(values: Any) -> float | None:
    """Mean of the values that COCO could compute (it writes -1 where it could not)."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
