"""A session's time: this machine's, or that of the marketplace that it keeps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from console.operations.clock import SessionClock
from remote.localcloud.clock import VirtualTime


def test_without_a_marketplace_it_is_this_machines_time(tmp_path: Path) -> None:
    waited: list[float] = []
    for clock in (SessionClock(None, waited.append), SessionClock(tmp_path, waited.append)):
        assert clock.time() == pytest.approx(time.time(), abs=5)
        clock.sleep(3)
    assert waited == [3, 3]


def test_with_one_it_is_the_marketplaces_whose_hours_may_be_shorter(tmp_path: Path) -> None:
    now = time.time()
    VirtualTime.starting(now, 60.0).advanced(7200.0).write(tmp_path)
    waited: list[float] = []
    clock = SessionClock(tmp_path, waited.append)
    began = clock.monotonic()
    assert 7200 <= clock.time() - now < 7200 + 60 * 30
    clock.sleep(120)
    assert waited == [2.0]
    assert clock.monotonic() >= began


def test_a_wait_can_be_cut_short(tmp_path: Path) -> None:
    def stopped(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SessionClock(tmp_path, stopped).sleep(5)
