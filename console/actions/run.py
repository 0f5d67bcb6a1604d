"""What can be done in the view of one run."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("run.follow", "f", N_("Follow"), N_("Keep the log at its end, or let it stand"), "spotter logs -f RUN"),
    Action("run.log", "l", N_("Log"), N_("The whole log of this run"), "spotter logs RUN"),
    Action("run.index", "i", N_("Search"), N_("Search what this run made"), "spotter search WORDS"),
    Action("run.review", "w", N_("Review"), N_("Look through the regions of this run one by one"), "spotter review"),
    Action("run.coverage", "c", N_("Coverage"), N_("Every document: pages through, failures, regions found")),
    Action("run.failures", "x", N_("Failures"), N_("Everything that failed, with its reason")),
    Action("run.outputs", "o", N_("Outputs"), N_("What this run made: files and sizes; enter opens one")),
    Action("run.diff", "d", N_("Diff"), N_("What differs in its parameters from the run before it"), in_footer=False),
    Action(
        "run.again", "a", N_("Again"), N_("The form of a new run, filled in as this one was planned"),
        "spotter run --from RUN", in_footer=False,
    ),
    Action(
        "run.resume", "R", N_("Resume"), N_("Go on with this run where it stopped"),
        "spotter run --resume RUN", stake="money",
    ),
    Action(
        "run.cancel", "K", N_("Cancel"), N_("Stop this run; what is finished is fetched and kept"),
        "spotter cancel RUN", stake="money",
    ),
)  # fmt: skip
