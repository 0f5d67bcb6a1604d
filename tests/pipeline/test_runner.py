"""The runner, driven through the command line with a pipeline whose items say how they fare."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.events import StateEvent
from pipeline.core.rundir import RunFolder
from pipeline.core.runner import LAST_WORDS_BYTES, Runner, RunOptions, load_run
from pipeline.core.sources import Sources
from pipeline.core.stop import StopSignal
from tests.pipeline.driving import (
    Bench,
    items_done,
    sequence_is_gap_free,
    stage_begun,
    wait_until,
)

QUICK = {"retry_backoff_s": 0.01, "workers": 1}
PAIR = QUICK | {"workers": 2}


def test_a_run_in_which_all_goes_well_succeeds_and_says_so_in_its_files(bench: Bench) -> None:
    for number in range(9):
        bench.source(f"{number}.txt", "ok")
    answer = bench.plan(**QUICK)
    assert (answer["items"], answer["documents"], answer["problems"]) == (9, 9, [])
    bench.run(check=0)
    assert bench.info()["state"] == "succeeded"
    assert bench.info()["counts"] == {"ok": 9, "failed": 0, "rejected": 0, "open": 0}
    events = bench.events()
    assert sequence_is_gap_free(events)
    assert [event.state for event in events if event.type == "state"] == ["running", "succeeded"]
    stages = [event.stage for event in events if event.type == "stage" and event.state == "finished"]
    assert stages == ["scan", "first", "batch", "last", "sum"]
    finished = next(
        event for event in events if event.type == "stage" and event.stage == "last" and event.state == "finished"
    )
    assert (finished.total, finished.done, finished.ok, finished.failed) == (9, 9, 9, 0)
    assert bench.report()["documents"][0]["through"] == {"begun": 1, "processed": 1, "hashed": 1, "summed": 1}


def test_everything_a_laptop_needs_is_listed_with_its_true_hash(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    bench.run()
    listed = bench.artifacts()
    for path, entry in listed.items():
        data = (bench.run_dir / path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"]), path
    assert {"ledger.sqlite", "metrics.jsonl", "report.md", "report.html", "report.json", "records/toy.ndjson"} <= set(
        listed
    )
    assert not list(bench.run_dir.glob("ledger.sqlite-*"))


def test_failed_items_are_listed_with_their_reasons_and_cost_only_themselves(bench: Bench) -> None:
    for name, word in (("a.txt", "ok"), ("b.txt", "bad"), ("c.txt", "bug"), ("d.txt", "ok")):
        bench.source(name, word)
    bench.plan(**QUICK)
    done = bench.run(check=3)
    assert "data/b.txt, page 1': this item is bad" in done.stderr
    assert "ValueError: a defect" in done.stderr
    report = bench.report()
    assert report["state"] == "incomplete"
    assert [(row["source"], row["stage"]) for row in report["failures"]] == [
        ("data/b.txt", "first"),
        ("data/c.txt", "first"),
    ]
    assert "this item is bad" in (bench.run_dir / "report.md").read_text()
    assert len((bench.run_dir / "records" / "toy.ndjson").read_text().splitlines()) == 2


def test_only_retryable_errors_are_retried(bench: Bench) -> None:
    bench.source("bad.txt", "bad")
    bench.source("flaky.txt", "flaky 2")
    bench.source("hopeless.txt", "flaky 99")
    bench.plan(attempts=3, **QUICK)
    bench.run(check=3)
    tried = bench.executions()
    bad, flaky, hopeless = (bench.item(name) for name in ("bad.txt", "flaky.txt", "hopeless.txt"))
    assert tried["first", bad, "failed"] == 1
    assert tried["first", bad, "retried"] == 0
    assert (tried["first", flaky, "retried"], tried["first", flaky, "ok"]) == (2, 1)
    assert (tried["first", hopeless, "retried"], tried["first", hopeless, "failed"]) == (2, 1)
    # A resume tries again what may be mended by trying, and nothing else.
    bench.run("--resume", check=3)
    tried = bench.executions()
    assert tried["first", bad, "failed"] == 1
    assert tried["first", hopeless, "failed"] == 2
    assert bench.done_twice() == []


def test_an_item_that_takes_its_worker_down_is_poison_and_sinks_nobody_else(bench: Bench) -> None:
    for number in range(6):
        bench.source(f"{number}.txt", "ok")
    bench.source("poison.txt", "die")
    bench.source("shaky.txt", "die 1")
    bench.plan(attempts=2, **PAIR)
    done = bench.run(check=3)
    assert "killed by SIGKILL" in done.stderr
    failures = bench.report()["failures"]
    assert [(row["source"], row["error_type"], row["attempts"]) for row in failures] == [
        ("data/poison.txt", "WorkerDied", 2)
    ]
    assert bench.executions()["first", bench.item("shaky.txt"), "ok"] == 1
    bench.run("--resume", check=3)
    assert bench.executions()["first", bench.item("poison.txt"), "failed"] == 1


def test_too_many_failures_end_the_run_as_failed(bench: Bench) -> None:
    for number in range(8):
        bench.source(f"{number}.txt", "bad" if number < 5 else "ok")
    bench.plan(max_error_rate=0.25, **QUICK)
    done = bench.run(check=1)
    assert "more than max_error_rate 0.25 allows" in done.stderr
    assert bench.info()["state"] == "failed"
    assert not (bench.run_dir / "records").exists()
    assert bench.events()[-1].type == "state"


def test_a_stage_that_cannot_start_fails_the_run_and_blames_no_item(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    needed = bench.root / "checkpoint.bin"
    bench.plan(needs=str(needed), **QUICK)
    done = bench.run(check=1)
    assert f"stage first cannot start: {needed} is missing" in done.stderr
    assert bench.report()["failures"] == []
    needed.touch()
    bench.run("--resume", check=0)


def test_a_full_disk_fails_the_run_and_blames_no_item(bench: Bench) -> None:
    bench.source("a.txt", "full")
    bench.plan(**QUICK)
    assert "No space left" in bench.run(check=1).stderr
    assert bench.report()["failures"] == []


def test_a_disk_too_full_for_the_report_still_gets_the_last_words(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    folder = RunFolder(bench.run_dir)
    run = load_run(folder, bench.pipeline, RunOptions())
    room: list[int] = []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def look(line: str) -> None:
        room.extend([folder.room_file.stat().st_size] if line.startswith("first") else [])

    monkeypatch.setattr("pipeline.core.runner.publish", full)
    with folder.hold():
        code = Runner(run, Sources(bench.root, False), RunOptions(), StopSignal(), look).run()
    assert (code, folder.read_info().state, room) == (1, "failed", [LAST_WORDS_BYTES])
    last = bench.events()[-1]
    assert isinstance(last, StateEvent)
    assert last.state == "failed"
    assert "No space left" in (last.message or "")
    assert not folder.room_file.exists()
    monkeypatch.undo()
    bench.run("--resume", check=0)
    assert bench.done_twice() == []


def test_a_missing_source_is_told_before_the_stage_begins(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    gone = bench.source("b.txt", "ok")
    bench.plan(**QUICK)
    gone.unlink()
    done = bench.run(check=1)
    assert "source 'data/b.txt' is not at" in done.stderr
    assert bench.executions() == {}


def test_rejected_items_are_a_success_of_the_run(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.source("b.txt", "reject")
    bench.plan(**QUICK)
    bench.run(check=0)
    assert bench.info()["counts"] == {"ok": 1, "failed": 0, "rejected": 1, "open": 0}


def test_a_device_takes_batches_and_one_bad_item_spoils_only_itself(bench: Bench) -> None:
    for number in range(7):
        bench.source(f"{number}.txt", "ok")
    bench.source("cursed.txt", "ok")
    bench.plan(**QUICK)
    bench.run(check=3)
    assert [row["source"] for row in bench.report()["failures"]] == ["data/cursed.txt"]
    metrics = [json.loads(line) for line in (bench.run_dir / "metrics.jsonl").read_text().splitlines()]
    by_name = {row["name"]: row["value"] for row in metrics if row["stage"] == "batch"}
    assert by_name["shared"] >= 4, "most items went through in batches"
    assert by_name["beside"] == 7, "prepare ran in another process than the device"


@pytest.mark.parametrize("cancelled", [False, True])
def test_sigterm_finishes_what_is_in_flight_and_a_resume_finishes_the_rest(bench: Bench, cancelled: bool) -> None:
    for number in range(24):
        bench.source(f"{number:02}.txt", "ok")
    bench.plan(pace_s=0.03, **PAIR)
    with bench.started() as process:
        wait_until(lambda: items_done(bench, "first") >= 3, "three items", process)
        if cancelled:
            (bench.run_dir / "cancel").touch()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == (4 if cancelled else 5)
    assert bench.info()["state"] == ("cancelled" if cancelled else "interrupted")
    assert not (bench.run_dir / "cancel").exists()
    told = bench.events()[-1]
    assert told.type == "state"
    assert told.state == ("cancelled" if cancelled else "interrupted")
    assert "ledger.sqlite" in bench.artifacts(), "what is done can be pulled"
    done_before = items_done(bench, "first")
    assert 3 <= done_before < 24
    bench.run("--resume", check=0)
    assert bench.done_twice() == []
    assert bench.executions().total() == 3 * 24 + 1
    assert sequence_is_gap_free(bench.events())


@pytest.mark.parametrize("stage", ["first", "batch", "last", "sum"])
def test_killed_in_the_middle_of_a_stage_a_resume_repeats_nothing(bench: Bench, stage: str) -> None:
    for number in range(10):
        bench.source(f"{number:02}.txt", "ok")
    bench.plan(pace_s=0.03, **PAIR)
    with bench.started() as process:
        if stage == "sum":
            wait_until(lambda: stage_begun(bench, "sum"), "the reduce stage", process)
        else:
            wait_until(lambda: items_done(bench, stage) >= 2, f"two items of {stage}", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = (bench.run_dir / "events.jsonl").read_bytes()
    assert bench.info()["state"] == "running"
    assert bench.status()["alive"] is False
    bench.run("--resume", check=0)
    assert bench.done_twice() == []
    assert bench.executions().total() == 3 * 10 + 1
    assert (bench.run_dir / "events.jsonl").read_bytes().startswith(before), "bytes once written never change"
    assert sequence_is_gap_free(bench.events())
    paths = [f"data/{number:02}.txt" for number in range(10)]
    hashes = [hashlib.sha256(path.upper().encode()).hexdigest() for path in paths]
    records = "".join(f"{path} {value}\n" for path, value in zip(paths, hashes, strict=True))
    assert (bench.run_dir / "records" / "toy.ndjson").read_text() == records


def test_workers_die_with_a_killed_runner(bench: Bench) -> None:
    bench.source("a.txt", "slow 60")
    bench.plan(**QUICK)
    with bench.started() as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: stage_begun(bench, "first"), "the first stage", process)
        wait_until(lambda: len(children.read_text().split()) >= 2, "a worker", process)
        workers = [int(pid) for pid in children.read_text().split()]
        process.kill()
        process.wait()
        wait_until(lambda: not any(_runs(pid) for pid in workers), "the workers' end")


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_second_signal_does_not_wait_for_what_is_in_flight(bench: Bench) -> None:
    bench.source("a.txt", "slow 60")
    bench.plan(**QUICK)
    with bench.started() as process:
        wait_until(lambda: stage_begun(bench, "first"), "the first stage", process)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 5
    assert bench.info()["state"] == "interrupted"
    assert bench.executions() == {}


def test_a_second_runner_is_refused_with_the_first_one_named(bench: Bench) -> None:
    bench.source("a.txt", "slow 60")
    bench.plan(**QUICK)
    with bench.started() as process:
        wait_until(lambda: stage_begun(bench, "first"), "the first stage", process)
        refused = bench.run("--resume", check=2)
        assert f"is being run by process {process.pid}" in refused.stderr
        status = bench.status()
        assert (status["alive"], status["pid"], status["state"]) == (True, process.pid, "running")


def test_a_run_that_was_started_before_asks_for_resume(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    bench.run()
    assert "add --resume" in bench.run(check=2).stderr


def test_a_finished_run_is_done_again_without_doing_anything(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    bench.run()
    before = bench.executions()
    bench.run("--resume")
    assert bench.executions() == before


def test_an_item_whose_file_is_lost_is_not_finished(bench: Bench) -> None:
    for number in range(3):
        bench.source(f"{number}.txt", "ok")
    bench.plan(**QUICK)
    bench.run()
    lost, damaged = (next(bench.run_dir.glob(f"artifacts/{number}/*/first.txt")) for number in (0, 1))
    before = lost.read_bytes(), damaged.read_bytes()
    lost.unlink()
    damaged.write_bytes(b"?" * len(before[1]))
    bench.run("--resume")
    assert (lost.read_bytes(), damaged.read_bytes()) == before
    again = {row for row, times in bench.executions().items() if times > 1}
    assert again == {("first", bench.item("0.txt"), "ok"), ("first", bench.item("1.txt"), "ok")}


def test_limit_and_shard_take_parts_of_the_manifest(bench: Bench) -> None:
    for number in range(5):
        bench.source(f"{number}.txt", "ok")
    bench.plan(**QUICK)
    assert "limited to the first 2 of 5" in bench.run("--limit", "2", check=3).stdout
    lines = []
    for shard in ("1/2", "2/2"):
        bench.run("--resume", "--shard", shard, check=0)
        lines += (bench.run_dir / "records" / "toy.ndjson").read_text().splitlines()
    assert sorted(line.split()[0] for line in lines) == [f"data/{number}.txt" for number in range(5)]
    assert bench.done_twice() == []


def test_a_dry_run_tells_and_touches_nothing(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    before = sorted(bench.run_dir.rglob("*"))
    said = bench.run("--dry-run", check=0).stdout
    assert "first: 0 items done, at most 1 to do" in said
    assert sorted(bench.run_dir.rglob("*")) == before


def test_a_manifest_that_was_changed_after_planning_is_refused(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    bench.plan(**QUICK)
    manifest = bench.run_dir / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"priority":0', '"priority":1'))
    assert "was changed after planning" in bench.run(check=2).stderr


def test_planning_the_same_work_again_changes_nothing_and_other_work_is_refused(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    first = bench.plan(**QUICK)
    assert bench.plan(**QUICK)["run_id"] == first["run_id"]
    with pytest.raises(UsageError, match="already holds another run"):
        bench.plan(salt="x", **QUICK)


def test_a_run_folder_that_cannot_be_written_is_one_sentence(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    (bench.root / "out").write_text("a file where the folder should be")
    with pytest.raises(UsageError, match=r"the run folder .* cannot be written: "):
        bench.plan(**QUICK)


def test_unknown_pipelines_and_parameters_are_named_with_what_there_is(bench: Bench) -> None:
    bench.source("a.txt", "ok")
    with pytest.raises(UsageError, match=r"parameter wrong: .* \(known: "):
        bench.plan(wrong=1)
    with pytest.raises(UsageError, match="choose docparse"):
        Bench(bench.root, "docparrse").plan()
