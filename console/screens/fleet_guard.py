"""The guard of one instance: when it gives itself back with nobody there, and by how much that can be put off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from console.actions.registry import action_called
from console.language import _, ngettext
from console.models.fleet_words import guard_sentence
from console.operations.notes import LONGEST_NOTE
from console.spoken import duration, usd_per_hour
from console.widgets.dialog import Dialog
from console.widgets.field import Field
from console.words import usd, visible

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.models.fleet import InstanceView
    from console.screens.fleet import Fleet

DEFAULT_HOURS = 2


class GuardPanel(Dialog[None]):
    """Shows an instance's guard; digits choose hours, `R` asks to put its end off by them."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape,q,a", "dismiss(None)", show=False),
        *(Binding(str(number), f"hours({number})", show=False) for number in range(1, 10)),
        Binding("R", "prolong", show=False),
    ]
    app: SpotterApp

    def __init__(self, fleet: Fleet, view: InstanceView) -> None:
        super().__init__()
        self._fleet = fleet
        self._view = view
        self.hours = DEFAULT_HOURS

    def compose(self) -> ComposeResult:
        """One text."""
        with Vertical(id="guard-panel"):
            yield Static(Text(), id="guard-words", markup=False)

    def on_mount(self) -> None:
        """Draw it, and let the countdown run."""
        self._draw()
        self.set_interval(1.0, self._draw)

    def _draw(self) -> None:
        self.query_one("#guard-words", Static).update(guard_text(self._view, self.app.now(), self.hours))

    def action_hours(self, hours: int) -> None:
        """How much longer."""
        self.hours = hours
        self._draw()

    def action_prolong(self) -> None:
        """Ask, about the instance that this was opened for."""
        action = action_called("fleet.extend")
        self._fleet.extension_h = self.hours
        question = self.app.refusal(action) or self._fleet.question_fleet_extend((str(self._view.id),))
        self.dismiss(None)
        if isinstance(question, str):
            self.app.tell(question, "warning")
        else:
            self.app.ask(question)


def guard_text(view: InstanceView, wall_now: float, hours: int) -> Text:
    """What the panel says; `hours` is what `R` would add."""
    text = Text()
    text.append(_("Guard of instance {id}").format(id=view.id) + "\n\n", style="bold")
    sentence, style = guard_sentence(view.guard, wall_now)
    text.append(visible(sentence) + "\n", style=style)
    guard = view.guard
    text.append(_("{price}, {spent} so far").format(price=usd_per_hour(view.usd_per_hour), spent=usd(view.spent_usd)))
    if guard is not None and guard.proven:
        left_s = max(0.0, guard.ends_at - wall_now)
        at_end = view.spent_usd + left_s / 3600 * view.usd_per_hour
        text.append(_(", {usd} when it fires").format(usd=usd(at_end)))
        later = ngettext("{n} hour", "{n} hours", hours).format(n=hours)
        words = _("R   {hours} longer: in {left}, at most {usd} more").format(
            hours=later, left=duration(left_s + hours * 3600), usd=usd(hours * view.usd_per_hour)
        )
        text.append(f"\n\n{words}\n", style="bold")
        text.append(_("1–9 choose how many hours · esc closes"), style="dim")
    else:
        text.append("\n\n" + _("R   gives it one, and proves it") + "\n", style="bold")
        text.append(_("esc closes"), style="dim")
    return text


class LabelField(Dialog[str | None]):
    """Asks for an instance's label; nothing takes it away."""

    BINDINGS = [Binding("escape", "dismiss(None)", show=False)]  # noqa: RUF012

    def __init__(self, instance_id: int, label: str) -> None:
        super().__init__()
        self._instance_id = instance_id
        self._label = label

    def compose(self) -> ComposeResult:
        """A title and a field."""
        with Vertical(id="guard-panel"):
            yield Static(
                Text(_("Label of instance {id}, for your own eyes").format(id=self._instance_id), style="bold")
            )
            yield Field(self._label, max_length=LONGEST_NOTE, id="label-field")

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter keeps it."""
        self.dismiss(event.value.strip())
