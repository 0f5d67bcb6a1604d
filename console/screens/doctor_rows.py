"""Findings and settings as rows, as words for the side pane, and as a report. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import N_, _
from console.models.rows import Column, Row
from console.operations.doctor import Finding
from console.words import visible

if TYPE_CHECKING:
    from console.operations.settings_in_force import SettingInForce

COLUMNS = (
    Column(N_("kind"), 9, name="kind"),
    Column(N_("what"), 22, name="what"),
    Column(N_("source"), 11, 100, name="source"),
    Column(N_("says"), 24, name="says"),
)
SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}
LONGEST_CELL, LONGEST_CARD = 300, 4_000
"""Characters that are drawn; the report has all of them."""
LEVELS = {"ok": N_("ok"), "warning": N_("warning"), "error": N_("error")}
SOURCES = {
    "default": N_("default"),
    "file": N_("file"),
    "environment": N_("environment"),
    ".env": ".env",
}


@dataclass(frozen=True, slots=True)
class DoctorNews:
    """What was looked at."""

    findings: tuple[Finding, ...] = ()
    settings: tuple[SettingInForce, ...] = ()

    @property
    def errors(self) -> int:
        """Findings that keep something from working."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """Findings that may do harm."""
        return sum(finding.level == "warning" for finding in self.findings)


def finding_rows(findings: Sequence[Finding]) -> dict[str, tuple[Row, Finding]]:
    """Findings by the keys of their rows; two with one subject are numbered."""
    rows: dict[str, tuple[Row, Finding]] = {}
    for finding in findings:
        key = f"finding:{finding.subject}"
        number = 1
        while key in rows:
            number += 1
            key = f"finding:{finding.subject}#{number}"
        sign, style = SIGNS[finding.level]
        cells = (
            Text(
                f"{sign} {_(LEVELS[finding.level])}".strip("! "), style=style
            ),  # the list itself marks problems by `!`
            Text(visible(finding.subject), style="bold"),
            Text(""),
            Text(visible(finding.message[:LONGEST_CELL])),
        )
        values = {"kind": finding.level, "what": finding.subject, "source": "", "says": finding.message}
        rows[key] = (Row(key, cells, values, problem=finding.level != "ok"), finding)
    return rows


def setting_rows(settings: Sequence[SettingInForce]) -> dict[str, tuple[Row, SettingInForce]]:
    """Settings by the keys of their rows; those that are not the default stand out by their source."""
    rows = {}
    for setting in settings:
        own = setting.source != "default"
        cells = (
            Text(_("setting"), style="dim"),
            Text(visible(setting.key)),
            Text(_(SOURCES[setting.source]), style="bold" if own else "dim"),
            Text(visible(setting.value[:LONGEST_CELL]), style="" if own else "dim"),
        )
        values = {"kind": "setting", "what": setting.key, "source": setting.source, "says": setting.value}
        key = f"setting:{setting.key}"
        rows[key] = (Row(key, cells, values), setting)
    return rows


def finding_card(finding: Finding) -> Text:
    """A finding in full, and its fix."""
    sign, style = SIGNS[finding.level]
    text = Text()
    text.append(f"{sign} {visible(finding.subject)}\n\n", style=style)
    text.append(f"{visible(finding.message[:LONGEST_CARD])}\n")
    if finding.fix:
        text.append("\n" + _("Fix") + "\n", style="bold")
        text.append(f"{visible(finding.fix)}\n")
        text.append(f"\n{_way(finding)}", style="dim")
    return text


def _way(finding: Finding) -> str:
    if finding.command:
        return _("enter runs  spotter {command}").format(command=" ".join(finding.command))
    if finding.view:
        return _("enter shows the view {view}").format(view=finding.view)
    return _("enter copies it")


def setting_card(setting: SettingInForce, file: str) -> Text:
    """A setting in full: value, where it comes from, and how to change it."""
    text = Text()
    text.append(f"{visible(setting.key)}\n\n", style="bold")
    text.append(f"{visible(setting.value[:LONGEST_CARD])}\n")
    lines = [_("from: {source}").format(source=_(SOURCES[setting.source]))]
    if setting.default and setting.source != "default":
        lines.append(_("default: {value}").format(value=visible(setting.default)))
    if setting.variable:
        lines.append(_("environment: {name}").format(name=setting.variable))
    if line := file_line(setting):
        lines.append(_("in {file}:").format(file=file))
        lines.append(f"  {visible(line)}")
    text.append("\n" + "\n".join(lines), style="dim")
    return text


def file_line(setting: SettingInForce) -> str:
    """How the setting is written in `spotter.toml`, on one line; empty for a secret, which never stands there."""
    if "." not in setting.key:
        return ""
    section, _dot, name = setting.key.rpartition(".")
    return f"[{section}] {name} = {setting.value or json.dumps('')}"


def report(news: DoctorNews) -> str:
    """All of it as text for whoever is asked for help. It holds no secret: none is read for it."""
    lines = []
    for finding in news.findings:
        lines.append(f"{SIGNS[finding.level][0]} {visible(finding.subject)}: {visible(finding.message)}")
        if finding.fix:
            lines.append(f"    → {visible(finding.fix)}")
    lines += [f"{visible(each.key)} = {visible(each.value)}  ({each.source})" for each in news.settings]
    return "\n".join(lines) + "\n"
