"""What is said about a log: the note under the lines, who writes how much, and one line opened out."""

from __future__ import annotations

import time
from collections import Counter

from rich.text import Text

from console.language import _, ngettext
from console.models.log_details import details_of
from console.models.log_pane import HEAD, WINDOWS_S
from console.models.log_stamp import Level
from console.spoken import duration
from console.widgets.ring_log import HOSTS, RingLog
from console.words import visible


def problem_of(lines: RingLog, reading: str) -> str:
    """What is wrong with filter, find, or the files; of files only where lines stand; else they say it themselves."""
    pane = lines.pane
    return pane.filtered.problem or pane.found.problem or (reading if len(lines.buffer) else "")


def note_words(lines: RingLog, *, paused: bool, with_events: bool, loading: float | None = None) -> str:
    """How many lines, how many of them on show, and what is set otherwise than at first.

    Args:
        lines: The log on show.
        paused: Whether new lines wait.
        with_events: Whether what happened to pages stands between the lines.
        loading: How much of what was written before is read, from 0 to 1; None when all of it is.
    """
    pane, buffer = lines.pane, lines.buffer
    parts = [ngettext("{n:,} line", "{n:,} lines", len(buffer)).format(n=len(buffer))]
    if loading is not None:
        parts.append(_("loading {n} %").format(n=int(100 * loading)))
    if pane.filtered.searching or pane.found.searching:
        parts.append(_("searching …"))
    elif pane.filtered.query:
        kept = len(pane.filtered.numbers)
        parts.append(ngettext("{n:,} kept", "{n:,} kept", kept).format(n=kept))
    if pane.found.query and not pane.found.searching:
        found = len(pane.found.numbers)
        parts.append(ngettext("{n:,} found", "{n:,} found", found).format(n=found))
    parts += _switches(lines, paused=paused, with_events=with_events)
    if buffer.dropped:
        dropped = ngettext("{n:,} older line dropped", "{n:,} older lines dropped", buffer.dropped)
        parts.append(dropped.format(n=buffer.dropped))
    return " · ".join(parts)


def _switches(lines: RingLog, *, paused: bool, with_events: bool) -> list[str]:
    pane = lines.pane
    said = [_("following") if lines.follow else _("standing still, f follows")]
    if paused:
        said.append(_("paused"))
    if pane.window > HEAD:
        said.append(_("last {time}").format(time=duration(WINDOWS_S[pane.window])))
    if pane.filtered.query and pane.highlight_only:
        said.append(_("highlight only"))
    if pane.filtered.query and pane.context:
        said.append(_("±{n} lines").format(n=pane.context))
    if lines.sight.wrap:
        said.append(_("wrapped"))
    if with_events:
        said.append(_("with events"))
    return said


def summary(lines: RingLog) -> Text:
    """Who writes how much, while the log is followed."""
    buffer = lines.buffer
    text = Text(_("Following the newest line") + "\n", style="bold")
    text.append(_("k or a click stops at a line and opens it out here") + "\n\n", style="not bold dim")
    counts = Counter(buffer.source_indices())
    for index, name in enumerate(list(buffer.names)):
        if counts[index]:
            style = lines.get_component_rich_style(f"ring-log--host-{index % HOSTS}", partial=True)
            text.append(f"{visible(name):<16} ", style=style)
            text.append(ngettext("{n:,} line", "{n:,} lines", counts[index]).format(n=counts[index]) + "\n", "not bold")
    errors = buffer.count_of(Level.ERROR)
    if errors:
        said = ngettext("{n:,} error; E goes there", "{n:,} errors; E goes from one to the next", errors)
        text.append("\n✗ " + said.format(n=errors) + "\n", style="bold")
    return text


def opened_out(lines: RingLog) -> Text:
    """The line under the cursor: where and when it was written, and all of it."""
    buffer, number = lines.buffer, lines.cursor
    if not len(lines.pane):
        return Text("")
    details = details_of(buffer, number)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(buffer.stamp(number)))
    when = _("{time} at the latest").format(time=moment) if buffer.is_vague(number) else moment
    text = Text(f"{visible(buffer.source_name(number))} · {when}", style="dim")
    if number in buffer.marks:
        marked = time.strftime("%H:%M:%S", time.localtime(buffer.marks[number]))
        text.append("\n◆ " + _("marked at {time}").format(time=marked), style="bold")
    text.append("\n\n" + details.text, style="not dim")
    return text
