"""Offers as cells: what a row says of a machine, and which columns fit a width. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from console.words import usd, usd_per_hour

if TYPE_CHECKING:
    from remote.cloud import Offer, OfferQuery
    from remote.offers import ExpectedCost


@dataclass(frozen=True, slots=True)
class OfferColumn:
    """One column; `least_width` is the screen that it needs."""

    title: str
    cell: Callable[[Offer, ExpectedCost], str]
    least_width: int = 0


def _gpu(offer: Offer, _cost: ExpectedCost) -> str:
    return offer.gpu_name if offer.gpu_count == 1 else f"{offer.gpu_count}× {offer.gpu_name}"


def _trust(offer: Offer, _cost: ExpectedCost) -> str:
    return f"{'✓' if offer.verified else '✗'} {offer.reliability:.3f}"


COLUMNS = (
    OfferColumn("offer", lambda offer, _cost: str(offer.id)),
    OfferColumn("GPU", _gpu),
    OfferColumn("VRAM", lambda offer, _cost: f"{offer.gpu_ram_mb / 1024:.0f} GB"),
    OfferColumn("$/h", lambda _offer, cost: usd_per_hour(cost.price.usd_per_hour)),
    OfferColumn("$/day", lambda _offer, cost: usd(cost.price.usd_per_day)),
    OfferColumn("expected", lambda _offer, cost: usd(cost.expected_usd)),
    OfferColumn("$/30 days", lambda _offer, cost: usd(cost.price.usd_per_30_days), 92),
    OfferColumn("disk $/h", lambda _offer, cost: f"${cost.price.disk_usd_per_hour:.4f}", 104),
    OfferColumn("vCPU", lambda offer, _cost: f"{offer.cpu_cores:.0f}", 110),
    OfferColumn("CPU", lambda offer, _cost: offer.cpu_name, 190),
    OfferColumn("RAM", lambda offer, _cost: f"{offer.ram_mb / 1000:.0f} GB", 118),
    OfferColumn("disk", lambda offer, _cost: f"{offer.disk_gb:.0f} GB", 126),
    OfferColumn("disk type", lambda offer, _cost: offer.disk_name, 212),
    OfferColumn("down/up Mb/s", lambda offer, _cost: f"{offer.download_mbps:.0f}/{offer.upload_mbps:.0f}"),
    OfferColumn("host", _trust),
    OfferColumn("ports", lambda offer, _cost: str(offer.open_ports), 134),
    OfferColumn("place", lambda offer, _cost: offer.location, 152),
    OfferColumn("rentable", lambda offer, _cost: "yes" if offer.rentable else "no", 160),
)
"""All that is asked of an offer's row, in the order in which it is read."""


def columns_for(width: int) -> tuple[OfferColumn, ...]:
    """The columns that a screen of this width has room for."""
    return tuple(column for column in COLUMNS if column.least_width <= width)


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
