"""What can be done in the fleet view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("fleet.open", "enter", N_("Open"), N_("The marked instance: charts, log, files, events"), "spotter ps"),
    Action("fleet.shell", "s", N_("Shell"), N_("A shell on the marked instance"), "spotter ssh ID"),
    Action("fleet.run", "t", N_("Run"), N_("The run that works on it"), "spotter watch RUN"),
    Action("fleet.log", "l", N_("Log"), N_("The log of the run that works on it"), "spotter logs RUN"),
    Action(
        "fleet.sync", "u", N_("Sync"), N_("What differs between here and there"), "spotter diff ID", in_footer=False
    ),
    Action(
        "fleet.services", "J", N_("Services"), N_("Jupyter and other services on it"),
        "spotter service list --on ID", in_footer=False,
    ),
    Action("fleet.offers", "n", N_("Offers"), N_("What could be rented now, full price"), "spotter offers"),
    Action("fleet.guard", "a", N_("Guard"), N_("When it gives itself back; R there prolongs"), "spotter guard ID"),
    Action(
        "fleet.label", "b", N_("Label"), N_("Write a label on it, for your own eyes"), "spotter label ID TEXT",
        in_footer=False,
    ),
    Action(
        "fleet.extend", "", N_("Prolong"), N_("Let it go on two hours longer than its guard would"),
        "spotter guard ID --add-hours 2", stake="money", in_footer=False,
    ),
    Action(
        "fleet.stop", "X", N_("Stop"), N_("Stop it: the GPU's bill ends, the disk's goes on"), "spotter stop ID",
        stake="money",
    ),
    Action(
        "fleet.destroy", "D", N_("Destroy"), N_("Destroy it: its bill ends, its disk is gone"), "spotter destroy ID",
        stake="data",
    ),
    Action(
        "fleet.rerent", "R", N_("Re-rent"), N_("Another machine on the same terms in its place, with its run"),
        "spotter rerent ID", stake="money",
    ),
)  # fmt: skip
