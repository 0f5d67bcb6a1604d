"""What can be done in the services view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action(
        "services.open", "o", N_("Open"), N_("A tunnel to it and the browser on it; it lasts as long as this console"),
        "spotter service open NAME --on ID",
    ),
    Action("services.close", "c", N_("Close"), N_("Close the tunnel of this console; the service goes on")),
    Action(
        "services.start", "U", N_("Start"),
        N_("Start Jupyter on the box, or a service that ended; costs nothing more, but changes the box"),
        "spotter jupyter ID --start-only", stake="data",
    ),
    Action(
        "services.stop", "K", N_("Stop"), N_("End the service and all that it holds in memory"),
        "spotter service stop NAME --on ID", stake="data",
    ),
    Action("services.fleet", "m", N_("Machine"), N_("The machine that it runs on"), in_footer=False),
)  # fmt: skip
