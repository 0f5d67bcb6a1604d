"""What can be done in the runs view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("runs.new", "n", N_("New run"), N_("A form for a new run, with its price before it starts"), "spotter run"),
    Action(
        "runs.again", "a", N_("Again"), N_("The form of a new run, filled in as the marked run was planned"),
        "spotter run --from RUN", in_footer=False,
    ),
    Action(
        "runs.resume", "R", N_("Resume"), N_("Go on with the marked runs where they stopped"),
        "spotter run --resume RUN", stake="money",
    ),
    Action(
        "runs.cancel", "K", N_("Cancel"), N_("Stop the marked runs; what is finished is fetched and kept"),
        "spotter cancel RUN", stake="money",
    ),
    Action("runs.diff", "d", N_("Diff"), N_("Parameters of the two marked runs, or of this one and the one before it")),
    Action("runs.outputs", "o", N_("Outputs"), N_("What the marked run made: files and sizes; enter opens one")),
    Action("runs.log", "l", N_("Log"), N_("The whole log of the marked run"), "spotter logs RUN"),
)  # fmt: skip
