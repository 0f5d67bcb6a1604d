"""Filters of a query, one at a time, and the sentence about an empty market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote.cloud import Offer, OfferQuery
from remote.cuda import cuda_of_image, runs_on
from remote.keys import KeyPairBroken, ensure_key_pair
from remote.offers import everything, expected_cost, explain_empty, just, ordered, satisfying

OFFER = Offer(
    1, 10, 100, "RTX 4090", 1, 24564, 890, 12.8, "EPYC", 16, 64000, 500, "NVMe",
    0.30, 0.72, 0.002, 0.002, 900, 800, "Poland, PL", 0.99, True, True, 100, 1e6,
)  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        OfferQuery(gpu_names=("L40S",)),
        OfferQuery(gpu_count=2),
        OfferQuery(min_gpu_ram_gb=48),
        OfferQuery(min_cpu_cores=32),
        OfferQuery(min_ram_gb=128),
        OfferQuery(disk_gb=501),
        OfferQuery(disk_gb=100, max_usd_per_hour=0.39),
        OfferQuery(disk_gb=100, max_usd_per_day=9.5),
        OfferQuery(min_reliability=0.995),
        OfferQuery(min_download_mbps=1000),
        OfferQuery(min_upload_mbps=1000),
        OfferQuery(min_open_ports=101),
        OfferQuery(min_duration_s=1e6 + 1),
        OfferQuery(image_cuda=13.0),
        OfferQuery(image_cuda=11.7),
        OfferQuery(excluded_machines=frozenset({10})),
        OfferQuery(offer_id=2),
        OfferQuery(disk_gb=100, max_usd_per_day=9.6, traffic_gb=1),
    ],
)
def test_each_filter_alone_rejects(query: OfferQuery) -> None:
    assert satisfying([OFFER], query) == []


def test_a_card_sold_as_24_gb_is_one_although_it_reports_less() -> None:
    assert satisfying([OFFER], OfferQuery(gpu_names=("RTX 4090",), min_gpu_ram_gb=24, min_ram_gb=64)) == [OFFER]
    l40s = replace(OFFER, gpu_name="L40S", gpu_ram_mb=46068)
    assert satisfying([l40s], OfferQuery(min_gpu_ram_gb=48)) == [l40s]


def test_the_price_includes_the_disk_that_is_asked_for() -> None:
    assert satisfying([OFFER], OfferQuery(disk_gb=100, max_usd_per_hour=0.4001)) == [OFFER]
    assert satisfying([OFFER], OfferQuery(disk_gb=200, max_usd_per_hour=0.4001)) == []


def test_an_offer_that_passes_every_filter_is_found() -> None:
    query = OfferQuery(
        gpu_names=("RTX 4090",), min_gpu_ram_gb=24, min_cpu_cores=16, min_ram_gb=64, disk_gb=500, max_usd_per_hour=1,
        max_usd_per_day=24, min_reliability=0.99, min_download_mbps=900, min_upload_mbps=800, min_open_ports=100,
        min_duration_s=1e6, image_cuda=12.8, excluded_machines=frozenset({11}), traffic_gb=20, upload_gb=5, offer_id=1,
    )  # fmt: skip
    assert satisfying([OFFER], query) == [OFFER]


@pytest.mark.parametrize(
    ("capability", "cuda", "runs"),
    [
        (1200, 12.8, True),
        (1200, 12.6, False),
        (1210, 12.8, False),
        (1000, 12.8, True),
        (900, 11.8, True),
        (900, 11.7, False),
        (890, 11.8, True),
        (860, 11.1, True),
        (800, 13.0, True),
        (750, 13.0, True),
        (700, 12.9, True),
        (700, 13.0, False),
        (610, 11.8, True),
        (370, 11.8, False),
        (810, 11.0, True),
        (1300, 13.1, False),
        (0, 12.8, False),
    ],
)
def test_a_card_runs_what_was_built_since_it_is_known_and_before_it_was_dropped(
    capability: int, cuda: float, runs: bool
) -> None:
    assert runs_on(cuda, capability) is runs


@pytest.mark.parametrize(
    ("image", "cuda"),
    [
        ("pytorch/pytorch:2.7.1-cuda12.8-cudnn9-devel", 12.8),
        ("vastai/base-image:cuda-12.8.1-cudnn-devel-ubuntu22.04", 12.8),
        ("vllm/vllm-openai:v0.9-cu128", 12.8),
        ("registry.example:5000/me/torch:2.4-cu121@sha256:abc", 12.1),
        ("nvidia/cuda:12.4.1-devel-ubuntu22.04", 12.4),
        ("docker.io/nvidia/cuda:13.0.0-base", 13.0),
        ("python:3.12-slim", None),
        ("registry.example:5000/me/cuda12.8", None),
        ("ubuntu", None),
        ("me/focus:cucumber128", None),
    ],
)
def test_an_images_cuda_is_read_from_its_tag_when_it_is_there(image: str, cuda: float | None) -> None:
    assert cuda_of_image(image) == cuda


def test_a_blackwell_card_is_no_match_for_an_older_image_and_the_answer_says_why() -> None:
    blackwell = replace(OFFER, gpu_name="RTX 5090", compute_capability=1200)
    assert satisfying([blackwell], OfferQuery(image_cuda=12.4)) == []
    assert satisfying([blackwell], OfferQuery(image_cuda=12.8)) == [blackwell]
    said = explain_empty([blackwell], OfferQuery(image_cuda=12.4))
    assert "of 1 on the market, 0 are “card is known to CUDA 12.4”." in said
    assert "Only “card is known to CUDA 12.4” stands in the way: without it RTX 5090" in said


def test_machines_that_failed_are_counted_in_an_empty_answer() -> None:
    said = explain_empty([OFFER], OfferQuery(excluded_machines=frozenset({10, 11})))
    assert "0 are “not failed lately”" in said
    assert "Only “not failed lately” stands in the way" in said


def test_the_expected_cost_is_pull_and_work_at_the_full_price_and_traffic_both_ways() -> None:
    query = OfferQuery(disk_gb=100, traffic_gb=90, upload_gb=50, hours=4)
    cost = expected_cost(OFFER, query)
    assert cost.pull_hours == pytest.approx((90 * 8000 / 900 + 90 * 6) / 3600)
    assert cost.price.usd_per_hour == pytest.approx(0.40)
    assert cost.download_usd == pytest.approx(0.18)
    assert cost.upload_usd == pytest.approx(0.10)
    assert cost.expected_usd == pytest.approx((cost.pull_hours + 4) * 0.40 + 0.28)
    assert cost.gpu_usd + cost.disk_usd == pytest.approx((cost.pull_hours + 4) * 0.40)
    assert cost.first_day_usd == pytest.approx(24 * 0.40 + 0.28)
    assert cost.first_30_days_usd == pytest.approx(30 * 24 * 0.40 + 0.28)


def test_a_cheap_hour_behind_a_slow_line_or_a_dear_one_comes_later() -> None:
    slow = replace(OFFER, id=2, gpu_usd_per_hour=0.28, download_mbps=20)
    metered = replace(OFFER, id=3, gpu_usd_per_hour=0.29, download_usd_per_gb=0.02)
    silent = replace(OFFER, id=4, gpu_usd_per_hour=0.28, download_mbps=0)
    query = OfferQuery(traffic_gb=20, hours=2)
    market = [metered, slow, silent, OFFER]
    assert [offer.id for offer in satisfying(market, query)] == [1, 3, 2, 4]
    assert [offer.id for offer in ordered(market, query, "price")] == [2, 4, 3, 1]


def test_one_offer_is_asked_for_whatever_else_it_is() -> None:
    query = OfferQuery(gpu_names=("L40S",), max_usd_per_hour=0.01, verified=True)
    assert satisfying([OFFER, replace(OFFER, id=2)], just(query, 1)) == [OFFER]
    assert satisfying([replace(OFFER, verified=False)], everything(query)) != []


def test_an_empty_market_names_the_filter_that_emptied_it() -> None:
    said = explain_empty(
        [OFFER, replace(OFFER, id=2, gpu_name="L40S")], OfferQuery(gpu_names=("RTX 4090",), max_usd_per_hour=0.1)
    )
    assert "1 are “RTX 4090”" in said
    assert "0 are “≤ $0.1/h”" in said
    assert "Only “≤ $0.1/h” stands in the way: without it RTX 4090 (offer 1)" in said
    assert "rentable now" not in said, "what rejects nothing is not said"


def test_every_filter_that_alone_stands_in_the_way_is_named_with_what_it_would_give() -> None:
    cheap = replace(OFFER, id=2, gpu_name="RTX 3090", gpu_usd_per_hour=0.1)
    said = explain_empty([OFFER, cheap], OfferQuery(gpu_names=("RTX 4090",), max_usd_per_hour=0.2))
    assert "Widening one is enough: without “RTX 4090” RTX 3090 (offer 2)" in said
    assert "without “≤ $0.2/h” RTX 4090 (offer 1)" in said


@pytest.mark.parametrize(
    ("asked", "alike"), [("rtx4090", "alike are RTX 4090"), ("H100", "No card here is called that.")]
)
def test_a_card_that_the_market_calls_otherwise_is_told_by_its_name(asked: str, alike: str) -> None:
    assert alike in explain_empty([OFFER], OfferQuery(gpu_names=(asked,)))


def test_two_filters_that_must_both_be_widened_are_said_so() -> None:
    said = explain_empty([OFFER], OfferQuery(gpu_names=("H100",), max_usd_per_hour=0.1))
    assert "More than one filter" in said


def test_a_key_pair_is_made_once_private_and_openssh_reads_it(tmp_path: Path) -> None:
    first = ensure_key_pair(tmp_path / "keys of ключ")
    again = ensure_key_pair(tmp_path / "keys of ключ")
    assert first == again
    assert first.private_path.stat().st_mode & 0o777 == 0o600
    assert first.private_path.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert first.public_line.startswith("ssh-ed25519 AAAA")


def test_a_private_key_that_others_may_read_is_closed_again(tmp_path: Path) -> None:
    key = ensure_key_pair(tmp_path)
    key.private_path.chmod(0o644)
    assert ensure_key_pair(tmp_path) == key
    assert key.private_path.stat().st_mode & 0o777 == 0o600


def test_a_broken_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("nonsense")
    with pytest.raises(KeyPairBroken, match="move it away"):
        ensure_key_pair(tmp_path)
