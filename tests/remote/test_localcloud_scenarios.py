"""What can be wrong with a marketplace and its machines: each thing switched on, and seen as a client sees it."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from remote.cloud import CloudUnreachable, Endpoint, Instance, OfferGone, OutcomeUnknown, RateLimited, SearchQuota
from remote.localcloud.connect import local_cloud
from remote.localcloud.effects import Effects
from remote.localcloud.scenario import Rule, Scenario
from remote.localcloud.scenarios import NAMED
from tests.remote.cloud_fixtures import QUERY, SPEED, Market, kill_daemon, until

OF_THE_RESEARCH = {
    "happy", "slow_pull", "frozen_msg", "refused_3min", "blackhole_direct", "key_lag", "key_never", "double_sell",
    "gone_offer", "create_timeout", "oci_fail", "no_space", "host_offline_midjob", "credit_out", "outbid", "429_storm",
    "quota", "wan80ms",
}  # fmt: skip
HOUR_S = 3600.0


def answers(endpoint: Endpoint, timeout_s: float = 1.0) -> str:
    """What a connection to an endpoint meets: a banner, silence, a refusal or nothing at all."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s) as connection:
            try:
                return "banner" if connection.recv(4) == b"SSH-" else "closed"
            except TimeoutError:
                return "silence"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "nothing"


def meets(instance: Instance, direct: str, proxy: str) -> bool:
    """Whether both ports come to behave like this; a banner may be late on a busy machine."""
    for endpoint, wanted in zip(instance.endpoints, (direct, proxy), strict=True):
        until(lambda endpoint=endpoint, wanted=wanted: answers(endpoint) == wanted, f"{endpoint} meets {wanted}")
    return True


def ready(market: Market, instance_id: int) -> Instance:
    """The instance, once everything that its start brings has happened."""
    market.clock.sleep(60)
    return market.running(instance_id)


def status(market: Market, instance_id: int) -> tuple[str, str] | None:
    instance = market.cloud.instance(instance_id)
    return None if instance is None else (instance.status.value, instance.status_message)


# rules


def test_every_named_scenario_is_valid_and_the_researched_ones_are_there() -> None:
    assert set(NAMED) >= OF_THE_RESEARCH
    for name, named in NAMED.items():
        scenario = Scenario()
        named.put_in_force(scenario, name, 7)
        for _ in range(10):
            for operation in ("create", "list", "search"):
                scenario.next(operation)
        assert named.about
        assert Scenario.load(scenario.dump()) == scenario


def test_chance_and_ranges_are_drawn_from_the_seed_and_survive_a_restart() -> None:
    def draws(seed: int) -> list[Effects | None]:
        scenario = Scenario(seed=seed)
        rule = {"match": {"op": "create", "chance": 0.5}, "do": {"key_lag_s": [0, 30], "link": {"rtt_ms": [10, 90]}}}
        scenario.add(Rule.model_validate(rule))
        found: list[Effects | None] = []
        for _ in range(40):
            scenario = Scenario.load(scenario.dump())
            do = scenario.next("create")
            found.append(None if do is None else do.effects())
        return found

    first = draws(1)
    assert first == draws(1)
    assert first != draws(2)
    hits = [each for each in first if each is not None]
    assert 10 <= len(hits) <= 30
    assert len({each.key_lag_s for each in hits}) == len(hits)
    assert all(0 <= each.key_lag_s <= 30 and 10 <= each.link.rtt_ms <= 90 for each in hits)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "no such"}, 404),
        ({"match": {"op": "create"}, "do": {"key_lag_s": -1}}, 400),
        ({"match": {"op": "create"}, "do": {"unknown": 1}}, 400),
        ({"match": {"op": "create", "chance": 2}, "do": {}}, 400),
        ({"match": {"op": "create"}, "do": {"events": [{"kind": "explode"}]}}, 400),
        ({"world": {"searches_per_day": -1}}, 400),
    ],
)
def test_a_scenario_that_means_nothing_is_refused(shared_market: Market, body: object, code: int) -> None:
    assert shared_market.call("POST", "/_emu/scenario", body)[0] == code


def test_a_scenario_is_still_in_force_after_a_restart(own_market: Market) -> None:
    own_market.named("quota", seed=3)
    kill_daemon(own_market)
    in_force = own_market.call("GET", "/_emu/scenario")[1]["in_force"]
    assert (in_force["name"], in_force["seed"], in_force["world"]["searches_per_day"]) == ("quota", 3, 0)


# the market


def test_an_offer_that_is_gone_is_never_offered_again(market: Market) -> None:
    market.named("gone_offer")
    offer = market.cloud.search(QUERY)[0]
    with pytest.raises(OfferGone):
        market.cloud.create(offer.id, market.spec())
    assert offer.id not in {each.id for each in market.cloud.search(QUERY)}
    assert market.cloud.instances() == []


def test_an_offer_can_be_sold_twice_and_the_second_container_never_starts(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    first = market.cloud.create(offer.id, market.spec("spotter-op-first"))
    market.call("POST", "/_emu/scenario", {"world": {"accept_rented": True}})
    second = market.cloud.create(offer.id, market.spec("spotter-op-second"))
    market.clock.sleep(HOUR_S)
    assert (status(market, first) or ("",))[0] == "running"
    assert status(market, second) == ("created", "")


@pytest.mark.parametrize("do", [{"lose_answer": True}, {"delay_s": 8.0}])
def test_a_create_can_be_done_and_its_answer_be_lost_or_late(market: Market, do: dict[str, object]) -> None:
    market.scenario("create", 1, **do)
    cloud = local_cloud(market.directory, create_timeout_s=0.5)
    with pytest.raises(OutcomeUnknown):
        cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    assert len(market.cloud.instances("spotter-op-test")) == 1


def test_a_refusal_can_leave_a_stopped_instance_that_bills_its_disk(market: Market) -> None:
    market.named("kept_refusal")
    offer = market.cloud.search(QUERY)[0]
    code, answer = market.call("PUT", f"/api/v0/asks/{offer.id}/", {"image": "i", "disk": 20})
    assert (code, answer["success"]) == (200, False)
    market.clock.sleep(HOUR_S)
    assert status(market, answer["new_contract"]) == ("stopped", "")
    assert set(market.billed(answer["new_contract"])) == {"disk"}


def test_an_unavailable_offer_becomes_a_stopped_instance_when_cancel_unavail_is_off(market: Market) -> None:
    body = {"image": "i", "disk": 20, "cancel_unavail": False}
    _code, answer = market.call("PUT", "/api/v0/asks/31101604/", body)
    assert answer["success"] is True
    assert status(market, answer["new_contract"]) == ("stopped", "")
    assert market.call("PUT", "/api/v0/asks/31101604/", {**body, "cancel_unavail": True})[0] == 410


def test_a_days_searches_are_used_up_until_midnight(market: Market) -> None:
    market.call("POST", "/_emu/scenario", {"world": {"searches_per_day": 2}})
    market.clock.advance_to((market.clock.time() // 86400 + 1) * 86400)
    market.cloud.search(QUERY)
    market.cloud.search(QUERY)
    with pytest.raises(SearchQuota) as caught:
        market.cloud.search(QUERY)
    assert caught.value.retry_after_s == pytest.approx(86400, abs=600)
    market.clock.sleep(86400)
    assert market.cloud.search(QUERY)


def test_calls_that_come_too_soon_are_refused_in_plain_text(market: Market) -> None:
    market.named("intervals")
    market.clock.sleep(60)
    request = urllib.request.Request(
        f"{market.address.url}/api/v0/charges/?select_filters=%7B%7D",
        headers={"Authorization": f"Bearer {market.address.api_key}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def several() -> None:
        for _ in range(5):
            opener.open(request).close()

    opener.open(request).close()
    with pytest.raises(urllib.error.HTTPError) as caught:
        several()
    assert caught.value.code == 429
    assert caught.value.read().decode() == "API requests too frequent: endpoint threshold=1.0"
    market.clock.sleep(2)
    opener.open(request).close()


def test_a_refusal_can_name_when_to_come_again(market: Market) -> None:
    market.scenario("create", status=429, body="slow down", headers={"Retry-After": "17"})
    with pytest.raises(RateLimited) as caught:
        market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    assert caught.value.retry_after_s == 17


# the way to running


def test_a_new_instance_is_invisible_at_first(market: Market) -> None:
    instance_id = market.create(visible_after_s=600)
    assert market.cloud.instance(instance_id) is None
    assert market.call("GET", f"/api/v0/instances/{instance_id}/")[1] == {"instances": None}
    market.clock.sleep(600)
    assert market.cloud.instance(instance_id) is not None


def test_a_pull_takes_what_its_size_and_the_hosts_speed_say_and_is_billed_as_traffic(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    instance_id = market.create(image_gb=8, download_mbps=32)
    market.clock.sleep(1990)
    assert status(market, instance_id) == ("loading", "7d1e3b40: Download complete")
    market.clock.sleep(60)
    assert (status(market, instance_id) or ("",))[0] == "running"
    assert market.billed(instance_id)["bwd"] == pytest.approx(8 * offer.download_usd_per_gb, rel=0.001)


@pytest.mark.parametrize("name", ["oci_fail", "no_space", "double_sell"])
def test_a_container_that_cannot_start_stays_where_it_is(market: Market, name: str) -> None:
    market.named(name)
    instance_id = market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    market.clock.sleep(2 * HOUR_S)
    said = {
        "oci_fail": ("created", "OCI runtime create failed"),
        "no_space": ("loading", "failed to register layer"),
        "double_sell": ("created", ""),
    }[name]
    found = status(market, instance_id)
    assert found is not None
    assert (found[0], found[1].split(":")[0]) == said
    assert set(market.billed(instance_id)) == {"disk"}


def test_ports_are_published_a_while_after_the_container_runs(market: Market) -> None:
    instance_id = market.create(ports_after_s=600)
    market.clock.sleep(60)
    instance = market.cloud.instance(instance_id)
    assert instance is not None
    assert [each.kind for each in instance.endpoints] == ["proxy"]
    market.clock.sleep(600)
    assert len(market.running(instance_id).endpoints) == 2


def test_direct_and_proxy_fail_apart_from_each_other(market: Market) -> None:
    lost = ready(market, market.create(direct="blackhole"))
    assert meets(lost, "nothing", "banner")
    market.fault(lost.id, "doors", direct="silent", proxy="refused", for_s=600)
    assert meets(lost, "silence", "refused")
    market.clock.sleep(600)
    assert meets(lost, "nothing", "banner")
    market.fault(lost.id, "doors", direct="open", proxy="blackhole")
    assert meets(lost, "banner", "nothing")
    market.fault(lost.id, "doors", direct="refused", proxy="open")
    assert meets(lost, "refused", "banner")
    assert market.ssh(lost.endpoints[1], "echo over").stdout == b"over\n"


def test_keys_can_be_listed_and_never_work_and_account_keys_be_forgotten(market: Market) -> None:
    market.call("POST", "/api/v0/ssh/", {"ssh_key": market.key.public_line})
    never = ready(market, market.create(key_never=True))
    assert market.cloud.attached_keys(never.id) == [market.key.public_line]
    assert b"Permission denied" in market.ssh(never.endpoints[0], "true").stderr
    market.scenario("create", account_keys_ignored=True)
    forgotten = ready(market, market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec()))
    assert market.cloud.attached_keys(forgotten.id) == []
    assert b"Permission denied" in market.ssh(forgotten.endpoints[1], "true").stderr


def test_a_jupyter_images_row_names_the_port_below_its_proxy_and_addresses_end_in_blanks(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    body = {"image": "i", "disk": 20, "runtype": "jupyter_direc ssh_direc ssh_proxy"}
    _code, answer = market.call("PUT", f"/api/v0/asks/{offer.id}/", body)
    market.cloud.attach_key(answer["new_contract"], market.key.public_line)
    instance = ready(market, answer["new_contract"])
    (row,) = market.call("GET", "/api/v0/instances/")[1]["instances"]
    assert instance.endpoints[1].port == row["ssh_port"] + 1
    assert meets(instance, "banner", "banner")
    assert row["public_ipaddr"].endswith(" \n")


def test_a_machine_can_be_something_else_than_what_was_rented(market: Market) -> None:
    instance = ready(market, market.create(gpu_name="GTX 1080 Ti", disk_gb=6, clock_skew_s=300))
    probe = "nvidia-smi -L; df -Pk . | tail -1; date +%s"
    card, disk, date = market.ssh(instance.endpoints[0], probe).stdout.decode().splitlines()
    assert "GTX 1080 Ti" in card
    assert disk.split()[1] == "6000000"
    assert int(date) - time.time() == pytest.approx(300, abs=20)


# what befalls a machine that runs


def test_a_machine_loses_connections_its_voice_its_disk_and_its_net(market: Market) -> None:
    """One box, one misfortune after the other; each is over before the next."""
    instance = ready(market, market.create())
    direct, proxy = instance.endpoints
    home = market.directory / "instances" / str(instance.id) / "root"

    with market.holding(direct) as held:
        market.fault(instance.id, "drop_connections")
        assert held.wait(timeout=60) == 255
    assert meets(instance, "banner", "banner")

    market.fault(instance.id, "freeze", for_s=HOUR_S)
    assert meets(instance, "silence", "silence")
    market.clock.sleep(HOUR_S)
    assert meets(instance, "banner", "banner")

    market.fault(instance.id, "disk_full", for_s=HOUR_S)
    full = market.ssh(direct, "echo more > file; cat /dev/zero | head -c 99 > other; df -Pk . | tail -1")
    assert full.stderr.count(b"File too large") == 2
    assert full.stdout.split()[3] == b"0"
    assert (home / "file").stat().st_size == 0
    market.clock.sleep(HOUR_S)
    assert market.ssh(direct, "echo more > file && cat file").stdout == b"more\n"

    market.fault(instance.id, "link", link={"rtt_ms": 300}, for_s=HOUR_S)
    started = time.monotonic()
    assert market.ssh(proxy, "true").returncode == 0
    assert time.monotonic() - started > 1.5
    market.clock.sleep(HOUR_S)

    market.fault(instance.id, "unknown", for_s=HOUR_S)
    assert (status(market, instance.id) or ("",))[0] == "unknown"
    market.clock.sleep(HOUR_S)
    assert (status(market, instance.id) or ("",))[0] == "running"


def test_a_host_that_is_offline_cannot_be_reached_costs_nothing_and_its_jobs_go_on(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    instance = ready(market, market.create())
    home = market.directory / "instances" / str(instance.id) / "root"
    market.ssh(
        instance.endpoints[0], "setsid sh -c 'while :; do date +%N > beat; sleep 0.05; done' </dev/null >&0 2>&0 &"
    )
    until(lambda: (home / "beat").exists(), "the job works")
    key = json.loads((home.parent / "box.json").read_text())["environment"]["CONTAINER_API_KEY"]

    market.fault(instance.id, "offline", for_s=10 * HOUR_S)
    assert (status(market, instance.id) or ("",))[0] == "offline"
    assert meets(instance, "nothing", "nothing")
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        market.call("GET", f"/api/v0/instances/{instance.id}/", key=key)
    before = (home / "beat").read_bytes()
    until(lambda: (home / "beat").read_bytes() != before, "the job goes on")
    market.clock.sleep(10 * HOUR_S)
    assert (status(market, instance.id) or ("",))[0] == "running"
    assert market.ssh(instance.endpoints[0], "true").returncode == 0
    assert market.call("GET", f"/api/v0/instances/{instance.id}/", key=key)[0] == 200
    assert market.billed(instance.id)["gpu"] < 0.2 * offer.gpu_usd_per_hour


def test_a_host_that_starts_again_has_new_ports_the_same_disk_and_runs_its_start_script(market: Market) -> None:
    market.scenario("create", 1, events=[{"kind": "reboot", "after_s": 600}])
    offer = market.cloud.search(QUERY)[0]
    instance_id = market.cloud.create(offer.id, market.spec(onstart="echo began >> starts"))
    market.cloud.attach_key(instance_id, market.key.public_line)
    before = ready(market, instance_id)
    assert market.ssh(before.endpoints[0], "echo kept > file; cat starts").stdout == b"began\n"
    market.clock.sleep(600)
    market.clock.sleep(120)
    after = market.running(instance_id)
    assert {each.port for each in after.endpoints}.isdisjoint(each.port for each in before.endpoints)
    until(lambda: market.ssh(after.endpoints[0], "cat file starts").stdout == b"kept\nbegan\nbegan\n", "it began twice")


@pytest.mark.parametrize(("name", "found"), [("outbid", ("stopped", "stopped")), ("exited", ("exited", "running"))])
def test_a_machine_can_be_taken_away(market: Market, name: str, found: tuple[str, str]) -> None:
    market.named(name)
    instance_id = market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    market.clock.sleep(300)
    (row,) = market.call("GET", "/api/v0/instances/")[1]["instances"]
    state = found[1]
    assert (row["id"], row["actual_status"]) == (instance_id, found[0])
    assert (row["cur_state"], row["next_state"], row["intended_status"]) == (state, state, state)
    assert row["ports"] == {}


# the rest of the surface


def test_a_log_is_forbidden_until_it_is_ready_and_after_it_expired(market: Market) -> None:
    instance_id = market.rent()
    _code, answer = market.call("PUT", f"/api/v0/instances/request_logs/{instance_id}/", {"tail": "10"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read() -> int:
        try:
            with opener.open(answer["result_url"]) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert read() == 403
    market.clock.sleep(1)
    assert read() == 200
    market.clock.sleep(HOUR_S)
    assert read() == 403


def test_an_instances_own_key_may_only_touch_itself(market: Market) -> None:
    mine, other = ready(market, market.create()), ready(market, market.create())
    seen = market.ssh(mine.endpoints[0], "echo $CONTAINER_API_KEY").stdout.decode().strip()
    assert seen != market.address.api_key
    where = "/api/v0/instances"
    assert market.call("PUT", f"{where}/{mine.id}/", {"state": "running"}, key=seen)[0] == 200
    for method, path in (
        ("PUT", f"{where}/{other.id}/"),
        ("DELETE", f"{where}/{other.id}/"),
        ("GET", "/api/v0/users/current/"),
        ("GET", "/api/v0/instances/"),
        ("POST", f"{where}/{mine.id}/ssh/"),
        ("POST", "/_emu/stop"),
    ):
        assert market.call(method, path, {}, key=seen)[0] == 403, path
    assert market.call("DELETE", f"{where}/{mine.id}/", {}, key=seen)[0] == 200
    market.gone(mine.id)
    assert market.call("PUT", f"{where}/{mine.id}/", {"state": "running"}, key=seen)[0] == 401


def test_a_storm_of_refusals_still_lets_a_patient_client_through(market: Market) -> None:
    market.named("429_storm", seed=5)
    cloud = local_cloud(market.directory, speed=SPEED, clock=market.clock)

    def patiently() -> bool:
        try:
            return bool(cloud.search(QUERY))
        except (RateLimited, CloudUnreachable):
            return False

    assert sum(patiently() for _ in range(10)) >= 5
