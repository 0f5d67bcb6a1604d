"""The price watch: how often it asks, what it tells, and how it lives with the quota of searches."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import cast

import pytest

from remote.cloud import (
    Cloud,
    CloudUnreachable,
    InstanceSpec,
    Offer,
    OfferQuery,
    RateLimited,
    SearchQuota,
    Unauthorized,
)
from remote.market import LEAST_INTERVAL_S, Look, changes_between, watch_market
from remote.market_cache import MarketCache
from tests.remote.cloud_fixtures import Market
from tests.remote.telling_clock import TellingClock
from tests.remote.test_cloud_offers import OFFER

OLD = '{"asked_at": 1800000000.0, "offers": [{"id": 1, "colour": "green"}]}'
QUERY = OfferQuery(gpu_names=("RTX 4090",), disk_gb=100)


class Shelf:
    """A market that answers from a list, one answer a search, the last one for ever; it counts what it is asked."""

    name = "vast"
    emulated = False

    def __init__(self, *answers: list[Offer] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[OfferQuery] = []

    def search(self, query: OfferQuery) -> list[Offer]:
        self.asked.append(query)
        if query.gpu_names != QUERY.gpu_names:
            return [replace(OFFER, gpu_name="L40S")]
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def searches(self) -> int:
        """Searches for the query itself, without those that explain an empty answer."""
        return sum(query == QUERY for query in self.asked)


def looks(shelf: Shelf, clock: TellingClock, many: int, cache: MarketCache | None = None, **how: object) -> list[Look]:
    watch = cast("Callable[..., object]", watch_market)(cast("Cloud", shelf), QUERY, clock=clock, cache=cache, **how)
    return list(islice(cast("list[Look]", watch), many))


def test_a_match_that_comes_becomes_cheaper_and_goes_is_told() -> None:
    cheaper = replace(OFFER, gpu_usd_per_hour=0.20)
    shelf = Shelf([], [OFFER], [cheaper], [cheaper], [])
    seen = looks(shelf, TellingClock(), 5)
    assert [[change.kind for change in look.changes] for look in seen] == [[], ["match"], ["cheaper"], [], ["gone"]]
    change = seen[2].changes[0]
    assert (change.usd_per_hour, change.before_usd_per_hour) == (pytest.approx(0.30), pytest.approx(0.40))
    assert [len(look.offers) for look in seen] == [0, 1, 1, 1, 0]


def test_a_price_that_moves_by_less_than_anyone_pays_is_no_change() -> None:
    assert changes_between([OFFER], [replace(OFFER, gpu_usd_per_hour=0.30001)], QUERY) == ()
    assert [each.kind for each in changes_between([OFFER], [replace(OFFER, gpu_usd_per_hour=0.31)], QUERY)] == [
        "dearer"
    ]


def test_looks_are_ten_minutes_apart_at_least_and_never_in_step() -> None:
    clock = TellingClock()
    seen = looks(Shelf([OFFER]), clock, 8, every_s=1.0)
    gaps = [after.at - before.at for before, after in pairwise(seen)]
    assert min(gaps) >= LEAST_INTERVAL_S
    assert max(gaps) <= 1.1 * LEAST_INTERVAL_S
    assert len({round(gap, 3) for gap in gaps}) > 1
    assert looks(Shelf([OFFER]), TellingClock(), 2, every_s=3600.0)[1].at - clock.now < 2 * 3600


def test_why_nothing_matches_is_asked_once() -> None:
    shelf = Shelf([])
    seen = looks(shelf, TellingClock(), 6)
    assert all("“RTX 4090”" in look.note for look in seen)
    assert (shelf.searches, len(shelf.asked)) == (6, 7)


def test_a_used_up_quota_is_said_and_waited_out_without_another_search(tmp_path: Path) -> None:
    clock = TellingClock()
    shelf = Shelf([OFFER], SearchQuota("the account's searches of this day are used up", 5 * 3600), [OFFER])
    began = clock.now
    seen = looks(shelf, clock, 3, MarketCache(tmp_path, clock))
    assert "used up" in seen[1].note
    assert "5.0 h" in seen[1].note
    assert seen[1].offers == ()
    assert seen[1].changes == (), "what is not known has not gone"
    assert shelf.searches == 3
    assert seen[2].at - began >= LEAST_INTERVAL_S + 5 * 3600
    assert seen[2].changes == ()


def test_another_watch_of_the_workspace_knows_of_the_quota_without_asking(tmp_path: Path) -> None:
    clock = TellingClock()
    spent = Shelf(SearchQuota("used up", 3600))
    looks(spent, clock, 1, MarketCache(tmp_path, clock))
    other = Shelf([OFFER])
    (look,) = looks(other, clock, 1, MarketCache(tmp_path, clock))
    assert (other.searches, look.offers) == (0, ())
    assert "used up" in look.note
    clock.now += 3601
    assert looks(other, clock, 1, MarketCache(tmp_path, clock))[0].offers == (OFFER,)


def test_two_watches_of_a_workspace_ask_once(tmp_path: Path) -> None:
    clock = TellingClock()
    first, second = Shelf([OFFER]), Shelf([])
    (asked,) = looks(first, clock, 1, MarketCache(tmp_path, clock))
    clock.now += LEAST_INTERVAL_S / 2
    (told,) = looks(second, clock, 1, MarketCache(tmp_path, clock))
    assert (asked.asked, told.asked) == (True, False)
    assert (told.offers, told.at) == (asked.offers, asked.at)
    assert second.searches == 0
    assert told.next_at is not None
    assert told.next_at < clock.now + 0.7 * LEAST_INTERVAL_S, "it is due when the answer is ten minutes old"


def test_watches_that_begin_at_the_same_moment_ask_once(tmp_path: Path) -> None:
    clock = TellingClock()
    shelf = Shelf([OFFER])
    cache = MarketCache(tmp_path, clock)
    together = [
        threading.Thread(target=lambda: cache.search(cast("Cloud", shelf), QUERY, LEAST_INTERVAL_S)) for _each in "1234"
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join(30)
    assert shelf.searches == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"asked_at": 9e99, "offers": []}', OLD])
def test_a_damaged_cache_is_asked_anew(tmp_path: Path, damage: str) -> None:
    clock = TellingClock()
    looks(Shelf([OFFER]), clock, 1, MarketCache(tmp_path, clock))
    (file,) = tmp_path.glob("vast-*.json")
    assert json.loads(file.read_text())["offers"]
    file.write_text(damage)
    shelf = Shelf([OFFER])
    assert looks(shelf, clock, 1, MarketCache(tmp_path, clock))[0].offers == (OFFER,)
    assert shelf.searches == 1


def test_what_nobody_asked_for_a_day_is_forgotten(tmp_path: Path) -> None:
    cache = MarketCache(tmp_path)
    cloud = cast("Cloud", Shelf([OFFER]))
    cache.search(cloud, QUERY, 0)
    (old,) = tmp_path.glob("vast-*.json")
    os.utime(old, (0, 0))
    cache.search(cloud, replace(QUERY, disk_gb=50), 0)
    assert not old.exists()
    assert len(list(tmp_path.glob("vast-*.json"))) == 1


def test_a_market_out_of_reach_or_in_a_hurry_is_asked_again_later() -> None:
    clock = TellingClock()
    began = clock.now
    shelf = Shelf([OFFER], CloudUnreachable("no network"), RateLimited("slow down", 7200), [OFFER])
    seen = looks(shelf, clock, 4)
    assert [look.note for look in seen] == ["", "no network", "slow down", ""]
    assert [look.changes for look in seen[1:]] == [(), (), ()]
    assert clock.now - began >= 2 * LEAST_INTERVAL_S + 7200


def test_a_refused_key_ends_the_watch() -> None:
    with pytest.raises(Unauthorized):
        looks(Shelf(Unauthorized("wrong key")), TellingClock(), 1)


def test_a_watch_ends_when_its_time_is_over_without_waiting_for_nothing() -> None:
    clock = TellingClock()
    began = clock.now
    seen = looks(Shelf([OFFER]), clock, 100, for_s=3 * 3600.0)
    assert 16 <= len(seen) <= 18
    assert seen[-1].next_at is None
    assert clock.now - began <= 3 * 3600


def test_a_watch_that_is_stopped_ends_within_a_second() -> None:
    clock = TellingClock()
    stop_at = clock.now + 100
    seen = looks(Shelf([OFFER]), clock, 100, stopped=lambda: clock.now >= stop_at)
    assert len(seen) == 1
    assert clock.now <= stop_at + 1


def test_on_the_emulated_market_a_match_is_seen_as_soon_as_it_can_be_rented_again(market: Market) -> None:
    query = OfferQuery(gpu_names=("L40S",), disk_gb=20, max_usd_per_hour=0.4)
    (offer,) = market.cloud.search(query)
    instance_id = market.cloud.create(offer.id, InstanceSpec("pytorch/pytorch:test", 20.0, "spotter-op-watch"))
    watch = watch_market(market.cloud, query, every_s=0.1)
    first = next(watch)
    assert (first.offers, first.asked) == ((), True)
    assert "≤ $0.4/h" in first.note
    market.cloud.destroy(instance_id)
    market.gone(instance_id)
    look = next(each for each in watch if each.offers)
    assert [(change.kind, change.offer.id) for change in look.changes] == [("match", offer.id)]
    assert look.at - first.at >= 1.0, "quick, but not a storm"
