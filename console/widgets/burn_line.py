"""The top line: where the operator is, what money does, what is wrong, and whether the figures are of now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import _
from console.screens.view import PolledView
from console.spoken import brief
from console.widgets.shell_line import ShellLine
from console.words import visible

if TYPE_CHECKING:
    from console.models.burn import BurnWords

LEVEL_STYLES = {"ok": "", "warning": "bold yellow", "error": "bold red"}
LONGEST_CRUMB = 30
LEAVES = ("today", "runway", "emulated", "alarms", "burn")
"""What a narrow line does without, the first first."""


class TopLine(ShellLine):
    """One line; on a narrow screen the least urgent parts leave first: today, runway, then the crumbs' middle."""

    def __init__(self) -> None:
        super().__init__("top")
        self.burn: BurnWords | None = None
        """Money as the fleet's poll last told it; None before."""

    def line(self, width: int) -> Text:
        """Crumbs on the left, money and clock on the right."""
        crumbs, clock = self._crumbs(), self._clock()
        kept = self._money()
        while kept and crumbs.cell_len + clock.cell_len + sum(part.cell_len + 2 for part in kept.values()) + 1 > width:
            kept.pop(next(name for name in ("today", "runway", "emulated", "alarms", "burn") if name in kept))
        crumbs.truncate(
            max(1, width - clock.cell_len - sum(part.cell_len + 2 for part in kept.values()) - 1), overflow="ellipsis"
        )
        line = crumbs.copy()
        right = Text("  ").join([*kept.values(), clock])
        line.append(" " * max(1, width - line.cell_len - right.cell_len))
        line.append_text(right)
        line.no_wrap = True
        return line

    def _crumbs(self) -> Text:
        view = self.app.view
        line = Text(_(view.TITLE).upper(), style="bold")
        for crumb in view.crumbs:
            line.append(" ▸ ")
            line.append(visible(crumb)[:LONGEST_CRUMB])
        return line

    def _money(self) -> dict[str, Text]:
        """In the order in which they stand."""
        if self.burn is None:
            return {}
        burn, style = self.burn, LEVEL_STYLES[self.burn.level]
        parts = {
            "emulated": Text(_("EMULATED") if burn.emulated else ""),
            "burn": Text(burn.burn, style=style),
            "today": Text(burn.today),
            "runway": Text(burn.runway, style=style),
            "alarms": Text(burn.alarms, style="bold yellow"),
        }
        return {name: part for name, part in parts.items() if part.plain}

    def _clock(self) -> Text:
        now = self.app.now()
        words = time.strftime("%H:%M:%S", time.localtime(now))
        view = self.app.view
        if self.app.paused:
            return Text.assemble(words, " ", (_("paused"), "bold yellow"))
        if isinstance(view, PolledView) and view.stale:
            age = f" {brief(max(0.0, now - view.heard_at))}" if view.heard_at is not None else ""
            return Text.assemble(words, " ", (_("STALE"), "bold red"), (age, "bold red"))
        return Text.assemble(words, " ", (_("live"), "green"))


def _joined(kept: dict[str, Text], clock: Text) -> Text:
    return Text("  ").join([*kept.values(), clock])
