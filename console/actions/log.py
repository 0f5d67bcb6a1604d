"""What can be done in the log view. Digits are windows of time here; views are reached by alt and a digit, or `:`."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

_WINDOW = N_("Window")

ACTIONS: tuple[Action, ...] = (
    Action("log.follow", "f", N_("Follow"), N_("Stay at the newest line, or stop"), "spotter logs RUN --follow"),
    Action(
        "log.filter",
        "slash",
        N_("Filter"),
        N_("Only lines with these words; !word, ~letters, /regex/, level:error, source:NAME"),
        "spotter logs RUN --filter WORDS",
    ),
    Action("log.find", "ctrl+f", N_("Find"), N_("Point at words or a /regex/ and hide nothing")),
    Action("log.next", "n", N_("Next"), N_("The next line that find, or the filter, points at"), in_footer=False),
    Action(
        "log.previous", "N", N_("Previous"), N_("The line before that find, or the filter, points at"), in_footer=False
    ),
    Action(
        "log.context",
        "c",
        N_("Context"),
        N_("0, 3 or 10 lines around each line that the filter keeps"),
        "spotter logs RUN --filter WORDS --context 3",
    ),
    Action(
        "log.highlight",
        "h",
        N_("Highlight"),
        N_("The filter points at its lines instead of hiding others"),
        in_footer=False,
    ),
    Action("log.error", "E", N_("Error"), N_("The next error"), "spotter logs RUN --filter level:error"),
    Action("log.wrap", "w", N_("Wrap"), N_("Long lines over several rows, or cut at the edge"), in_footer=False),
    Action(
        "log.times", "t", N_("Times"), N_("The time of each line: none, the clock's, or how long ago"), in_footer=False
    ),
    Action("log.mark", "m", N_("Mark"), N_("Mark this line, with the time of marking, or unmark it"), in_footer=False),
    Action("log.mark-next", "right_curly_bracket", N_("Next mark"), N_("The next marked line"), in_footer=False),
    Action(
        "log.mark-previous", "left_curly_bracket", N_("Previous mark"), N_("The marked line before"), in_footer=False
    ),
    Action("log.window-0", "0", N_("All"), N_("All lines, at the newest"), together=_WINDOW),
    Action("log.window-1", "1", N_("Head"), N_("All lines, at the oldest"), together=_WINDOW),
    Action("log.window-2", "2", N_("1 min"), N_("The last minute"), "spotter logs RUN --last 1m", together=_WINDOW),
    Action("log.window-3", "3", N_("5 min"), N_("The last 5 minutes"), "spotter logs RUN --last 5m", together=_WINDOW),
    Action(
        "log.window-4",
        "4",
        N_("15 min"),
        N_("The last 15 minutes"),
        "spotter logs RUN --last 15m",
        together=_WINDOW,
    ),
    Action(
        "log.window-5",
        "5",
        N_("30 min"),
        N_("The last 30 minutes"),
        "spotter logs RUN --last 30m",
        together=_WINDOW,
    ),
    Action("log.window-6", "6", N_("1 hour"), N_("The last hour"), "spotter logs RUN --last 1h", together=_WINDOW),
    Action(
        "log.merged",
        "x",
        N_("All runs"),
        N_("The logs of all live runs as one, or one run again"),
        "spotter logs --all",
    ),
    Action(
        "log.events",
        "o",
        N_("Events"),
        N_("What happened to each page, between the lines"),
        "spotter logs RUN --with-events",
    ),
    Action("log.save", "s", N_("Save"), N_("Write the lines on show to a file"), "spotter logs RUN > FILE"),
    Action("log.run", "enter", N_("Run"), N_("The run that this line is of"), "spotter watch RUN", in_footer=False),
    Action("log.chart", "i", N_("Chart"), N_("What was measured at this line's second"), in_footer=False),
)
