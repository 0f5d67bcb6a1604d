"""What can be done in the metrics view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

_WINDOW = N_("Window")
_SINCE = "spotter metrics --since"

ACTIONS: tuple[Action, ...] = (
    Action(
        "metrics.section", "n", N_("Section"), N_("Days, runs, GPUs, waste, quality, replay"),
        "spotter metrics --by waste",
    ),
    Action("metrics.section-back", "b", N_("Section back"), N_("The section to the left"), in_footer=False),
    Action("metrics.window-1", "1", N_("1 h"), N_("Figures of the last hour"), f"{_SINCE} 1h", together=_WINDOW),
    Action("metrics.window-2", "2", N_("6 h"), N_("Figures of six hours"), f"{_SINCE} 6h", together=_WINDOW),
    Action("metrics.window-3", "3", N_("24 h"), N_("Figures of a day"), f"{_SINCE} 1d", together=_WINDOW),
    Action("metrics.window-4", "4", N_("7 d"), N_("Figures of a week"), f"{_SINCE} 7d", together=_WINDOW),
    Action("metrics.window-5", "5", N_("30 d"), N_("Figures of 30 days"), f"{_SINCE} 30d", together=_WINDOW),
    Action("metrics.window-6", "6", N_("90 d"), N_("Figures of 90 days"), f"{_SINCE} 90d", together=_WINDOW),
    Action("metrics.window-0", "0", N_("All"), N_("Figures from the beginning"), f"{_SINCE} all", together=_WINDOW),
    Action("metrics.back", "comma", N_("Earlier"), N_("Replay: the fleet a step earlier")),
    Action("metrics.forward", "full_stop", N_("Later"), N_("Replay: the fleet a step later")),
    Action("metrics.far-back", "left_curly_bracket", N_("Earlier"), N_("Replay: ten steps earlier"), in_footer=False),
    Action("metrics.far-on", "right_curly_bracket", N_("Later"), N_("Replay: ten steps later"), in_footer=False),
    Action(
        "metrics.log", "l", N_("Log"), N_("Replay: the log of the marked instance's run at that second"),
        "spotter logs RUN",
    ),
    Action("metrics.play", "p", N_("Play"), N_("Replay: let the time run, or hold it")),
)  # fmt: skip
