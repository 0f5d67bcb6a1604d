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
from remote.ledger_schema import MIGRATIONS


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


def _first_edition(path: Path) -> None:
    """A ledger as it was when ids alone named instances."""
    connection = sqlite3.connect(path)
    MIGRATIONS[0](connection)
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO requests VALUES ('q', 'vast', 'r', '{}', 'ready', 10, 20, NULL)")
    connection.execute(
        "INSERT INTO instances VALUES (7, 'vast', 'q', 'r', 5, 6, 'l', 'RTX', 0.36, 0.036, 'ready', 100, 200, NULL)"
    )
    connection.execute(
        "INSERT INTO instances VALUES (8, 'local', NULL, NULL, 5, 6, 'm', 'RTX', 3.6, 0, 'gone', 100, 200, 1200)"
    )
    connection.execute(
        """INSERT INTO intents VALUES (1, 'q', 7, 'create', 'l', '{}', 90, 'ok', '', 95),
                                  (2, NULL, 8, 'destroy', '', '{}', 1190, 'ok', '', 1200)"""
    )
    connection.execute("INSERT INTO transitions VALUES (1, 'q', 7, 'ready', '', 300), (2, NULL, 8, 'gone', '', 1200)")
    connection.execute("INSERT INTO steps VALUES (7, 'env', 'h', 'ok', '{}', 250, 260)")
    connection.execute("INSERT INTO jobs VALUES ('j', 7, 'r', 'running', NULL, '{}', 300, 300)")
    connection.commit()
    connection.close()


def test_an_older_file_keeps_its_instances_their_cloud_and_every_dollar(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "old.db"
    _first_edition(path)
    clock.now = 3700
    ledger = Ledger(path, clock=clock)
    assert [(row.cloud, row.instance_id, row.alive) for row in ledger.instances()] == [
        ("vast", 7, True),
        ("local", 8, False),
    ]
    assert ledger.spent_usd(cloud="local") == pytest.approx(1.0)
    assert ledger.spent_usd(cloud="vast") == pytest.approx((3600 * 0.036 + 3500 * 0.36) / 3600)
    assert [(each.cloud, each.operation) for each in ledger.intents()] == [("vast", "create"), ("local", "destroy")]
    assert [row.state for row in ledger.history("local", 8)] == ["gone"]
    assert [step.step_id for step in ledger.steps("vast", 7)] == ["env"]
    assert [job.cloud for job in ledger.jobs(run_id="r")] == ["vast"]
    assert Ledger(path, clock=clock).mark == ledger.mark
    assert len(ledger.mark) == 6


def test_two_clouds_may_use_one_id_and_only_dollars_of_the_asked_one_count(ledger: Ledger, clock: Clock) -> None:
    for cloud, price in (("local", 3.6), ("vast", 0.36)):
        ledger.open_instance(cloud, 5, label=cloud, gpu_name="RTX", gpu_usd_per_hour=price, disk_usd_per_hour=0)
        ledger.instance_running(cloud, 5)
    clock.now += 1000
    ledger.close_instance("local", 5)
    assert [row.cloud for row in ledger.instances(alive_only=True)] == ["vast"]
    assert ledger.spent_usd(cloud="local") == pytest.approx(1.0)
    assert ledger.spent_usd(cloud="vast", instance_id=5) == pytest.approx(0.1)
    assert ledger.clouds_of(5) == ["local", "vast"]
    with pytest.raises(ValueError, match="named by its cloud"):
        ledger.spent_usd(instance_id=5)


def test_meters_follow_what_is_billed_a_stop_keeps_the_disk_and_an_absent_host_costs_nothing(
    ledger: Ledger, clock: Clock
) -> None:
    open_instance(ledger, 1, gpu=3.6, disk=0.36)
    for billed in (("gpu", "disk"), ("disk",), (), ("gpu", "disk")):
        ledger.note_billed("local", 1, billed)
        assert (ledger.offline_since("local", 1) is None) == bool(billed)
        clock.now += 1000
    ledger.close_instance("local", 1)
    clock.now += 9999
    assert ledger.spent_usd() == pytest.approx((2000 * 3.6 + 3000 * 0.36) / 3600)
    row = ledger.instance("local", 1)
    assert row is not None
    assert (row.running_at, row.seen_at) == (1000, 4000)
    ledger.note_billed("local", 1, ("gpu", "disk"))
    assert ledger.burn_usd_per_hour("local") == 0


def test_bytes_are_counted_by_the_hosts_prices_and_by_day(ledger: Ledger, clock: Clock) -> None:
    ledger.open_instance(
        "local", 1, label="l", gpu_name="RTX", gpu_usd_per_hour=0, disk_usd_per_hour=0, download_usd_per_gb=0.02,
        upload_usd_per_gb=0.01,
    )  # fmt: skip
    ledger.note_traffic("local", 1, bytes_in=10_000_000_000)
    clock.now += 90_000
    ledger.note_traffic("local", 1, bytes_in=1_000_000_000, bytes_out=1_000_000_000)
    ledger.note_traffic("local", 1, bytes_out=1_000_000_000)
    traffic = ledger.traffic("local", 1)
    assert (traffic.bytes_in, traffic.bytes_out, traffic.usd) == (11_000_000_000, 2_000_000_000, pytest.approx(0.24))
    assert ledger.spent_usd(cloud="local") == pytest.approx(0.24)
    assert ledger.spent_usd(86_400, cloud="local") == pytest.approx(0.04)


def test_a_machine_that_failed_is_left_out_for_a_week(ledger: Ledger, clock: Clock) -> None:
    ledger.note_bad_machine("vast", 18377, "no space left on device")
    clock.now += 6 * 86400
    ledger.note_bad_machine("vast", 99, "silent")
    ledger.note_bad_machine("vast", 99, "silent again")
    assert sorted(ledger.bad_machines("vast")) == [99, 18377]
    assert ledger.bad_machines("local") == {}
    clock.now += 2 * 86400
    (bad,) = ledger.bad_machines("vast").values()
    assert (bad.machine_id, bad.failures, bad.reason) == (99, 2, "silent again")
    ledger.forgive_machine("vast", 99)
    assert ledger.bad_machines("vast") == {}


def test_the_way_into_a_machine_is_remembered(ledger: Ledger) -> None:
    assert ledger.route("vast", 5) is None
    ledger.note_route("vast", 5, "proxy")
    assert ledger.route("vast", 5) == "proxy"
    assert ledger.route("local", 5) is None


def _settle_often(path: str) -> None:
    ledger = Ledger(Path(path))
    for _ in range(20):
        ledger.settle("local", 1, 5.0, "the cloud's bill")


def test_a_charge_is_settled_once_whoever_compares_it(tmp_path: Path) -> None:
    path = tmp_path / "settled.db"
    ledger = Ledger(path)
    open_instance(ledger, 1)
    ledger.close_instance("local", 1)
    threads = [threading.Thread(target=_settle_often, args=(str(path),)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert ledger.spent_usd() == pytest.approx(5.0)
    assert len(ledger.adjustments("local")) == 1
