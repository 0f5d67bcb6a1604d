"""The market's bills, to the cent: what is paid when, what it is called, and what happens when nobody pays."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest

from remote.cloud import NoCredit
from tests.remote.cloud_fixtures import QUERY, Market

HOUR_S = 3600.0
DAY_S = 86400.0
TOLERANCE = {"rel": 0.002}
"""An hour's bill within 8 seconds: what real work takes at the market's speed."""


def charges(market: Market, since: float, until: float, **parameters: object) -> Any:
    filters = {"day": {"gte": since, "lte": until}}
    query = urllib.parse.urlencode({"select_filters": json.dumps(filters), **parameters})
    code, answer = market.call("GET", f"/api/v0/charges/?{query}")
    assert code == 200
    return answer


def test_disk_is_paid_always_the_gpu_only_while_it_runs_and_nothing_while_the_host_is_offline(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    instance_id = market.create(load_s=2 * HOUR_S)
    clock = market.clock
    clock.sleep(3 * HOUR_S)
    market.cloud.stop(instance_id)
    clock.sleep(4 * HOUR_S)
    market.cloud.start(instance_id)
    clock.sleep(5 * HOUR_S)
    market.fault(instance_id, "offline", for_s=6 * HOUR_S)
    clock.sleep(6 * HOUR_S)
    market.cloud.destroy(instance_id)
    market.gone(instance_id)
    clock.sleep(7 * HOUR_S)
    billed = market.billed(instance_id)
    assert set(billed) == {"gpu", "disk"}
    assert billed["gpu"] == pytest.approx((1 + 5) * offer.gpu_usd_per_hour, **TOLERANCE)
    assert billed["disk"] == pytest.approx((3 + 4 + 5) * offer.price(20).disk_usd_per_hour, **TOLERANCE)


def test_credit_and_charges_tell_the_same_dollars(market: Market) -> None:
    market.scenario("create", 1, image_gb=4)
    before = market.cloud.account().credit_usd
    instance_id = market.create()
    market.clock.sleep(10 * HOUR_S)
    market.cloud.destroy(instance_id)
    market.gone(instance_id)
    paid = before - market.cloud.account().credit_usd
    assert paid > 1
    assert paid == pytest.approx(sum(market.billed(instance_id).values()), abs=1e-9)


def test_traffic_is_paid_by_the_byte_either_way_and_whichever_port_it_took(market: Market) -> None:
    offer = market.cloud.search(QUERY)[0]
    instance = market.running(market.create())
    megabytes = 3
    for endpoint in instance.endpoints:
        market.ssh(endpoint, "cat > in", bytes(megabytes * 1_000_000))
        assert len(market.ssh(endpoint, "cat in in").stdout) == 2 * megabytes * 1_000_000
    market.cloud.destroy(instance.id)
    market.gone(instance.id)
    billed = market.billed(instance.id)
    assert billed["bwd"] == pytest.approx(2 * megabytes / 1000 * offer.download_usd_per_gb, rel=0.05)
    assert billed["bwu"] == pytest.approx(4 * megabytes / 1000 * offer.upload_usd_per_gb, rel=0.05)


def test_charges_come_by_day_with_label_kinds_and_pages(market: Market) -> None:
    clock = market.clock
    clock.advance_to((clock.time() // DAY_S + 1) * DAY_S)
    first_day = clock.time() // DAY_S * DAY_S
    offers = market.cloud.search(QUERY)
    ids = [market.cloud.create(offers[n].id, market.spec(f"spotter-op-{n}")) for n in range(2)]
    clock.advance_to(first_day + 2.5 * DAY_S)

    def of_first(until: float) -> dict[str, Any]:
        rows = charges(market, first_day, until)["results"]
        found: dict[str, Any] = next(row for row in rows if row["source"] == f"instance-{ids[0]}")
        return found

    row = of_first(first_day)
    assert row["type"] == "instance"
    assert row["metadata"]["label"] == "spotter-op-0"
    amounts = {item["type"]: item["amount"] for item in row["items"]}
    assert sum(amounts.values()) == pytest.approx(row["amount"])
    assert amounts["gpu"] == pytest.approx(24 * offers[0].gpu_usd_per_hour, **TOLERANCE)
    both_days = {item["type"]: item["amount"] for item in of_first(first_day + 1.2 * DAY_S)["items"]}
    assert both_days["gpu"] == pytest.approx(48 * offers[0].gpu_usd_per_hour, **TOLERANCE)

    page = charges(market, first_day, first_day, limit=1, latest_first="true")
    assert page["results"][0]["source"] == f"instance-{ids[1]}"
    following = charges(market, first_day, first_day, limit=1, latest_first="true", after_token=page["next_token"])
    assert following["results"][0]["source"] == f"instance-{ids[0]}"
    assert market.call("GET", "/api/v0/charges/")[0] == 400


def test_without_credit_everything_is_stopped_and_two_days_later_deleted(market: Market) -> None:
    instance_id = market.create()
    market.clock.sleep(60)
    market.named("credit_out")
    rate = market.running(instance_id).usd_per_hour
    market.clock.sleep(0.05 / rate * HOUR_S - 60)
    assert market.cloud.instance(instance_id).status == "running"  # type: ignore[union-attr]
    market.clock.sleep(120)
    stopped = market.cloud.instance(instance_id)
    assert stopped is not None
    assert (stopped.status, stopped.intended_status) == ("stopped", "stopped")
    assert market.cloud.account().credit_usd == pytest.approx(0, abs=0.001)
    with pytest.raises(NoCredit):
        market.cloud.create(market.cloud.search(QUERY)[0].id, market.spec())
    assert market.call("PUT", f"/api/v0/instances/{instance_id}/", {"state": "running"})[0] == 400
    market.clock.sleep(2 * DAY_S)
    assert market.cloud.instance(instance_id) is None


def test_a_contract_ends_when_the_host_said_and_its_data_two_days_later(market: Market) -> None:
    instance_id = market.create(ends_after_s=HOUR_S)
    instance = market.cloud.instance(instance_id)
    assert instance is not None
    assert instance.ends_at == pytest.approx((instance.started_at or 0) + HOUR_S)
    market.clock.sleep(HOUR_S + 60)
    assert market.cloud.instance(instance_id).status == "stopped"  # type: ignore[union-attr]
    market.clock.sleep(2 * DAY_S)
    assert market.cloud.instance(instance_id) is None
