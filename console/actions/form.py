"""What can be done in the form of a new run."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("form.dry-run", "d", N_("Dry run"), N_("Plan it: pages, stages, price"), "spotter run --dry-run"),
    Action("form.start", "R", N_("Start"), N_("Start the run as it is written below"), "spotter run", stake="money"),
    Action("form.documents", "o", N_("Documents"), N_("Choose what is parsed; without a choice all of data/")),
    Action("form.default", "u", N_("Default"), N_("Give the marked field its default again")),
    Action("form.clear", "ctrl+r", N_("All defaults"), N_("Give every field its default again"), in_footer=False),
)
