"""The price watch: the market looked at again and again, within the account's quota of searches."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Cloud, CloudUnreachable, Offer, OfferQuery, RateLimited, SearchQuota
from remote.market_cache import Answer, MarketCache, searching
from remote.offers import everything, explain_empty

LEAST_INTERVAL_S = 600.0
"""Searches are counted by the day, and nobody says how many there are: ten minutes apart makes 144."""
LEAST_EMULATED_INTERVAL_S = 1.0
MOST_JITTER = 1.1
RESET_SPREAD_S = 120.0
"""Searches are given anew to everybody at the same moment; this spreads who asks first."""
LEAST_PRICE_STEP_USD = 0.0001
EXPLANATION_LASTS_S = 3600.0

Kind = Literal["match", "gone", "cheaper", "dearer"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one offer since the look before."""

    kind: Kind
    offer: Offer
    usd_per_hour: float
    """Its price with the disk that is asked for: now, or when it was last seen."""
    before_usd_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The market at one moment."""

    at: float
    """Unix seconds of the search; earlier than now when another watch asked."""
    offers: tuple[Offer, ...]
    """What satisfies the query, the least expected cost first."""
    changes: tuple[Change, ...]
    note: str
    """Why there is no match, or why nothing was asked; empty otherwise."""
    next_at: float | None
    """Unix seconds of the next look; None when this was the last one."""
    asked: bool
    """Whether this look cost a search of the account's quota."""


def least_interval_s(cloud: Cloud) -> float:
    """How far apart two looks must be at least."""
    return LEAST_EMULATED_INTERVAL_S if cloud.emulated else LEAST_INTERVAL_S


def watch_market(
    cloud: Cloud,
    query: OfferQuery,
    *,
    every_s: float | None = None,
    for_s: float | None = None,
    cache: MarketCache | None = None,
    clock: Clock = SYSTEM_CLOCK,
    stopped: Callable[[], bool] | None = None,
    chance: Callable[[float, float], float] = random.uniform,
) -> Iterator[Look]:
    """Look at the market until `for_s` is over or the caller has enough.

    Each look is handed out at once; the caller rents, or reports, before it asks for the next. Two watches of one
    workspace that share a cache ask once. When the day's searches are used up, it says so and waits for new ones.

    Args:
        cloud: whose market.
        query: what is wanted.
        every_s: time between looks; the least that the cloud allows when None or less.
        for_s: how long to watch; forever when None.
        cache: shared with other watches of the workspace.
        clock: whose seconds these are.
        stopped: asked about once a second while it waits; true ends the watch.
        chance: draws the jitter, so that consoles do not ask in step.

    Raises:
        remote.cloud.CloudError: the cloud refuses the key or the query; being out of reach only makes it wait.
    """
    least_s = least_interval_s(cloud)
    interval_s = max(every_s or least_s, least_s)
    ends_at = None if for_s is None else clock.time() + for_s
    search = searching(cache, cloud, clock)
    seen: dict[int, Offer] = {}
    explanation = ""
    while not (stopped and stopped()):
        offers: tuple[Offer, ...] | None = None
        at, asked, note = clock.time(), False, ""
        next_at = at + interval_s * chance(1.0, MOST_JITTER)
        try:
            answer = search(query, interval_s)
            offers, at, asked = answer.offers, answer.at, answer.asked
            next_at = at + interval_s * chance(1.0, MOST_JITTER)
            if offers:
                explanation = ""
            else:
                explanation = explanation or _explanation(search, query)
                note = explanation
        except SearchQuota as quota:
            wait_s = quota.retry_after_s or interval_s
            next_at = clock.time() + wait_s + chance(0.0, RESET_SPREAD_S)
            note = f"{quota}; waiting {wait_s / 3600:.1f} h"
        except RateLimited as limited:
            next_at = max(next_at, clock.time() + (limited.retry_after_s or 0.0))
            note = str(limited)
        except CloudUnreachable as error:
            note = str(error)
        changes: tuple[Change, ...] = ()
        if offers is not None:
            changes = changes_between(seen.values(), offers, query)
            seen = {offer.id: offer for offer in offers}
        over = ends_at is not None and next_at > ends_at
        yield Look(at, offers or (), changes, note, None if over else next_at, asked)
        if over or _waited_in_vain(next_at, clock, stopped):
            return


def changes_between(before: Iterable[Offer], now: Iterable[Offer], query: OfferQuery) -> tuple[Change, ...]:
    """What came, went, or costs something else, with the disk of `query` in the price."""
    old = {offer.id: offer for offer in before}
    new = {offer.id: offer for offer in now}
    changes = []
    for offer in new.values():
        price = offer.price(query.disk_gb).usd_per_hour
        if offer.id not in old:
            changes.append(Change("match", offer, price))
            continue
        earlier = old[offer.id].price(query.disk_gb).usd_per_hour
        if abs(price - earlier) >= LEAST_PRICE_STEP_USD:
            changes.append(Change("cheaper" if price < earlier else "dearer", offer, price, earlier))
    gone = [offer for offer in old.values() if offer.id not in new]
    changes.extend(Change("gone", offer, offer.price(query.disk_gb).usd_per_hour) for offer in gone)
    return tuple(changes)


def _explanation(search: Callable[[OfferQuery, float], Answer], query: OfferQuery) -> str:
    """Why nothing matches. It costs a search, so it is asked once, and shared for an hour."""
    try:
        return explain_empty(search(everything(query), EXPLANATION_LASTS_S).offers, query)
    except RateLimited as limited:
        return f"nothing matches; why is not known: {limited}"


def _waited_in_vain(until: float, clock: Clock, stopped: Callable[[], bool] | None) -> bool:
    """Let the time pass; whether the watch was ended meanwhile."""
    while (left_s := until - clock.time()) > 0:
        if stopped is None:
            clock.sleep(left_s)
            continue
        if stopped():
            return True
        clock.sleep(min(1.0, left_s))
    return False
