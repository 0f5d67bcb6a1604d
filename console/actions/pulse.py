"""What can be done in the pulse view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("pulse.open", "enter", N_("Open"), N_("The instance of the chosen tile")),
    Action("pulse.run", "t", N_("Run"), N_("The run of the chosen tile")),
    Action("pulse.left", "left", N_("Left"), N_("The tile to the left"), in_footer=False),
    Action("pulse.right", "right", N_("Right"), N_("The tile to the right"), in_footer=False),
    Action("pulse.down", "down,j", N_("Down"), N_("The tile below"), in_footer=False),
    Action("pulse.up", "up,k", N_("Up"), N_("The tile above"), in_footer=False),
)
