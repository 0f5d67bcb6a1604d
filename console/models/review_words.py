"""A region in words: where it is in the queue, what was said of it, which classes it could have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from console.language import N_, _
from console.models.hits import short
from console.models.index_details import bounded, box_words
from console.models.review_desk import Desk, Status
from console.models.review_queue import Box, Queued, neighbours
from console.words import visible

if TYPE_CHECKING:
    from index.review.regions import ReviewRegion

SIGNS: Mapping[Status, tuple[str, str]] = {
    "open": ("·", "dim"), "accepted": ("✓", "bold green"), "rejected": ("✗", "bold red"),
    "corrected": ("✎", "bold yellow"),
}  # fmt: skip
NAMES: Mapping[Status, str] = {
    "open": N_("undecided"), "accepted": N_("accepted"), "rejected": N_("rejected"), "corrected": N_("corrected"),
}  # fmt: skip
CAPTION, STRUCT = 2_000, 1_600
"""Characters that are shown of each; the page view and the run's files have all."""
FACTS = 12
LINES = 14


def head(one: Queued, at: int, total: int, desk: Desk) -> Text:
    """First line: where it stands in the queue, on its page, and how it was decided."""
    status = desk.status(one.key)
    sign, style = SIGNS[status]
    return Text.assemble(
        (f"{at + 1}/{total}  ", "bold"),
        (f"{sign} {_(NAMES[status])}  ", style),
        f"{short(one.name)} p{one.page}  ",
        (short(desk.label(one)), "bold"),
        f"  {one.score:.2f}",
        no_wrap=True,
        overflow="ellipsis",
    )


def counter(desk: Desk, threshold: float, pending: int) -> Text:
    """Last line: how far the review is, and what is not in the index yet."""
    counts = desk.counts
    signs = " ".join(f"{SIGNS[status][0]}{counts.get(status, 0)}" for status in SIGNS if status != "open")
    told = [_("{n} undecided").format(n=counts.get("open", 0)), signs]
    told.append(_("{n} open below {score}").format(n=desk.doubtful(threshold), score=f"{threshold:.2f}"))
    changes = desk.changes
    told.append(_("{n} not in the index (U)").format(n=changes) if changes else _("the index has all"))
    if pending:
        told.append(_("writing {n}").format(n=pending))
    return Text(" · ".join(told), no_wrap=True, overflow="ellipsis")


def classes(one: Queued, desk: Desk, labels: Sequence[str]) -> Text:
    """The classes with the digits that choose them; its own is marked, and the run's where it was another."""
    text = Text()
    now = desk.label(one)
    for number, label in enumerate(labels, start=1):
        key = str(number) if number <= 9 else " "
        mark = "▸" if label == now else " "
        was = _("  (the run's)") if label == one.label and label != now else ""
        text.append(f"{mark}{key} {short(label)}", style="bold" if label == now else "")
        text.append(f"{was}\n", style="dim")
    return text


def box_line(one: Queued, desk: Desk, moving: Box | None, step_px: int) -> Text:
    """Its box, what it was, and how it is being moved."""
    box = moving or desk.box(one)
    was = "" if box == one.box_px else _("  (the run's: {box})").format(box=box_words(one.box_px))
    text = Text(no_wrap=True, overflow="ellipsis")
    if moving is not None:
        text.append(_(" moving by {n} px ").format(n=step_px), style="bold reverse")
    text.append(" ▭ ", style="dim")
    text.append(box_words(box))
    text.append(was, style="dim")
    return text


def beside(one: Queued, desk: Desk) -> Text:
    """Its neighbours on the page."""
    text = Text()
    for other, share in neighbours(one, desk):
        sign, style = SIGNS[desk.status(other.key)]
        covered = _("  covers {share}").format(share=f"{share:.0%}") if share >= 0.05 else ""
        text.append(f"{sign} ", style=style)
        text.append(f"{short(desk.label(other))} {other.score:.2f} {short(other.words[:30])}")
        text.append(f"{covered}\n", style="bold" if share >= 0.5 else "dim")
    return text


def said(region: ReviewRegion) -> Text:
    """Caption, struct, facts, tags, text and what is doubtful, each bounded."""
    text = Text()
    for name, words in (
        (_("caption"), bounded(region.caption, CAPTION)),
        (_("text"), bounded(region.file.text, CAPTION) if region.file.text != region.caption else ""),
        (_("struct"), struct_words(region.struct)),
        (_("facts"), _facts(region.facts)),
        (_("tags"), visible(", ".join(region.tags))[:CAPTION]),
        (_("doubtful"), visible(", ".join(region.flags))[:CAPTION]),
        (_("damaged"), visible("; ".join(region.problems))[:CAPTION]),
    ):
        if words:
            text.append(f"{name}\n", style="bold underline")
            text.append(f"{words}\n\n")
    return text


def _facts(facts: Sequence[Mapping[str, Any]]) -> str:
    told = [f"• {visible(str(fact.get('text', ''))[:400])}" for fact in facts[:FACTS]]
    more = len(facts) - FACTS
    return "\n".join([*told, _("… {n} more").format(n=more)] if more > 0 else told)


def struct_words(struct: Any) -> str:
    """What an analyst said, name by name; lists a line each; bounded in every direction."""
    if not isinstance(struct, dict):
        return "" if struct is None else visible(str(struct)[:STRUCT])
    lines: list[str] = []
    for name, value in struct.items():
        if value in (None, "", [], {}, False) or len(lines) >= LINES:
            continue
        if isinstance(value, list):
            rows = [" | ".join(map(str, row)) if isinstance(row, list) else str(row) for row in value[:LINES]]
            lines += [f"{visible(str(name)[:40])}: {visible(rows[0][:200])}"]
            lines += [f"  {visible(row[:200])}" for row in rows[1:]]
        else:
            lines.append(f"{visible(str(name)[:40])}: {visible(str(value)[:200])}")
    return "\n".join(lines[:LINES])[:STRUCT]
