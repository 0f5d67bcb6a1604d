"""What gets lost on the way: the box, the supervisor, the index's lock, files of out/. The run goes on, or says how."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import psutil

from tests.end_to_end.driving import Operator, draw_pdf, held_in_mid_run, wait_for
from tests.end_to_end.test_main_job import box_events, events_of, worker_processes


def supervisor_of(worker: psutil.Process) -> psutil.Process:
    """The nearest ancestor of a worker that is agent code."""
    return next(parent for parent in worker.parents() if any("agent" in word for word in parent.cmdline()))


def test_a_run_whose_box_is_lost_goes_on_with_another_and_repeats_nothing_that_was_fetched(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 24, "Value stack")
    console = operator.start("run", "--yes", "--param", "workers=1")
    folder = wait_for(lambda: next((operator.root / "out" / "runs").glob("*"), None), "the run's folder")

    def fetched() -> int:
        path = folder / "ledger.sqlite"
        if not path.exists():
            return 0
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            return int(ledger.execute("SELECT count(*) FROM executions WHERE outcome = 'ok'").fetchone()[0])

    held_in_mid_run(operator, 3)
    wait_for(
        lambda: fetched() > 3 or console.poll() is not None, "a part of the work to be fetched with its ledger", 90
    )
    assert console.poll() is None, operator.log()
    os.killpg(console.pid, signal.SIGKILL)
    console.wait()
    before = fetched()
    refused = operator.run("cloud", "stop", "--yes", check=1)
    assert "holds results of run" in refused.stderr
    operator.run("cloud", "stop", "--yes", "--force")  # the machine and its disk are gone

    outcome = operator.json("run", "--resume", "last")
    assert outcome["state"] == "succeeded"
    events = events_of(folder)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        rows = ledger.execute(
            "SELECT item_id, stage, count(*) FROM executions WHERE outcome = 'ok' GROUP BY item_id, stage"
        ).fetchall()
    assert before > 3
    assert [row for row in rows if row[2] != 1] == []
    assert operator.instances() == []


def test_a_killed_supervisor_costs_a_restart_of_the_worker_and_nothing_else(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 16, "Value stack")
    console = operator.start("run", "--yes", "--param", "workers=1")
    path = wait_for(lambda: box_events(operator), "the events on the box")
    worker = wait_for(lambda: worker_processes(operator), "the worker")[0]
    wait_for(lambda: b'"stage":"render","state":"started"' in path.read_bytes(), "rendering")
    supervisor_of(worker).kill()
    assert console.wait(timeout=150) == 0, operator.log()
    entry = operator.run_entry()
    assert entry["state"] == "succeeded"
    events = events_of(operator.run_folder())
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item" and event["status"] == "ok"]
    assert len(done) == len(set(done))
    assert operator.instances() == []


def test_an_index_that_another_process_writes_is_waited_for_with_the_machine_already_given_back(
    operator: Operator,
) -> None:
    draw_pdf(operator.root / "data" / "more.pdf", 1, "Слои")
    lock = operator.root / ".spotter" / "index" / "writer.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        console = operator.start("run", "--yes")
        wait_for(lambda: "is gone" in operator.log(), "the machine to be given back", 90)
        wait_for(lambda: "being written" in operator.log(), "the wait to be told")
        assert operator.instances() == []
        assert console.poll() is None
    assert console.wait(timeout=60) == 0, operator.log()
    assert operator.json("search", "Слои")["hits"][0]["filename"] == "more.pdf"


def test_an_instance_that_is_not_there_is_refused_for_nothing_and_results_that_were_cleared_away_are_made_again(
    operator: Operator,
) -> None:
    draw_pdf(operator.root / "data" / "doc.pdf", 1, "Value stack")
    operator.run("offers")
    done = operator.run("run", "--instance", "5", check=2)
    assert "there is no instance 5" in done.stderr
    assert "Traceback" not in done.stderr
    assert operator.json("ps")["spent_today_usd"] == operator.spent_usd() == 0

    first = operator.json("run")
    assert first["state"] == "succeeded"
    shutil.rmtree(Path(first["folder"]) / "artifacts")
    second = operator.json("run")
    assert second["run_id"] != first["run_id"]
    assert list(Path(second["folder"]).glob("artifacts/*/*/page.png"))
    shutil.rmtree(second["folder"])
    assert operator.json("run")["state"] == "succeeded"


def test_a_kept_instance_serves_several_runs_and_goes_when_told(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "a.pdf", 1, "Value stack")
    rented = operator.json("rent", "--yes")
    instance = str(rented["id"])
    assert operator.json("run", "--instance", instance)["state"] == "succeeded"
    draw_pdf(operator.root / "data" / "b.pdf", 1, "Слои")
    assert operator.json("run", "data/b.pdf", "--instance", instance)["state"] == "succeeded"
    assert [str(row["id"]) for row in operator.instances()] == [instance]
    operator.run("destroy", instance, "--yes")
    assert operator.instances() == []
    assert json.loads(operator.run("runs", "--json").stdout)[0]["state"] == "succeeded"


def test_a_forced_destroy_keeps_its_word_under_a_living_run_which_then_says_how_to_go_on(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 24, "Value stack")
    console = operator.start("run", "--yes", "--param", "workers=1")
    wait_for(lambda: "…  render" in operator.log(), "the job to work")
    instance = str(operator.instances()[0]["id"])
    refused = operator.run("destroy", instance, "--yes", check=1)
    assert "spotter cancel" in refused.stderr
    operator.run("destroy", instance, "--yes", "--force")
    assert console.wait(timeout=90) != 0
    assert "--resume" in operator.log()
    assert "Traceback" not in operator.log()
    assert operator.rented() == 0


def take_away(operator: Operator) -> None:
    """Somebody else's doing: the cloud ends the instance, and nothing here asked for it."""
    from remote.localcloud.connect import local_cloud

    local_cloud(operator.root / ".spotter" / "cloud").destroy(int(operator.instances()[0]["id"]))


def test_a_box_that_is_taken_away_is_replaced_by_itself_and_nothing_that_was_fetched_is_repeated(
    operator: Operator,
) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 16, "Value stack")
    console = operator.start("run", "--yes", "--param", "workers=1")
    wait_for(lambda: "…  render" in operator.log(), "the job to work")
    take_away(operator)
    assert console.wait(timeout=150) == 0, operator.log()
    assert "renting another machine (1 of 2 replacements)" in operator.log()
    entry = operator.run_entry()
    assert (entry["state"], entry["replacements"]) == ("succeeded", 1)
    events = events_of(operator.run_folder())
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert operator.instances() == []
    assert operator.rented() == 0


def test_a_box_that_is_taken_away_is_not_replaced_when_that_was_not_wished(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 16, "Value stack")
    console = operator.start("run", "--yes", "--no-replace", "--param", "workers=1")
    wait_for(lambda: "…  render" in operator.log(), "the job to work")
    take_away(operator)
    assert console.wait(timeout=90) == 1, operator.log()
    assert "--resume" in operator.log()
    assert "Traceback" not in operator.log()
    entry = operator.run_entry()
    assert (entry["state"], entry["replacements"], entry["instance_id"]) == ("interrupted", 0, None)
