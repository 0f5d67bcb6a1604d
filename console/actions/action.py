"""What an action is: something the operator can do, by key, by palette, by command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

EVERYWHERE = "everywhere"
"""The group of actions that every view offers."""
TABLE = "table"
"""The group of actions of views that list rows."""

Stake = Literal["", "money", "data"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something the operator can do in the app.

    Texts are English and marked for translation with `N_`; they are translated where they are drawn.
    """

    id: str
    """Stable: `view.verb`. A key map rebinds it; `action_view_verb` of the view (or the app) runs it."""
    keys: str
    """Textual key names, comma between; help shows the first first."""
    label: str
    """One or two words for the line of keys."""
    help: str
    """One sentence for help and palette."""
    command: str = ""
    """The headless twin, as it is typed in a shell; words in capitals stand for what the operator fills in."""
    stake: Stake = ""
    """What it touches. With a stake it always asks first, is refused in read-only, and its view answers
    `question_view_verb(targets)` instead of `action_view_verb()`."""
    in_footer: bool = True
    together: str = ""
    """Under this label the line of keys shows it and its neighbours with the same label as one: `1–9 Class`."""

    @property
    def view(self) -> str:
        """The view that offers it, or `everywhere`, or `table`."""
        return self.id.partition(".")[0]

    @property
    def verb(self) -> str:
        """What it does: the id without the view."""
        return self.id.partition(".")[2]

    @property
    def name(self) -> str:
        """The id as part of a method's name."""
        return self.id.replace(".", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action that touches money or data, and what runs after a yes.

    Everything in it was captured when the key was pressed: rows that move meanwhile change nothing.
    """

    title: str
    """Names what it is about: `Destroy instance 31245?`"""
    detail: str
    """What dies, what it costs, what is lost."""
    verb: str
    """The word on the button."""
    commands: tuple[tuple[str, ...], ...]
    """The headless twins that run after a yes, without `spotter`."""
    note: str
    """A few words for the command log and the note in the corner: `destroy 31245`."""
    typed: str = ""
    """Characters that must be typed to go on: the last digits of an id, or the count of several."""
    then: str = ""
    """The view that shows what comes of it; empty stays here."""
    agreed: Callable[[], None] | None = field(default=None, compare=False)
    """Called after a yes, once the commands have been given: the view that asked may wait for what they bring."""
