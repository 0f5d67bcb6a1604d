"""The marketplace's own time: an hour in a moment, everything that it brings done, each thing at its own time."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from remote.localcloud.clock import ClockUnreachable, MarketClock, VirtualTime
from remote.localcloud.timers import Appointment, Timers
from tests.remote.cloud_fixtures import QUERY, SPEED, Market, kill_daemon, until

HOUR_S = 3600.0


def test_a_client_reads_the_time_from_a_file_and_agrees_with_the_market(shared_market: Market) -> None:
    clock = shared_market.clock
    before = clock.time()
    _status, answer = shared_market.call("GET", "/_emu/clock")
    assert before <= answer["now"] <= clock.time()
    assert answer["speed"] == SPEED


def test_an_hours_pull_passes_in_a_moment_and_the_box_can_be_reached_then(market: Market) -> None:
    market.scenario("create", load_s=HOUR_S)
    instance_id = market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    market.cloud.attach_key(instance_id, market.key.public_line)
    clock, started = market.clock, time.monotonic()
    clock.sleep(HOUR_S / 2)
    waiting = market.cloud.instance(instance_id)
    assert waiting is not None
    assert (waiting.status, waiting.status_message) == ("loading", "a1f155fa: Pulling fs layer")
    clock.sleep(HOUR_S / 2 + 60)
    instance = market.cloud.instance(instance_id)
    assert instance is not None
    assert instance.status == "running"
    assert market.ssh(instance.endpoints[0], "echo here").stdout == b"here\n"
    assert time.monotonic() - started < 120


def test_one_jump_does_everything_at_its_own_time_as_the_bill_shows(market: Market) -> None:
    market.scenario("create", load_s=HOUR_S)
    offer = market.cloud.search(QUERY)[0]
    instance_id = market.cloud.create(offer.id, market.spec())
    market.clock.sleep(3 * HOUR_S)
    billed = market.billed(instance_id)
    assert billed["gpu"] == pytest.approx(2 * offer.gpu_usd_per_hour, rel=0.01)
    assert billed["disk"] == pytest.approx(3 * offer.price(20).disk_usd_per_hour, rel=0.01)


def test_time_goes_on_over_a_restart_and_is_never_set_back(own_market: Market) -> None:
    clock = own_market.clock
    clock.sleep(5 * HOUR_S)
    before = clock.time()
    kill_daemon(own_market)
    assert clock.time() > before
    assert own_market.cloud.search(QUERY), "it is started again"
    _status, answer = own_market.call("GET", "/_emu/clock")
    assert before < answer["now"] < before + 10 * 60
    assert answer["now"] - time.time() > 4.9 * HOUR_S


def test_several_threads_that_wait_for_one_moment_do_not_add_up(shared_market: Market) -> None:
    clock = shared_market.clock
    before = clock.time()
    threads = [threading.Thread(target=clock.advance_to, args=(before + HOUR_S,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert HOUR_S <= clock.time() - before < 1.1 * HOUR_S


def test_without_stepping_a_sleep_is_real_and_shorter_by_the_speed(shared_market: Market) -> None:
    clock = MarketClock(shared_market.directory)

    def takes_s() -> float:
        before, started = clock.monotonic(), time.monotonic()
        clock.sleep(0.4)
        assert clock.monotonic() - before >= 0.4
        return time.monotonic() - started

    took = [takes_s()]
    while took[-1] >= 0.39 and len(took) < 10:  # other processes share the machine
        took.append(takes_s())
    assert 0.1 <= min(took) < 0.39, took


def test_a_clock_without_a_market_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClockUnreachable, match="no marketplace was ever started"):
        MarketClock(tmp_path).time()
    VirtualTime.starting(0, 1).write(tmp_path)
    with pytest.raises(ClockUnreachable, match="does not run"):
        MarketClock(tmp_path, stepping=True).sleep(1)


def test_what_is_not_a_time_is_refused(shared_market: Market) -> None:
    assert shared_market.call("POST", "/_emu/clock", {"advance_s": "soon"})[0] == 400
    assert shared_market.call("POST", "/_emu/clock", {})[0] == 400


@pytest.fixture
def timers(tmp_path: Path) -> Timers:
    """So slow that only jumps move it: what the machine takes for the work between them is no part of the time."""
    return Timers(VirtualTime.starting(1_000_000.0, 0.001), tmp_path)


async def test_a_jump_runs_timers_in_order_and_waits_for_real_work_between_them(timers: Timers) -> None:
    seen: list[tuple[str, int]] = []

    async def life(name: str, first_s: float, then_s: float) -> None:
        for wait_s in (first_s, then_s):
            await timers.sleep(wait_s)
            seen.append((name, round(timers.now() - begin)))
            await asyncio.sleep(0.02)

    begin = timers.now()
    timers.start(life("a", 100, 300), "a")
    timers.start(life("b", 200, 100), "b")
    await timers.jump_to(begin + 350)
    assert seen == [("a", 100), ("b", 200), ("b", 300)]
    await timers.jump_to(begin + 1000)
    assert seen[3:] == [("a", 400)]


async def test_a_jump_does_not_wait_for_what_rests(timers: Timers) -> None:
    happened = asyncio.Event()

    async def life() -> None:
        with timers.resting():
            await happened.wait()
        await timers.sleep(10)

    task = timers.start(life(), "resting")
    await asyncio.wait_for(timers.jump_to(timers.now() + 100), 60)
    happened.set()
    await asyncio.sleep(0)
    await timers.jump_to(timers.now() + 100)
    assert task.done()


async def test_an_appointment_can_be_moved_and_called_off(timers: Timers) -> None:
    begin = timers.now()
    kept: list[int] = []

    async def act() -> None:
        kept.append(round(timers.now() - begin))

    appointment = Appointment(timers, "appointment", act)
    appointment.move(begin + 100)
    appointment.move(begin + 200)
    await timers.jump_to(begin + 150)
    assert kept == []
    await timers.jump_to(begin + 250)
    assert kept == [200]
    appointment.move(begin + 300)
    appointment.move(None)
    await timers.jump_to(begin + 400)
    assert kept == [200]


async def test_time_passes_by_itself_at_its_speed(tmp_path: Path) -> None:
    timers = Timers(VirtualTime.starting(0.0, 100.0), tmp_path)
    ticking = asyncio.create_task(timers.run())
    started = time.monotonic()
    await asyncio.wait_for(timers.sleep(20), 15)
    assert 0.19 <= time.monotonic() - started < 10
    ticking.cancel()


def test_a_stopped_market_keeps_its_speed_only_as_long_as_it_serves(
    own_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = VirtualTime.read(own_market.directory)
    assert known is not None
    with monkeypatch.context() as stands_still:
        here = time.monotonic()
        stands_still.setattr(time, "monotonic", lambda: here)
        faster = known.resumed(50)
        assert faster.now() == pytest.approx(known.now(), abs=1e-3)
    until(lambda: faster.now() > known.now() + 1, "the faster one is ahead")


def test_a_wall_clock_that_is_set_back_sets_no_bill_back(monkeypatch: pytest.MonkeyPatch) -> None:
    formula = VirtualTime.starting(5000.0, 1.0)
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall - 10)
    assert 5000 <= formula.now() < 5060
    assert 5000 <= formula.resumed(1.0).now() < 5060


def test_a_market_goes_on_through_a_reboot_by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    formula = VirtualTime.starting(5000.0, 2.0)
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 3600)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    assert formula.resumed(1.0).now() == pytest.approx(5000 + 2 * 3600, abs=60)
