"""Turns at the endpoints of vast.ai: kept by threads, by processes, and after a refusal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from remote.cloud import CloudUnreachable, OfferQuery, RateLimited, SearchQuota
from remote.vast.cloud import VastCloud
from remote.vast.pacing import ENDPOINTS, Endpoint, Pacer, account_file, endpoint_of
from tests.remote.rude_server import Scripted, script
from tests.remote.telling_clock import TellingClock

__all__ = ["script"]


@pytest.mark.parametrize(
    ("method", "path", "name", "interval_s"),
    [
        ("POST", "/api/v0/bundles/", "search", 6.0),
        ("PUT", "/api/v0/search/asks/", "search", 6.0),
        ("PUT", "/api/v0/asks/7/", "create", 4.5),
        ("GET", "/api/v1/instances/", "list", 1.0),
        ("GET", "/api/v0/instances/7/", "show", 2.0),
        ("PUT", "/api/v0/instances/7/", "change", 1.0),
        ("PUT", "/api/v0/instances/reboot/7/", "reboot", 1.0),
        ("PUT", "/api/v0/instances/recycle/7/", "recycle", 1.0),
        ("DELETE", "/api/v0/instances/7/", "destroy", 3.0),
        ("POST", "/api/v0/instances/7/ssh/", "attach_key", 1.0),
        ("GET", "/api/v0/instances/7/ssh/", "attached_keys", 1.0),
        ("PUT", "/api/v0/instances/request_logs/7/", "logs", 1.0),
        ("GET", "/api/v0/users/current", "user", 1.0),
        ("GET", "/api/v0/charges/", "charges", 1.0),
    ],
)
def test_every_call_that_we_make_has_its_interval(method: str, path: str, name: str, interval_s: float) -> None:
    endpoint = endpoint_of(method, path)
    assert endpoint is not None
    assert (endpoint.name, endpoint.interval_s) == (name, interval_s)


def test_what_is_not_the_apis_has_none() -> None:
    assert endpoint_of("GET", "/bucket/log") is None


def test_calls_of_one_endpoint_wait_and_others_do_not() -> None:
    clock = TellingClock()
    pacer = Pacer(clock=clock)
    search, show = ENDPOINTS[0], endpoint_of("GET", "/api/v0/instances/7/")
    assert show is not None
    assert [pacer.wait(search), pacer.wait(show), pacer.wait(search), pacer.wait(search)] == [0, 0, 6, 6]
    clock.now += 60
    assert pacer.wait(search) == 0


def test_a_call_that_came_too_early_holds_the_next_one_back_for_the_penalty() -> None:
    clock = TellingClock()
    pacer = Pacer(clock=clock)
    create = endpoint_of("PUT", "/api/v0/asks/7/")
    assert create is not None
    pacer.wait(create)
    pacer.hold(create, 4.5)
    assert pacer.wait(create) == pytest.approx(12)


def test_a_clock_that_was_set_back_stops_nobody(tmp_path: Path) -> None:
    clock = TellingClock()
    pacer = Pacer(tmp_path / "turns.json", clock)
    pacer.wait(ENDPOINTS[0])
    clock.now -= 86400
    assert pacer.wait(ENDPOINTS[0]) == 0


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"search": null}'])
def test_a_damaged_file_of_turns_stops_nobody(tmp_path: Path, damage: str) -> None:
    (tmp_path / "turns.json").write_text(damage)
    pacer = Pacer(tmp_path / "turns.json", TellingClock())
    assert [pacer.wait(ENDPOINTS[0]), pacer.wait(ENDPOINTS[0])] == [0, 6]


def test_where_no_file_can_be_kept_a_process_still_waits_its_own_turns(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    pacer = Pacer(tmp_path / "file" / "turns.json", TellingClock())
    assert [pacer.wait(ENDPOINTS[0]), pacer.wait(ENDPOINTS[0])] == [0, 6]


def test_threads_and_processes_of_one_account_take_turns(tmp_path: Path) -> None:
    turns, calls = tmp_path / "turns.json", 4
    program = (
        "import re, sys, time; from pathlib import Path; from remote.vast.pacing import Endpoint, Pacer\n"
        "pacer = Pacer(Path(sys.argv[1]))\n"
        f"for _ in range({calls}): pacer.wait(Endpoint('x', 'GET', re.compile('x'), 0.2)); print(time.time())\n"
    )
    returned: list[float] = []
    here, endpoint = Pacer(turns), Endpoint("x", "GET", re.compile("x"), 0.2)

    def wait() -> None:
        here.wait(endpoint)
        returned.append(time.time())

    began = time.time()
    other = subprocess.Popen([sys.executable, "-c", program, str(turns)], stdout=subprocess.PIPE, text=True)
    threads = [threading.Thread(target=wait) for _each in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    said, _nothing = other.communicate(timeout=60)
    returned.extend(float(line) for line in said.split())
    assert len(returned) == 2 * calls
    assert all(at >= began + index * endpoint.interval_s for index, at in enumerate(sorted(returned)))
    assert turns.stat().st_mode & 0o777 == 0o600


def test_a_client_on_loopback_is_not_paced_unless_asked_and_the_row_tells_the_wait(
    script: Scripted, tmp_path: Path
) -> None:
    clock = TellingClock()
    script.answers = [(200, {"offers": []})] * 4
    free = VastCloud("key", script.url, clock=clock)
    paced = VastCloud("key", script.url, clock=clock, pacer=Pacer(clock=clock), audit=tmp_path / "calls.jsonl")
    for _each in range(2):
        free.search(OfferQuery())
    assert clock.slept == []
    for _each in range(2):
        paced.search(OfferQuery())
    assert clock.slept == [6]
    rows = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [row["waited_ms"] for row in rows] == [0, 6000]


def test_a_429_holds_the_endpoint_back_for_everybody(script: Scripted) -> None:
    clock = TellingClock()
    cloud = VastCloud("key", script.url, clock=clock, pacer=Pacer(clock=clock))
    script.answers = [(429, "API requests too frequent: endpoint threshold=40.0"), (200, {"instances": None})]
    with pytest.raises(RateLimited):
        cloud.instance(5)
    assert cloud.instance(5) is None
    assert sum(clock.slept) == pytest.approx(40)


def test_a_used_up_quota_makes_nobody_wait_for_the_same_refusal(script: Scripted) -> None:
    clock = TellingClock()
    cloud = VastCloud("key", script.url, clock=clock, pacer=Pacer(clock=clock))
    script.answers = [(429, {"error": "search_quota_exceeded"})] * 2
    for _each in range(2):
        with pytest.raises(SearchQuota):
            cloud.search(OfferQuery())
    assert clock.slept == [6]


def test_a_client_elsewhere_takes_the_turns_of_its_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    clock = TellingClock()
    with pytest.raises(CloudUnreachable):
        VastCloud("key", "http://127.0.0.2:9", clock=clock).charges(0, 1)
    assert json.loads(account_file("key").read_text())["charges"] == pytest.approx(clock.now + 1, abs=1)
    assert sum(clock.slept) == pytest.approx(2), "two more tries, each a turn later"


def test_the_file_of_turns_does_not_tell_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = account_file("s3cr3t-k3y")
    assert path.is_relative_to(tmp_path)
    assert "s3cr3t" not in str(path)
    assert path != account_file("other")
