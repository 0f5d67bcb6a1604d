"""What can be done in the doctor view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("doctor.fix", "f", N_("Fix"), N_("Do the fix where Spotter can, otherwise copy it; so does enter")),
    Action("doctor.report", "c", N_("Report"), N_("Copy all findings and settings as text"), "spotter doctor --json"),
    Action("doctor.settings", "s", N_("Settings"), N_("Findings, settings, or both"), "spotter doctor --settings"),
)
