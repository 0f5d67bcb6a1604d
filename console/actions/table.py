"""What can be done in every view that lists rows."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("table.filter", "slash", N_("Filter"), N_("Words, !word, ~fuzzy, column:value, column>5")),
    Action("table.mark", "space", N_("Mark"), N_("Mark this row for the next action"), in_footer=False),
    Action("table.range", "V", N_("Range"), N_("Mark every row from the last mark to here"), in_footer=False),
    Action("table.problems", "exclamation_mark", N_("Problems"), N_("Only rows with a problem"), in_footer=False),
    Action("table.sort-left", "less_than_sign", N_("Sort"), N_("Sort by the column to the left"), in_footer=False),
    Action("table.sort-right", "greater_than_sign", N_("Sort"), N_("Sort by the column to the right"), in_footer=False),
    Action("table.reverse", "circumflex_accent", N_("Reverse"), N_("Turn the order round"), in_footer=False),
)
