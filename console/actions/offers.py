"""What can be done in the offers view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action(
        "offers.rent",
        "R",
        N_("Rent"),
        N_("Rent the marked offer, at no more than the price on screen"),
        "spotter rent OFFER --max-usd-per-hour PRICE",
        stake="money",
    ),
    Action(
        "offers.watch",
        "w",
        N_("Watch"),
        N_("Look at the market again and again; new and cheaper offers ring, nothing is rented"),
        "spotter offers --watch",
    ),
    Action(
        "offers.cap",
        "equals_sign",
        N_("Price cap"),
        N_("Hide what costs more an hour, disk and all"),
        "spotter offers --max-per-hour PRICE",
    ),
)
