"""Offers as cells: what a row says of a machine, and which columns fit a width. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from console.words import usd, usd_per_hour

if TYPE_CHECKING:
    from remote.cloud import Offer, OfferQuery
    from remote.offers import ExpectedCost


GAP = 2
DISK_TYPES = ("NVMe", "SSD", "HDD")
CORES_SUFFIX = re.compile(r"\s+\d+-Core.*$")


@dataclass(frozen=True, slots=True)
class OfferColumn:
    """One column; where a screen is narrow, those of the highest rank are left out first."""

    title: str
    rank: int
    cell: Callable[[Offer, ExpectedCost], str]


def _gpu(offer: Offer, _cost: ExpectedCost) -> str:
    return offer.gpu_name if offer.gpu_count == 1 else f"{offer.gpu_count}× {offer.gpu_name}"


def _cpu(offer: Offer, _cost: ExpectedCost) -> str:
    return f"{offer.cpu_cores:.0f}× {CORES_SUFFIX.sub('', offer.cpu_name)}"


def _disk(offer: Offer, _cost: ExpectedCost) -> str:
    known = [each for each in DISK_TYPES if each.lower() in offer.disk_name.lower()]
    return f"{offer.disk_gb:.0f} GB {known[0] if known else offer.disk_name}".rstrip()


def _net(offer: Offer, _cost: ExpectedCost) -> str:
    return f"{offer.download_mbps:.0f}/{offer.upload_mbps:.0f}"


def _host(offer: Offer, _cost: ExpectedCost) -> str:
    return f"{'✓' if offer.verified else '✗'} {offer.reliability:.3f}"


COLUMNS = (
    OfferColumn("offer", 0, lambda offer, _cost: str(offer.id)),
    OfferColumn("GPU", 1, _gpu),
    OfferColumn("VRAM", 4, lambda offer, _cost: f"{offer.gpu_ram_mb / 1024:.0f} GB"),
    OfferColumn("$/h", 2, lambda _offer, cost: usd_per_hour(cost.price.usd_per_hour)),
    OfferColumn("$/day", 3, lambda _offer, cost: usd(cost.price.usd_per_day)),
    OfferColumn("$/30 days", 8, lambda _offer, cost: usd(cost.price.usd_per_30_days)),
    OfferColumn("disk $/h", 11, lambda _offer, cost: f"${cost.price.disk_usd_per_hour:.4f}"),
    OfferColumn("expected", 7, lambda _offer, cost: usd(cost.expected_usd)),
    OfferColumn("CPU", 13, _cpu),
    OfferColumn("RAM", 9, lambda offer, _cost: f"{offer.ram_mb / 1000:.0f} GB"),
    OfferColumn("disk", 12, _disk),
    OfferColumn("↓/↑ Mb/s", 6, _net),
    OfferColumn("host", 5, _host),
    OfferColumn("ports", 14, lambda offer, _cost: str(offer.open_ports)),
    OfferColumn("place", 10, lambda offer, _cost: offer.location),
    OfferColumn("rentable", 15, lambda offer, _cost: "yes" if offer.rentable else "no"),
)
"""All that is asked of an offer's row. Prices are with the disk; `expected` is what all of the work will cost."""


def offer_table(
    offers: Sequence[Offer], query: OfferQuery, width: int
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles and rows that fit into `width` cells: as many columns as do, the most important ones first."""
    from remote.offers import expected_cost

    costs = [expected_cost(offer, query) for offer in offers]
    cells = [[column.cell(offer, cost) for offer, cost in zip(offers, costs, strict=True)] for column in COLUMNS]
    left = width
    chosen: list[int] = []
    for index in sorted(range(len(COLUMNS)), key=lambda each: COLUMNS[each].rank):
        needed = max(map(len, (COLUMNS[index].title, *cells[index]))) + (GAP if chosen else 0)
        if needed > left:
            break
        chosen.append(index)
        left -= needed
    chosen.sort()
    rows = [tuple(cells[index][row] for index in chosen) for row in range(len(offers))]
    return tuple(COLUMNS[index].title for index in chosen), rows


def offer_json(offer: Offer, query: OfferQuery) -> dict[str, Any]:
    """Everything about an offer for a program: the row, its full price, and the expected cost part by part."""
    from remote.offers import expected_cost

    cost = expected_cost(offer, query)
    return asdict(offer) | {
        "usd_per_hour": cost.price.usd_per_hour,
        "usd_per_day": cost.price.usd_per_day,
        "usd_per_30_days": cost.price.usd_per_30_days,
        "disk_usd_per_hour": cost.price.disk_usd_per_hour,
        "disk_gb_priced": query.disk_gb,
        "first_day_usd": cost.first_day_usd,
        "first_30_days_usd": cost.first_30_days_usd,
        "expected_usd": cost.expected_usd,
        "expected": {
            "pull_hours": cost.pull_hours,
            "work_hours": cost.work_hours,
            "gpu_usd": cost.gpu_usd,
            "disk_usd": cost.disk_usd,
            "download_usd": cost.download_usd,
            "upload_usd": cost.upload_usd,
        },
    }
