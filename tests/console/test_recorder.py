"""The recorder: what boxes measured, kept once, thinned with age, and given back with its gaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.models.fleet import FleetView, GuardView, InstanceView
from console.models.recorder import (
    EVENTS_KEPT_S,
    MINUTES_KEPT_S,
    RAW_KEPT_S,
    MoneyPoint,
    RecordedEvent,
    Recorder,
    RecorderUnusable,
)
from console.models.recorder_fleet import fleet_changes, to_sample
from console.models.recorder_samples import GpuLoad, Sample, rate, sample_of
from console.models.series import Bucket, fill, thinned
from console.operations.samples import Sampling
from remote.money import Money

NOW = 2_000_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(tmp_path: Path, clock: Clock) -> Iterator[Recorder]:
    found = Recorder(tmp_path / "recorder.db", "local", clock=clock)
    yield found
    found.close()


def sample(at: float, busy: float = 50.0, net_in_bytes: float | None = None) -> Sample:
    gpus = (GpuLoad(0, "RTX", busy, 100, 24000, 60, 200), GpuLoad(1, "RTX", busy + 20, 300, 24000, 70, 250))
    return Sample(at=at, gpus=gpus, cpu_percent=busy / 2, net_in_bytes=net_in_bytes)


def test_what_a_box_tells_becomes_a_sample_in_this_machines_time() -> None:
    told = {
        "ts": 1000.0, "cpu_percent": 12.5, "cpu_count": 8, "ram_used_mb": 512, "ram_total_mb": 2048,
        "gpus": [{"index": 0, "name": "H200", "busy_percent": 37.0, "ram_used_mb": 1.0, "ram_total_mb": 4.0,
                  "temperature_c": None, "power_w": 98.5}],
    }  # fmt: skip
    found = sample_of(told, ahead_s=-61.4)
    assert found.at == 1061.0
    assert (found.gpu_percent, found.temperature_c, found.power_w, found.vram_total_mb) == (37.0, None, 98.5, 4.0)
    assert (found.cpu_percent, found.net_in_bytes, found.disk_used_gb) == (12.5, None, None)
    assert sample_of(told, ahead_s=1.9).at == 1000.0
    assert sample_of({"ts": 5, "gpus": [{"error": "nvidia-smi: gone"}]}).gpu_problem == "nvidia-smi: gone"


@pytest.mark.parametrize(
    ("before", "after", "seconds", "per_s"),
    [(100, 600, 5, 100), (600, 100, 5, None), (None, 5, 5, None), (5, None, 5, None), (5, 6, 0, None)],
)
def test_a_counter_that_was_set_back_has_no_rate(
    before: float | None, after: float | None, seconds: float, per_s: float | None
) -> None:
    assert rate(before, after, seconds) == per_s


def test_the_newest_sample_is_told_with_its_gpus_and_rates(recorder: Recorder) -> None:
    assert recorder.latest(1) is None
    recorder.keep(1, [sample(NOW - 10, net_in_bytes=1000), sample(NOW - 5, 80, net_in_bytes=6000)])
    recorder.keep(1, [sample(NOW, 90, net_in_bytes=6500)])
    recorder.keep(2, [Sample(at=NOW - 1, cpu_percent=1.0)])
    found = recorder.latest_of([1, 2, 3])
    assert set(found) == {1, 2}
    assert (found[1].gpu_percent, found[1].temperature_c, found[1].power_w) == (100, 70, 450)
    assert found[1].net_in_bytes_per_s == 100
    assert found[2].gpus == ()
    assert recorder.latest_of([1], at=NOW - 3)[1].net_in_bytes_per_s == 1000
    assert recorder.span(1) == (NOW - 10, NOW)


def test_a_sample_that_two_consoles_bring_is_kept_once(recorder: Recorder, tmp_path: Path) -> None:
    other = Recorder(tmp_path / "recorder.db", "local", clock=Clock())
    brought = [sample(NOW - 5 * step) for step in range(20)]
    assert (recorder.keep(1, brought), other.keep(1, brought)) == (20, 0)
    other.close()


def test_several_consoles_write_at_once(recorder: Recorder, tmp_path: Path) -> None:
    others = [Recorder(tmp_path / "recorder.db", "local", clock=Clock()) for _ in range(3)]
    failures: list[BaseException] = []

    def write(one: Recorder) -> None:
        try:
            for step in range(30):
                one.keep(1, [sample(NOW - step)])
                one.note(RecordedEvent(NOW, "state", f"running {step}", 1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(one,)) for one in (recorder, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(recorder.events(instance_id=1)) == 30
    assert recorder.series(1, "cpu", NOW - 30, NOW + 1, 31).values.count(None) == 1
    for one in others:
        one.close()


def test_clouds_use_the_same_ids_for_different_machines(recorder: Recorder, tmp_path: Path) -> None:
    vast = Recorder(tmp_path / "recorder.db", "vast", clock=Clock())
    recorder.keep(1, [sample(NOW)])
    assert vast.latest(1) is None
    vast.close()


def test_a_series_is_means_in_buckets_with_its_gaps(recorder: Recorder) -> None:
    recorder.keep(1, [sample(NOW - 100 + step, 10.0 * step) for step in (0, 5, 10)])
    recorder.keep(1, [sample(NOW - 40, 10.0)])
    found = recorder.series(1, "gpu.0", NOW - 100, NOW, 20)
    assert found.values[:3] == (0.0, 50.0, 100.0)
    assert found.values[3:12] == (None,) * 9
    assert found.values[12] == 10.0
    assert (found.low, found.high, found.last, found.last_at) == (0.0, 100.0, 10.0, NOW - 40)
    assert recorder.series(1, "gpu", NOW - 100, NOW, 20).values[0] == 10.0
    assert recorder.series(1, "cpu", NOW - 100, NOW, 1).values == (20.0,)
    assert recorder.series(1, "watts", NOW, NOW + 10, 2).values == (None, None)
    load = recorder.load(1, NOW - 100, NOW, 20)
    for metric in ("gpu.0", "gpu.1", "vram.1", "watts.0", "temperature.1", "cpu"):
        assert load[metric] == recorder.series(1, metric, NOW - 100, NOW, 20)
    assert "ram" not in load
    with pytest.raises(KeyError):
        recorder.series(1, "nonsense", NOW - 100, NOW, 20)


def test_buckets_between_two_near_samples_are_no_gap() -> None:
    near = [Bucket(0, 0.0, 0, 0, False), Bucket(4, 8.0, 5, 5, False)]
    assert fill("m", 0, 10, 8, near).values == (0.0, 2.0, 4.0, 6.0, 8.0, None, None, None)
    far = [Bucket(0, 0.0, 0, 0, False), Bucket(4, 8.0, 50, 50, False)]
    assert fill("m", 0, 100, 8, far).values == (0.0, None, None, None, 8.0, None, None, None)
    minutes = [Bucket(0, 0.0, 0, 0, True), Bucket(2, 8.0, 60, 60, False)]
    assert fill("m", 0, 90, 3, minutes).values == (0.0, 4.0, 8.0)


@pytest.mark.parametrize(
    ("values", "count", "cells"),
    [
        ([1.0, 3.0, None, None], 2, [2.0, None]),
        ([1.0, None], 1, [1.0]),
        ([1.0, 2.0], 4, [1.0, 1.0, 2.0, 2.0]),
        ([], 2, [None, None]),
    ],
)
def test_values_are_thinned_to_the_cells_there_are(
    values: list[float | None], count: int, cells: list[float | None]
) -> None:
    assert thinned(values, count) == cells


def test_what_is_old_becomes_means_of_minutes_and_goes(recorder: Recorder, clock: Clock) -> None:
    began = NOW // 60 * 60
    recorder.keep(1, [sample(began + step * 5, step) for step in range(24)])
    recorder.note(RecordedEvent(began, "state", "running", 1))
    clock.now = began + RAW_KEPT_S + 90
    recorder.compact()
    assert recorder.series(1, "gpu.0", began, began + 120, 2).values == (5.5, 17.5)
    (minutes,) = recorder._read("SELECT count(*) FROM box_samples WHERE span_s = 60")[0]
    assert minutes == 1
    recorder.compact()
    assert recorder.series(1, "gpu.0", began, began + 120, 2).values == (5.5, 17.5)
    clock.now = began + RAW_KEPT_S + 3600
    recorder.compact()
    (raw,) = recorder._read("SELECT count(*) FROM gpu_samples WHERE span_s = 0")[0]
    assert raw == 0
    assert recorder.series(1, "gpu.0", began, began + 120, 24).values[:2] == pytest.approx([5.5, 6.5])
    clock.now = began + MINUTES_KEPT_S + 3600
    recorder.compact()
    assert recorder.latest(1) is None
    assert len(recorder.events()) == 1
    clock.now = began + 91 * 86400
    recorder.compact()
    assert recorder.events() == []


def test_a_change_that_two_consoles_see_is_noted_once_and_a_second_one_again(recorder: Recorder) -> None:
    event = RecordedEvent(NOW, "state", "running → stopped [/x]", 1)
    assert recorder.note(event)
    assert not recorder.note(RecordedEvent(NOW + 30, "state", event.text, 1))
    assert recorder.note(RecordedEvent(NOW + 90, "state", event.text, 1))
    assert recorder.note(RecordedEvent(NOW + 1, "failure", "the cloud does not answer"))
    assert [one.at for one in recorder.events()] == [NOW + 90, NOW + 1, NOW]
    assert [one.at for one in recorder.events(instance_id=1, until=NOW + 5)] == [NOW]


def test_money_is_kept_once_a_minute(recorder: Recorder) -> None:
    minute = NOW // 60 * 60
    for step in range(4):
        recorder.note_money(MoneyPoint(minute + 30 * step, 0.5, 1.0 + step, None))
    assert [point.today_usd for point in recorder.money()] == [2.0, 4.0]


def test_a_console_that_watches_while_nothing_is_rented_drops_what_is_old(recorder: Recorder, clock: Clock) -> None:
    for _look in range(2):
        recorder.note(RecordedEvent(clock.now, "money", f"at {clock.now}"))
        recorder.note_money(MoneyPoint(clock.now, 0.0, 0.0, None))
        clock.now += 2 * EVENTS_KEPT_S
    assert (len(recorder.events()), len(recorder.money())) == (1, 1)


def test_a_file_that_is_no_recorder_is_named(tmp_path: Path) -> None:
    (tmp_path / "recorder.db").write_bytes(b"no database" * 99)
    with pytest.raises(RecorderUnusable, match="moved away"):
        Recorder(tmp_path / "recorder.db", "local")


READY = InstanceView(
    id=1, gpu="RTX", state="ready", usd_per_hour=0.4, spent_usd=0.1, started_at=0.0, label="l", location="PL",
    endpoints=(), message="", run_id=None, guard=GuardView(0.0, "destroy", None, "stop", True, ""),
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({}, []),
        ({"state": "stopped", "message": "by [/x]"}, ["ready → stopped: by [/x]"]),
        ({"usd_per_hour": 0.5}, ["$0.400/h → $0.500/h"]),
        ({"guard": None}, ["its guard is not proven: there is none"]),
        ({"run_id": "01k"}, ["run 01k works on it"]),
        ({"id": 2}, ["rented: RTX at $0.400/h", "gone: its bill ended at $0.1000"]),
        ({"standing": "foreign"}, ["gone: its bill ended at $0.1000"]),
    ],
)
def test_every_change_of_the_fleet_is_noted(change: dict[str, Any], texts: list[str], recorder: Recorder) -> None:
    before, after = FleetView(instances=(READY,)), FleetView(instances=(replace(READY, **change),))
    assert [event.text for event in fleet_changes(before, after, NOW)] == texts
    recorder.keep_fleet(before, after, NOW)
    assert len(recorder.events()) == len(texts)
    assert fleet_changes(None, after, NOW) == []
    assert fleet_changes(before, replace(after, error="the cloud does not answer"), NOW) == []


def test_what_burned_is_kept_with_each_look_and_only_boxes_that_answer_are_sampled(recorder: Recorder) -> None:
    view = FleetView(
        instances=(READY, replace(READY, id=2, state="stopped"), replace(READY, id=3, standing="orphan")),
        money=Money("local", 1, 0.4, 1.5, 2.0, None, 20.0, None),
    )
    recorder.keep_fleet(None, view, NOW)
    (point,) = recorder.money()
    assert (point.burn_usd_per_hour, point.today_usd, point.credit_usd) == (0.4, 1.5, 20.0)
    assert to_sample(view) == (1,)


class Box:
    """A box that measured twice before anyone came, and once more at each look."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.asked: list[float] = []
        self.now = time.time() + ahead_s
        self.kept = [self._told(self.now - 100), self._told(self.now - 95)]
        self.broken = False

    def _told(self, ts: float) -> dict[str, Any]:
        return {"ts": ts, "cpu_percent": 5.0, "gpus": [{"index": 0, "busy_percent": 7.0}]}

    def sample(self) -> dict[str, Any]:
        return self._told(self.now)

    def samples(self, since: float, *, limit: int) -> list[dict[str, Any]]:
        if self.broken:
            raise ConnectionError("the box is gone [/x]")
        self.asked.append(since)
        self.kept.append(self._told(self.now + 5 * len(self.asked)))
        return [one for one in self.kept if one["ts"] > since][-limit:]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_sampling_fills_the_time_before_it_came_and_asks_only_for_what_is_new(tmp_path: Path) -> None:
    began = time.time()
    recorder, box = Recorder(tmp_path / "r.db", "local"), Box(ahead_s=7200)
    sampling = Sampling(lambda: recorder, lambda _instance: nullcontext(box))
    sampling.want("view", [1], every_s=0.01)
    wait_for(lambda: len(box.asked) >= 3)
    sampling.close()
    ends = recorder.span(1)
    assert ends is not None
    assert began - 105 <= ends[0] <= time.time() - 95, "in this machine's time"
    assert box.asked[0] < box.now - 80000
    assert box.asked[2] == box.kept[3]["ts"]
    recorder.close()


def test_a_box_beyond_those_that_are_sampled_at_once_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.operations.samples.MOST_BOXES", 1)
    recorder, box = Recorder(tmp_path / "r.db", "local"), Box()
    sampling = Sampling(lambda: recorder, lambda _instance: nullcontext(box))
    sampling.want("fleet", [1, 2], every_s=60)
    assert "no more than 1" in sampling.problem(2)
    wait_for(lambda: recorder.latest(1))
    assert sampling.problem(1) == ""
    sampling.close()
    recorder.close()


def test_a_box_that_cannot_be_asked_is_a_reason_and_not_a_crash_and_nobody_waits_for_it(tmp_path: Path) -> None:
    recorder, box = Recorder(tmp_path / "r.db", "local"), Box()
    box.broken = True
    sampling = Sampling(lambda: recorder, lambda _instance: nullcontext(box))
    sampling.want("view", [1], every_s=0.01)
    wait_for(lambda: sampling.problem(1))
    assert sampling.problem(1) == "the box is gone [/x]"
    threads = [thread for thread in threading.enumerate() if thread.name == "samples-1"]
    sampling.want("view", [])
    assert sampling.problem(1) == ""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    recorder.close()
