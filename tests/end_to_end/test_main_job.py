"""The whole job through the command line, and again, and with the laptop gone in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, draw_pdf, wait_for

PAGES = 10


def events_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]


def test_killing_the_console_in_mid_run_loses_no_byte_and_doubles_none(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 12, "Слои платформы")
    console = operator.start("run", "--yes")
    folder = wait_for(lambda: next((operator.root / "out" / "runs").glob("*"), None), "the run's folder")
    wait_for(
        lambda: (folder / "events.jsonl").exists() and (folder / "events.jsonl").read_bytes().count(b'"item"') >= 4,
        "four items done",
    )
    os.killpg(console.pid, signal.SIGKILL)
    console.wait()
    at_the_kill = (folder / "events.jsonl").read_bytes()
    assert operator.run_entry()["phase"] == "launched"

    outcome = operator.json("run", "--resume", "last")
    assert outcome["state"] == "succeeded"
    replica = (folder / "events.jsonl").read_bytes()
    assert replica.startswith(at_the_kill)
    events = events_of(folder)
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))  # type: ignore[call-overload, operator]
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item" and event["status"] == "ok"]
    assert len(done) == len(set(done))
    states = [event["state"] for event in events if event["type"] == "state"]
    assert states.count("running") == 1, "the job was not started a second time"
    log = (folder / "logs" / "job-1.log").read_text()
    assert log.count("records") >= 1
    assert len(log.splitlines()) == len(set(log.splitlines()))
    assert operator.instances() == []


def box_events(operator: Operator) -> Path | None:
    """The event file on the emulated box itself, where it grows without the delay of the laptop's copy."""
    found = list((operator.root / ".spotter" / "cloud").glob("instances/*/root/spotter/runs/*/events.jsonl"))
    return found[0] if found else None


def worker_processes(operator: Operator) -> list[psutil.Process]:
    return [process for process, words in operator.commands().items() if {"-m", "pipeline", "run"} <= set(words)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Somebody who parsed a document in peace."""
    operator = Operator(tmp_path_factory.mktemp("calm") / "w")
    create_workspace(operator.root)
    draw_pdf(operator.root / "data" / "long.pdf", PAGES, "Value stack")
    try:
        assert operator.json("run")["state"] == "succeeded"
        yield operator
    finally:
        operator.stop_cloud()


@pytest.mark.xdist_group("one undisturbed run")
def test_a_run_is_complete_on_this_machine_before_its_instance_goes(undisturbed: Operator) -> None:
    folder = undisturbed.run_folder()
    listed = {}
    for line in (folder / "artifacts.jsonl").read_bytes().splitlines():
        row = json.loads(line)
        listed[row["path"]] = row
    assert {row["kind"] for row in listed.values()} >= {"ledger"}
    for path, row in listed.items():
        assert (folder / path).stat().st_size == row["bytes"], path
    assert undisturbed.instances() == []
    spent = undisturbed.spent_usd()
    assert 0 <= undisturbed.json("ps")["spent_today_usd"] <= spent + 1e-9  # of which midnight may take a part away
    assert 0 < spent < 0.05
    hits = undisturbed.json("search", "layer 2")["hits"]
    assert hits[0]["page"] == 2
    assert Path(hits[0]["page_image_path"]).is_file()


@pytest.mark.xdist_group("one undisturbed run")  # they compare with it
@pytest.mark.parametrize("stage", ["render", "detect", "analyze", "records"])
def test_a_worker_killed_in_any_stage_is_started_again_and_repeats_nothing(
    operator: Operator, undisturbed: Operator, stage: str
) -> None:
    shutil.copy(undisturbed.root / "data" / "long.pdf", operator.root / "data" / "long.pdf")
    console = operator.start("run", "--yes", "--param", "workers=1")
    path = wait_for(lambda: box_events(operator), "the events on the box")
    workers = wait_for(lambda: worker_processes(operator), "the worker")
    begun = b'"stage":"%s","state":"started"' % stage.encode()
    deadline = time.monotonic() + 60
    while begun not in path.read_bytes():
        assert time.monotonic() < deadline, f"{stage} never began: {path.read_bytes()[-500:]!r}"
        time.sleep(0.001)
    for worker in workers:
        worker.kill()
    assert b'"stage":"%s","state":"finished"' % stage.encode() not in path.read_bytes(), "the kill came too late"

    assert console.wait(timeout=120) == 0, operator.log()
    assert "starting it again" in operator.log()
    assert operator.run_entry()["attempt"] == 2
    folder = operator.run_folder()
    events = events_of(folder)
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item" and event["status"] == "ok"]
    assert len(done) == len(set(done)), "a finished item was done twice"
    ledger = sqlite3.connect(folder / "ledger.sqlite")
    finished = ledger.execute(
        "SELECT item_id, stage, count(*) FROM executions WHERE outcome = 'ok' GROUP BY item_id, stage"
    ).fetchall()
    assert {row[1] for row in finished} >= {"render", "detect", "analyze", "records"}
    assert [row for row in finished if row[2] != 1] == []
    assert ledger.execute("SELECT count(*) FROM sessions").fetchone()[0] == 2
    calm = undisturbed.run_folder() / "records" / "docparse.ndjson"
    assert (folder / "records" / "docparse.ndjson").read_bytes() == calm.read_bytes()
    assert operator.instances() == []
