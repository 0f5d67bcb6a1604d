"""Services as rows, a card and questions. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from console.actions.action import Question
from console.language import N_, _, ngettext
from console.models.services import JUPYTER, ServiceView, key_of
from console.spoken import brief, duration
from console.widgets.keyed_table import Column, Row
from console.words import visible

COLUMNS = (
    Column(N_("instance"), 8, name="instance"),
    Column(N_("service"), 10, name="service"),
    Column(N_("state"), 34, name="state"),
    Column(N_("port"), 6, name="port", numeric=True),
    Column(N_("here"), 15, name="here"),
    Column(N_("uptime"), 8, name="up", numeric=True),
    Column("GPU", 14, 110, name="gpu"),
    Column(N_("job"), 20, 150, name="job"),
)
STATE_WORDS = {
    "not started": N_("not started"),
    "queued": N_("queued"),
    "waiting": N_("waiting"),
    "starting": N_("starting"),
    "running": N_("running"),
    "ready": N_("ready"),
    "exited": N_("exited"),
    "failed": N_("failed"),
    "cancelled": N_("cancelled"),
    "lost": N_("lost"),
}


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service, or a box of which nothing is known yet."""

    instance_id: int
    gpu: str
    service: ServiceView | None
    asking: bool = False
    local: str = ""
    """Where the tunnel of this console begins: `127.0.0.1:8888`; empty without one."""
    opening: bool = False
    error: str = ""

    @property
    def key(self) -> str:
        """`31245/jupyter`; a box that told nothing yet has the row that Jupyter will have: the cursor stays there."""
        return key_of(self.instance_id, JUPYTER if self.service is None else self.service.name)


def service_row(row: ServiceRow, now: float) -> Row:
    """One service as table cells."""
    service = row.service
    state = state_of(row)
    up = None if service is None or not service.started_at else max(0.0, now - service.started_at)
    return Row(
        row.key,
        (
            Text(str(row.instance_id)),
            Text(visible(service.name) if service is not None else "–", style="bold"),
            state,
            Text(str(service.port) if service is not None and service.port is not None else "–"),
            Text(row.local or ("…" if row.opening else "–"), style="cyan" if row.local else ""),
            Text("–" if up is None else brief(up)),
            Text(visible(row.gpu)),
            Text(visible(service.job) if service is not None else ""),
        ),
        {
            "instance": str(row.instance_id), "service": visible(service.name) if service is not None else None,
            "state": service.state if service is not None else state.plain,
            "port": float(service.port) if service is not None and service.port is not None else None,
            "here": row.local or None, "up": up, "gpu": visible(row.gpu),
        },
        problem=bool(row.error),
    )  # fmt: skip


def state_of(row: ServiceRow) -> Text:
    """How a service stands, in a word."""
    if row.service is None:
        if row.error:
            return Text("✗ " + visible(row.error), style="bold red")
        return Text(_("asking …"), style="cyan")
    state = row.service.state
    word = _(STATE_WORDS[state]) if state in STATE_WORDS else visible(state)
    if row.service.alive:
        return Text(f"● {word}", style="green")
    return Text(f"○ {word}", style="dim")


def service_card(row: ServiceRow, now: float) -> Text:
    """The marked service in words, and what can be done with it."""
    text = Text()
    service = row.service
    if service is None:
        text.append(f"{row.instance_id}\n", style="bold")
        return text.append(visible(row.error) or _("asking …"), style="bold red" if row.error else "dim")
    text.append(f"{visible(service.name)} ", style="bold")
    text.append(_("on {machines}").format(machines=row.instance_id) + "\n")
    text.append_text(state_of(row))
    if service.started_at:
        text.append("  " + _("for {time}").format(time=duration(max(0.0, now - service.started_at))))
    text.append("\n\n")
    if row.local:
        text.append(_("http://{address} leads to its port {port}").format(address=row.local, port=service.port) + "\n")
        text.append(_("The tunnel ends with this console, or by c.") + "\n", style="dim")
    elif service.alive:
        text.append(_("o opens it: a tunnel from this machine's loopback, and the browser on it.") + "\n", style="dim")
    else:
        text.append(_("U starts it.") + "\n", style="dim")
    if row.error:
        text.append("\n" + _("a connection failed: {reason}").format(reason=visible(row.error)), style="yellow")
    return text


def start_question(rows: Sequence[ServiceRow]) -> Question | str:
    """What is asked before services are started."""
    if not rows:
        return _("Mark a service first.")
    stopped = [row for row in rows if row.service is not None and not row.service.alive]
    if not stopped:
        known = any(row.service is not None for row in rows)
        return _("It runs already: o opens it.") if known else _("The box has not answered yet.")
    commands: list[tuple[str, ...]] = []
    for row in stopped:
        assert row.service is not None
        if row.service.name == JUPYTER:
            commands.append(("jupyter", str(row.instance_id), "--start-only"))
        else:
            commands.append(("service", "restart", row.service.name, "--on", str(row.instance_id)))
    names = _names(stopped)
    detail = _(
        "It costs nothing beyond the machine's own price. The code is sent to the box; Jupyter is installed where it "
        "is missing, which takes minutes. It listens on the box's loopback only."
    )
    note = _("start {names}").format(names=names)
    return Question(_("Start {names}?").format(names=names), detail, _("Start"), tuple(commands), note)


def stop_question(rows: Sequence[ServiceRow]) -> Question | str:
    """What is asked before services are stopped."""
    running = [row for row in rows if row.service is not None and row.service.alive]
    if not running:
        return _("It does not run.") if rows else _("Mark a service first.")
    names = _names(running)
    lines = [_("What it holds in memory is lost: kernels, variables, unsaved notebooks. Files on the box stay.")]
    if opened := sum(bool(row.local) for row in running):
        lines.append(ngettext("{n} tunnel leads to it.", "{n} tunnels lead to it.", opened).format(n=opened))
    named = [(row.service.name, str(row.instance_id)) for row in running if row.service is not None]
    commands = tuple(("service", "stop", name, "--on", number) for name, number in named)
    note = _("stop {names}").format(names=names)
    return Question(_("Stop {names}?").format(names=names), "\n".join(lines), _("Stop"), commands, note)


def _names(rows: Sequence[ServiceRow]) -> str:
    return ", ".join(f"{row.service.name} ({row.instance_id})" for row in rows if row.service is not None)
