"""Doctor: what was looked at with its fix, and every setting in force with its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action
from console.language import _, ngettext
from console.operations.doctor import Finding
from console.screens.doctor_rows import (
    COLUMNS,
    DoctorNews,
    file_line,
    finding_card,
    finding_rows,
    report,
    setting_card,
    setting_rows,
)
from console.screens.view import Copyable, PolledView
from console.widgets.copy_menu import copy_text
from console.widgets.keyed_table import KeyedTable

if TYPE_CHECKING:
    from console.operations.settings_in_force import SettingInForce

SHOWS = ("both", "findings", "settings")


class Doctor(PolledView[DoctorNews]):
    """Looked at when it is opened and when `r` asks; enter does or shows the fix of the row."""

    NAME = "doctor"
    POLL_S = 0

    def __init__(self) -> None:
        super().__init__()
        self._shows = SHOWS[0]
        self._findings: dict[str, Finding] = {}
        self._settings: dict[str, SettingInForce] = {}

    def compose_main(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="doctor-table")

    def compose_side(self) -> ComposeResult:
        """The marked row in full, and its fix."""
        yield Static("", id="doctor-card", markup=False)

    def on_mount(self) -> None:
        """Say that it is being looked at."""
        self._table.show((), _("looking …"))

    def open(self, argument: str) -> None:
        """Show the rows that a filter keeps: `kind:error`, `money`."""
        super().open(argument)
        self._table.set_filter(argument)

    @property
    def _table(self) -> KeyedTable:
        return self.query_one("#doctor-table", KeyedTable)

    @property
    def _marked(self) -> str:
        """Key of the row under the cursor; the line of keys asks before there is a table."""
        return (self.table.cursor_key if self.table is not None else None) or ""

    def read(self) -> DoctorNews:
        """Look at everything; asks the cloud whether it takes the key."""
        from console.operations.doctor import examine
        from console.operations.settings_in_force import settings_in_force
        from console.settings import SettingsError

        workspace = self.app.workspace
        if not workspace.exists:
            reason = _("there is no spotter.toml in {folder}").format(folder=workspace.root)
            return DoctorNews(tuple(examine(None, reason)))
        try:
            settings = tuple(settings_in_force(workspace))
        except SettingsError:
            settings = ()  # a finding says what is wrong with the file
        return DoctorNews(tuple(examine(workspace, "")), settings)

    def show(self, news: DoctorNews) -> None:
        """Draw what was looked at: findings first."""
        self.news = news
        findings, settings = finding_rows(news.findings), setting_rows(news.settings)
        self._findings = {key: finding for key, (_row, finding) in findings.items()}
        self._settings = {key: setting for key, (_row, setting) in settings.items()}
        rows = [row for row, _finding in findings.values()] if self._shows != "settings" else []
        rows += [row for row, _setting in settings.values()] if self._shows != "findings" else []
        errors = ngettext("{n} error", "{n} errors", news.errors).format(n=news.errors)
        warnings = ngettext("{n} warning", "{n} warnings", news.warnings).format(n=news.warnings)
        self._table.show(rows, f"{errors} · {warnings}")
        self._draw_card()

    def _draw_card(self) -> None:
        key = self._marked
        text = Text("")
        if key in self._findings:
            text = finding_card(self._findings[key])
        elif key in self._settings:
            text = setting_card(self._settings[key], str(self.app.workspace.settings_file))
        self.query_one("#doctor-card", Static).update(text)

    def on_keyed_table_highlighted(self) -> None:
        """The card follows the cursor."""
        self._draw_card()

    def on_keyed_table_opened(self) -> None:
        """Enter does the fix."""
        self.action_doctor_fix()

    @property
    def problem_count(self) -> int:
        """Errors; warnings can wait."""
        return self.news.errors if self.news is not None else 0

    def refusal(self, action: Action) -> str:
        """A fix needs a row that has one."""
        if action.id == "doctor.fix" and not self._fix_of(self._marked):
            return _("There is nothing to mend in this row.")
        if action.id == "doctor.report" and self.news is None:
            return _("It is still being looked at.")
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The row, its fix, and the whole report."""
        key = self._marked
        found = []
        if key in self._findings:
            found.append(Copyable(_("what was found"), self._findings[key].message))
        if key in self._settings:
            found.append(Copyable(_("value"), self._settings[key].value))
        if fix := self._fix_of(key):
            found.append(Copyable(_("fix"), fix))
        if self.news is not None:
            found.append(Copyable(_("report"), report(self.news)))
        return found

    def _fix_of(self, key: str) -> str:
        if key in self._findings:
            return self._findings[key].fix
        return file_line(self._settings[key]) if key in self._settings else ""

    def action_doctor_fix(self) -> None:
        """Run the fix, or go where it is done, or copy it. None of it touches money."""
        key = self._marked
        finding = self._findings.get(key)
        if finding is not None and finding.command:
            self.app.run_command(finding.command, f"doctor: {finding.subject}")
        elif finding is not None and finding.view:
            self.app.go(finding.view)
        elif fix := self._fix_of(key):
            copy_text(self.app, fix, fix)

    def action_doctor_report(self) -> None:
        """Copy everything."""
        if self.news is not None:
            copy_text(self.app, report(self.news), _("the doctor's report"))

    def action_doctor_settings(self) -> None:
        """Findings, settings, or both."""
        self._shows = SHOWS[(SHOWS.index(self._shows) + 1) % len(SHOWS)]
        if self.news is not None:
            self.show(self.news)
