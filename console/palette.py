"""The palette: everything that can be done or gone to now, found by a few letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.fuzzy import FuzzySearch

from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import actions_of
from console.language import _
from console.operations.known_names import KnownNames, known_names
from console.screens.catalog import CLASSES
from console.widgets.key_names import key_names
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp

NOT_OFFERED = frozenset({"everywhere.palette", "everywhere.back"})
"""What makes no sense from inside the palette."""
RECENT = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the palette."""

    title: str
    detail: str
    """One sentence; for what is refused, the reason."""
    keys: str
    refused: bool
    run: Callable[[], object]

    @property
    def searched(self) -> str:
        """What the letters are looked for in."""
        return f"{self.title}  {self.detail}"

    def drawn(self, hits: Iterable[int] = ()) -> Text:
        """The line, with the letters that were found marked; `hits` are offsets into `searched`."""
        text = Text(self.searched, no_wrap=True, overflow="ellipsis", style="dim" if self.refused else "")
        text.stylize("bold", 0, len(self.title))
        text.stylize("dim", len(self.title))
        for offset in hits:
            text.stylize("underline", offset, offset + 1)
        if self.keys:
            text.append(f"  {self.keys}", style="bold")
        return text


def action_choices(app: SpotterApp) -> list[Choice]:
    """Actions of the view on screen, of its list where it has one, and everywhere, with why some are refused."""
    view = app.view
    actions = [*actions_of(view.NAME), *(actions_of(TABLE) if view.table is not None else ()), *actions_of(EVERYWHERE)]
    return [_choice(app, action) for action in actions if action.id not in NOT_OFFERED]


def _choice(app: SpotterApp, action: Action) -> Choice:
    reason = app.refusal(action)
    refused = _("refused")  # not inside the f-string: what gathers texts does not look into those
    detail = f"{refused}: {reason}" if reason else _(action.help)
    return Choice(
        _(action.label), visible(detail), key_names(app.keys_of(action)), bool(reason), partial(_do, app, action)
    )


def _do(app: SpotterApp, action: Action) -> None:
    """After the palette has closed: what is refused by then says so."""
    app.call_later(app.action_do, action.id)


def place_choices(app: SpotterApp, names: KnownNames) -> list[Choice]:
    """Rented instances, the latest runs, and views that no action leads to."""
    shown = _("Show this instance")
    choices = [
        Choice(_("instance {id}").format(id=each), shown, "", False, partial(app.go, "instance", str(each)))
        for each in names.instances[:RECENT]
    ]
    choices += [
        Choice(_("run {id}").format(id=visible(each)), _("Show this run"), "", False, partial(app.go, "run", each))
        for each in names.runs[:RECENT]
    ]
    led_to = {action.id.partition(".")[2] for action in actions_of(EVERYWHERE)}
    choices += [
        Choice(name, _("Show this view"), "", False, partial(app.go, name)) for name in CLASSES if name not in led_to
    ]
    return choices


class Palette(Provider):
    """What the palette asks for its lines. The names of runs and instances are read once, beside the loop."""

    async def startup(self) -> None:
        """Read the names while the operator types."""
        self._names = KnownNames()
        self._names = await asyncio.to_thread(known_names, self._console.workspace)

    @property
    def _console(self) -> SpotterApp:
        return cast("SpotterApp", self.app)

    def _choices(self) -> list[Choice]:
        return [*action_choices(self._console), *place_choices(self._console, self._names)]

    async def discover(self) -> Hits:
        """All, before a letter is typed."""
        for choice in self._choices():
            yield DiscoveryHit(choice.drawn(), choice.run, choice.searched)

    async def search(self, query: str) -> Hits:
        """Those with the letters in this order; what can be done before what is refused."""
        finder = FuzzySearch(case_sensitive=False)
        for choice in self._choices():
            score, offsets = finder.match(query, choice.searched)
            if score > 0:
                yield Hit(score / (4 if choice.refused else 1), choice.drawn(offsets), choice.run, choice.searched)
