"""One look at the market, as the offers view draws it: offers with their full prices, and what we know of each host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from console.language import _, ngettext
from console.models.offer_terms import Terms
from console.spoken import duration, usd_per_hour
from console.words import usd

if TYPE_CHECKING:
    from remote.cloud import Offer, OfferQuery
    from remote.offers import ExpectedCost

SOUND_RELIABILITY = 0.95
SLOW_MBPS = 100.0
DEAR_TRAFFIC_SHARE = 0.25
"""Traffic that makes a larger part of the work's cost than this is worth a word."""
LEAST_PRICE_STEP_USD = 0.0001
Fate = Literal["new", "cheaper", "dearer"]


@dataclass(frozen=True, slots=True)
class HostHistory:
    """What this workspace lived through with a machine."""

    rentals: int = 0
    served_s: float = 0.0
    """The longest that it ran for us in one rental."""
    failures: int = 0
    """Within the last week."""
    reason: str = ""
    """Of the last failure."""
    route: str = ""
    """direct | proxy: which way let us in; empty when it never did."""

    @property
    def words(self) -> str:
        """In one cell; empty for a stranger."""
        parts = []
        if self.failures:
            parts.append(_("failed {n}×").format(n=self.failures))
        if self.rentals:
            parts.append(f"{self.rentals}× {duration(self.served_s)}")
        return ", ".join(parts)


STRANGER = HostHistory()


@dataclass(frozen=True, slots=True)
class PricedOffer:
    """An offer with what it will cost for what was asked."""

    offer: Offer
    cost: ExpectedCost
    history: HostHistory
    hours: float
    """How long the work is expected to last."""

    @property
    def key(self) -> str:
        """As the rows have it."""
        return str(self.offer.id)

    @property
    def usd_per_hour(self) -> float:
        """GPU and disk: what is billed by the hour."""
        return self.cost.price.usd_per_hour

    @property
    def total_usd_per_hour(self) -> float:
        """Everything that the work will cost here, traffic and waiting for the image too, over the work's hours."""
        return self.cost.expected_usd / self.hours

    @property
    def dlperf_per_usd(self) -> float | None:
        """The market's score of the cards for a dollar an hour; None where it tells no score."""
        if not self.offer.dlperf or self.usd_per_hour <= 0:
            return None
        return self.offer.dlperf / self.usd_per_hour


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an offer since it was first looked at."""

    fate: Fate
    usd_per_hour: float
    before_usd_per_hour: float | None = None


@dataclass(frozen=True)
class OfferNews:
    """The market's answer at one moment."""

    offers: tuple[PricedOffer, ...]
    query: OfferQuery
    profile: str
    terms: Terms
    """What was asked beside the profile."""
    explanation: str
    """The market's own words: how many fit what, or why there is none."""
    least_interval_s: float
    """How far apart two looks must be."""
    emulated: bool = False
    burn_usd_per_hour: float = 0.0
    """Of what runs already."""
    spent_today_usd: float = 0.0
    cap_usd_per_day: float | None = None
    changes: dict[str, Change] = field(default_factory=dict)
    """By offer, while the market is watched."""

    def offer(self, key: str | None) -> PricedOffer | None:
        """One of them by its row's key."""
        return next((each for each in self.offers if each.key == key), None)


def changes_since(before: OfferNews, now: OfferNews, known: dict[str, Change]) -> tuple[dict[str, Change], list[str]]:
    """What is new or costs otherwise, and which of it just became so and may be good news.

    Args:
        before: the look before.
        now: this look.
        known: what was flagged before; it stays flagged while the offer is there.

    Returns:
        Flags by offer, and the keys of those that came or got cheaper with this look.
    """
    old = {each.key: each for each in before.offers}
    flags: dict[str, Change] = {}
    good: list[str] = []
    for each in now.offers:
        earlier = old.get(each.key)
        if earlier is None:
            flags[each.key] = Change("new", each.usd_per_hour)
            good.append(each.key)
        elif abs(each.usd_per_hour - earlier.usd_per_hour) >= LEAST_PRICE_STEP_USD:
            fate: Fate = "cheaper" if each.usd_per_hour < earlier.usd_per_hour else "dearer"
            flags[each.key] = Change(fate, each.usd_per_hour, earlier.usd_per_hour)
            if fate == "cheaper":
                good.append(each.key)
        elif each.key in known:
            flags[each.key] = known[each.key]
    return flags, good


def good_news(offers: Iterable[PricedOffer], changes: dict[str, Change]) -> str:
    """What the watch rings for, in a sentence; empty when nothing came and nothing got cheaper."""
    offers = list(offers)
    if not offers:
        return ""
    new = sum(changes[each.key].fate == "new" for each in offers)
    cheaper = len(offers) - new
    parts = []
    if new:
        parts.append(ngettext("{n} new offer", "{n} new offers", new).format(n=new))
    if cheaper:
        parts.append(ngettext("{n} is cheaper", "{n} are cheaper", cheaper).format(n=cheaper))
    best = min(offers, key=lambda each: each.usd_per_hour)
    parts.append(
        _("best: {gpu} for {price} (offer {id})").format(
            gpu=gpu_words(best.offer), price=usd_per_hour(best.usd_per_hour), id=best.key
        )
    )
    return ", ".join(parts)


def gpu_words(offer: Offer) -> str:
    """The cards of a machine."""
    return offer.gpu_name if offer.gpu_count == 1 else f"{offer.gpu_count}× {offer.gpu_name}"


def warnings_of(priced: PricedOffer, news: OfferNews) -> list[str]:
    """What an operator should know before renting this, the worst first; empty when nothing is to be said."""
    offer, query, cost = priced.offer, news.query, priced.cost
    found = []
    if priced.history.failures:
        failed = _("failed us {n}× this week: {reason}")
        found.append(failed.format(n=priced.history.failures, reason=priced.history.reason))
    if news.cap_usd_per_day is not None:
        together = 24 * (news.burn_usd_per_hour + priced.usd_per_hour)
        if together > news.cap_usd_per_day:
            above = _("with what runs, {usd} a day: above the cap of {cap}, it will be refused")
            found.append(above.format(usd=usd(together), cap=usd(news.cap_usd_per_day)))
    if query.image_cuda is not None and offer.cuda_max < query.image_cuda:
        cuda = _("its driver takes CUDA {has:.1f}, the image wants {wants:.1f}")
        found.append(cuda.format(has=offer.cuda_max, wants=query.image_cuda))
    if not offer.verified:
        found.append(_("the host is not verified"))
    if offer.reliability < SOUND_RELIABILITY:
        found.append(_("reliability {share:.1%}: it may go away").format(share=offer.reliability))
    needed_s = (cost.pull_hours + cost.work_hours) * 3600
    if offer.max_duration_s < 2 * needed_s:
        ends = _("the host takes it back in {left}; the work takes {needed}")
        found.append(ends.format(left=duration(offer.max_duration_s), needed=duration(needed_s)))
    if offer.open_ports < 1:
        found.append(_("no open port: only the proxy leads in, slowly"))
    if offer.download_mbps < SLOW_MBPS:
        found.append(_("slow line: {mbps:.0f} Mbit/s down").format(mbps=offer.download_mbps))
    traffic = cost.download_usd + cost.upload_usd
    if cost.expected_usd > 0 and traffic > DEAR_TRAFFIC_SHARE * cost.expected_usd:
        found.append(_("dear traffic: {usd} of {all}").format(usd=usd(traffic), all=usd(cost.expected_usd)))
    return found
