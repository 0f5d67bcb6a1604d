"""What can be done in the sync view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action(
        "sync.push", "U", N_("Push"), N_("Send what changed here to the box; what was edited there is left alone"),
        "spotter push ID", stake="data",
    ),
    Action(
        "sync.fetch", "F", N_("Fetch"), N_("Take what was edited on the box, or what a run made there"),
        "spotter diff ID PATH --take box", stake="data",
    ),
    Action("sync.plan", "n", N_("Plan"), N_("Compare again, now"), "spotter diff ID"),
    Action(
        "sync.abort", "K", N_("Abort"), N_("Stop the push that is under way; what has arrived stays"),
        "spotter sync ID --stop", stake="data",
    ),
)  # fmt: skip
