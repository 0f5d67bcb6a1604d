"""The views by name; each is imported when it is first wanted, so that the first frame waits for one only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.screens.view import View

CLASSES = {
    "fleet": "Fleet",
    "offers": "Offers",
    "instance": "Instance",
    "runs": "Runs",
    "form": "Form",
    "run": "Run",
    "log": "LogView",
    "sync": "Sync",
    "index": "Index",
    "review": "Review",
    "metrics": "Metrics",
    "services": "Services",
    "doctor": "Doctor",
    "pulse": "Pulse",
    "welcome": "Welcome",
}
"""View's name → class in `console.screens.<name>`."""


def make_view(name: str) -> View:
    """A new view.

    Raises:
        KeyError: there is no view of this name.
    """
    made: View = getattr(import_module(f"console.screens.{name}"), CLASSES[name])()
    return made
