"""Workspaces in which something of everything has happened: rented, run, found, measured, failed, drawn from a seed."""

from __future__ import annotations

import calendar
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import orjson

from console.models.recorder import MoneyPoint, RecordedEvent, Recorder
from console.models.recorder_samples import GpuLoad, Sample
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.workspace import Workspace, create_workspace
from remote.labels import LABEL_PREFIX
from tests.console.market import MOODS, Market, instance_row, marketplace, offer_row
from tests.review.review_world import reviewed_run

NOW = float(calendar.timegm((2026, 11, 21, 12, 4, 31)))
HOUR, DAY = 3600.0, 86400.0
BUSY, IDLE, STOPPED, ORPHAN, FOREIGN, MISSING, GONE = 31245, 31299, 31007, 40777, 50123, 30001, 29998
"""Instances: ours with a run, ours without work, ours and stopped, our label without a row, somebody else's,
ours that the cloud does not list, and one that ended yesterday."""
LIVE, DONE, PARTIAL, FAILED, CANCELLED, LEFT = (f"01kworld{word:0>18}" for word in
                                                ("live", "done", "part", "fail", "canc", "left"))  # fmt: skip
"""Runs: driven by this process, succeeded, incomplete, failed, cancelled, and one that nobody drives any more."""
STAGES = ("scan", "render", "detect", "regions", "records")
PLAIN = ("page rendered", "32 regions found", "records written", "waiting for the next page", "retrying a request")
HOSTILE = (
    "[/x] [red]not red[/red] [INFO] [gpu0] [@click=app.quit]quit[/]",
    "\x1b[2J\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]52;c;aGk=\x07",
    "tab\tbell\x07 backspace\x08\x08 nul\x00 cr\roverwritten del\x7f csi\x9b31m",
    "\u202eоткат\u202c שלום עולם \u2066isolated\u2069 a\u0301\u0308\u0323 👩\u200d👩\u200d👧 ﷽",
    "line\nbreak\u2028and\u2029more\x0b\x0c\x85",
)
PROVIDER = """
[providers.local]
base_url = "{url}/v1"
key_env = ""
[providers.local.chat.tiny]
context_tokens = 8000
"""
"""Who answers questions; nobody here asks it."""
LONG = "очень-длинно " * 80_000
"""A line of a megabyte."""


@dataclass
class World:
    """A workspace, its marketplace, and the ways in which both can go wrong."""

    workspace: Workspace
    market: Market
    seed: int
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def session(self) -> Session:
        """A new session of the workspace."""
        return open_session(self.workspace)

    def fault(self, random: Random) -> str:
        """Let something go wrong, or mend it; says what."""
        what, act = random.choice(sorted(FAULTS.items()))
        act(self)
        return what


def _mood(mood: str) -> Callable[[World], None]:
    def put(world: World) -> None:
        world.market.mood = mood  # type: ignore[assignment]

    return put


def _torn_events(world: World) -> None:
    with (world.workspace.run_folder(LIVE) / "events.jsonl").open("ab") as out:
        out.write(b'{"type":"item","stage":"re')


def _odd_events(world: World) -> None:
    with (world.workspace.run_folder(LIVE) / "events.jsonl").open("ab") as out:
        out.write(b'\n{"type":"stage","stage":7}\n[1,2]\nnull\n\xff\xfe\n{"type":"progress","done":"x"}\n')


def _damaged_book(world: World) -> None:
    (world.workspace.state / "runs" / f"{FAILED}.json").write_bytes(b'{"run_id": "half')


def _lost_run(world: World) -> None:
    shutil.rmtree(world.workspace.run_folder(PARTIAL), ignore_errors=True)


def _lost_log(world: World) -> None:
    (world.workspace.run_folder(DONE) / "logs" / "job-1.log").write_bytes(b"")


def _locked(world: World) -> None:
    """Somebody else writes the ledger for a while."""
    other = sqlite3.connect(world.workspace.ledger, timeout=0.1, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        other.close()
        return
    world.held.callback(other.close)


def _unlocked(world: World) -> None:
    world.held.close()


def _broken_index(world: World) -> None:
    for path in (world.workspace.state / "index").rglob("snapshot.sqlite"):
        path.write_bytes(b"no database")


def _wrong_settings(world: World) -> None:
    with world.workspace.settings_file.open("a") as toml:
        toml.write("\n[nonsense]\nx = 1\n")


FAULTS: dict[str, Callable[[World], None]] = {
    **{f"market {mood}": _mood(mood) for mood in MOODS},
    "market well again": _mood("well"),
    "torn events": _torn_events,
    "odd events": _odd_events,
    "damaged book": _damaged_book,
    "lost run": _lost_run,
    "lost log": _lost_log,
    "locked ledger": _locked,
    "unlocked ledger": _unlocked,
    "broken index": _broken_index,
    "wrong settings": _wrong_settings,
}


@contextmanager
def frozen(moment: float = NOW) -> Iterator[None]:
    """The clock of the whole process held still, in UTC: what is drawn is the same at every look."""
    recorders = mock.patch.dict(Recorder.__init__.__kwdefaults__, {"clock": lambda: moment})
    with recorders, mock.patch.object(time, "time", return_value=moment):
        try:
            with mock.patch.dict(os.environ, {"TZ": "UTC"}):
                time.tzset()
                yield
        finally:
            time.tzset()


@contextmanager
def world(root: Path, seed: int = 1, *, now: float | None = None, hostile: bool = False) -> Iterator[World]:
    """A world in `root` whose marketplace answers and one of whose runs is driven, until the block is left.

    Args:
        root: a folder that is not there yet.
        seed: of everything that is drawn by chance.
        now: the moment at which all this is; None: really now.
        hostile: whether names, labels, logs and captions are what no program may take at its word.
    """
    random = Random(seed)
    moment = time.time() if now is None else now
    place, _fresh = create_workspace(root)
    with marketplace(Market()) as market:
        settings = place.settings_file
        text = settings.read_text().replace('name = "local" ', 'name = "vast" ', 1)
        text = text.replace('url = "" ', f'url = "{market.url}" ', 1).replace('model = "" ', 'model = "local/tiny" ', 1)
        settings.write_text(text)
        with settings.open("a") as toml:
            toml.write(PROVIDER.format(url=market.url))
        place.env_file.write_text("VAST_API_KEY=k\n")
        place.env_file.chmod(0o600)
        made = World(place, market, seed)
        _rent(made, random, moment, hostile=hostile)
        _offer(market, random, hostile=hostile)
        _run(made, random, moment, hostile=hostile)
        _index(made, random, hostile=hostile)
        _record(made, random, moment)
        with Runbook(place).hold(LIVE), made.held:
            yield made


def _word(random: Random, plain: str, *, hostile: bool) -> str:
    return random.choice(HOSTILE) if hostile else plain


def _label(mark: str, number: int) -> str:
    """As `remote.labels` makes it, but the same each time."""
    return f"{LABEL_PREFIX}{mark}-{number:026}"


def _rent(made: World, random: Random, now: float, *, hostile: bool) -> None:
    """The ledger's rows, and the cloud's."""
    session = made.session
    ledger, cloud = session.ledger, session.cloud_name

    def rented(number: int, usd: float, hours: float, run_id: str | None = None, state: str = "ready") -> None:
        ledger.open_instance(
            cloud, number, label=_label(ledger.mark, number), gpu_name="RTX 4090", gpu_usd_per_hour=usd,
            disk_usd_per_hour=0.02, machine_id=number % 1000, offer_id=3, run_id=run_id, opened_at=now - hours * HOUR,
        )  # fmt: skip
        ledger.instance_running(cloud, number, at=now - hours * HOUR + 90)
        message = _word(random, "as good as it gets", hostile=hostile)
        ledger.transition(None, state, cloud=cloud, instance_id=number, message=message)

    rented(BUSY, 0.412, 3.1, LIVE)
    rented(IDLE, 0.3, 8)
    rented(STOPPED, 0.25, 50, state="stopped")
    rented(MISSING, 0.2, 9)
    rented(GONE, 0.35, 30)
    ledger.close_instance(cloud, GONE, at=now - DAY)
    for number, left in ((BUSY, 2 * HOUR), (IDLE, 26 * HOUR)):
        order = {"deadline_at": now + left, "action": "destroy", "idle_s": HOUR, "idle_action": "stop"}
        ledger.record_step(
            cloud, number, "deadman", inputs_hash="h", state="done", started_at=now - HOUR, ended_at=now - HOUR + 1,
            evidence={"order": order, "proof": {"ok": True, "message": ""}, "alive": True},
        )  # fmt: skip
    mark = ledger.mark
    since = now - 3 * HOUR
    odd = HOSTILE[0] if hostile else "somebody-elses-training"
    made.market.instances = [
        instance_row(BUSY, "RTX 4090", 0.412, _label(mark, BUSY), since),
        instance_row(IDLE, "RTX 3090", 0.3, _label(mark, IDLE), since, geolocation=odd if hostile else "SE"),
        instance_row(
            STOPPED, "RTX 4090", 0.02, _label(mark, STOPPED), since, actual_status="exited",
            intended_status="stopped", ports={}, status_msg=_word(random, "exited", hostile=hostile),
        ),
        instance_row(ORPHAN, "A100 SXM4", 1.1, _label(mark, ORPHAN), since),
        instance_row(FOREIGN, "RTX 4090", 0.5, odd, since),
    ]  # fmt: skip


def _offer(market: Market, random: Random, *, hostile: bool) -> None:
    market.offers = [
        offer_row(
            number, random.choice(("RTX 4090", "RTX 3090")), round(random.uniform(0.15, 0.9), 3),
            geolocation=_word(random, random.choice(("Poland, PL", "Sweden, SE", "Texas, US")), hostile=hostile),
            cpu_name=_word(random, "EPYC 7B13", hostile=hostile),
        )
        for number in range(1, 25)
    ]  # fmt: skip


def _run(made: World, random: Random, now: float, *, hostile: bool) -> None:
    """Six runs; the first of them is the one that is reviewed and searched."""
    book = Runbook(made.workspace)
    reviewed_run(made.workspace.root, pages=2, regions_a_page=6, run_id=DONE)
    ends: tuple[tuple[str, Phase, str, float, dict[str, Any]], ...] = (
        (LIVE, Phase.LAUNCHED, "running", 0.5, {"instance_id": BUSY, "job_id": "j-1", "attempt": 1}),
        (DONE, Phase.DONE, "succeeded", 5.0, {}),
        (PARTIAL, Phase.DONE, "incomplete", 24.0, {"problem": _word(random, "2 pages failed", hostile=hostile)}),
        (FAILED, Phase.DONE, "failed", 48.0, {"problem": _word(random, "its disk was full", hostile=hostile)}),
        (CANCELLED, Phase.DONE, "cancelled", 72.0, {}),
        (LEFT, Phase.LAUNCHED, "running", 6.0, {"instance_id": IDLE, "job_id": "j-2"}),
    )
    for run_id, phase, state, hours, more in ends:
        began = now - hours * HOUR
        entry = RunEntry(
            run_id=run_id, pipeline="docparse", plan_key="k", phase=phase, state=state, created_at=began, **more
        )
        with mock.patch.object(time, "time", return_value=began):
            book.write(entry)
        folder = made.workspace.run_folder(run_id)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(f"dpi: {150 if run_id != FAILED else 300}\ndetector: opencv\n")
        _events(folder, random, began, state, hostile=hostile)
        _logs(folder, random, began, hostile=hostile)


def _events(folder: Path, random: Random, began: float, state: str, *, hostile: bool) -> None:
    pages = 12
    through = {"succeeded": pages, "running": 7}.get(state, 9)
    group = _word(random, "Схемы-plans-a1a1a1a1", hostile=hostile)
    found: list[dict[str, Any]] = [{"type": "state", "state": "running"}]
    for stage in STAGES:
        found.append({"type": "stage", "stage": stage, "state": "started", "total": pages, "done": 0})
        for page in range(1, through + 1):
            bad = state in ("incomplete", "failed") and stage == "detect" and page > 7
            reason = _word(random, "no space left on device", hostile=hostile)
            event: dict[str, Any] = {"type": "item", "stage": stage, "item": f"i{page}", "group": group, "page": page}
            event |= {"status": "failed" if bad else "ok", "elapsed_s": 0.4, "attempt": 1}
            found.append(event | ({"error": {"type": "X", "message": reason, "retryable": False}} if bad else {}))
        if through < pages:
            progress = {"total": pages, "done": through, "ok": through, "rate_per_s": 1.5, "eta_s": 3.3}
            found.append({"type": "progress", "stage": stage} | progress)
            if state == "running":
                break
        found.append({"type": "stage", "stage": stage, "state": "finished", "total": pages, "done": through,
                      "ok": through, "failed": 0, "elapsed_s": 5.0})  # fmt: skip
    if state != "running":
        found.append({"type": "state", "state": state})
    lines = [orjson.dumps({"seq": n, "ts": began + n, **event}) for n, event in enumerate(found, 1)]
    (folder / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")


def _logs(folder: Path, random: Random, began: float, *, hostile: bool) -> None:
    lines = []
    for number in range(200):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(began + number))
        level = random.choices(("INFO", "WARNING", "ERROR"), (20, 2, 1))[0]
        lines.append(f"{stamp} {level} {_word(random, random.choice(PLAIN), hostile=hostile and number % 3 == 0)}")
    if hostile:
        lines.append(LONG)
    path = folder / "logs" / "job-1.log"
    path.write_text("\n".join(lines) + "\n", newline="")
    os.utime(path, (began + 200, began + 200))
    steps = [{"operation": "push", "state": "started", "message": "sending code", "ts": began},
             {"operation": "push", "state": "finished", "message": _word(random, "214 files", hostile=hostile),
              "ts": began + 2, "seconds": 2.0}]  # fmt: skip
    (folder / "logs" / "operations.jsonl").write_bytes(b"".join(orjson.dumps(step) + b"\n" for step in steps))


def _index(made: World, random: Random, *, hostile: bool) -> None:
    """The records of the run that succeeded, some of them by hostile captions."""
    from index.embed import embedder
    from index.ingest import ingest

    path = made.workspace.run_folder(DONE) / "records" / "docparse.ndjson"
    if hostile:
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        for number, row in enumerate(rows):
            row["text"] = f"node {HOSTILE[number % len(HOSTILE)]}" + (LONG if number == 3 else "")
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    ingest([made.workspace.run_folder(DONE)], made.workspace.root, embedder("offline/hash3072-stem-char4"))


def _record(made: World, random: Random, now: float) -> None:
    """Two hours of figures of two boxes, a week of money, and a few happenings."""
    recorder = made.session.recorder
    for number, busy in ((BUSY, 85.0), (IDLE, 0.0)):
        recorder.keep(
            number,
            [
                Sample(
                    at=now - back,
                    gpus=(GpuLoad(0, "RTX 4090", max(0.0, busy + random.uniform(-9, 9)), 9000 + back % 500, 24564, 64.0,
                                  290.0),),
                    cpu_percent=random.uniform(5, 60), cpu_count=16, ram_used_mb=9000, ram_total_mb=64000,
                    disk_used_gb=41.0, disk_total_gb=150.0, net_in_bytes_per_s=1e5, net_out_bytes_per_s=2e4,
                )
                for back in (*range(int(2 * HOUR), 600, -60), *range(600, 0, -5))
            ],
        )  # fmt: skip
    for hours in range(7 * 24):
        recorder.note_money(MoneyPoint(now - hours * HOUR, 0.7, round(0.3 + (hours % 24) / 10, 2), 20.0 + hours / 20))
    for at, kind, text, number in (
        (now - HOUR, "state", "it is ready", BUSY), (now - 1800, "guard", "2 h until it gives itself back", BUSY),
        (now - 600, "failure", "SSH did not answer", MISSING),
    ):  # fmt: skip
        recorder.note(RecordedEvent(at, kind, text, number))
    recorder.close()
