"""Offers: what could be rented now, by profile or free query, and the watch that waits for a match."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from console.operations.run_needs import torch_cuda
from console.operations.session import Session
from console.settings import Profile, SettingsError
from console.words import count, duration, usd, usd_per_hour

if TYPE_CHECKING:
    from remote.cloud import Offer, OfferQuery
    from remote.market import Look
    from remote.market_cache import MarketCache
    from remote.offers import Order

SECONDS_PER_HOUR = 3600.0
LEAST_LEASE = 2.0
"""A machine must be offered for this many times as long as the work is expected to last."""


class OfferNotThere(Exception):
    """There is nothing to rent; the text says why."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked besides a profile, or instead of one; None leaves what the profile says."""

    gpu: tuple[str, ...] | None = None
    gpu_count: int | None = None
    gpu_ram_gb: float | None = None
    cpu_cores: float | None = None
    ram_gb: float | None = None
    disk_gb: float | None = None
    max_usd_per_hour: float | None = None
    min_reliability: float | None = None
    min_download_mbps: float | None = None
    min_upload_mbps: float | None = None
    min_open_ports: int | None = None
    image: str | None = None
    data_gb: float | None = None
    results_gb: float | None = None
    hours: float | None = None
    max_usd_per_day: float | None = None
    """Under the cap of the settings, which holds anyhow."""
    unverified: bool = False
    """Take hosts that vast.ai did not verify, too."""
    free: bool = False
    """Start from nothing instead of a profile."""

    def applied(self, profile: Profile) -> Profile:
        """The profile with these wishes in place of what it says.

        Raises:
            SettingsError: a wish is out of its bounds.
        """
        wished = {each.name: getattr(self, each.name) for each in fields(self) if each.name in Profile.model_fields}
        told = {name: value for name, value in wished.items() if value is not None}
        try:
            return Profile.model_validate(profile.model_dump() | told)
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class Found:
    """The market's answer."""

    offers: list[Offer]
    disk_gb: float
    note: str
    query: OfferQuery
    """What was asked: what the expected cost of an offer is counted for."""


def wanted_profile(session: Session, profile_name: str | None = None, wishes: Wishes = NO_WISHES) -> Profile:
    """The profile of that name with the wishes applied; for a free query, the wishes alone.

    Raises:
        SettingsError: there is no such profile.
    """
    base = Profile() if wishes.free else session.settings.profile(profile_name)
    return wishes.applied(base)


def profile_query(
    profile: Profile,
    max_usd_per_day: float,
    *,
    excluded_machines: frozenset[int] = frozenset(),
    verified: bool = True,
) -> OfferQuery:
    """What a profile asks of a machine, within the day's cap, without machines that failed not long ago."""
    from remote.cloud import OfferQuery
    from remote.cuda import cuda_of_image

    return OfferQuery(
        gpu_names=profile.gpu,
        gpu_count=profile.gpu_count,
        min_gpu_ram_gb=profile.gpu_ram_gb,
        min_cpu_cores=profile.cpu_cores,
        min_ram_gb=profile.ram_gb,
        disk_gb=profile.disk_gb,
        max_usd_per_hour=profile.max_usd_per_hour,
        max_usd_per_day=max_usd_per_day,
        min_reliability=profile.min_reliability,
        min_download_mbps=profile.min_download_mbps,
        min_upload_mbps=profile.min_upload_mbps,
        min_open_ports=profile.min_open_ports,
        min_duration_s=LEAST_LEASE * profile.hours * SECONDS_PER_HOUR,
        image_cuda=cuda_of_image(profile.image),
        excluded_machines=excluded_machines,
        traffic_gb=profile.image_gb + profile.data_gb,
        upload_gb=profile.results_gb,
        hours=profile.hours,
        verified=verified,
    )


def query_of(
    session: Session, profile_name: str | None = None, wishes: Wishes = NO_WISHES, *, with_torch: bool = False
) -> OfferQuery:
    """What the market is asked: profile, wishes, the day's cap, and the machines that failed not long ago.

    `with_torch`: the work needs it, whatever `[bootstrap] stack` says. The locked torch brings its own CUDA libraries,
    so the host's driver must take their release too, whatever release the image holds.

    Raises:
        SettingsError: there is no such profile.
    """
    cap = session.settings.money.max_usd_per_day
    day = cap if wishes.max_usd_per_day is None else min(cap, wishes.max_usd_per_day)
    bad = session.ledger.bad_machines(session.cloud_name)
    query = profile_query(
        wanted_profile(session, profile_name, wishes),
        day,
        excluded_machines=frozenset(bad),
        verified=not wishes.unverified,
    )
    if session.emulated or not (with_torch or session.settings.bootstrap.stack != "cpu"):
        return query
    return replace(query, image_cuda=max(query.image_cuda or 0.0, torch_cuda()))


def find_offers(
    session: Session, profile_name: str | None = None, wishes: Wishes = NO_WISHES, order: Order = "expected"
) -> Found:
    """Search the market by a profile of the settings, by wishes on top of it, or by wishes alone.

    When the day's searches are used up, the last answer to the same question is shown with its age, if there is one.

    Raises:
        SettingsError: there is no such profile.
        remote.cloud.SearchQuota: the day's searches are used up, and this was never asked.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.cloud import SearchQuota
    from remote.offers import everything, explain_empty, ordered

    query = query_of(session, profile_name, wishes)
    cache = market_cache(session)
    emulated = "EMULATED · " if session.emulated else ""
    stale = ""
    try:
        answer = cache.search(session.cloud, query, max_age_s=0.0)
        if not answer.offers:
            note = explain_empty(cache.search(session.cloud, everything(query), max_age_s=0.0).offers, query)
            return Found([], query.disk_gb, emulated + note, query)
    except SearchQuota as quota:
        kept = cache.kept(session.cloud, query)
        if kept is None or not kept.offers:
            raise
        answer = kept
        stale = f"AS OF {duration(time.time() - kept.at)} AGO: {quota} · "
    left_out = len(query.excluded_machines)
    without = f", without {count(left_out, 'machine')} that failed lately" if left_out else ""
    note = (
        f"{emulated}{stale}{count(len(answer.offers), 'offer')} for {words_of(session, profile_name, wishes)}, "
        f"priced with {query.disk_gb:.0f} GB of disk, at most ${query.max_usd_per_day:.2f} a day{without}; expected: "
        f"{query.hours:g} h of work, {query.traffic_gb:g} GB in, {query.upload_gb:g} GB out"
    )
    return Found(ordered(answer.offers, query, order), query.disk_gb, note, query)


def market_cache(session: Session) -> MarketCache:
    """What the market answered this workspace lately."""
    from remote.market_cache import MarketCache

    return MarketCache(session.workspace.state / "market")


def quote(
    session: Session, profile_name: str | None = None, offer_id: int | None = None, wishes: Wishes = NO_WISHES
) -> str:
    """What would be rented and at which price, for the question before the deal.

    Raises:
        SettingsError: there is no such profile.
        OfferNotThere: nothing can be rented; the text says why.
        remote.cloud.CloudError: the cloud does not answer.
    """
    from remote.offers import expected_cost, just

    if offer_id is None:
        found = find_offers(session, profile_name, wishes)
        offers, query, why = found.offers, found.query, found.note
    else:
        query = query_of(session, profile_name, wishes)
        offers = session.cloud.search(just(query, offer_id))
        why = f"offer {offer_id} is not on the market: somebody rented it, or it was withdrawn; search again"
    if not offers:
        raise OfferNotThere(why)
    offer = offers[0]
    cost = expected_cost(offer, query)
    cards = f"{offer.gpu_count}× " if offer.gpu_count > 1 else ""
    return (
        f"offer {offer.id}, {cards}{offer.gpu_name} in {offer.location}, at {usd_per_hour(cost.price.usd_per_hour)} "
        f"with {query.disk_gb:g} GB of disk ({usd(cost.price.usd_per_day)} a day, about {usd(cost.expected_usd)} "
        f"for {query.hours:g} h of work)"
    )


def words_of(session: Session, profile_name: str | None, wishes: Wishes) -> str:
    """What is searched by, for a sentence."""
    if wishes.free:
        return "a free query"
    changed = "" if wishes == NO_WISHES else " with changes"
    return f"profile {profile_name or session.settings.cloud.profile}{changed}"


def watch_offers(
    session: Session,
    profile_name: str | None = None,
    wishes: Wishes = NO_WISHES,
    *,
    every_s: float | None = None,
    for_s: float | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Iterator[Look]:
    """Look at the market again and again, within the account's quota of searches; each look is handed out at once.

    Machines that fail while it watches, as they are rented from a match, are left out of the next looks.

    Raises:
        SettingsError: there is no such profile.
        remote.cloud.CloudError: the cloud refuses the key or the query.
    """
    from remote.market import watch_market

    cache = market_cache(session)
    query = query_of(session, profile_name, wishes)
    for look in watch_market(session.cloud, query, every_s=every_s, for_s=for_s, cache=cache, stopped=stopped):
        bad = session.ledger.bad_machines(session.cloud_name)
        offers = tuple(offer for offer in look.offers if offer.machine_id not in bad)
        yield look if len(offers) == len(look.offers) else replace(look, offers=offers)
