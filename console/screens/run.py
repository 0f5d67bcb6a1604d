"""One run, live: its stages in time, what it costs, what was found, what failed and why, and its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models.runs import RunRow
from console.operations.runbook import Phase
from console.screens.run_details import (
    coverage_lines,
    coverage_text,
    failure_lines,
    outputs_text,
    place_words,
    run_head,
)
from console.screens.run_pages import TextPage
from console.screens.run_rows import cancel_question, parameter_text, resume_question
from console.screens.runs import show_difference, show_outputs
from console.screens.view import Copyable, PolledView
from console.widgets.ring_log import RingLog
from console.widgets.stage_timeline import StageTimeline
from console.words import short_id, visible

if TYPE_CHECKING:
    from console.models.run_reader import RunNews, RunReader

TALL_SCREEN = 40
LISTED = {False: 3, True: 10}
"""Failures and documents shown beside the log, by whether the screen is tall."""
ALL_FAILURES = 10_000


class Run(PolledView["RunNews"]):
    """The live view of one run; it reads this machine's copy of events and log, whoever replicates them."""

    NAME = "run"
    POLL_S = 0.3

    def __init__(self) -> None:
        super().__init__()
        self._reader: RunReader | None = None
        self._wanted = ""
        self._run_id = ""
        """Of the run that is shown, in full."""

    def compose_main(self) -> ComposeResult:
        """Head, stages, documents, failures, log."""
        yield Static(id="run-head", markup=False)
        yield StageTimeline(id="run-stages")
        yield Static(id="run-coverage", markup=False)
        yield Static(id="run-failures", markup=False)
        yield RingLog(id="run-log")

    def compose_side(self) -> ComposeResult:
        """Outputs and parameters."""
        yield Static(id="run-outputs", markup=False)
        yield Static(id="run-parameters", markup=False)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Which run."""
        return (short_id(self._run_id),) if self._run_id else ()

    def focus_main(self) -> None:
        """Keys scroll the log."""
        self.query_one(RingLog).focus()

    # ---- reading and drawing ----

    def open(self, argument: str) -> None:
        """Show a run: its id, its last characters, or `last`."""
        super().open(argument)
        self._wanted = argument.strip() or "last"
        self._reader = None
        self.news = None
        self.query_one(RingLog).clear()
        self.poll()

    def read(self) -> RunNews:
        """Read what was appended since the last look.

        Raises:
            console.operations.runbook.RunNotFound: there is no such run.
        """
        from console.models.run_reader import RunReader
        from console.operations.runbook import Runbook

        wanted, reader = self._wanted or "last", self._reader
        if reader is None:
            entry = Runbook(self.app.workspace).resolve(wanted)
            reader = RunReader(self.app.workspace, entry.run_id, failures_shown=ALL_FAILURES, detailed=True)
            if wanted == (self._wanted or "last"):
                self._reader = reader
        return reader.look()

    def show(self, news: RunNews) -> None:
        """Draw what was read."""
        if not self._is_wanted(news.entry.run_id):
            return  # an answer about the run that was left
        self._run_id = news.entry.run_id
        now, tall = self.app.now(), self.app.size.height >= TALL_SCREEN
        self.query_one("#run-head", Static).update(run_head(news, now))
        self.query_one(StageTimeline).show(news.view, lambda stage: place_words(news.entry, stage), now)
        coverage = self.query_one("#run-coverage", Static)
        coverage.display = bool(news.coverage)
        coverage.update(coverage_lines(news.coverage, LISTED[tall]))
        failures = self.query_one("#run-failures", Static)
        failures.display = news.failed > 0
        failures.update(failure_lines(news, LISTED[tall]))
        self.query_one("#run-outputs", Static).update(outputs_text(news.outputs))
        parameters = parameter_text(news.parameters) if news.parameters else Text(_("not here any more"), style="dim")
        title = Text.assemble(("\n" + _("Parameters") + "\n", "bold"))
        self.query_one("#run-parameters", Static).update(title.append_text(parameters))
        if news.new_lines:
            self.query_one(RingLog).append(news.new_lines)

    def _is_wanted(self, run_id: str) -> bool:
        """Whether an answer is about the run that is open now."""
        if self._reader is not None:
            return run_id == self._reader.run_id
        wanted = self._wanted
        return not wanted or run_id.endswith(wanted) or run_id.startswith(wanted)

    def show_stale(self, reason: str) -> None:
        """Say why nothing newer is known; what is shown stays."""
        head = self.query_one("#run-head", Static)
        known = run_head(self.news, self.app.now()) if self.news is not None else Text()
        if known:
            known.append("\n")
        head.update(known.append(visible(reason), style="bold red"))

    # ---- what is known of it ----

    def _row(self) -> RunRow | None:
        """The run as the list of runs knows it: questions are asked in the same words in both."""
        news = self.news
        if news is None:
            return None
        return RunRow(news.entry, news.view, news.failed, news.driver, news.cost)

    def targets(self) -> tuple[str, ...]:
        """The run that is shown."""
        return (self._run_id,) if self._run_id else ()

    def refusal(self, action: Action) -> str:
        """There must be a run, and something of it."""
        if self.news is None and action.id != "run.follow":
            return _("No run is open: :run ID opens one.")
        if action.id == "run.cancel" and self.news is not None and self.news.entry.phase is Phase.DONE:
            return _("It has ended already.")
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The run's id, its folder, and how it is watched."""
        if not self._run_id:
            return ()
        return (
            Copyable(_("id"), self._run_id),
            Copyable(_("folder"), str(self.app.workspace.run_folder(self._run_id))),
            Copyable(_("watch it"), f"spotter watch {self._run_id}"),
            Copyable(_("resume it"), f"spotter run --resume {self._run_id}"),
        )

    @property
    def problem_count(self) -> int:
        """Items that failed in the run that is shown."""
        return self.news.failed if self.news is not None else 0

    # ---- actions ----

    def action_run_follow(self) -> None:
        """Stick to the end of the log, or stop sticking."""
        log = self.query_one(RingLog)
        log.follow = not log.follow
        self.app.say(_("following the log") if log.follow else _("the log stands still; f follows again"))

    def action_run_log(self) -> None:
        """The whole log."""
        self.app.go("log", self._run_id)

    def action_run_index(self) -> None:
        """What this run made, in the index."""
        self.app.go("index", f"run:{self._run_id}")

    def action_run_review(self) -> None:
        """Its regions, one by one."""
        self.app.go("review", self._run_id)

    def action_run_outputs(self) -> None:
        """What it made."""
        show_outputs(self, self._run_id)

    def action_run_coverage(self) -> None:
        """Every document."""
        if self.news is not None:
            title = ngettext("{n} document", "{n} documents", len(self.news.coverage))
            self.app.push_screen(TextPage(title.format(n=len(self.news.coverage)), coverage_text(self.news.coverage)))

    def action_run_failures(self) -> None:
        """Everything that failed."""
        if self.news is not None:
            title = ngettext("{n} failure", "{n} failures", self.news.failed).format(n=self.news.failed)
            self.app.push_screen(TextPage(title, failure_lines(self.news, ALL_FAILURES)))

    def action_run_diff(self) -> None:
        """Against the run of the same pipeline before it."""
        news = self.news
        if news is None:
            return
        entry = news.entry

        def find() -> str | None:
            from console.operations.runbook import Runbook

            older = (each for each in Runbook(self.app.workspace).entries() if each.pipeline == entry.pipeline)
            return next((each.run_id for each in older if each.created_at < entry.created_at), None)

        self.in_background(find, lambda before: show_difference(self, before, entry.run_id))

    def action_run_again(self) -> None:
        """The form, filled in as this run was planned."""
        self.app.go("form", self._run_id)

    def question_run_resume(self, targets: tuple[str, ...]) -> Question | str:
        """Before it goes on."""
        row = self._row()
        return resume_question([row] if row is not None else [], self.app.now())

    def question_run_cancel(self, targets: tuple[str, ...]) -> Question | str:
        """Before it is stopped."""
        row = self._row()
        return cancel_question([row] if row is not None else [])
