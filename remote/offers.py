"""What a query asks of an offer, one filter at a time, what the work will cost there, and why an answer is empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from remote.cloud import Offer, OfferQuery, Price
from remote.cuda import runs_on

NOMINAL_GB_IN_MB = 950
"""A card or machine sold as N GB reports a few per cent less (an L40S "48 GB" says 46068 MiB): this much is asked."""
TOLERANCE = 1e-9
MEGABITS_PER_GB = 8000.0
SECONDS_PER_HOUR = 3600.0
UNPACK_S_PER_GB = 6.0
"""What unpacking an image's layers takes, beside pulling them."""
UNTOLD_MBPS = 10.0
"""What is assumed of a host that tells no bandwidth, or next to none: it never wins by saying nothing."""

Order = Literal["expected", "price"]


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """What the work of a query will cost on one offer, part by part.

    Pulling is counted at the full price, though a GPU is not billed while it lasts: the operator waits for it.
    """

    price: Price
    pull_hours: float
    work_hours: float
    download_usd: float
    upload_usd: float

    @property
    def gpu_usd(self) -> float:
        """The GPU, while the image is pulled and the work lasts."""
        return (self.pull_hours + self.work_hours) * self.price.gpu_usd_per_hour

    @property
    def disk_usd(self) -> float:
        """The disk, as long."""
        return (self.pull_hours + self.work_hours) * self.price.disk_usd_per_hour

    @property
    def expected_usd(self) -> float:
        """All of it: (pull + work) × price by the hour, and traffic."""
        return self.gpu_usd + self.disk_usd + self.download_usd + self.upload_usd

    @property
    def first_day_usd(self) -> float:
        """24 hours and the traffic: what the day's cap is held against."""
        return self.price.usd_per_day + self.price.traffic_usd

    @property
    def first_30_days_usd(self) -> float:
        """30 days and the traffic."""
        return self.price.usd_per_30_days + self.price.traffic_usd


def expected_cost(offer: Offer, query: OfferQuery) -> ExpectedCost:
    """The cost of `query`'s disk, traffic and hours on `offer`."""
    transfer_s = query.traffic_gb * MEGABITS_PER_GB / max(offer.download_mbps, UNTOLD_MBPS)
    return ExpectedCost(
        price=offer.price(query.disk_gb, traffic_gb=query.traffic_gb, upload_gb=query.upload_gb),
        pull_hours=(transfer_s + query.traffic_gb * UNPACK_S_PER_GB) / SECONDS_PER_HOUR,
        work_hours=query.hours,
        download_usd=query.traffic_gb * offer.download_usd_per_gb,
        upload_usd=query.upload_gb * offer.upload_usd_per_gb,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition of a query, in words and as a test."""

    words: str
    passes: Callable[[Offer], bool]


def filters_of(query: OfferQuery) -> list[Filter]:
    """The conditions of `query` that ask something, in the order in which an operator thinks of them."""
    return [*_machine_filters(query), *_image_filters(query), *_money_filters(query)]


def _machine_filters(query: OfferQuery) -> list[Filter]:
    wanted = [Filter("rentable now", lambda offer: offer.rentable)]
    if (offer_id := query.offer_id) is not None:
        wanted.append(Filter(f"offer {offer_id}", lambda offer: offer.id == offer_id))
    if excluded := query.excluded_machines:
        wanted.append(Filter("not failed lately", lambda offer: offer.machine_id not in excluded))
    if query.verified:
        wanted.append(Filter("verified host", lambda offer: offer.verified))
    if names := query.gpu_names:
        wanted.append(Filter(" or ".join(names), lambda offer: offer.gpu_name in names))
    count = query.gpu_count
    wanted.append(Filter(_gpus(count), lambda offer: offer.gpu_count == count))
    if (vram := query.min_gpu_ram_gb) is not None:
        wanted.append(Filter(f"≥ {vram:g} GB VRAM", lambda offer: offer.gpu_ram_mb >= vram * NOMINAL_GB_IN_MB))
    if (cores := query.min_cpu_cores) is not None:
        wanted.append(Filter(f"≥ {cores:g} vCPU", lambda offer: offer.cpu_cores >= cores))
    if (ram := query.min_ram_gb) is not None:
        wanted.append(Filter(f"≥ {ram:g} GB RAM", lambda offer: offer.ram_mb >= ram * NOMINAL_GB_IN_MB))
    disk_gb = query.disk_gb
    wanted.append(Filter(f"≥ {disk_gb:g} GB disk", lambda offer: offer.disk_gb >= disk_gb))
    if (reliability := query.min_reliability) is not None:
        wanted.append(Filter(f"≥ {reliability:.1%} reliable", lambda offer: offer.reliability >= reliability))
    if (down := query.min_download_mbps) is not None:
        wanted.append(Filter(f"≥ {down:g} Mbit/s down", lambda offer: offer.download_mbps >= down))
    if (up := query.min_upload_mbps) is not None:
        wanted.append(Filter(f"≥ {up:g} Mbit/s up", lambda offer: offer.upload_mbps >= up))
    if (ports := query.min_open_ports) is not None:
        wanted.append(
            Filter(f"≥ {ports} open port{'s' if ports != 1 else ''}", lambda offer: offer.open_ports >= ports)
        )
    if (duration_s := query.min_duration_s) is not None:
        hours = duration_s / SECONDS_PER_HOUR
        wanted.append(Filter(f"offered for ≥ {hours:g} h more", lambda offer: offer.max_duration_s >= duration_s))
    return wanted


def _image_filters(query: OfferQuery) -> list[Filter]:
    if (cuda := query.image_cuda) is None:
        return []
    return [
        Filter(f"driver takes CUDA {cuda:.1f}", lambda offer: offer.cuda_max >= cuda - TOLERANCE),
        Filter(f"card is known to CUDA {cuda:.1f}", lambda offer: runs_on(cuda, offer.compute_capability)),
    ]


def _money_filters(query: OfferQuery) -> list[Filter]:
    wanted = []
    if (hour := query.max_usd_per_hour) is not None:
        wanted.append(
            Filter(f"≤ ${hour:g}/h", lambda offer: offer.price(query.disk_gb).usd_per_hour <= hour + TOLERANCE)
        )
    if (day := query.max_usd_per_day) is not None:
        with_traffic = " with traffic" if query.traffic_gb or query.upload_gb else ""
        wanted.append(
            Filter(
                f"≤ ${day:g}/day{with_traffic}",
                lambda offer: expected_cost(offer, query).first_day_usd <= day + TOLERANCE,
            )
        )
    return wanted


def satisfying(offers: Sequence[Offer], query: OfferQuery) -> list[Offer]:
    """The offers that pass every filter of `query`, the least expected cost first."""
    wanted = filters_of(query)
    return ordered([offer for offer in offers if all(each.passes(offer) for each in wanted)], query)


def ordered(offers: Sequence[Offer], query: OfferQuery, by: Order = "expected") -> list[Offer]:
    """`offers` by what the work will cost, or by the plain price of an hour with the disk."""

    def weight(offer: Offer) -> tuple[float, int]:
        cost = expected_cost(offer, query)
        return (cost.expected_usd if by == "expected" else cost.price.usd_per_hour, offer.id)

    return sorted(offers, key=weight)


def everything(query: OfferQuery, limit: int = 500) -> OfferQuery:
    """The widest query that is priced like `query`: what an empty answer is explained from."""
    return OfferQuery(gpu_count=query.gpu_count, disk_gb=8.0, verified=False, limit=limit)


def just(query: OfferQuery, offer_id: int) -> OfferQuery:
    """One offer, whatever else it is, priced like `query`: a market has more offers than one answer can hold."""
    return replace(everything(query), offer_id=offer_id)


def explain_empty(market: Sequence[Offer], query: OfferQuery) -> str:
    """How many offers pass each filter that rejects any, and which filter, left out alone, gives an offer.

    Args:
        market: the answer to `everything(query)`.
        query: the query that nothing satisfied.
    """
    if not market:
        return f"the market shows no rentable offer with {_gpus(query.gpu_count)} at all; try again later"
    wanted = filters_of(query)
    passing = [(each, sum(map(each.passes, market))) for each in wanted]
    counts = ", ".join(f"{many} are “{each.words}”" for each, many in passing if many < len(market))
    sentence = f"no offer passes every filter: of {len(market)} on the market, {counts}."
    sentence += _unknown_names(market, query)
    ways_out: list[tuple[str, str]] = []
    for suspect in wanted:
        rest = [each for each in wanted if each is not suspect]
        left = [offer for offer in market if all(each.passes(offer) for each in rest)]
        if left:
            ways_out.append((suspect.words, _offered(ordered(left, query)[0], query)))
    if not ways_out:
        return f"{sentence} More than one filter must be widened"
    if len(ways_out) == 1:
        words, offered = ways_out[0]
        return f"{sentence} Only “{words}” stands in the way: without it {offered} with {query.disk_gb:g} GB of disk"
    each_way = "; ".join(f"without “{words}” {offered}" for words, offered in ways_out)
    return f"{sentence} Widening one is enough: {each_way}; each with {query.disk_gb:g} GB of disk"


def _unknown_names(market: Sequence[Offer], query: OfferQuery) -> str:
    """A card that nobody offers may be one that this market calls otherwise: “H100” is “H100 SXM” there."""
    there = sorted({offer.gpu_name for offer in market})
    if not query.gpu_names or set(query.gpu_names) & set(there):
        return ""
    alike = [name for name in there if any(_alike(asked, name) for asked in query.gpu_names)]
    return f" No card here is called that; alike are {', '.join(alike)}." if alike else " No card here is called that."


def _alike(asked: str, name: str) -> bool:
    return asked.lower().replace(" ", "") in name.lower().replace(" ", "") or name.lower() in asked.lower()


def _offered(offer: Offer, query: OfferQuery) -> str:
    price = offer.price(query.disk_gb)
    return f"{offer.gpu_name} (offer {offer.id}) is there for ${price.usd_per_hour:.3f}/h, ${price.usd_per_day:.2f}/day"


def _gpus(count: int) -> str:
    return f"{count} GPU{'s' if count != 1 else ''}"
