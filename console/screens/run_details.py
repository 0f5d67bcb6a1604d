"""The parts of one run's view as text: head, documents, failures, outputs. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import _, ngettext
from console.models.run_coverage import Coverage
from console.models.run_outputs import Outputs
from console.models.runs import RunRow
from console.operations.runbook import Phase, RunEntry
from console.screens.run_rows import machines_words, money_words, state_text
from console.spoken import duration, size
from console.words import bar, visible

if TYPE_CHECKING:
    from console.models.run_reader import RunNews


def place_words(entry: RunEntry, stage: str) -> str:
    """Where a stage is done: the instance, several boxes, or this machine."""
    if entry.here or stage in entry.laptop_stages:
        return _("laptop")
    words = machines_words(entry)
    return _("box") if words == "–" else words


def run_head(news: RunNews, now: float) -> Text:
    """Which run, what state, where, how long; then money and time to go, what the market says, what went wrong."""
    entry, view = news.entry, news.view
    row = RunRow(entry, view, news.failed, news.driver, news.cost)
    text = Text()
    text.append(f"{visible(entry.pipeline)} ", style="bold")
    text.append(f"{visible(entry.run_id)}  ", style="dim")
    text.append_text(state_text(news.state))
    if entry.phase is not Phase.DONE:
        text.append("  ")
        text.append_text(state_text(entry.phase.value))
    if entry.machines and entry.phase is not Phase.DONE:
        text.append("  " + _("on {machines}").format(machines=", ".join(map(str, entry.machines))))
    if view.started_at and view.last_event_at:
        text.append(f"  {duration(view.last_event_at - view.started_at)}")
    if news.failed:
        text.append("  " + ngettext("{n} failure", "{n} failures", news.failed).format(n=news.failed), style="bold red")
    if words := money_words(news.cost, row.eta_s, now, works=row.works):
        text.append(f"\n{words}", style="dim")
    if news.elsewhere is not None:
        text.append("\n" + _("the rest on {offer}").format(offer=news.elsewhere.words()), style="dim")
    for trouble in dict.fromkeys((entry.problem, row.note)):
        if trouble:
            text.append(f"\n{visible(trouble)}", style="bold yellow")
    return text


def coverage_lines(coverage: Sequence[Coverage], limit: int) -> Text:
    """The documents that want an eye, as many as fit; otherwise how all of them stand, in one line."""
    text = Text()
    pages = sum(each.pages for each in coverage)
    through = sum(each.described for each in coverage)
    found = sum(each.regions for each in coverage)
    text.append(ngettext("{n} document", "{n} documents", len(coverage)).format(n=len(coverage)), style="bold")
    text.append("  " + _("{through} of {pages} pages through, {found} regions").format(
        through=through, pages=pages, found=found
    ))  # fmt: skip
    odd = [each for each in coverage if each.problem]
    for each in odd[:limit]:
        text.append("\n")
        text.append_text(_coverage_line(each))
    if len(odd) > limit:
        more = ngettext("… and {n} more: c", "… and {n} more: c", len(odd) - limit).format(n=len(odd) - limit)
        text.append("\n" + more, style="dim")
    return text


def coverage_text(coverage: Sequence[Coverage]) -> Text:
    """Every document, those that want an eye first."""
    lines = [_coverage_line(each) for each in sorted(coverage, key=lambda each: not each.problem)]
    return Text("\n").join(lines)


def _coverage_line(each: Coverage) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(bar(each.described / each.pages if each.pages else 0.0, 6) + " ", style="cyan")
    line.append(_("{through}/{pages} pages").format(through=each.described, pages=each.pages) + "  ")
    if each.empty:
        line.append("⚠ " + _("nothing found") + "  ", style="bold yellow")
    else:
        line.append(ngettext("{n} region", "{n} regions", each.regions).format(n=each.regions) + "  ")
    if each.failed:
        line.append(_("{n} failed").format(n=each.failed) + "  ", style="bold red")
    line.append(each.source)
    return line


def failure_lines(news: RunNews, limit: int) -> Text:
    """What failed, with its reason; says how many more there are."""
    text = Text()
    for failure in news.failures[:limit]:
        text.append("✗ ", style="bold red")
        text.append(f"{visible(failure.name)} ", style="bold")
        text.append(f"{visible(failure.stage)}: {visible(failure.reason)}\n")
    if news.failed > limit:
        more = news.failed - limit
        text.append(ngettext("… and {n} more: x", "… and {n} more: x", more).format(n=more) + "\n", style="dim")
    return text


def outputs_text(outputs: Outputs) -> Text:
    """What was made, by kind."""
    text = Text()
    text.append(_("Outputs") + "\n", style="bold")
    if not outputs.files:
        return text.append(_("nothing is here yet") + "\n", style="dim")
    count = ngettext("{n} file", "{n} files", outputs.files).format(n=outputs.files)
    text.append(f"{count}, {size(outputs.bytes)}\n")
    for made in outputs.kinds:
        text.append(f"{visible(made.name)[:10]:<10} ", style="dim")
        text.append(f"{made.files:>5} {size(made.bytes):>10}\n")
    return text
