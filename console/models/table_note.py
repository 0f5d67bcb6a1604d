"""The line under a table's rows: what narrows, marks and orders them, and the view's own words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from console.language import _, ngettext
from console.models.rows import Row


def note_words(
    rows: Sequence[Row],
    shown: Sequence[Row],
    marked: Collection[str],
    *,
    filtered: bool,
    only_problems: bool,
    sort_by: str | None,
    reverse: bool,
    note: str,
) -> str:
    """Parts that say something, with dots between.

    Args:
        rows: all of them.
        shown: those on screen.
        marked: keys of the marked ones, hidden ones too.
        filtered: whether a filter is typed, though it may leave all rows.
        only_problems: whether rows without a problem are hidden.
        sort_by: title of the column that orders them, translated; None for the view's own order.
        reverse: whether that order is turned round.
        note: the view's words; may be empty.
    """
    parts = []
    if len(shown) != len(rows) or filtered:
        parts.append(_("{n} of {all}").format(n=len(shown), all=len(rows)))
    if only_problems:
        parts.append(_("problems only"))
    if marked:
        on_screen = sum(row.key in marked for row in shown)
        parts.append(ngettext("{n} marked", "{n} marked", len(marked)).format(n=len(marked)))
        if on_screen < len(marked):
            parts[-1] += " " + _("({n} hidden, left alone)").format(n=len(marked) - on_screen)
    if sort_by is not None:
        parts.append(_("sort {column}").format(column=sort_by) + ("↓" if reverse else "↑"))
    elif reverse:
        parts.append(_("reversed"))
    if note:
        parts.append(note)
    return " · ".join(parts)
