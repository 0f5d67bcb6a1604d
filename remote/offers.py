"""What a query asks of an offer, one filter at a time: to re-check a market's answer, and to say why it is empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remote.cloud import Offer, OfferQuery

NOMINAL_GB_IN_MB = 950
"""A card or machine sold as N GB reports a few per cent less (an L40S "48 GB" says 46068 MiB): this much is asked."""
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition of a query, in words and as a test."""

    words: str
    passes: Callable[[Offer], bool]


def filters_of(query: OfferQuery) -> list[Filter]:
    """The conditions of `query` that ask something, in the order in which an operator thinks of them."""
    disk_gb = query.disk_gb
    wanted = [Filter("rentable now", lambda offer: offer.rentable)]
    if query.verified:
        wanted.append(Filter("verified host", lambda offer: offer.verified))
    if query.gpu_names:
        names = query.gpu_names
        wanted.append(Filter(" or ".join(names), lambda offer: offer.gpu_name in names))
    count = query.gpu_count
    wanted.append(Filter(f"{count} GPU{'s' if count != 1 else ''}", lambda offer: offer.gpu_count == count))
    if (vram := query.min_gpu_ram_gb) is not None:
        wanted.append(Filter(f"≥ {vram:g} GB VRAM", lambda offer: offer.gpu_ram_mb >= vram * NOMINAL_GB_IN_MB))
    if (cores := query.min_cpu_cores) is not None:
        wanted.append(Filter(f"≥ {cores:g} vCPU", lambda offer: offer.cpu_cores >= cores))
    if (ram := query.min_ram_gb) is not None:
        wanted.append(Filter(f"≥ {ram:g} GB RAM", lambda offer: offer.ram_mb >= ram * NOMINAL_GB_IN_MB))
    wanted.append(Filter(f"≥ {disk_gb:g} GB disk", lambda offer: offer.disk_gb >= disk_gb))
    if (reliability := query.min_reliability) is not None:
        wanted.append(Filter(f"≥ {reliability:.1%} reliable", lambda offer: offer.reliability >= reliability))
    if (mbps := query.min_download_mbps) is not None:
        wanted.append(Filter(f"≥ {mbps:g} Mbit/s down", lambda offer: offer.download_mbps >= mbps))
    if (hour := query.max_usd_per_hour) is not None:
        wanted.append(Filter(f"≤ ${hour:g}/h", lambda offer: offer.price(disk_gb).usd_per_hour <= hour + TOLERANCE))
    if (day := query.max_usd_per_day) is not None:
        wanted.append(Filter(f"≤ ${day:g}/day", lambda offer: offer.price(disk_gb).usd_per_day <= day + TOLERANCE))
    return wanted


def satisfying(offers: Sequence[Offer], query: OfferQuery) -> list[Offer]:
    """The offers that pass every filter of `query`, cheapest full price first."""
    wanted = filters_of(query)
    passing = [offer for offer in offers if all(each.passes(offer) for each in wanted)]
    return sorted(passing, key=lambda offer: (offer.price(query.disk_gb).usd_per_hour, offer.id))


def everything(query: OfferQuery, limit: int = 500) -> OfferQuery:
    """The widest query that is priced like `query`: what an empty answer is explained from."""
    return OfferQuery(gpu_count=query.gpu_count, disk_gb=8.0, verified=False, limit=limit)


def explain_empty(market: Sequence[Offer], query: OfferQuery) -> str:
    """One sentence: how many offers pass each filter alone, and which single filter, left out, gives any.

    Args:
        market: the answer to `everything(query)`.
        query: the query that nothing satisfied.
    """
    if not market:
        count = query.gpu_count
        return f"the market shows no rentable offer with {count} GPU{'s' if count != 1 else ''} at all; try again later"
    wanted = filters_of(query)
    counts = ", ".join(f"{sum(map(each.passes, market))} are “{each.words}”" for each in wanted)
    sentence = f"no offer passes every filter: of {len(market)} on the market, {counts}."
    for index, suspect in enumerate(wanted):
        rest = [each for position, each in enumerate(wanted) if position != index]
        left = [offer for offer in market if all(each.passes(offer) for each in rest)]
        if left:
            cheapest = min(left, key=lambda offer: offer.price(query.disk_gb).usd_per_hour)
            price = cheapest.price(query.disk_gb)
            return (
                f"{sentence} Only “{suspect.words}” stands in the way: without it {cheapest.gpu_name} "
                f"(offer {cheapest.id}) is there for ${price.usd_per_hour:.3f}/h, ${price.usd_per_day:.2f}/day "
                f"with {query.disk_gb:g} GB of disk"
            )
    return f"{sentence} More than one filter must be widened"
