"""Runs: every run of the workspace, how far it is, what it costs and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models.outcome_words import outcome_words
from console.models.run_outputs import Outputs
from console.models.run_parameters import ParametersMissing, differences, read_parameters
from console.models.runs import RunRow, ended_between
from console.screens.run_pages import OutputsPage, TextPage
from console.screens.run_rows import (
    COLUMNS,
    cancel_question,
    difference_text,
    parameter_text,
    resume_question,
    run_card,
    run_row,
    state_text,
)
from console.screens.view import Copyable, PolledView
from console.widgets.keyed_table import KeyedTable
from console.words import short_id, visible
from console.workspace import WorkspaceError

if TYPE_CHECKING:
    from console.asking import Severity
    from console.models.runs import RunList

NEEDS_A_RUN = frozenset({"runs.again", "runs.resume", "runs.cancel", "runs.diff", "runs.outputs", "runs.log"})


class Runs(PolledView[list[RunRow]]):
    """The list; enter opens one. It goes on reading while it is hidden, so that the end of a run rings."""

    NAME = "runs"
    POLL_S = 1.0
    POLL_HIDDEN = True

    def __init__(self) -> None:
        super().__init__()
        self._list: RunList | None = None
        self._rows: dict[str, RunRow] = {}
        self._details: dict[str, Text] = {}
        """The side pane's words about the parameters of runs that were looked at; they never change."""

    def compose_main(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="runs-table")

    def compose_side(self) -> ComposeResult:
        """The marked run, and its parameters beside those of the run before it."""
        yield Static(id="runs-card", markup=False)
        yield Static(id="runs-parameters", markup=False)

    def open(self, argument: str) -> None:
        """Show the runs that a filter keeps: `state=failed`."""
        super().open(argument)
        self.query_one(KeyedTable).set_filter(argument)

    # ---- reading and drawing ----

    def read(self) -> list[RunRow]:
        """Read the runbook and what was appended to the runs' events.

        Raises:
            WorkspaceError: there is no workspace, or not any more: that is not the same as no run.
        """
        from console.models.runs import RunList

        if not self.app.workspace.exists:
            raise WorkspaceError(_("This folder is no workspace yet: see :welcome."))
        if self._list is None:
            self._list = RunList(self.app.workspace)
        return self._list.refresh()

    def show(self, news: list[RunRow]) -> None:
        """Draw what was read; ring for what ended since."""
        for row in ended_between(self._rows.values(), news):
            self._ring(row)
        self._rows = {row.entry.run_id: row for row in news}
        self._draw_rows("")
        self._draw_side()

    def show_stale(self, reason: str) -> None:
        """Say why there is nothing newer; the rows stay."""
        super().show_stale(reason)
        self._draw_rows(_("stale: {reason}").format(reason=visible(reason)))

    def _draw_rows(self, instead: str) -> None:
        now = self.app.now()
        live = sum(row.driver is not None for row in self._rows.values())
        if instead:
            note = instead
        elif self._rows:
            note = ngettext("{n} run", "{n} runs", len(self._rows)).format(n=len(self._rows))
            note += " · " + _("{n} live").format(n=live)
        else:
            note = _("no run yet · n parses everything in data/")
        self.query_one(KeyedTable).show([run_row(row, now) for row in self._rows.values()], note)

    def _ring(self, row: RunRow) -> None:
        words = f"{state_text(row.state).plain}: {visible(row.note or outcome_words(row.view.message))}".rstrip(": ")
        severity: Severity = (
            "information" if row.state == "succeeded" else "error" if row.state == "failed" else "warning"
        )
        self.app.ring(_("run {run}").format(run=short_id(row.entry.run_id)), words, severity)

    def _draw_side(self) -> None:
        row = self._marked()
        card = self.query_one("#runs-card", Static)
        below = self.query_one("#runs-parameters", Static)
        if row is None:
            card.update(Text(_("Runs are listed here, newest first. n begins one."), style="dim"))
            below.update(Text())
            return
        card.update(run_card(row, self.app.now()))
        below.update(self._details.get(row.entry.run_id, Text("…", style="dim")))

    def on_keyed_table_highlighted(self, event: KeyedTable.Highlighted) -> None:
        """Tell of the run under the cursor; its parameters are read when they are first wanted."""
        event.stop()
        self._draw_side()
        row = self._marked()
        if row is None or row.entry.run_id in self._details:
            return
        run_id, before = row.entry.run_id, self._before(row)
        folder = self.app.workspace.run_folder

        def read() -> tuple[str, Text]:
            return run_id, _parameters_of(folder(run_id), None if before is None else folder(before), run_id, before)

        self.in_background(read, self._told)

    def _told(self, answer: tuple[str, Text]) -> None:
        run_id, text = answer
        self._details[run_id] = text
        self._draw_side()

    # ---- who is meant ----

    def _marked(self) -> RunRow | None:
        return self._rows.get((self.table.cursor_key if self.table is not None else None) or "")

    def _of(self, targets: Sequence[str]) -> list[RunRow]:
        return [self._rows[target] for target in targets if target in self._rows]

    def _before(self, row: RunRow) -> str | None:
        """The run of the same pipeline that was planned before this one."""
        older = [
            each.entry
            for each in self._rows.values()
            if each.entry.pipeline == row.entry.pipeline and each.entry.created_at < row.entry.created_at
        ]
        return max(older, key=lambda entry: entry.created_at).run_id if older else None

    def refusal(self, action: Action) -> str:
        """What is about a run wants one."""
        return _("Mark a run first.") if action.id in NEEDS_A_RUN and self._marked() is None else ""

    def copies(self) -> Sequence[Copyable]:
        """The marked run's id, its folder, and how it is watched."""
        row = self._marked()
        if row is None:
            return ()
        run_id = row.entry.run_id
        return (
            Copyable(_("id"), run_id),
            Copyable(_("folder"), str(self.app.workspace.run_folder(run_id))),
            Copyable(_("watch it"), f"spotter watch {run_id}"),
            Copyable(_("resume it"), f"spotter run --resume {run_id}"),
        )

    @property
    def problem_count(self) -> int:
        """Runs that nobody drives though they are not over."""
        return sum(row.state == "stopped" for row in self._rows.values())

    # ---- actions ----

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Enter: the run itself."""
        event.stop()
        self.app.go("run", event.key)

    def action_runs_new(self) -> None:
        """A form with the workspace's defaults."""
        self.app.go("form", "new")

    def action_runs_again(self) -> None:
        """A form filled in as the marked run was."""
        if (row := self._marked()) is not None:
            self.app.go("form", row.entry.run_id)

    def action_runs_log(self) -> None:
        """Its whole log."""
        if (row := self._marked()) is not None:
            self.app.go("log", row.entry.run_id)

    def action_runs_outputs(self) -> None:
        """What it made."""
        if (row := self._marked()) is not None:
            show_outputs(self, row.entry.run_id)

    def action_runs_diff(self) -> None:
        """Two marked runs against each other, or the one under the cursor against the one before it."""
        targets = self._of(self.targets())
        if len(targets) > 2:
            self.app.say(_("Mark two runs, or none: {n} are marked.").format(n=len(targets)))
            return
        if len(targets) == 2:
            older, newer = sorted(targets, key=lambda row: row.entry.created_at)
            show_difference(self, older.entry.run_id, newer.entry.run_id)
        elif targets:
            show_difference(self, self._before(targets[0]), targets[0].entry.run_id)

    def question_runs_resume(self, targets: tuple[str, ...]) -> Question | str:
        """Before stopped runs go on."""
        return resume_question(self._of(targets), self.app.now())

    def question_runs_cancel(self, targets: tuple[str, ...]) -> Question | str:
        """Before runs are stopped."""
        return cancel_question(self._of(targets))


def _parameters_of(folder: Path, before: Path | None, run_id: str, before_id: str | None) -> Text:
    """What the side pane says of a run's parameters; reads their files."""
    try:
        mine = read_parameters(folder)
    except ParametersMissing as missing:
        return Text(visible(str(missing)), style="yellow")
    text = Text()
    if before is not None and before_id is not None:
        try:
            found = differences(read_parameters(before), mine)
            text.append_text(difference_text(found, short_id(before_id), short_id(run_id)))
        except ParametersMissing:
            text.append(_("the parameters of the run before it are not here any more"), style="dim")
        text.append("\n\n")
    text.append(_("Parameters") + "\n", style="bold")
    text.append_text(parameter_text(mine))
    return text


def show_difference(view: PolledView[Any], before: str | None, after: str) -> None:
    """A page with what differs between the parameters of two runs."""
    if before is None:
        view.app.say(_("There is no earlier run of this pipeline."))
        return
    folder = view.app.workspace.run_folder

    def read() -> Text:
        found = differences(read_parameters(folder(before)), read_parameters(folder(after)))
        return difference_text(found, short_id(before), short_id(after))

    def show(text: Text) -> None:
        view.app.push_screen(TextPage(_("What differs"), text))

    view.in_background(read, show)


def show_outputs(view: PolledView[Any], run_id: str) -> None:
    """A page with what a run made."""
    folder = view.app.workspace.run_folder(run_id)

    def read() -> Outputs:
        from console.models.run_outputs import OutputsReader

        return OutputsReader(folder).read_all()

    def show(outputs: Outputs) -> None:
        view.app.push_screen(OutputsPage(_("Made by run {run}").format(run=short_id(run_id)), folder, outputs))

    view.in_background(read, show)
