"""Filters of a query, one at a time, and the sentence about an empty market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote.cloud import Offer, OfferQuery
from remote.keys import KeyPairBroken, ensure_key_pair
from remote.offers import explain_empty, satisfying

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


def test_an_empty_market_names_the_filter_that_emptied_it() -> None:
    said = explain_empty(
        [OFFER, replace(OFFER, id=2, gpu_name="L40S")], OfferQuery(gpu_names=("RTX 4090",), max_usd_per_hour=0.1)
    )
    assert "1 are “RTX 4090”" in said
    assert "0 are “≤ $0.1/h”" in said
    assert "Only “≤ $0.1/h” stands in the way" in said
    assert "offer 1" in said


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
