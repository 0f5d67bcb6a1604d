"""The instance view in cells and sentences: facts, story, runs, files. Pure functions of values."""

from __future__ import annotations

import time
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import N_, _, ngettext
from console.models.fleet_words import guard_sentence, state_name
from console.models.instance_news import Happening, InstanceNews, RunHere
from console.models.rows import Column, Row
from console.spoken import brief, duration, size, usd_per_hour
from console.words import usd, visible

if TYPE_CHECKING:
    from remote.jobs import RemoteEntry, RemoteFolder

EVENT_COLUMNS = (
    Column(N_("when"), 14, name="at"),
    Column(N_("age"), 9, min_screen=80, name="age", numeric=True),
    Column(N_("kind"), 8, name="kind"),
    Column(N_("what happened"), 90, name="text"),
)
RUN_COLUMNS = (
    Column(N_("run"), 9, name="run"),
    Column(N_("pipeline"), 10, name="pipeline"),
    Column(N_("state"), 12, name="state"),
    Column(N_("begun"), 14, name="begun"),
    Column(N_("jobs"), 50, name="jobs"),
)
FILE_COLUMNS = (
    Column(N_("name"), 44, name="name"),
    Column(N_("size"), 11, name="size", numeric=True),
    Column(N_("age"), 9, name="age", numeric=True),
    Column(N_("kind"), 7, name="kind"),
)
KINDS = {
    "state": N_("state"), "step": N_("step"), "call": N_("call"), "job": N_("job"), "money": N_("money"),
    "guard": N_("guard"), "failure": N_("failure"), "run": N_("run"),
}  # fmt: skip
FILE_KINDS = {"file": N_("file"), "folder": N_("folder"), "link": N_("link"), "other": N_("other")}
UP = ".."
FACT_WIDTH = 12
"""Of the names on the card."""
LEAST_ROOM = 20
"""Narrower than this, words are not wrapped beside their name."""


def clock_words(at: float, now: float) -> str:
    """`12:04:31` today, `11-20 23:10` before."""
    local, today = time.localtime(at), time.localtime(now)
    return time.strftime("%H:%M:%S" if local[:3] == today[:3] else "%m-%d %H:%M", local)


def facts(news: InstanceNews, width: int = 0) -> Text:
    """The card beside the charts: what it is, where, what it costs, who ends it, what its host did before.

    `width`: cells that a line has, by which words are wrapped under their own beginning; 0 wraps none.
    """
    text = Text()
    room = width - FACT_WIDTH
    rented, listed = news.rented, news.listed
    if not news.known:
        text.append(_("Nothing is known here of instance {id}.").format(id=news.instance_id), style="bold yellow")
        return text

    def line(name: str, value: str, style: str = "") -> None:
        parts = wrap(visible(value), room, break_on_hyphens=False) if room >= LEAST_ROOM else [visible(value)]
        for number, part in enumerate(parts or [""]):
            text.append(f"{'' if number else name:<{FACT_WIDTH}}", style="dim")
            text.append(part + "\n", style=style)

    gpu = listed.gpu if listed is not None else rented.gpu_name if rented is not None else ""
    text.append(f"{news.instance_id} {visible(gpu)}\n", style="bold")
    state = listed.state if listed is not None else rented.state if rented is not None else ""
    gone = rented is not None and not rented.alive
    line(_("state"), _("gone") if gone else state_name(state), "" if not gone else "bold yellow")
    if listed is not None and listed.message and not gone:
        line("", listed.message)
    if listed is not None and listed.location:
        line(_("place"), listed.location)
    if rented is not None:
        line(_("label"), rented.label)
        line(
            _("price"),
            _("{all} = GPU {gpu} + disk {disk}").format(
                all=usd_per_hour(rented.usd_per_hour),
                gpu=usd_per_hour(rented.gpu_usd_per_hour),
                disk=usd_per_hour(rented.disk_usd_per_hour),
            ),
        )
        if rented.download_usd_per_gb or rented.upload_usd_per_gb:
            line(
                _("traffic"),
                _("in {into}/GB, out {out}/GB").format(
                    into=usd(rented.download_usd_per_gb), out=usd(rented.upload_usd_per_gb)
                ),
            )
        end = rented.closed_at if rented.closed_at is not None else news.cloud_now
        line(
            _("spent"),
            _("{usd} in {time}").format(usd=usd(news.spent_usd), time=duration(max(0.0, end - rented.opened_at))),
        )
    elif listed is not None:
        line(_("price"), usd_per_hour(listed.usd_per_hour))
    for number, endpoint in enumerate(news.endpoints):
        line(_("reached by") if number == 0 else "", endpoint)
    if not gone:
        words, style = guard_sentence(news.guard, news.cloud_now)
        line(_("guard"), words, style)
    if news.host is not None:
        line(_("host"), _host_words(news))
        if news.host.bad is not None:
            line("", _("failed: {reason}").format(reason=news.host.bad.reason), "bold yellow")
    return text


def _host_words(news: InstanceNews) -> str:
    assert news.host is not None
    times = ngettext("rented {n} time", "rented {n} times", news.host.rentals).format(n=news.host.rentals)
    return _("machine {id}, {times}, {usd} in all").format(id=news.host.machine_id, times=times, usd=usd(news.host.usd))


def event_rows(happenings: Sequence[Happening], now: float) -> list[Row]:
    """The story, a row each; keys are numbers from the oldest, so that a cursor stays when more comes."""
    rows = []
    for number, each in enumerate(happenings):
        style = "bold red" if each.failed else ""
        mark = "✗ " if each.failed else ""
        rows.append(
            Row(
                str(len(happenings) - number),
                (
                    Text(clock_words(each.at, now)),
                    Text(brief(max(0.0, now - each.at)), style="dim"),
                    Text(_(KINDS.get(each.kind, each.kind))),
                    Text(mark + visible(each.text), style=style),
                ),
                values={"at": each.at, "age": now - each.at},
                problem=each.failed,
            )
        )
    return rows


def run_rows(runs: Sequence[RunHere], now: float) -> list[Row]:
    """Runs on the instance."""
    rows = []
    for run in runs:
        jobs = ", ".join(
            f"{job.job_id} {job.state}" + (f" ({job.exit_code})" if job.exit_code is not None else "")
            for job in run.jobs
        )
        failed = run.state in ("failed", "incomplete", "interrupted")
        cells = (run.run_id[-8:], run.pipeline or "–", run.state, clock_words(run.began_at, now), jobs or "–")
        rows.append(
            Row(
                run.run_id,
                tuple(Text(visible(cell), style="red" if failed and n == 2 else "") for n, cell in enumerate(cells)),
                values={"begun": run.began_at},
                problem=failed,
            )
        )
    return rows


def file_rows(folder: RemoteFolder, root: str, now: float) -> list[Row]:
    """A folder of the box; `..` leads out of it, unless it is the outermost that may be seen."""
    rows = []
    if folder.path.rstrip("/") != root.rstrip("/"):
        rows.append(Row(UP, (Text(UP, style="bold"), Text(""), Text(""), Text(_("folder"))), values={"name": ""}))
    return rows + [_file_row(entry, now) for entry in folder.entries]


def _file_row(entry: RemoteEntry, now: float) -> Row:
    is_folder = entry.kind == "folder"
    name = visible(entry.name) + ("/" if is_folder else "")
    age = brief(max(0.0, now - entry.mtime)) if entry.mtime else "–"
    cells = (
        Text(name, style="bold" if is_folder else ""),
        Text("" if is_folder else size(entry.size)),
        Text(age, style="dim"),
        Text(_(FILE_KINDS.get(entry.kind, entry.kind))),
    )
    values: dict[str, str | float | None] = {"name": entry.name, "size": float(entry.size), "age": now - entry.mtime}
    return Row(entry.name, cells, values=values)


def file_note(folder: RemoteFolder) -> str:
    """Which folder it is, and how much of it is shown."""
    shown = ngettext("{n} entry", "{n} entries", folder.count).format(n=folder.count)
    if folder.count > len(folder.entries):
        shown = _("{shown}, the first {n} are listed").format(shown=shown, n=len(folder.entries))
    return f"{visible(folder.path)} · {shown}"
