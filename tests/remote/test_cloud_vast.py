"""The vast.ai adapter without a cloud: what it sends, how often, and what it makes of answers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    Endpoint,
    InstanceSpec,
    InstanceStatus,
    NoCredit,
    NoSuchInstance,
    OfferGone,
    OfferQuery,
    OutcomeUnknown,
    RateLimited,
    SearchQuota,
    Unauthorized,
)
from remote.vast import shapes
from remote.vast.cloud import VastCloud
from remote.vast.errors import error_of_response

SPEC = InstanceSpec("image", 20.0, "spotter-op-x")
KEY = "s3cr3t-k3y"


class Scripted:
    """A server that answers with what it was told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any] | str] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.release = threading.Event()
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                script.asked.append((self.command, self.path, json.loads(body) if body else None))
                answer = script.answers.pop(0) if script.answers else (200, {})
                if answer == "silence":
                    script.release.wait(10)
                    return
                if answer == "hang up":
                    self.close_connection = True
                    return
                assert not isinstance(answer, str)
                payload = answer[1].encode() if isinstance(answer[1], str) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def script() -> Iterator[Scripted]:
    made = Scripted()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def cloud(script: Scripted, tmp_path: Path) -> VastCloud:
    return VastCloud(KEY, script.url, audit=tmp_path / "calls.jsonl", create_timeout_s=0.4, read_timeout_s=0.4)


def test_a_create_that_times_out_is_sent_once_and_its_outcome_is_unknown(script: Scripted, cloud: VastCloud) -> None:
    script.answers = ["silence"]
    with pytest.raises(OutcomeUnknown):
        cloud.create(7, SPEC)
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


def test_a_refused_create_that_names_an_instance_destroys_it(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"success": False, "new_contract": 12, "error": "no_such_ask"}), (200, {"success": True})]
    with pytest.raises(OfferGone):
        cloud.create(7, SPEC)
    assert script.asked[1][:2] == ("DELETE", "/api/v0/instances/12/")


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


def test_attaching_a_key_is_sent_once(script: Scripted, cloud: VastCloud) -> None:
    script.answers = ["silence"]
    with pytest.raises(OutcomeUnknown):
        cloud.attach_key(5, "ssh-ed25519 AAAA me")
    assert len(script.asked) == 1


def test_destroying_what_is_gone_is_no_error(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(404, {"success": False, "error": "no_such_instance"})]
    cloud.destroy(5)


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
    error = error_of_response("PUT", "/api/v0/instances/1/", status, body, {}, creates, now=0.0)
    assert type(error) is (expected or type(None))


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error = error_of_response("GET", "/", 429, "slow down", {"Retry-After": "12"}, False, now=0.0)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 12


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


@pytest.mark.parametrize("body", [{"offers": {"id": 3}}, {"offers": [{"id": 3}]}, [{"id": 3}]])
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
