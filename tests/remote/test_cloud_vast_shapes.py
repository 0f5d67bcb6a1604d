"""vast.ai's answers and refusals as our values: every shape that was seen, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    Endpoint,
    InstanceStatus,
    NoCredit,
    NoSuchInstance,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    SearchQuota,
    Unauthorized,
)
from remote.vast import shapes
from remote.vast.errors import error_of_response


@pytest.mark.parametrize(
    ("status", "body", "creates", "expected"),
    [
        (200, "{}", False, None),
        (401, '{"error": "auth_error", "msg": "Invalid user key"}', False, Unauthorized),
        (404, '{"error": "auth_error", "msg": "Invalid user key"}', False, Unauthorized),
        (404, '{"error": "no_such_instance"}', False, NoSuchInstance),
        (404, '{"error": "no_such_ask", "msg": "error 404/3603"}', True, OfferGone),
        (410, '{"error": "no_such_ask", "msg": "error 410/3907"}', True, OfferGone),
        (400, '{"error": "no_such_ask"}', True, OfferGone),
        (400, '{"error": "insufficient_credit", "msg": "add credit"}', True, NoCredit),
        (400, '{"error": "invalid_args", "msg": "disk"}', True, CloudError),
        (429, "API requests too frequent: endpoint threshold=4.5", True, RateLimited),
        (429, '{"error": "search_quota_exceeded"}', False, SearchQuota),
        (500, "", True, OutcomeUnknown),
        (503, "busy", False, CloudUnreachable),
    ],
)
def test_refusals_are_told_apart(status: int, body: str, creates: bool, expected: type[CloudError] | None) -> None:
    path = "/api/v0/asks/1/" if creates else "/api/v0/instances/1/"
    error = error_of_response("PUT", path, status, body, {}, creates=creates, repeatable=not creates, now=0.0)
    assert type(error) is (expected or type(None))


NOW = 1_800_000_000.0
"""2027-01-15 08:00 UTC."""


@pytest.mark.parametrize(
    ("text", "headers", "seconds"),
    [
        ("slow down", {"Retry-After": "12"}, 12),
        ("slow down", {"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ("slow down", {"Retry-After": "soon"}, None),
        ("slow down", {"X-RateLimit-Reset": str(int(NOW) + 40)}, 40),
        ("slow down", {"X-RateLimit-Reset": "40"}, 40),
        ("API requests too frequent: endpoint threshold=4.5", {}, 4.5),
        ("slow down", {}, None),
        ('{"error": "search_quota_exceeded"}', {}, 16 * 3600),
        ('{"error": "search_quota_exceeded"}', {"X-RateLimit-Reset": str(int(NOW) + 600)}, 600),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(text: str, headers: dict[str, str], seconds: float | None) -> None:
    error = error_of_response("GET", "/", 429, text, headers, creates=False, repeatable=True, now=NOW)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds
    assert isinstance(error, SearchQuota) == ("quota" in text)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, ()),
        ({"ports": None, "ssh_host": "ssh5.vast.ai ", "ssh_port": 10022}, (Endpoint("proxy", "ssh5.vast.ai", 10022),)),
        (
            {"ports": {"22/tcp": [{"HostPort": "40022"}]}, "public_ipaddr": "1.2.3.4 \n"},
            (Endpoint("direct", "1.2.3.4", 40022),),
        ),
        (
            {"ssh_host": "ssh5.vast.ai", "ssh_port": "10022", "image_runtype": "jupyter_direc ssh_direc ssh_proxy"},
            (Endpoint("proxy", "ssh5.vast.ai", 10023),),
        ),
    ],
)
def test_endpoints_are_read_from_every_shape_of_a_row(row: dict[str, Any], expected: tuple[Endpoint, ...]) -> None:
    assert shapes.endpoints_of(row) == expected


@pytest.mark.parametrize("body", [{"offers": {"id": 3}}, {"offers": [{"id": 3}]}, [{"id": 3}], {"id": 3}])
def test_offers_are_read_from_every_shape(body: Any) -> None:
    assert [offer.id for offer in shapes.offers_of(body, 5)] == [3]


@pytest.mark.parametrize("body", [{"instances": None}, {"instances": []}, []])
def test_no_instance_is_read_from_every_shape(body: Any) -> None:
    assert shapes.instances_of(body) == []


@pytest.mark.parametrize(
    "body",
    [
        {"ssh_keys": '[{"id": 1, "public_key": "ssh-ed25519 AAAA me"}]'},
        {"ssh_keys": ["ssh-ed25519 AAAA me\n"]},
        [{"id": 1, "key": "ssh-ed25519 AAAA me"}],
    ],
)
def test_keys_are_read_from_every_shape(body: Any) -> None:
    assert shapes.ssh_keys_of(body) == ["ssh-ed25519 AAAA me"]


def test_a_status_is_null_known_or_unknown() -> None:
    rows = [{"id": 1, "actual_status": status} for status in (None, "loading", "brand-new")]
    found = [shapes.instance_of(row).status for row in rows]
    assert found == [InstanceStatus.PROVISIONING, InstanceStatus.LOADING, InstanceStatus.UNKNOWN]


@pytest.mark.parametrize("body", [{"offers": {}}, {"offers": []}, {"offers": None}, []])
def test_no_offer_is_read_from_every_shape(body: Any) -> None:
    assert shapes.offers_of(body, 5) == []


def test_a_price_without_its_base_is_told_apart_from_the_disk_that_it_was_priced_with() -> None:
    offer = shapes.offer_of({"id": 1, "dph_total": 0.5, "storage_cost": 0.72}, 100)
    assert offer.gpu_usd_per_hour == pytest.approx(0.4)
    assert offer.price(100).usd_per_hour == pytest.approx(0.5)


def test_an_instance_tells_when_its_contract_ends_and_what_its_traffic_costs() -> None:
    row = {"id": 1, "end_date": 1_800_000_000.5, "inet_down_cost": 0.01, "inet_up_cost": "0.02"}
    found = shapes.instance_of(row)
    assert (found.ends_at, found.download_usd_per_gb, found.upload_usd_per_gb) == (1_800_000_000.5, 0.01, 0.02)
    assert shapes.instance_of({"id": 1, "end_date": None}).ends_at is None
