"""What may still be rented today: caps, looked at before each create, with everything that runs and will run."""

from __future__ import annotations

from dataclasses import dataclass

from remote.cloud import Offer, Price
from remote.desk import Desk
from remote.money import hours_to_midnight, money_now
from remote.rental import OverBudget, RentRequest


@dataclass(frozen=True, slots=True)
class Budget:
    """The caps of one request. Only dollars of the same cloud count: emulated ones are nobody's."""

    desk: Desk
    request: RentRequest

    def price(self, offer: Offer) -> Price:
        """The full price of an offer for this request: GPU, the ordered disk, the pull of the image."""
        return offer.price(self.request.ordered_disk_gb, traffic_gb=self.request.image_gb)

    def refuse_spent(self) -> None:
        """Raise OverBudget when the day's cap is used up already."""
        cap = self.request.max_usd_per_day
        spent = money_now(self.desk.ledger, self.desk.cloud_name, None, self.desk.clock).today_usd
        if cap is not None and spent >= cap:
            raise OverBudget(
                f"${spent:.2f} were spent today (UTC) and the cap is ${cap:g} a day: raise max_usd_per_day"
            )

    def refuse(self, offer: Offer) -> None:
        """Raise OverBudget when renting this offer would break a cap, by the hour or by the day."""
        alive = self.desk.ledger.instances(alive_only=True, cloud=self.desk.cloud_name)
        price = self.price(offer)
        with_them = ""
        if alive:
            burn = self.desk.ledger.burn_usd_per_hour(self.desk.cloud_name)
            with_them = f" with {len(alive)} already rented (${burn:.3f}/h)"
        renting = f"renting {offer.gpu_name} (offer {offer.id}) at ${price.usd_per_hour:.3f}/h{with_them}"
        self._refuse_price(renting, price.usd_per_hour, price.traffic_usd, but=None)

    def _unanswered_usd_per_hour(self) -> float:
        """The price of creates of which nobody knows yet whether they rented: they count as if they had."""
        ledger, cloud = self.desk.ledger, self.desk.cloud_name
        counted = {row.label for row in ledger.instances(alive_only=True, cloud=cloud)}
        open_creates = (each for each in ledger.intents(unsettled_only=True, cloud=cloud) if each.operation == "create")
        prices = (each.detail.get("usd_per_hour") for each in open_creates if each.label not in counted)
        return sum(float(price) for price in prices if isinstance(price, int | float))

    def refuse_row(self, instance_id: int, gpu_name: str, usd_per_hour: float) -> None:
        """Raise OverBudget when an instance that is dearer than its offer breaks a cap."""
        self._refuse_price(f"keeping {gpu_name} at ${usd_per_hour:.3f}/h", usd_per_hour, 0.0, but=instance_id)

    def _refuse_price(self, what: str, usd_per_hour: float, once_usd: float, *, but: int | None) -> None:
        """`but`: an instance whose own part of the burn is not to be counted twice."""
        money = money_now(self.desk.ledger, self.desk.cloud_name, None, self.desk.clock)
        others = money.burn_usd_per_hour
        if but is not None and (row := self.desk.ledger.instance(self.desk.cloud_name, but)) is not None:
            others -= row.usd_per_hour
        together = max(0.0, others) + self._unanswered_usd_per_hour() + usd_per_hour
        hour, day = self.request.max_usd_per_hour, self.request.max_usd_per_day
        if hour is not None and together > hour:
            raise OverBudget(f"{what} makes ${together:.3f}/h, above the cap of ${hour:g}/h: raise max_usd_per_hour")
        if day is None:
            return
        if together * 24 > day:
            raise OverBudget(
                f"{what} makes ${together * 24:.2f} a day, above the cap of ${day:g}: raise max_usd_per_day, "
                "or destroy an instance first"
            )
        until_midnight = money.today_usd + once_usd + together * hours_to_midnight(self.desk.clock.time())
        if until_midnight > day:
            raise OverBudget(
                f"{what} makes ${until_midnight:.2f} by midnight (UTC) with the ${money.today_usd:.2f} of today, above "
                f"the cap of ${day:g} a day: raise max_usd_per_day, or destroy an instance first"
            )
