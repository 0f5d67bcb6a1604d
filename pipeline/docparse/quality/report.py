"""Figures as a table for people."""

from __future__ import annotations

from pipeline.docparse.quality.evaluate import Quality


def table(quality: Quality) -> str:
    """Lines of a table: a row a label, the means, and what concerns whole pages."""
    lines = [
        f"{'':9}{'true':>6}{'shown':>7}{'AP50':>7}{'AP75':>7}{'AP':>7}{'AR100':>7}{'prec':>7}{'recall':>8}{'count':>9}"
    ]
    for one in quality.labels:
        figures = "".join(f"{_figure(value):>7}" for value in (one.ap50, one.ap75, one.ap, one.ar100, one.precision))
        lines.append(
            f"{one.label:9}{one.true:>6}{one.shown:>7}{figures}{_figure(one.recall):>8}{one.counting_error:>9.2f}"
        )
    means = "".join(f"{_figure(value):>7}" for value in (quality.ap50, quality.ap75, quality.ap, quality.ar100))
    lines.append(f"{'mean':9}{'':>13}{means}")
    lines.append(
        f"hierarchy F1 {_figure(quality.hierarchy_f1)} · arrow links F1 {_figure(quality.link_f1)} · "
        f"reading order τ {_figure(quality.reading_order)} · mask IoU {_figure(quality.mask_iou)} · "
        f"boundary IoU {_figure(quality.boundary_iou)}"
    )
    lines.append(
        f"{quality.pages} pages; precision, recall and counts for regions scored {quality.min_score:.2f} or more"
    )
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
