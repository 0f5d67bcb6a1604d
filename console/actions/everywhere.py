"""What can be done in every view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("everywhere.fleet", "1,alt+1", N_("Fleet"), N_("Instances, and what they cost"), "spotter ps"),
    Action("everywhere.offers", "2,alt+2", N_("Offers"), N_("What could be rented now, full price"), "spotter offers"),
    Action(
        "everywhere.instance", "3,alt+3", N_("Instance"), N_("One instance: charts, log, files, runs"), in_footer=False
    ),
    Action("everywhere.runs", "4,alt+4", N_("Runs"), N_("Runs, how far they are, what they cost"), "spotter runs"),
    Action("everywhere.sync", "5,alt+5", N_("Sync"), N_("What differs between here and there"), "spotter diff"),
    Action("everywhere.index", "6,alt+6", N_("Index"), N_("Search everything that was parsed"), "spotter search WORDS"),
    Action("everywhere.review", "7,alt+7", N_("Review"), N_("Regions one at a time"), "spotter review"),
    Action("everywhere.metrics", "8,alt+8", N_("Metrics"), N_("Spend, throughput, quality"), "spotter metrics"),
    Action("everywhere.services", "9,alt+9", N_("Services"), N_("Jupyter and other services"), "spotter service list"),
    Action("everywhere.doctor", "0,alt+0", N_("Doctor"), N_("Settings and checks"), "spotter doctor"),
    Action("everywhere.pulse", "", N_("Pulse"), N_("Health of everything on one screen"), "spotter pulse"),
    Action("everywhere.log", "L", N_("Log"), N_("Logs of all live runs, merged"), "spotter logs", in_footer=False),
    Action("everywhere.help", "question_mark,f1", N_("Help"), N_("What every key does here")),
    Action("everywhere.command", "colon", N_("Command"), N_("Type a view's or an action's name")),
    Action("everywhere.palette", "ctrl+p", N_("Palette"), N_("Find an action by a few letters"), in_footer=False),
    Action("everywhere.back", "escape", N_("Back"), N_("One step out: close, clear, back")),
    Action("everywhere.last", "minus", N_("Last"), N_("The view that was left last"), in_footer=False),
    Action("everywhere.previous", "left_square_bracket", N_("Previous"), N_("Back in the history"), in_footer=False),
    Action("everywhere.next", "right_square_bracket", N_("Next"), N_("Forward in the history"), in_footer=False),
    Action("everywhere.side", "v", N_("Side"), N_("Show or hide the side pane"), in_footer=False),
    Action("everywhere.zoom", "z", N_("Zoom"), N_("The focused pane over the whole screen"), in_footer=False),
    Action("everywhere.pause", "p", N_("Pause"), N_("Stop asking; what is shown stays"), in_footer=False),
    Action("everywhere.refresh", "r", N_("Refresh"), N_("Ask now"), in_footer=False),
    Action("everywhere.copy", "y", N_("Copy"), N_("Copy something of the marked row"), in_footer=False),
    Action("everywhere.export", "e", N_("Export"), N_("Write the rows on screen to csv and json"), in_footer=False),
    Action("everywhere.dump", "S", N_("Dump"), N_("Save this screen as SVG and text"), in_footer=False),
    Action("everywhere.log-of-commands", "at", N_("Commands"), N_("What was run, as it is typed"), in_footer=False),
    Action("everywhere.jump", "semicolon", N_("Jump"), N_("Go to anything on screen by its letter"), in_footer=False),
    Action("everywhere.theme", "T", N_("Theme"), N_("The next theme"), in_footer=False),
    Action("everywhere.read-only", "", N_("Read-only"), N_("Refuse whatever touches money or data")),
    Action("everywhere.quit", "q", N_("Quit"), N_("Leave; says what goes on costing money")),
)
