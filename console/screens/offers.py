"""Offers: what could be rented now, with the price that will really be billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from console.actions import bindings_of
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.words import usd, usd_per_hour

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.operations.offers import Found
    from remote.cloud import Offer

COLUMNS = (
    Column("offer", 8),
    Column("GPU", 16),
    Column("$/h", 10),
    Column("$/day", 8),
    Column("VRAM", 7),
    Column("net", 10),
    Column("rel.", 6),
    Column("$/30 days", 10, min_screen=100),
    Column("CPU", 24, min_screen=110),
    Column("RAM", 7, min_screen=120),
    Column("disk $/h", 9, min_screen=130),
    Column("place", 18, min_screen=150),
)


def offer_row(offer: Offer, disk_gb: float) -> Row:
    """One offer as table cells, priced with `disk_gb`."""
    price = offer.price(disk_gb)
    count = f"{offer.gpu_count}× " if offer.gpu_count > 1 else ""
    return Row(
        str(offer.id),
        (
            Text(str(offer.id)),
            Text(f"{count}{offer.gpu_name}"),
            Text(usd_per_hour(price.usd_per_hour), style="bold"),
            Text(usd(price.usd_per_day)),
            Text(f"{offer.gpu_ram_mb / 1024:.0f} GB"),
            Text(f"{offer.download_mbps:.0f} Mb/s"),
            Text(f"{offer.reliability:.3f}"),
            Text(usd(price.usd_per_30_days)),
            Text(f"{offer.cpu_cores:.0f}× {offer.cpu_name}"),
            Text(f"{offer.ram_mb / 1024:.0f} GB"),
            Text(f"${price.disk_usd_per_hour:.4f}"),
            Text(offer.location),
        ),
    )


class Offers(Vertical):
    """The market, searched when the view is opened and on request."""

    BINDINGS = bindings_of("offers")
    app: SpotterApp

    def compose(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="offers-table")

    def on_mount(self) -> None:
        """Nothing is asked before the view is opened."""
        self._offers: dict[str, Offer] = {}
        self._disk_gb = 0.0

    def on_show(self) -> None:
        """Search the market, once."""
        self.query_one(KeyedTable).focus_rows()
        if not self._offers:
            self.query_one(KeyedTable).show([], "searching the market …")
            self.search()

    def search(self) -> None:
        """Ask the cloud for offers of the workspace's profile."""

        def ask() -> Found | str:
            from console.operations.offers import find_offers

            try:
                return find_offers(self.app.session())
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return str(error)

        self.app.in_background(ask, self.heard)

    def heard(self, answer: Found | str) -> None:
        """Draw the answer, or why there is none."""
        if isinstance(answer, str):
            self.query_one(KeyedTable).show([], f"no answer: {answer}")
        else:
            self.show(answer.offers, answer.disk_gb, answer.note)

    def show(self, offers: list[Offer], disk_gb: float, note: str) -> None:
        """Draw the market's answer."""
        self._offers = {str(offer.id): offer for offer in offers}
        self._disk_gb = disk_gb
        self.query_one(KeyedTable).show([offer_row(offer, disk_gb) for offer in offers], note)

    def action_offers_refresh(self) -> None:
        """Search again."""
        self.search()

    def action_offers_filter(self) -> None:
        """Open the filter line."""
        self.query_one(KeyedTable).open_filter()

    def action_offers_rent(self) -> None:
        """Ask, then rent the offer that was marked when the key was pressed."""
        key = self.query_one(KeyedTable).cursor_key
        offer = self._offers.get(key or "")
        if offer is None:
            self.app.say("Mark an offer first.")
            return
        price = offer.price(self._disk_gb)
        detail = (
            f"{offer.gpu_name}, {offer.location}: {usd_per_hour(price.usd_per_hour)} with {self._disk_gb:.0f} GB disk, "
            f"{usd(price.usd_per_day)} a day.\nIt is billed until it is destroyed."
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.start_process(["rent", str(offer.id), "--yes"], f"rent offer {offer.id}")

        self.app.push_screen(Confirm(f"Rent offer {offer.id}?", detail, "Rent"), answered)
