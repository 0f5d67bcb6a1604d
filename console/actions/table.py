"""What can be done in every view that lists rows."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("table.down", "j,down", N_("Down"), N_("The next row"), in_footer=False),
    Action("table.up", "k,up", N_("Up"), N_("The row before"), in_footer=False),
    Action("table.top", "g,home", N_("Top"), N_("The first row"), in_footer=False),
    Action("table.bottom", "G,end", N_("Bottom"), N_("The last row"), in_footer=False),
    Action("table.page-down", "ctrl+d,pagedown", N_("Page down"), N_("A page of rows down"), in_footer=False),
    Action("table.page-up", "ctrl+u,pageup", N_("Page up"), N_("A page of rows up"), in_footer=False),
    Action("table.open", "enter", N_("Open"), N_("Open the row under the cursor"), in_footer=False),
    Action("table.filter", "slash", N_("Filter"), N_("Words, !word, ~fuzzy, column:value, column>5")),
    Action("table.mark", "space", N_("Mark"), N_("Mark this row for the next action"), in_footer=False),
    Action("table.range", "V", N_("Range"), N_("Mark every row from the last mark to here"), in_footer=False),
    Action("table.problems", "exclamation_mark", N_("Problems"), N_("Only rows with a problem"), in_footer=False),
    Action("table.sort-left", "less_than_sign", N_("Sort"), N_("Sort by the column to the left"), in_footer=False),
    Action("table.sort-right", "greater_than_sign", N_("Sort"), N_("Sort by the column to the right"), in_footer=False),
    Action("table.reverse", "circumflex_accent", N_("Reverse"), N_("Turn the order round"), in_footer=False),
)
