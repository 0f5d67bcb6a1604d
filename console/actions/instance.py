"""What can be done in the instance view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("instance.tab-next", "full_stop", N_("Next tab"), N_("Overview, log, files, runs, events")),
    Action("instance.tab-previous", "comma", N_("Previous tab"), N_("The tab to the left"), in_footer=False),
    Action("instance.longer", "plus,equals_sign", N_("Longer"), N_("Charts show more of the past")),
    Action("instance.shorter", "minus", N_("Shorter"), N_("Charts show less of the past")),
    Action("instance.other", "n", N_("Next"), N_("The next instance of the fleet")),
    Action("instance.shell", "s", N_("Shell"), N_("A shell on the instance"), "spotter ssh ID"),
    Action("instance.log", "l", N_("Log"), N_("The whole log of its newest run"), "spotter logs RUN"),
    Action(
        "instance.services", "J", N_("Services"), N_("Jupyter and other services on it"), "spotter service list --on ID"
    ),
    Action(
        "instance.stop", "X", N_("Stop"), N_("Stop the instance: the GPU's bill ends, the disk's goes on"),
        "spotter stop ID", stake="money",
    ),
    Action(
        "instance.destroy", "D", N_("Destroy"), N_("Destroy the instance: its bill ends, its disk is gone"),
        "spotter destroy ID", stake="money",
    ),
)  # fmt: skip
