"""A run over several boxes: what it leaves is what one box would have left, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, draw_pdf, wait_for
from tests.end_to_end.test_main_job import events_of

PAGES = 24

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("fleet of boxes")]
"""Several boxes share the processors of the machine that emulates them; all tests compare with one calm run."""


def prepare(operator: Operator, source: Path, **settings: int) -> None:
    """The same document for everybody, and a cap that three machines fit under."""
    shutil.copy(source, operator.root / "data" / "long.pdf")
    toml = operator.root / "spotter.toml"
    text = toml.read_text().replace("max_usd_per_day = 10.0", "max_usd_per_day = 100.0")
    for name, value in settings.items():
        assert f"\n{name} = " in text
        text = text.replace(f"\n{name} = ", f"\n{name} = {value} # ")
    toml.write_text(text)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who parsed the same document on one box, in peace."""
    operator = Operator(tmp_path_factory.mktemp("calm") / "w")
    create_workspace(operator.root)
    draw_pdf(operator.root / "data" / "long.pdf", PAGES, "Value stack")
    operator.run("run")
    operator.stop_cloud()
    return operator


def document(calm: Operator) -> Path:
    return calm.root / "data" / "long.pdf"


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, (folder / "artifacts.jsonl").read_bytes().splitlines())
    return {row["path"]: row for row in rows}


def assert_as_if_one_box_had_done_it(folder: Path, calm: Path) -> None:
    """Every artifact with the same bytes, every event numbered, the same end; only times and books may differ."""
    here, there = listed(folder), listed(calm)
    assert here.keys() == there.keys()
    own = ("report", "ledger", "metrics", "run")
    differing = [
        path for path in here if here[path]["kind"] not in own and here[path]["sha256"] != there[path]["sha256"]
    ]
    assert differing == []
    for path, row in here.items():
        assert (folder / path).stat().st_size == row["bytes"], path
    for name in ("records/docparse.ndjson", "coco.json"):
        assert (folder / name).read_bytes() == (calm / name).read_bytes()
    ours, theirs = (json.loads((each / "run.json").read_text()) for each in (folder, calm))
    assert [ours[name] for name in ("state", "counts", "exit_code")] == [
        theirs[name] for name in ("state", "counts", "exit_code")
    ]
    reports = [json.loads((each / "report.json").read_text()) for each in (folder, calm)]
    assert reports[0]["documents"] == reports[1]["documents"]
    assert reports[0]["stages"].keys() == reports[1]["stages"].keys()
    events = events_of(folder)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item" and event["status"] == "ok"]
    assert len(done) == len(set(done))
    assert {event["run"] for event in events} == {ours["run_id"]}
    assert results(folder) == results(calm)


def results(folder: Path) -> list[Any]:
    """What the ledger says of every item in every stage, times aside."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        return ledger.execute("SELECT item_id, stage, cache_key, status, output FROM results ORDER BY 1, 2").fetchall()


def repeated(folder: Path) -> list[Any]:
    """Finished work that was done again."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        return ledger.execute(
            "SELECT item_id, stage FROM executions WHERE outcome = 'ok' GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchall()


def items_told(folder: Path) -> int:
    path = folder / "events.jsonl"
    return path.read_bytes().count(b'"type":"item"') if path.exists() else 0


def run_folder(operator: Operator) -> Path:
    return Path(wait_for(lambda: next((operator.root / "out" / "runs").glob("*"), None), "the run's folder"))


def busiest(operator: Operator) -> int | None:
    """The box that has most shards before it, as its own disk says."""
    cloud = operator.root / ".spotter" / "cloud" / "instances"
    waiting = Counter(path.relative_to(cloud).parts[0] for path in cloud.glob("*/root/spotter/queues/*/pending/*.json"))
    return int(waiting.most_common(1)[0][0]) if waiting else None


def processes_of(operator: Operator, instance: int) -> list[psutil.Process]:
    """What runs on one box, the box itself included."""
    here = f"{operator.root}/.spotter/cloud/instances/{instance}/"
    found = []
    for process in operator.processes():
        try:
            words = " ".join(process.cmdline()) + " " + process.environ().get("HOME", "") + "/"
        except psutil.Error:
            continue
        if here in words and "--detach" not in process.cmdline():
            found.append(process)
    return found


def gpus_at_work(operator: Operator) -> set[str]:
    """What the workers that live now see of the box's GPUs."""
    found = set()
    for process in operator.processes():
        with suppress(psutil.Error):
            if {"-m", "pipeline", "run"} <= set(process.cmdline()):
                found.add(process.environ().get("CUDA_VISIBLE_DEVICES", ""))
    return found


def test_a_box_that_is_killed_and_taken_away_changes_nothing_in_the_result(operator: Operator, calm: Operator) -> None:
    from remote.localcloud.connect import local_cloud

    prepare(operator, document(calm))
    console = operator.start("run", "--yes", "--instances", "3", "--param", "workers=1")
    folder = run_folder(operator)
    wait_for(lambda: items_told(folder) >= 3 or console.poll() is not None, "the boxes to work", 120)
    victim = wait_for(lambda: busiest(operator) or console.poll() is not None, "a box with much to do")
    for process in processes_of(operator, victim):
        process.kill()
    local_cloud(operator.root / ".spotter" / "cloud").destroy(victim)
    assert console.poll() is None, operator.log()

    assert console.wait(timeout=240) == 0, operator.story()
    assert "renting another machine" in operator.log() or "take over" in operator.log()
    assert "Traceback" not in operator.log()
    assert_as_if_one_box_had_done_it(folder, calm.run_folder())
    assert operator.instances() == []
    assert operator.rented() == 0
    assert operator.json("search", "layer 2")["hits"][0]["page"] == 2
    assert not list((operator.root / ".spotter" / "fleet").glob("*/b*")), "the parts are in the run folder now"


def test_a_console_killed_in_mid_run_finds_its_boxes_again_and_repeats_nothing(
    operator: Operator, calm: Operator
) -> None:
    prepare(operator, document(calm), instances=2)
    console = operator.start("run", "--yes", "--param", "workers=1")
    folder = run_folder(operator)
    wait_for(lambda: items_told(folder) >= 3 or console.poll() is not None, "the boxes to work", 120)
    assert console.poll() is None, operator.log()
    os.killpg(console.pid, signal.SIGKILL)
    console.wait()
    at_the_kill = (folder / "events.jsonl").read_bytes()
    assert operator.rented() == 2
    assert len(operator.run_entry()["boxes"]) == 2

    outcome = operator.json("run", "--resume", "last")
    assert outcome["state"] == "succeeded"
    assert (folder / "events.jsonl").read_bytes().startswith(at_the_kill)
    assert_as_if_one_box_had_done_it(folder, calm.run_folder())
    assert repeated(folder) == []
    with closing(sqlite3.connect(operator.root / ".spotter" / "state.db")) as ledger:
        assert ledger.execute("SELECT count(*) FROM instances").fetchone()[0] == 2, "no third machine was rented"
    assert operator.instances() == []


def test_what_the_cap_forbids_is_done_without_and_ctrl_c_gives_every_box_back_with_what_is_finished_fetched(
    operator: Operator, calm: Operator
) -> None:
    prepare(operator, document(calm), instances=3)
    toml = operator.root / "spotter.toml"
    toml.write_text(toml.read_text().replace("max_usd_per_day = 100.0", "max_usd_per_day = 7.5"))
    console = operator.start("run", "--yes", "--param", "workers=1")
    folder = run_folder(operator)
    wait_for(lambda: items_told(folder) >= 3 or console.poll() is not None, "the boxes to work", 120)
    os.killpg(console.pid, signal.SIGINT)
    assert console.wait(timeout=240) == 130, operator.log()
    assert "Traceback" not in operator.log()
    assert "cap of $7.5" in operator.log()
    assert "goes on with 1 box of 3" in operator.log()
    assert operator.rented() == 0
    wait_for(lambda: operator.on_boxes() == [], "every box to end")
    entry = operator.run_entry()
    assert (entry["state"], entry["phase"], entry["boxes"]) == ("cancelled", "done", [])
    assert events_of(folder)[-1]["state"] == "cancelled", events_of(folder)[-1]
    assert list(folder.glob("artifacts/*/*/page.png"))

    assert operator.json("run", "--resume", "last", "--yes")["state"] == "succeeded"
    assert_as_if_one_box_had_done_it(folder, calm.run_folder())
    assert operator.instances() == []


def test_a_fleet_whose_console_is_dead_is_cancelled_from_elsewhere_with_what_is_finished_fetched(
    operator: Operator, calm: Operator
) -> None:
    prepare(operator, document(calm), instances=2)
    console = operator.start("run", "--yes", "--param", "workers=1")
    folder = run_folder(operator)
    wait_for(lambda: items_told(folder) >= 3 or console.poll() is not None, "the boxes to work", 120)
    os.killpg(console.pid, signal.SIGKILL)
    console.wait()
    assert operator.json("pull", "last")["files"] > 0
    operator.run("cancel", "last", "--yes")
    entry = operator.run_entry()
    assert entry["boxes"] == []
    assert operator.rented() == 0
    # The boxes work on while nobody watches: they may have been through when they were told to stop.
    assert (entry["state"], entry["phase"]) in {("cancelled", "done"), ("succeeded", "pulled")}
    events = events_of(folder)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == entry["state"]
    done = {(event["stage"], event["item"]) for event in events if event["type"] == "item"}
    assert done <= {(stage, item) for item, stage, *_ in results(folder)}, "what is told to be done is here"
    assert operator.instances() == []


def test_each_gpu_of_a_box_has_a_worker_of_its_own(operator: Operator, calm: Operator) -> None:
    prepare(operator, document(calm))
    with (operator.root / "spotter.toml").open("a") as toml:
        toml.write('\n[profiles.two]\ngpu = ["RTX 4090"]\ngpu_count = 2\ngpu_ram_gb = 24\ndisk_gb = 40\n')
    console = operator.start("run", "--yes", "--profile", "two", "--param", "workers=1")
    wait_for(lambda: gpus_at_work(operator) >= {"0", "1"}, "two workers, one a GPU", 120)
    assert console.wait(timeout=240) == 0, operator.story()
    folder = operator.run_folder()
    assert_as_if_one_box_had_done_it(folder, calm.run_folder())
    assert repeated(folder) == []
    assert operator.instances() == []
