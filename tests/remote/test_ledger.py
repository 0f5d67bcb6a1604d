"""The ledger of rentals: what is spent, what is alive, and what survives a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from remote.ledger import Ledger, LedgerTooNew


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(tmp_path / "state of 'x'.db", clock=clock)


def open_instance(ledger: Ledger, instance_id: int, gpu: float = 0.36, disk: float = 0.036) -> None:
    ledger.open_instance(
        "local", instance_id, label="l", gpu_name="RTX", gpu_usd_per_hour=gpu, disk_usd_per_hour=disk, run_id="r"
    )


def test_disk_is_billed_from_the_rental_and_the_gpu_from_running_until_the_confirmed_end(
    ledger: Ledger, clock: Clock
) -> None:
    open_instance(ledger, 1)
    clock.now += 100
    ledger.instance_running("local", 1)
    clock.now += 1000
    ledger.close_instance("local", 1)
    clock.now += 5000
    assert ledger.spent_usd() == pytest.approx((1000 * 0.36 + 1100 * 0.036) / 3600)
    assert ledger.spent_usd(cloud="local", instance_id=1) == ledger.spent_usd(run_id="r") == ledger.spent_usd()
    assert ledger.spent_usd(run_id="another") == 0


def test_what_runs_now_counts_until_now_and_only_since_the_asked_moment(ledger: Ledger, clock: Clock) -> None:
    open_instance(ledger, 1, gpu=3.6, disk=0)
    ledger.instance_running("local", 1)
    clock.now += 3000
    assert ledger.spent_usd() == pytest.approx(3.0)
    assert ledger.spent_usd(clock.now - 1000) == pytest.approx(1.0)


def test_an_instance_is_alive_until_its_end_is_confirmed(ledger: Ledger) -> None:
    open_instance(ledger, 1)
    open_instance(ledger, 2)
    ledger.close_instance("local", 1)
    assert [row.instance_id for row in ledger.instances(alive_only=True)] == [2]
    assert [row.instance_id for row in ledger.instances()] == [1, 2]


def test_first_times_count(ledger: Ledger, clock: Clock) -> None:
    open_instance(ledger, 1)
    ledger.instance_running("local", 1)
    clock.now += 10
    open_instance(ledger, 1, gpu=99)
    ledger.instance_running("local", 1)
    ledger.close_instance("local", 1)
    clock.now += 10
    ledger.close_instance("local", 1)
    row = ledger.instance("local", 1)
    assert row is not None
    assert (row.gpu_usd_per_hour, row.opened_at, row.running_at, row.closed_at) == (0.36, 1000, 1000, 1010)


def test_history_tells_the_states_of_an_instance_and_of_its_request_before_it(ledger: Ledger) -> None:
    request = ledger.open_request("local", {"gpu": "RTX"})
    ledger.transition(request, "claiming")
    ledger.open_instance(
        "local", 7, label="l", gpu_name="g", gpu_usd_per_hour=1, disk_usd_per_hour=0, request_id=request
    )
    ledger.transition(request, "allocated", cloud="local", instance_id=7, message="here")
    ledger.transition(request, "allocated", cloud="local", instance_id=8)
    assert [(row.state, row.message) for row in ledger.history("local", 7)] == [
        ("planned", ""),
        ("claiming", ""),
        ("allocated", "here"),
    ]


def test_an_intent_is_unsettled_until_its_outcome_is_known(ledger: Ledger) -> None:
    intent = ledger.record_intent("create", cloud="local", label="a", detail={"offer_id": 5})
    ledger.record_outcome(intent, "unknown", detail="timeout")
    assert [row.detail for row in ledger.intents(unsettled_only=True)] == [{"offer_id": 5}]
    ledger.record_outcome(intent, "ok", instance_id=9)
    assert ledger.intents(unsettled_only=True) == []
    assert ledger.intents()[0].instance_id == 9


def test_steps_and_jobs_keep_their_last_state(ledger: Ledger, clock: Clock) -> None:
    ledger.record_step("local", 1, "env", inputs_hash="a", state="running")
    ledger.record_step("local", 1, "env", inputs_hash="a", state="ok", evidence={"python": "3.11"}, ended_at=5)
    assert [(row.step_id, row.state, row.evidence) for row in ledger.steps("local", 1)] == [
        ("env", "ok", {"python": "3.11"})
    ]
    ledger.record_job("j", "local", 1, state="running", run_id="r", spec={"argv": ["x"]})
    clock.now += 5
    ledger.record_job("j", "local", 1, state="exited", exit_code=0)
    (job,) = ledger.jobs(run_id="r")
    assert (job.state, job.exit_code, job.spec, job.launched_at, job.updated_at) == (
        "exited",
        0,
        {"argv": ["x"]},
        1000,
        1005,
    )


def test_a_newer_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerTooNew, match="newer Spotter"):
        Ledger(path)


def _write_many(path: str, start: int) -> None:
    ledger = Ledger(Path(path))
    for number in range(start, start + 25):
        open_instance(ledger, number)
        ledger.transition(None, "pulling", cloud="local", instance_id=number)


def test_several_processes_and_threads_open_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(path), 1000 * n)) for n in range(3)]
    threads = [threading.Thread(target=_write_many, args=(str(path), 10_000 * n)) for n in range(1, 4)]
    for each in (*writers, *threads):
        each.start()
    for each in (*writers, *threads):
        each.join()
    assert [process.exitcode for process in writers] == [0, 0, 0]
    ledger = Ledger(path)
    assert len(ledger.instances()) == 150
    assert all(len(ledger.history("local", row.instance_id)) == 1 for row in ledger.instances()[:5])


def _intent_then_die(path: str) -> None:
    Ledger(Path(path)).record_intent("create", cloud="local", label="doomed")
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_intent_survives_kill_9_right_after_it(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    process = multiprocessing.get_context("spawn").Process(target=_intent_then_die, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [row.label for row in Ledger(path).intents(unsettled_only=True)] == ["doomed"]
