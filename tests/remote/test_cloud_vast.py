"""The vast.ai adapter against a rude server: what it sends, how often, and what it makes of answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    InstanceSpec,
    NoCredit,
    NoSuchInstance,
    OfferGone,
    OfferQuery,
    OutcomeUnknown,
    RateLimited,
    SearchQuota,
    Unauthorized,
)
from remote.vast import audit
from remote.vast.cloud import VastCloud
from tests.remote.rude_server import Scripted, script

__all__ = ["script"]

SPEC = InstanceSpec("image", 20.0, "spotter-op-x")
KEY = "s3cr3t-k3y"


@pytest.fixture
def cloud(script: Scripted, tmp_path: Path) -> VastCloud:
    return VastCloud(KEY, script.url, audit=tmp_path / "calls.jsonl", create_timeout_s=10, read_timeout_s=10)


@pytest.fixture
def hasty(script: Scripted) -> VastCloud:
    """One that waits less than a machine under load may take to answer: only for what never answers."""
    return VastCloud(KEY, script.url, create_timeout_s=0.4, read_timeout_s=0.4)


def test_a_create_that_times_out_is_sent_once_and_its_outcome_is_unknown(script: Scripted, hasty: VastCloud) -> None:
    script.answers = ["silence"]
    with pytest.raises(OutcomeUnknown):
        hasty.create(7, SPEC)
    assert len(script.asked) == 1


@pytest.mark.parametrize("answer", ["hang up", (500, {"error": "oops"}), (502, "bad gateway"), (200, "not json")])
def test_a_create_with_a_broken_answer_is_sent_once_and_its_outcome_is_unknown(
    script: Scripted, cloud: VastCloud, answer: Any
) -> None:
    script.answers = [answer]
    with pytest.raises(OutcomeUnknown):
        cloud.create(7, SPEC)
    assert len(script.asked) == 1


def test_a_create_that_was_never_sent_changed_nothing(cloud: VastCloud) -> None:
    nobody = VastCloud(KEY, "http://127.0.0.1:9")
    with pytest.raises(CloudUnreachable):
        nobody.create(7, SPEC)


def test_a_create_always_cancels_when_unavailable_and_asks_for_both_ways_in(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"success": True, "new_contract": 12})]
    assert cloud.create(7, InstanceSpec("img", 33.0, "name", "echo hi", {"A": "1"})) == 12
    method, path, body = script.asked[0]
    assert (method, path) == ("PUT", "/api/v0/asks/7/")
    wanted = {
        "cancel_unavail": True,
        "runtype": "ssh_direc ssh_proxy",
        "disk": 33.0,
        "label": "name",
        "image": "img",
        "onstart": "echo hi",
        "env": {"A": "1"},
    }
    assert {name: body[name] for name in wanted} == wanted


def test_a_refused_create_that_names_an_instance_says_which_so_that_its_end_is_confirmed(
    script: Scripted, cloud: VastCloud
) -> None:
    script.answers = [(200, {"success": False, "new_contract": 12, "error": "no_such_ask"})]
    with pytest.raises(OutcomeUnknown, match="left instance 12") as caught:
        cloud.create(7, SPEC)
    assert caught.value.instance_id == 12


def test_reads_and_destroys_are_retried(script: Scripted, cloud: VastCloud) -> None:
    script.answers = ["hang up", (503, "busy"), (200, {"instances": None})]
    assert cloud.instance(5) is None
    script.answers = ["hang up", (200, {"success": True})]
    cloud.destroy(5)
    assert [each[0] for each in script.asked] == ["GET"] * 3 + ["DELETE"] * 2


def test_a_read_that_is_never_answered_ends_as_unreachable(script: Scripted, cloud: VastCloud) -> None:
    script.answers = ["hang up"] * 3
    with pytest.raises(CloudUnreachable, match="nothing was changed"):
        cloud.instance(5)


def test_attaching_a_key_is_sent_once(script: Scripted, hasty: VastCloud) -> None:
    script.answers = ["silence"]
    with pytest.raises(OutcomeUnknown):
        hasty.attach_key(5, "ssh-ed25519 AAAA me")
    assert len(script.asked) == 1


def test_destroying_what_is_gone_is_no_error(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(404, {"success": False, "error": "no_such_instance"})]
    cloud.destroy(5)


def test_a_refused_create_that_leaves_an_instance_which_cannot_be_destroyed_is_not_forgotten(
    script: Scripted, cloud: VastCloud
) -> None:
    script.answers = [(200, {"success": False, "new_contract": 12}), (400, {"error": "maintenance"})]
    with pytest.raises(OutcomeUnknown, match="left instance 12"):
        cloud.create(7, SPEC)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((404, {"error": "no_such_ask", "msg": "error 404/3603: no_such_ask"}), OfferGone),
        ((410, {"error": "no_such_ask", "msg": "error 410/3907: no_such_ask"}), OfferGone),
        ((400, {"success": False, "error": "no_such_ask"}), OfferGone),
        ((200, {"success": False, "error": "no_such_ask"}), OfferGone),
        ((400, {"error": "spend_rate_limit", "msg": "new accounts may spend less"}), NoCredit),
        ((403, {"error": "invalid_args", "msg": "error 403/3586: own offer"}), CloudError),
        ((429, "API requests too frequent: endpoint threshold=4.5"), RateLimited),
        ((200, {"success": True, "instance_api_key": "h0ly"}), OutcomeUnknown),
        ((200, [1, 2]), OutcomeUnknown),
    ],
)
def test_every_refusal_of_a_create_is_told_apart_and_none_is_asked_twice(
    script: Scripted, cloud: VastCloud, answer: Any, expected: type[CloudError]
) -> None:
    script.answers = [answer]
    with pytest.raises(CloudError) as refused:
        cloud.create(7, SPEC)
    assert type(refused.value) is expected
    assert "h0ly" not in str(refused.value)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("verb", "method", "path", "body"),
    [
        ("reboot", "PUT", "/api/v0/instances/reboot/5/", {}),
        ("recycle", "PUT", "/api/v0/instances/recycle/5/", {}),
        ("stop", "PUT", "/api/v0/instances/5/", {"state": "stopped"}),
        ("start", "PUT", "/api/v0/instances/5/", {"state": "running"}),
    ],
)
def test_a_change_is_sent_once_and_knows_an_instance_that_is_not_there(
    script: Scripted, cloud: VastCloud, verb: str, method: str, path: str, body: Any
) -> None:
    change = getattr(cloud, verb)
    script.answers = [(200, {"success": True})]
    change(5)
    assert script.asked == [(method, path, body)]
    missing: list[Any] = [
        (404, {"error": "no_such_instance"}),
        (400, {"error": "invalid_id"}),
        (200, {"success": False, "error": "no_such_instance"}),
    ]
    for answer in missing:
        script.answers = [answer]
        with pytest.raises(NoSuchInstance):
            change(5)
    script.answers = [(200, {"success": False, "error": "busy", "msg": "the machine is busy"})]
    with pytest.raises(CloudError, match=f"{verb} instance 5: the machine is busy"):
        change(5)
    for answer in ("hang up", (502, "bad gateway"), (200, "not json")):
        script.asked.clear()
        script.answers = [answer]
        with pytest.raises(OutcomeUnknown):
            change(5)
        assert len(script.asked) == 1


def test_a_start_that_the_account_cannot_pay_says_so(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(404, {"error": "missing_billing", "msg": "add a card"}), (400, {"error": "missing_billing"})]
    for _each in range(2):
        with pytest.raises(NoCredit):
            cloud.start(5)


def test_an_instance_is_named_anew(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"success": True})]
    cloud.label(5, "spotter-op-y")
    assert script.asked == [("PUT", "/api/v0/instances/5/", {"label": "spotter-op-y"})]


@pytest.mark.parametrize("body", [{"instances": {"id": 5}}, {"instances": [{"id": 4}, {"id": 5}]}, [{"id": 5}]])
def test_an_instance_is_read_from_every_shape_and_is_the_one_that_was_asked_for(
    script: Scripted, cloud: VastCloud, body: Any
) -> None:
    script.answers = [(200, body)]
    found = cloud.instance(5)
    assert found is not None
    assert found.id == 5


@pytest.mark.parametrize(
    "answer", [(200, {"instances": None}), (200, {"instances": [{"id": 4}]}), (404, {"error": "no_such_instance"})]
)
def test_an_instance_that_is_gone_is_none(script: Scripted, cloud: VastCloud, answer: Any) -> None:
    script.answers = [answer]
    assert cloud.instance(5) is None


def test_a_running_instance_without_ports_is_looked_up_in_the_list(script: Scripted, cloud: VastCloud) -> None:
    row = {"id": 5, "actual_status": "running", "ssh_host": "ssh4.vast.ai", "ssh_port": 10022}
    listed = {**row, "ports": {"22/tcp": [{"HostPort": "40022"}]}, "public_ipaddr": "1.2.3.4 "}
    script.answers = [(200, {"instances": row}), (200, {"instances": [listed]})]
    found = cloud.instance(5)
    assert found is not None
    assert [each.kind for each in found.endpoints] == ["direct", "proxy"]
    assert json.loads(_sent(script, 1)["select_filters"]) == {"id": {"eq": 5}}


def test_a_list_is_read_page_after_page_and_a_token_that_repeats_ends_it(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [
        (200, {"instances": [{"id": 1}], "next_token": "a"}),
        (200, {"instances": [{"id": 2}], "next_token": "b"}),
        (200, {"instances": [{"id": 3}], "next_token": "b"}),
    ]
    assert [each.id for each in cloud.instances()] == [1, 2, 3]
    assert [_sent(script, index).get("after_token") for index in range(3)] == [None, "a", "b"]


def test_charges_are_asked_by_whole_days_and_read_to_the_last_page(script: Scripted, cloud: VastCloud) -> None:
    noon = 20_000 * 86400 + 43200.0
    first = {
        "source": "instance-7",
        "type": "instance",
        "amount": 1.5,
        "metadata": {"label": "spotter-op-x"},
        "items": [{"type": "gpu", "amount": 1.0}, {"type": "disk", "amount": 0.25}, {"type": "bwd", "amount": 0.25}],
    }
    second = {"source": "instance-8", "amount": 0.5, "metadata": None, "items": [{"type": "gpu", "amount": 0.4}]}
    third = {"source": "instance-9", "amount": 0.2, "metadata": {}, "items": []}
    volume = {"source": "volume-3", "type": "volume", "amount": 9.0}
    script.answers = [
        (200, {"results": [first, volume], "next_token": "t"}),
        (200, {"results": [second, third], "next_token": None}),
    ]
    charges = cloud.charges(noon, noon + 60)
    assert [(each.instance_id, each.label) for each in charges] == [(7, "spotter-op-x"), (8, ""), (9, "")]
    assert charges[0].usd_by_kind == {"gpu": 1.0, "disk": 0.25, "bwd": 0.25}
    assert [each.usd for each in charges] == pytest.approx([1.5, 0.5, 0.2])
    assert charges[1].usd_by_kind["other"] == pytest.approx(0.1)
    sent = _sent(script, 0)
    assert json.loads(sent["select_filters"])["day"] == {"gte": 20_000 * 86400, "lte": noon + 60}
    assert int(sent["limit"]) <= 500
    assert _sent(script, 1)["after_token"] == "t"


@pytest.mark.parametrize("key", ["ssh-ed25519 AAAA me", "ssh-ed25519 AAAA me\n"])
def test_a_key_is_attached_and_read_back(script: Scripted, cloud: VastCloud, key: str) -> None:
    script.answers = [(200, {"success": True}), (200, {"success": True, "ssh_keys": json.dumps([{"public_key": key}])})]
    cloud.attach_key(5, key)
    assert cloud.attached_keys(5) == ["ssh-ed25519 AAAA me"]
    assert script.asked[0] == ("POST", "/api/v0/instances/5/ssh/", {"ssh_key": "ssh-ed25519 AAAA me"})
    script.answers = [(404, {"error": "no_such_instance"})]
    with pytest.raises(NoSuchInstance):
        cloud.attach_key(5, key)


def test_a_log_is_fetched_when_it_is_ready_without_the_key(script: Scripted, cloud: VastCloud, tmp_path: Path) -> None:
    address = f"{script.url.replace('127.0.0.1', 'localhost')}/bucket/log?signature=s1gn"
    script.answers = [(200, {"success": True, "result_url": address}), (403, "AccessDenied"), (200, "hello\n")]
    assert cloud.logs(5, tail=7) == "hello\n"
    assert script.asked[0] == ("PUT", "/api/v0/instances/request_logs/5/", {"tail": "7"})
    assert script.keys == [f"Bearer {KEY}", None, None]
    assert "s1gn" not in (tmp_path / "calls.jsonl").read_text()


def test_a_log_that_is_not_prepared_is_said_so(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"success": True, "msg": "no result_url"})]
    with pytest.raises(CloudUnreachable, match="prepared no log"):
        cloud.logs(5)


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": "auth_error", "msg": "Invalid user key"}),
        (404, {"msg": "Session expired. Please log in again."}),
        (404, "Not Found"),
        (403, {"error": "auth_error"}),
    ],
)
def test_a_wrong_key_is_told_from_everything_else(script: Scripted, cloud: VastCloud, answer: Any) -> None:
    for call in (lambda: cloud.search(OfferQuery()), cloud.account, lambda: cloud.charges(0, 1)):
        script.answers = [answer]
        with pytest.raises(Unauthorized, match="VAST_API_KEY"):
            call()


@pytest.mark.parametrize(
    ("ask", "body"),
    [
        (lambda cloud: cloud.account(), []),
        (lambda cloud: cloud.account(), {"credit": "a lot"}),
        (lambda cloud: cloud.search(OfferQuery()), {"found": []}),
        (lambda cloud: cloud.search(OfferQuery()), {"offers": [{"gpu_name": "RTX 4090"}]}),
        (lambda cloud: cloud.instances(), {"instances": [{"id": None}]}),
        (lambda cloud: cloud.instance(5), {"instances": "five"}),
        (lambda cloud: cloud.attached_keys(5), {"ssh_keys": "[not json"}),
    ],
)
def test_an_answer_in_a_shape_that_nobody_saw_is_an_error_of_ours(
    script: Scripted, cloud: VastCloud, ask: Any, body: Any
) -> None:
    script.answers = [(200, body)]
    with pytest.raises(CloudError, match=r"unknown shape|not JSON"):
        ask(cloud)


def test_the_accounts_credit_is_read(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"id": 1, "email": "me@example.org", "credit": "12.5", "balance": 0})]
    account = cloud.account()
    assert (account.email, account.credit_usd) == ("me@example.org", 12.5)


@pytest.mark.parametrize("shape", [lambda row: [row], lambda row: row])
def test_a_search_takes_one_offer_in_place_of_a_list(script: Scripted, cloud: VastCloud, shape: Any) -> None:
    row = {"id": 1, "rentable": True, "num_gpus": 1, "disk_space": 100, "verification": "verified", "dph_base": 0.4}
    script.answers = [(200, {"offers": shape(row)})]
    assert [offer.id for offer in cloud.search(OfferQuery(disk_gb=50))] == [1]


def test_a_search_asks_the_market_for_all_that_it_can_filter_itself(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"offers": []})]
    cloud.search(
        OfferQuery(
            gpu_names=("RTX 5090",), gpu_count=2, min_gpu_ram_gb=24, disk_gb=200, min_download_mbps=200,
            min_upload_mbps=50, min_open_ports=1, min_duration_s=7200, image_cuda=12.8, min_reliability=0.98,
            excluded_machines=frozenset({9, 8}), traffic_gb=20,
        )
    )  # fmt: skip
    body = script.asked[0][2]
    assert {name: body[name] for name in body if name not in ("external", "rented", "rentable", "verified")} == {
        "gpu_name": {"in": ["RTX 5090"]},
        "num_gpus": {"eq": 2},
        "gpu_ram": {"gte": 22800},
        "disk_space": {"gte": 200},
        "inet_down": {"gte": 200},
        "inet_up": {"gte": 50},
        "direct_port_count": {"gte": 1},
        "duration": {"gte": 7200},
        "cuda_max_good": {"gte": 12.8},
        "reliability": {"gte": 0.98},
        "machine_id": {"notin": [8, 9]},
        "order": [["dph_total", "asc"]],
        "type": "on-demand",
        "limit": 200,
        "allocated_storage": 200,
    }


def test_unrentable_and_too_dear_rows_are_dropped_here_whatever_the_market_answers(
    script: Scripted, cloud: VastCloud
) -> None:
    row = {"gpu_name": "RTX 4090", "num_gpus": 1, "disk_space": 100, "verified": True, "storage_cost": 0.72}
    script.answers = [
        (
            200,
            {
                "offers": [
                    {**row, "id": 1, "rentable": True, "dph_base": 0.40},
                    {**row, "id": 2, "rentable": False, "dph_base": 0.10},
                    {**row, "id": 3, "rentable": True, "rented": True, "dph_base": 0.10},
                    {**row, "id": 4, "rentable": True, "dph_base": 0.30},
                    {**row, "id": 5, "rentable": True, "dph_base": 0.48},
                ]
            },
        )
    ]
    offers = cloud.search(OfferQuery(disk_gb=50, max_usd_per_hour=0.5))
    assert [offer.id for offer in offers] == [4, 1]
    assert offers[0].price(50).usd_per_hour == pytest.approx(0.35)


def test_every_call_leaves_a_row_without_the_key(script: Scripted, cloud: VastCloud, tmp_path: Path) -> None:
    script.answers = ["hang up", (200, {"instances": None})]
    cloud.instance(5)
    path = tmp_path / "calls.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["method"], row["path"], row["status"], row["attempt"]) for row in rows] == [
        ("GET", "/api/v0/instances/5/", "ConnectionError", 1),
        ("GET", "/api/v0/instances/5/", 200, 2),
    ]
    assert KEY not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_rows_of_calls_keep_to_two_files(
    script: Scripted, cloud: VastCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FILE_BYTES", 1000)
    script.answers = [(200, {"instances": None})] * 20
    for number in range(20):
        cloud.instance(number)
    kept = {path.name: path.read_text().splitlines() for path in tmp_path.glob("calls*")}
    assert kept.keys() == {"calls.jsonl", "calls.1.jsonl"}
    paths = [json.loads(line)["path"] for line in (*kept["calls.1.jsonl"], *kept["calls.jsonl"])]
    assert paths == [f"/api/v0/instances/{number}/" for number in range(20 - len(paths), 20)]
    assert len(paths) < 20


def test_a_server_that_says_the_key_back_does_not_get_it_into_an_error_or_a_row(
    script: Scripted, cloud: VastCloud, tmp_path: Path
) -> None:
    said = []
    for answer in ((400, {"error": "bad", "msg": f"what is {KEY}?"}), (200, {"success": False, "msg": f"no {KEY}"})):
        for call in (lambda: cloud.create(7, SPEC), lambda: cloud.reboot(5)):
            script.answers = [answer]
            with pytest.raises(CloudError) as refused:
                call()
            said.append(f"{refused.value!r} {refused.value}")
    assert "[key]" in " ".join(said)
    assert KEY not in " ".join(said)
    assert KEY not in (tmp_path / "calls.jsonl").read_text()


def test_a_used_up_quota_of_searches_is_asked_once_and_says_when_it_is_given_anew(
    script: Scripted, cloud: VastCloud
) -> None:
    reset = time.time() + 3600
    script.answers = [(429, {"error": "search_quota_exceeded"}, {"X-RateLimit-Reset": str(int(reset))})]
    with pytest.raises(SearchQuota, match="UTC") as quota:
        cloud.search(OfferQuery())
    assert quota.value.retry_after_s == pytest.approx(3600, abs=30)
    assert len(script.asked) == 1


def test_a_read_that_comes_too_early_waits_as_long_as_it_is_told(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(429, "slow down", {"Retry-After": "0.3"}), (200, {"instances": None})]
    started = time.monotonic()
    assert cloud.instance(5) is None
    assert time.monotonic() - started >= 0.3


def test_a_read_that_is_told_to_wait_long_gives_the_time_back(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(429, "slow down", {"Retry-After": "60"})]
    with pytest.raises(RateLimited) as limited:
        cloud.instance(5)
    assert limited.value.retry_after_s == 60
    assert len(script.asked) == 1


def test_without_a_key_it_says_where_to_put_one() -> None:
    with pytest.raises(Unauthorized, match=r"VAST_API_KEY.*\.env"):
        VastCloud("").search(OfferQuery())


def test_the_adapter_is_light_to_import() -> None:
    program = "import sys, remote.vast.cloud; sys.exit('vastai' in sys.modules or 'requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_vastai_is_loaded_under_a_screen_that_captures_output_and_leaves_no_handler_on_stderr() -> None:
    program = (
        "import sys, logging\n"
        "class Captured:\n"
        "    def write(self, text): raise SystemExit('wrote ' + text)\n"
        "    def flush(self): pass\n"
        "sys.stdout = Captured()\n"
        "import remote.vast.api\n"
        "logging.getLogger('vastai').error('boo')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_vastai_is_loaded_without_its_serverless_half_which_takes_longer_than_the_rest() -> None:
    program = (
        "import sys, remote.vast.client\nsys.exit('aiohttp' in sys.modules or 'vastai.serverless' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _sent(script: Scripted, index: int) -> dict[str, str]:
    """The parameters of a GET."""
    return {name: values[0] for name, values in parse_qs(urlsplit(script.asked[index][1]).query).items()}
