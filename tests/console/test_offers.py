"""Offers as an operator asks for them: profiles, wishes, the cap, columns, and the watch that rents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.models.offer_columns import COLUMNS, offer_json, offer_table
from console.operations.offers import OfferNotThere, Wishes, find_offers, query_of, quote, wanted_profile
from console.operations.rent_match import rent_when_matched
from console.operations.session import Session, open_session
from console.settings import SettingsError
from console.workspace import create_workspace
from remote.cloud import InstanceSpec, Offer, OfferQuery, SearchQuota
from remote.localcloud.daemon import address
from remote.localcloud.scenarios import NO_IMAGE, OCI
from remote.offers import satisfying
from remote.provision import ProvisionFailed

SPOTTER = Path(sys.executable).parent / "spotter"
OFFER = Offer(
    31101209, 20114, 7310, "RTX 4090", 4, 24564, 890, 12.8, "AMD EPYC 7763 64-Core", 64, 256000, 1800,
    "Samsung 990 PRO NVMe", 1.181, 0.10, 0.0026, 0.0026, 1894, 1612, "Netherlands, NL", 0.9991, True, True, 100, 4e6,
)  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = open_session(create_workspace(tmp_path_factory.mktemp("offers"))[0])
    yield session
    session.stop_local_cloud()


def test_a_profile_asks_for_sound_hosts_that_its_image_runs_on_and_that_last(here: Session) -> None:
    query = query_of(here)
    assert (query.gpu_names, query.min_gpu_ram_gb, query.disk_gb) == (("RTX 4090", "RTX 3090"), 24, 150)
    assert (query.min_reliability, query.min_download_mbps, query.min_open_ports) == (0.98, 200, 1)
    assert query.image_cuda == 12.8
    assert query.min_duration_s == 2 * query.hours * 3600
    assert (query.traffic_gb, query.upload_gb) == (15, 1)
    assert query.max_usd_per_day == 10


def test_wishes_stand_on_top_of_a_profile_or_instead_of_one(here: Session) -> None:
    wishes = Wishes(gpu=("RTX 5090",), disk_gb=200, image="nvidia/cuda:13.0.0-base", unverified=True)
    on_top = query_of(here, "C", wishes)
    assert (on_top.gpu_names, on_top.disk_gb, on_top.image_cuda) == (("RTX 5090",), 200, 13.0)
    assert (on_top.min_cpu_cores, on_top.min_ram_gb, on_top.verified) == (16, 64, False)
    alone = query_of(here, None, replace(wishes, free=True))
    assert (alone.gpu_names, alone.disk_gb) == (("RTX 5090",), 200)
    assert (alone.min_cpu_cores, alone.min_ram_gb, alone.min_reliability) == (None, None, None)


def test_no_wish_goes_beyond_the_days_cap(here: Session) -> None:
    assert query_of(here, None, Wishes(max_usd_per_day=99)).max_usd_per_day == 10
    assert query_of(here, None, Wishes(max_usd_per_day=4)).max_usd_per_day == 4


def test_a_wish_out_of_bounds_is_named(here: Session) -> None:
    with pytest.raises(SettingsError, match="disk_gb: Input should be greater than or equal to 8"):
        wanted_profile(here, None, Wishes(disk_gb=1))


def test_offers_come_priced_with_their_disk_and_the_least_expected_cost_first(here: Session) -> None:
    found = find_offers(here)
    costs = [offer_json(offer, found.query)["expected_usd"] for offer in found.offers]
    assert len(costs) >= 3
    assert costs == sorted(costs)
    assert found.note.startswith("EMULATED · ")
    assert "150 GB of disk, at most $10.00 a day" in found.note
    hours = [offer.price(150).usd_per_hour for offer in find_offers(here, order="price").offers]
    assert hours == sorted(hours)


def test_machines_that_failed_lately_are_left_out_and_counted(here: Session) -> None:
    first, *others = find_offers(here).offers
    here.ledger.note_bad_machine("local", first.machine_id, "its image never came")
    found = find_offers(here)
    assert [offer.id for offer in found.offers] == [offer.id for offer in others]
    assert "without 1 machine that failed lately" in found.note
    only = find_offers(here, None, Wishes(gpu=(first.gpu_name,), max_usd_per_hour=first.price(150).usd_per_hour))
    assert only.offers == []
    assert "“not failed lately”" in only.note


def test_the_question_before_a_deal_names_the_full_price(here: Session) -> None:
    offer = find_offers(here).offers[0]
    price = offer.price(150).usd_per_hour
    named = f"offer {offer.id}, {offer.gpu_name} in {offer.location}, at ${price:.3f}/h with 150 GB of disk"
    assert quote(here).startswith(named)
    assert quote(here, None, offer.id).startswith(named)
    assert f"offer {offer.id}" in spotter(here, "rent").stderr
    with pytest.raises(OfferNotThere, match="offer 1 is not on the market"):
        quote(here, None, 1)


def test_when_the_days_searches_are_used_up_the_last_answer_is_shown_with_its_age(here: Session) -> None:
    known = find_offers(here).offers
    market(here, "POST", {"match": {"op": "search"}, "do": {"status": 429, "body": {"error": "search_quota_exceeded"}}})
    try:
        found = find_offers(here)
        assert found.offers == known
        assert found.note.startswith("EMULATED · AS OF ")
        assert "searches of this day are used up" in found.note
        with pytest.raises(SearchQuota):
            find_offers(here, "B")
        done = spotter(here, "offers", "--profile", "B")
        assert (done.returncode, done.stdout) == (1, "")
        assert "used up" in done.stderr
    finally:
        market(here, "DELETE", None)
        (here.workspace.state / "market" / "local-quota.json").unlink()


def test_a_free_query_of_the_command_line_is_answered_or_explained(here: Session) -> None:
    done = spotter(
        here, "offers", "--gpu", "RTX 5090", "--vram", "24", "--disk", "200", "--max-per-hour", "0.5",
        "--max-per-day", "10", "--reliability", ".98", "--count", "1", "--down", "200", "--sort", "price", "--json",
    )  # fmt: skip
    rows = json.loads(done.stdout)
    assert done.returncode == 0
    assert {row["gpu_name"] for row in rows} == {"RTX 5090"}
    assert all(row["usd_per_hour"] <= 0.5 and row["disk_gb_priced"] == 200 for row in rows)
    assert set(rows[0]["expected"]) == {
        "pull_hours", "work_hours", "gpu_usd", "disk_usd", "download_usd", "upload_usd"
    }  # fmt: skip
    empty = spotter(here, "offers", "--free", "--gpu", "H100 SXM", "--max-per-hour", "0.1")
    assert empty.returncode == 1
    assert "EMULATED · no offer passes every filter" in empty.stdout
    assert "“≤ $0.1/h”" in empty.stdout
    told = spotter(here, "offers", "--free", "--gpu", "H100 SXM", "--max-per-hour", "0.1", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (1, [])
    assert "“≤ $0.1/h”" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--free", "--profile", "A"), "--free asks without a profile"),
        (("--rent",), "--rent goes with --watch"),
        (("--for", "1h"), "--every and --for go with --watch"),
        (("--watch", "--every", "soon"), "'soon' is not a time"),
        (("--profile", "Z"), "no profile 'Z'"),
        (("--watch", "--rent"), "Add --yes"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(here: Session, arguments: tuple[str, ...], said: str) -> None:
    done = spotter(here, "offers", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_watch_rents_the_match_the_moment_that_it_appears(here: Session) -> None:
    (offer,) = here.cloud.search(OfferQuery(gpu_names=("L40S",), disk_gb=40, max_usd_per_hour=0.4))
    taken = here.cloud.create(offer.id, InstanceSpec("pytorch/pytorch:test", 40.0, "somebody-else"))
    watch = subprocess.Popen(
        [SPOTTER, "-C", here.workspace.root, "offers", "--watch", "--rent", "--yes", "--json", "--every", "1s",
         "--for", "120s", "--free", "--gpu", "L40S", "--max-per-hour", "0.4"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert watch.stdout is not None
    first = json.loads(watch.stdout.readline())
    assert (first["matches"], first["changes"]) == ([], [])
    assert "“≤ $0.4/h”" in first["note"]
    here.cloud.destroy(taken)
    said, errors = watch.communicate(timeout=120)
    assert watch.returncode == 0, errors
    lines = [json.loads(line) for line in said.splitlines()]
    match = next(line for line in lines if line.get("matches"))
    assert [change["kind"] for change in match["changes"]] == ["match"]
    rented = lines[-1]["rented"]
    assert rented["gpu_name"] == "L40S"
    assert here.ledger.instances(alive_only=True, cloud="local")[0].instance_id == rented["id"]
    here.provisioner.destroy(rented["id"])


def test_a_watch_whose_machines_keep_failing_ends_with_what_failed_and_leaves_nothing(here: Session) -> None:
    market(here, "POST", {"match": {"op": "create"}, "do": {"stuck_created": OCI}})
    reasons: list[str] = []
    try:
        with pytest.raises(ProvisionFailed, match="OCI runtime create failed"):
            rent_when_matched(
                here, None, Wishes(free=True, max_usd_per_hour=0.4), every_s=0.1, for_s=100, on_failure=reasons.append
            )
    finally:
        market(here, "DELETE", None)
    assert 1 <= len(reasons) < 4
    assert len(here.ledger.bad_machines("local")) >= 4
    assert here.ledger.instances(alive_only=True, cloud="local") == []
    assert here.cloud.instances() == []


def test_a_watch_for_an_image_that_nobody_has_burns_one_machine_and_no_more(here: Session) -> None:
    market(here, "POST", {"match": {"op": "create"}, "do": {"pull_error": NO_IMAGE}})
    reasons: list[str] = []
    try:
        with pytest.raises(ProvisionFailed) as failed:
            rent_when_matched(here, None, Wishes(free=True), every_s=0.1, for_s=100, on_failure=reasons.append)
    finally:
        market(here, "DELETE", None)
    assert failed.value.our_fault
    assert reasons == []
    assert here.cloud.instances() == []


def test_a_watch_ends_by_ctrl_c_in_a_sentence(here: Session) -> None:
    watch = subprocess.Popen(
        [SPOTTER, "-C", here.workspace.root, "offers", "--watch", "--free", "--gpu", "L40S"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert watch.stdout is not None
    assert "L40S" in watch.stdout.readline()
    time.sleep(0.2)
    watch.send_signal(signal.SIGINT)
    said, errors = watch.communicate(timeout=30)
    assert watch.returncode == 130
    assert "Traceback" not in said + errors
    assert "stopped by Ctrl-C" in errors


@pytest.mark.parametrize("width", [40, 80, 100, 120, 160, 200])
def test_a_table_of_offers_fits_the_screen_and_keeps_what_matters_most(width: int) -> None:
    titles, rows = offer_table([OFFER, replace(OFFER, gpu_count=1)], OfferQuery(disk_gb=200, gpu_count=4), width)
    cells = [max(len(title), *(len(row[index]) for row in rows)) for index, title in enumerate(titles)]
    assert sum(cells) + 2 * (len(cells) - 1) <= width
    assert titles[:2] == ("offer", "GPU")
    if width >= 80:
        assert {"$/h", "$/day", "VRAM", "host", "↓/↑ Mb/s"} <= set(titles)
    if width >= 200:
        assert titles == tuple(column.title for column in COLUMNS)


def test_a_row_says_all_that_is_asked_of_an_offer() -> None:
    titles, (row,) = offer_table([OFFER], OfferQuery(disk_gb=600, gpu_count=4, traffic_gb=10, hours=2), 500)
    assert dict(zip(titles, row, strict=True)) == {
        "offer": "31101209",
        "GPU": "4× RTX 4090",
        "VRAM": "24 GB",
        "$/h": "$1.264/h",
        "$/day": "$30.34",
        "$/30 days": "$910.32",
        "disk $/h": "$0.0833",
        "expected": "$2.59",
        "CPU": "64× AMD EPYC 7763",
        "RAM": "256 GB",
        "disk": "1800 GB NVMe",
        "↓/↑ Mb/s": "1894/1612",
        "host": "✓ 0.999",
        "ports": "100",
        "place": "Netherlands, NL",
        "rentable": "yes",
    }


def test_a_quote_without_its_disk_would_have_been_too_low() -> None:
    dear = replace(OFFER, gpu_count=1, gpu_usd_per_hour=0.2129, storage_usd_per_gb_month=0.192)
    assert satisfying([dear], OfferQuery(disk_gb=600, max_usd_per_hour=0.3)) == []
    assert dear.price(600).usd_per_hour == pytest.approx(0.3729)


def market(here: Session, method: str, rule: dict[str, Any] | None) -> None:
    """Change the rules of the emulated market."""
    here.cloud.instances()  # it runs from the first question on
    where = address(here.workspace.local_cloud)
    assert where is not None
    headers = {"Authorization": f"Bearer {where.api_key}"}
    body = None if rule is None else json.dumps(rule).encode()
    request = urllib.request.Request(f"{where.url}/_emu/scenario", body, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        assert answer.status == 200


def environment() -> dict[str, str]:
    """This process's own, without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SPOTTER_")}


def spotter(here: Session, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as installed."""
    command: list[Any] = [SPOTTER, "-C", here.workspace.root, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment())
