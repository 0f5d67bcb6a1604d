"""A new run as a form made from the pipeline's own parameters: what it would do and cost before it does anything."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.screens.form_words import documents_words, plan_text, price_words
from console.screens.run_documents import DocumentsPage
from console.screens.view import Copyable, PolledView
from console.widgets.field_form import FieldForm

if TYPE_CHECKING:
    from console.models.run_choices import RunForm
    from console.operations.dry_run import DryRun


class Form(PolledView["RunForm"]):
    """One form at a time; `:form` begins one, `:form RUN` one that is filled in as that run was planned."""

    NAME = "form"
    POLL_S = 0

    def __init__(self) -> None:
        super().__init__()
        self._wanted = "new"
        self._opened = ""
        """What the form on screen was opened with; it stays as it is until another one is asked for."""
        self._plan: DryRun | None = None
        self._planned_for: tuple[str, ...] = ()
        """The command that `_plan` is about."""
        self._planning: tuple[str, ...] = ()
        """The command that is being planned."""
        self._failed = ""

    def compose_main(self) -> ComposeResult:
        """Documents, fields, the command."""
        yield Static(id="form-documents", markup=False)
        yield FieldForm(id="form-fields")
        yield Static(id="form-command", markup=False)

    def compose_side(self) -> ComposeResult:
        """What the dry run says."""
        yield Static(id="form-plan", markup=False)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Which form."""
        return () if self._wanted == "new" else (_("like {run}").format(run=self._wanted[-8:]),)

    def focus_main(self) -> None:
        """Keys go to the fields."""
        self.query_one(FieldForm).list.focus()

    def open(self, argument: str) -> None:
        """Begin a form: `new`, or the run to be like."""
        super().open(argument)
        self._wanted = argument.strip() or "new"
        if self._wanted != self._opened:
            self.news = None
        self.poll()

    # ---- reading and drawing ----

    def read(self) -> RunForm:
        """Read settings, documents, and the earlier run's parameters."""
        from console.models.run_choices import open_form
        from console.operations.runbook import Runbook

        session, wanted = self.app.session(), self._wanted
        earlier = None if wanted == "new" else Runbook(session.workspace).resolve(wanted)
        return open_form(session, earlier)

    def show(self, news: RunForm) -> None:
        """Show a form from its beginning; one that is being filled in only learns of new documents."""
        form = self.form
        if form is not None and self._opened == self._wanted:
            form.documents = news.documents
            self.news = form
        else:
            self.form, self._opened = news, self._wanted
            self._plan, self._planned_for, self._failed = None, (), ""
            self.query_one(FieldForm).load(news)
        self._draw()

    form: RunForm | None = None
    """The form on screen."""

    def show_stale(self, reason: str) -> None:
        """Say why there is no form."""
        self._failed = reason
        self._draw()

    def on_field_form_changed(self, event: FieldForm.Changed) -> None:
        """Something else is chosen: the command is another one."""
        event.stop()
        self._draw()

    def _draw(self) -> None:
        form = self.form
        if form is None:
            self.query_one("#form-plan", Static).update(Text.assemble((self._failed, "bold red")))
            return
        self.query_one("#form-documents", Static).update(documents_words(form, self._plan if self._fresh else None))
        command = Text("spotter " + shlex.join(form.arguments()), style="bold")
        if problem := form.problem():
            command = Text.assemble((f"✗ {problem}\n", "bold red"), command)
        self.query_one("#form-command", Static).update(command)
        self.query_one("#form-plan", Static).update(
            plan_text(self._plan, self._failed, fresh=self._fresh, planning=bool(self._planning))
        )

    @property
    def _fresh(self) -> bool:
        """Whether the plan is about what is chosen now."""
        return self.form is not None and self._plan is not None and self._planned_for == self.form.arguments()

    # ---- actions ----

    def refusal(self, action: Action) -> str:
        """Nothing can be done before the form is there."""
        if self.form is None:
            return _("The form is not there yet.")
        if action.id == "form.start" and (problem := self.form.problem()):
            return problem
        return ""

    def step_out(self) -> bool:
        """Esc leaves the place to type first."""
        return self.query_one(FieldForm).close_edit(undo=True)

    def copies(self) -> Sequence[Copyable]:
        """The command, as it is typed in a shell."""
        if self.form is None:
            return ()
        line = "spotter " + shlex.join(self.form.arguments())
        return (Copyable(_("command"), line), Copyable(_("dry run"), f"{line} --dry-run"))

    def targets(self) -> tuple[str, ...]:
        """The form itself."""
        return ("form",)

    def action_form_dry_run(self) -> None:
        """Plan what is chosen, in a process of its own."""
        form = self.form
        if form is None or self._planning == form.arguments():
            return
        if problem := form.problem():
            self.app.tell(problem, "warning")
            return
        wanted, arguments = form.arguments(), form.arguments(dry=True)
        self._planning, self._failed = wanted, ""
        self._draw()
        workspace = self.app.workspace

        def plan() -> tuple[tuple[str, ...], DryRun | str]:
            from console.operations.dry_run import dry_run

            try:
                return wanted, dry_run(workspace, arguments)
            except Exception as error:  # noqa: BLE001 - what failed is said in the plan's place
                return wanted, str(error) or type(error).__name__

        self.in_background(plan, self._planned)

    def _planned(self, answer: tuple[tuple[str, ...], DryRun | str]) -> None:
        wanted, plan = answer
        if wanted != self._planning:
            return  # another plan was asked for since
        self._planning = ()
        if isinstance(plan, str):
            self._plan, self._failed = None, plan
        else:
            self._plan, self._planned_for, self._failed = plan, wanted, ""
        self._draw()

    def action_form_documents(self) -> None:
        """Choose documents."""
        form = self.form
        if form is None:
            return

        def chosen(sources: tuple[str, ...] | None) -> None:
            if sources is not None:
                form.sources = sources
                self._draw()

        self.app.push_screen(DocumentsPage(form.documents.files, form.sources), chosen)

    def action_form_default(self) -> None:
        """The marked field as the settings have it."""
        self.query_one(FieldForm).reset_marked()

    def action_form_clear(self) -> None:
        """Every field as the settings have it."""
        if self.form is not None:
            self.form.reset_all()
            self.query_one(FieldForm).redraw()
            self._draw()

    def question_form_start(self, targets: tuple[str, ...]) -> Question | str:
        """Before a run is started: what it parses, what it costs, as far as a dry run of the very same told."""
        form = self.form
        if form is None:
            return _("The form is not there yet.")
        if problem := form.problem():
            return problem
        if not form.documents.files and not form.sources and form.earlier is None:
            return _("There is nothing in data/: put documents there first.")
        plan = self._plan if self._fresh else None
        if plan is not None and plan.refused:
            return plan.refused[0]
        detail = [documents_words(form, plan).plain, price_words(form, plan)]
        changed = len(form.params.pairs())
        if changed:
            detail.append(
                ngettext("{n} parameter is changed.", "{n} parameters are changed.", changed).format(n=changed)
            )
        command = (*form.arguments(), "--yes")
        return Question(_("Start a run?"), "\n".join(detail), _("Start"), (command,), _("new run"), then="runs")
