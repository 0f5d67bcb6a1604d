"""What can be done in the welcome view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action(
        "welcome.demo",
        "d",
        N_("Demo"),
        N_("Parse sample documents on an emulated machine: no account, no cost"),
        "spotter demo",
    ),
    Action("welcome.check", "c", N_("Doctor"), N_("Check what this machine and account have"), "spotter doctor"),
    Action("welcome.key", "a", N_("API key"), N_("Type a vast.ai key, hidden, into .env"), "spotter key"),
    Action("welcome.init", "i", N_("Workspace"), N_("Make this folder a workspace of your own"), "spotter init"),
)
