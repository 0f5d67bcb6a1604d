"""Every action of the app as data: bindings, the palette, the help page and the docs are made from this one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType

EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True)
class Action:
    """Something the operator can do in the app."""

    id: str
    """Stable: `view.verb`; `action_view_verb` runs it, and a key map may rebind it."""
    keys: str
    """Textual key names, the one that help shows first."""
    label: str
    """One or two words for the footer."""
    help: str
    """One sentence for help and palette."""
    command: str = ""
    """The headless twin, as it is typed in a shell."""
    in_footer: bool = True

    @property
    def view(self) -> str:
        """The view that offers it, or `everywhere`."""
        return self.id.partition(".")[0]

    @property
    def method(self) -> str:
        """Name of the Textual action."""
        return self.id.replace(".", "_").replace("-", "_")


ACTIONS: tuple[Action, ...] = (
    Action("everywhere.fleet", "1", "Fleet", "Show the instances and what they cost", "spotter ps"),
    Action("everywhere.offers", "2", "Offers", "Show what could be rented now, with full prices", "spotter offers"),
    Action("everywhere.runs", "4", "Runs", "Show the runs and how far they are", "spotter runs"),
    Action("everywhere.search", "6", "Search", "Search everything that was parsed", "spotter search WORDS"),
    Action("everywhere.help", "question_mark,f1", "Help", "Show what every key does here"),
    Action("everywhere.palette", "ctrl+p", "Palette", "Find an action by name", in_footer=False),
    Action("everywhere.theme", "T", "Theme", "Switch between dark and light", in_footer=False),
    Action("everywhere.dump", "S", "Dump", "Save this screen as SVG under .spotter/screens", in_footer=False),
    Action("everywhere.back", "escape", "Back", "One step out: close, clear, back"),
    Action("everywhere.quit", "q", "Quit", "Leave; runs go on without the console"),
    Action("fleet.destroy", "D", "Destroy", "Destroy the marked instance, after asking", "spotter destroy ID"),
    Action("fleet.shell", "s", "Shell", "Open a shell on the marked instance", "spotter ssh ID"),
    Action("fleet.jupyter", "j", "Jupyter", "Open Jupyter of the marked instance in the browser", "spotter jupyter ID"),
    Action(
        "fleet.copy",
        "c",
        "Copy",
        "Copy the ssh command of the marked instance",
        "spotter ssh ID --print",
        in_footer=False,
    ),
    Action("fleet.refresh", "r", "Refresh", "Ask the cloud now", "spotter ps", in_footer=False),
    Action("fleet.filter", "slash", "Filter", "Show only rows that hold these words", in_footer=False),
    Action("offers.rent", "R", "Rent", "Rent the marked offer, after asking", "spotter rent OFFER"),
    Action("offers.refresh", "r", "Refresh", "Search the market again", "spotter offers"),
    Action("offers.filter", "slash", "Filter", "Show only rows that hold these words"),
    Action("runs.open", "enter", "Open", "Watch the marked run: stages, failures, log", "spotter watch RUN"),
    Action("runs.new", "n", "New run", "Parse everything in data/ on a rented machine", "spotter run docparse"),
    Action("runs.resume", "R", "Resume", "Go on with the marked run where it stopped", "spotter run --resume RUN"),
    Action("runs.cancel", "K", "Cancel", "Stop the marked run, after asking", "spotter cancel RUN"),
    Action("runs.filter", "slash", "Filter", "Show only rows that hold these words"),
    Action("run.follow", "f", "Follow", "Keep the log at its end", "spotter logs -f RUN"),
    Action("run.cancel", "K", "Cancel", "Stop this run, after asking", "spotter cancel RUN"),
    Action("search.focus", "slash", "Query", "Go to the query"),
    Action("search.page", "enter", "Page", "Show the hit's page with its place marked"),
    Action(
        "search.mode", "m", "Mode", "List balanced, text first, visual first, raw", "spotter search --mode MODE WORDS"
    ),
    Action("search.open", "o", "Open", "Open the source at its page in a viewer", "spotter open WORDS"),
    Action("search.copy", "y", "Copy", "Copy where the hit stands: file, page, place", in_footer=False),
)


def actions_of(view: str) -> list[Action]:
    """The actions that `view` offers beyond those offered everywhere."""
    return [action for action in ACTIONS if action.view == view]


def bindings_of(view: str, *, but: Sequence[str] = ()) -> list[BindingType]:
    """Textual bindings of one view but those named, each with its action's id so that a key map can rebind it."""
    return [
        Binding(action.keys, action.method, action.label, show=action.in_footer, id=action.id, tooltip=action.help)
        for action in actions_of(view)
        if action.id not in but
    ]
