"""Spend, waste, quality and replay as values: every dollar has its place, and the sums are the ledger's."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from console.models.quality_history import compared, index_point, keep_regions, read_quality
from console.models.recorder import Recorder
from console.models.recorder_samples import GpuLoad, Sample
from console.models.replay import fleet_at
from console.models.spend import Rental, by_day, by_gpu, by_run, pieces, total_usd
from console.models.waste import WASTE, Cause, by_cause, causes, job_failed, wasted_usd
from remote.ledger import JobRow, Ledger, Meter, RentedInstance, TransitionRow

DAY, HOUR = 86400.0, 3600.0
T0 = 20_000 * DAY
CLOUD = "local"


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def rental(
    *,
    meters: tuple[tuple[str, float, float, float | None], ...],
    jobs: tuple[tuple[float, float, str, int | None], ...] = (),
    ready_at: float | None = None,
    number: int = 1,
    run_id: str | None = "run-1",
) -> Rental:
    """Meters as (kind, $/h, begin, end) and jobs as (begin, end, state, exit code), in hours after T0."""

    def at(hours: float | None) -> float | None:
        return None if hours is None else T0 + hours * HOUR

    def sure(hours: float) -> float:
        return T0 + hours * HOUR

    row = RentedInstance(number, CLOUD, None, run_id, 7, None, "l", "RTX", 1.0, 0.1, "ready", T0, T0, None)
    return Rental(
        row,
        tuple(Meter(CLOUD, number, kind, usd, sure(begin), at(end)) for kind, usd, begin, end in meters),  # type: ignore[arg-type]
        jobs=tuple(
            JobRow(f"j{index}", number, run_id, state, code, {}, sure(begin), sure(end), CLOUD)
            for index, (begin, end, state, code) in enumerate(jobs)
        ),
        ready_at=at(ready_at),
    )


# ---- spend ----


def test_a_meter_over_midnights_is_cut_into_days() -> None:
    one = rental(meters=(("gpu", 1.0, 20, 50), ("disk", 0.1, 20, None)))
    found = list(pieces([one], 0, T0 + 53 * HOUR))
    days = by_day(found, 0, T0 + 53 * HOUR)
    assert [row.usd for row in days] == pytest.approx([4.4, 26.4, 2.5])
    assert [row.gpu_hours for row in days] == pytest.approx([4, 24, 2])
    assert total_usd(found) == pytest.approx(33.3)


def test_days_without_a_dollar_are_shown_and_a_span_without_one_has_none() -> None:
    one = rental(meters=(("gpu", 1.0, 0, 1),))
    found = list(pieces([one], 0, T0 + 3 * DAY))
    assert [row.usd for row in by_day(found, T0, T0 + 3 * DAY)] == [1.0, 0.0, 0.0, 0.0]
    assert by_day([], 0, T0) == []
    assert [row.usd for row in by_day([], T0 - DAY, T0)] == [0.0, 0.0]


def test_runs_tell_what_a_thousand_pages_cost() -> None:
    found = list(pieces([rental(meters=(("gpu", 1.0, 0, 2),))], 0, T0 + DAY))
    (row,) = by_run(found, {"run-1": 500})
    assert (row.key, row.usd, row.usd_per_1000) == ("run-1", 2.0, 4.0)
    assert by_run(found, {})[0].usd_per_1000 is None
    assert by_gpu(found)[0].key == "RTX"


@pytest.mark.parametrize("seed", range(6))
def test_all_sums_are_the_ledgers_whatever_happened(tmp_path: Path, seed: int) -> None:
    dice, clock = random.Random(seed), Clock()
    ledger = Ledger(tmp_path / "state.db", clock=clock)
    for number in range(1, 9):
        ledger.open_instance(
            CLOUD, number, label="l", gpu_name=dice.choice(("A", "B")), gpu_usd_per_hour=dice.random(),
            disk_usd_per_hour=dice.random() / 10, download_usd_per_gb=0.01, upload_usd_per_gb=0.02,
            run_id=dice.choice((None, "r1", "r2")),
        )  # fmt: skip
        for _step in range(dice.randrange(8)):
            clock.sleep(dice.random() * 9 * HOUR)
            match dice.randrange(6):
                case 0:
                    ledger.instance_running(CLOUD, number)
                case 1:
                    ledger.note_billed(CLOUD, number, dice.choice((("gpu", "disk"), ("disk",), ())))
                case 2:
                    ledger.note_traffic(CLOUD, number, bytes_in=10**10, bytes_out=10**9)
                case 3:
                    ledger.adjust(CLOUD, number, dice.uniform(-0.1, 0.3), "bill", at=clock.now - dice.random() * DAY)
                case 4:
                    ledger.price_from_now(CLOUD, number, gpu_usd_per_hour=1.0, disk_usd_per_hour=0.01)
                case _:
                    ledger.close_instance(CLOUD, number)
    rentals = [
        Rental(
            row,
            tuple(ledger.meters(CLOUD, row.instance_id)),
            tuple(each for each in ledger.traffic_hours(CLOUD) if each.instance_id == row.instance_id),
            tuple(each for each in ledger.adjustments(CLOUD) if each.instance_id == row.instance_id),
        )
        for row in ledger.instances(cloud=CLOUD)
    ]
    for since in (0.0, T0, T0 + 1.3 * DAY, clock.now - 5000, clock.now):
        spent = ledger.spent_usd(since, cloud=CLOUD)
        found = list(pieces(rentals, since, clock.now))
        assert total_usd(found) == pytest.approx(spent, abs=1e-9)
        assert sum(row.usd for row in by_day(found, since, clock.now)) == pytest.approx(spent, abs=1e-9)
        assert sum(row.usd for row in by_run(found, {})) == pytest.approx(spent, abs=1e-9)
        assert sum(by_cause(causes(rentals, since, clock.now)).values()) == pytest.approx(spent, abs=1e-9)
        for row in by_run(found, {}):
            if row.key:
                assert row.usd == pytest.approx(ledger.spent_usd(since, cloud=CLOUD, run_id=row.key), abs=1e-9)
    ledger.close()


# ---- waste ----


@pytest.mark.parametrize(
    ("jobs", "ready_at", "expected"),
    [
        ((), None, {"setup": 10.0}),
        ((), 2.0, {"setup": 2.0, "idle": 8.0}),
        (((1, 4, "exited", 0),), 0.5, {"setup": 1.0, "work": 3.0, "idle": 6.0}),
        (((1, 4, "exited", 1),), 0.5, {"setup": 1.0, "failed": 3.0, "idle": 6.0}),
        (((1, 4, "exited", 3), (2, 6, "exited", 1)), None, {"setup": 1.0, "work": 3.0, "failed": 2.0, "idle": 4.0}),
        (
            ((1, 4, "lost", None), (5, 5, "running", None)),
            None,
            {"setup": 1.0, "failed": 3.0, "idle": 1.0, "work": 5.0},
        ),
    ],
)
def test_every_hour_of_a_machine_has_one_cause(
    jobs: tuple[tuple[float, float, str, int | None], ...], ready_at: float | None, expected: dict[Cause, float]
) -> None:
    one = rental(meters=(("gpu", 1.0, 0, None),), jobs=jobs, ready_at=ready_at)
    assert by_cause(causes([one], 0, T0 + 10 * HOUR)) == pytest.approx(expected)


def test_a_stopped_machine_costs_storage_and_nothing_else() -> None:
    one = rental(meters=(("gpu", 1.0, 0, 4), ("disk", 0.1, 0, 10)), jobs=((0, 3, "exited", 0),))
    found = causes([one], 0, T0 + 20 * HOUR)
    assert by_cause(found) == pytest.approx({"work": 3.3, "idle": 1.1, "stopped": 0.6})
    assert wasted_usd(found) == pytest.approx(1.7)
    assert set(WASTE) & {"work", "traffic", "settled"} == set()


def test_a_job_whose_gpu_sleeps_is_waste_as_far_as_it_was_recorded() -> None:
    one = rental(meters=(("gpu", 1.0, 0, 10),), jobs=((0, 10, "exited", 0),))
    assert by_cause(causes([one], 0, T0 + 10 * HOUR, lambda *_span: 0.25)) == pytest.approx(
        {"gpu-idle": 2.5, "work": 7.5}
    )
    assert by_cause(causes([one], T0 + 5 * HOUR, T0 + 10 * HOUR)) == pytest.approx({"work": 5.0})


@pytest.mark.parametrize(
    ("state", "code", "failed"),
    [("exited", 0, False), ("exited", 3, False), ("cancelled", 4, False), ("exited", 1, True), ("exited", 137, True),
     ("lost", None, True), ("running", None, False), ("cancelled", None, False)],
)  # fmt: skip
def test_what_a_cancelled_or_incomplete_job_finished_is_kept(state: str, code: int | None, failed: bool) -> None:
    assert job_failed(JobRow("j", 1, None, state, code, {}, 0, 0)) is failed


def test_the_recorder_tells_how_idle_gpus_were_and_silence_counts_as_busy(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.db", CLOUD, clock=lambda: T0)
    busy = itertools.chain([0.0] * 30, [50.0] * 30)
    recorder.keep(1, [Sample(at=T0 - 300 + 5 * step, gpus=(GpuLoad(0, "G", next(busy)),)) for step in range(60)])
    assert recorder.idle_share(1, T0 - 300, T0, 5.0) == pytest.approx(0.5)
    assert recorder.idle_share(1, T0 - 600, T0, 5.0) == pytest.approx(0.25)
    assert recorder.idle_share(1, T0, T0 + 10, 5.0) is None
    recorder.close()


# ---- quality ----


def report(
    at: str, r1: float, *, gate: bool | None = None, refused: bool = False, event: str = "ingest"
) -> dict[str, Any]:
    strict = {name: {"mean": r1, "low": 0, "high": 1, "queries": 9} for name in ("R@1", "R@5", "nDCG@10", "MRR@10")}
    return {
        "at": at, "event": event, "refused": refused,
        "quality": {
            "queries": 9, "metrics": {"strict": strict}, "change": {"strict": {"R@1": {"significant": True}}},
            "gate": None if gate is None else {"passed": gate, "reason": "fell [/x]"},
        },
    }  # fmt: skip


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "reports"
    folder.mkdir(parents=True)
    for name, said in {
        "1-ingest": report("2026-11-01T10:00:00+00:00", 0.50),
        "2-rebuild": report("2026-11-02T10:00:00+00:00", 0.20, gate=False, refused=True, event="rebuild"),
        "3-ingest": report("2026-11-03T10:00:00+00:00", 0.60, gate=True),
        "4-report": {"at": "2026-11-04T10:00:00+00:00", "event": "report", "quality": None},
        "5-ingest": [1, 2],
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(said))
    (folder / "6-ingest.json").write_text("{torn")
    (folder / "latest.json").write_text("{}")
    (tmp_path / "out" / "quality").mkdir()
    said = {"at": 5.0, "run": "01k", "quality": {"ap50": 0.9, "ap75": None, "ap": 0.5, "ar100": 0.6, "pages": 12}}
    (tmp_path / "out" / "quality" / "a.json").write_text(json.dumps(said))
    return tmp_path


def test_quality_is_told_over_time_and_a_refused_rebuild_is_no_step_back(reports: Path) -> None:
    found = read_quality(reports)
    assert [(point.event, point.change, round(point.by, 2)) for point in found.index] == [
        ("ingest", "first", 0.0), ("rebuild", "worse", -0.3), ("ingest", "better", 0.1),
    ]  # fmt: skip
    assert [point.gate for point in found.index] == [None, False, True]
    assert found.index[2].significant
    assert found.unreadable == 2
    (regions,) = found.regions
    assert (regions.event, regions.asked, regions.metrics) == ("01k", 12, {"ap50": 0.9, "ap": 0.5, "ar100": 0.6})


def test_what_was_measured_of_regions_is_kept_and_read_again(tmp_path: Path) -> None:
    for at, ap50 in ((1000.0, 0.5), (2000.0, 0.7)):
        keep_regions(tmp_path, "01krun", {"ap50": ap50, "ap75": None, "pages": 3}, at)
    found = read_quality(tmp_path)
    assert [(point.at, point.change, point.metrics["ap50"]) for point in found.regions] == [
        (1000.0, "first", 0.5), (2000.0, "better", 0.7),
    ]  # fmt: skip
    assert found.unreadable == 0


def test_a_change_that_cannot_be_seen_is_none() -> None:
    points = [index_point(report(f"2026-11-0{day}T10:00:00+00:00", 0.5 + day / 1e5)) for day in (1, 2)]
    assert [point.change for point in compared([point for point in points if point is not None])] == ["first", "same"]


# ---- replay ----


def test_the_fleet_of_a_moment_is_what_was_rented_then() -> None:
    early = rental(meters=(("gpu", 1.0, 0, 2), ("disk", 0.1, 0, 4)), number=1)
    late = rental(meters=(("disk", 0.1, 3, None),), number=2)
    late = Rental(
        RentedInstance(2, CLOUD, None, None, 7, None, "l", "RTX", 1.0, 0.1, "ready", T0 + 3 * HOUR, None, None),
        late.meters,
    )
    histories = {
        1: [TransitionRow(None, 1, "ready", "", T0 + HOUR), TransitionRow(None, 1, "stopped", "", T0 + 2 * HOUR)]
    }
    samples = {1: Sample(at=T0 + 1.5 * HOUR, gpus=(GpuLoad(0, "G", 42.0),))}
    past = fleet_at([early, late], histories, samples, T0 + 1.5 * HOUR + 60)
    assert [(each.instance_id, each.state, each.usd_per_hour) for each in past.instances] == [(1, "ready", 1.1)]
    assert past.instances[0].sample is not None
    assert past.instances[0].spent_usd == pytest.approx((1.5 + 1 / 60) * 1.1)
    later = fleet_at([early, late], histories, samples, T0 + 3.5 * HOUR)
    assert [(each.instance_id, each.state, each.sample) for each in later.instances] == [
        (1, "stopped", None), (2, "allocated", None),
    ]  # fmt: skip
    assert later.burn_usd_per_hour == pytest.approx(0.2)
    assert fleet_at([early, late], histories, samples, T0 - 1).instances == ()
