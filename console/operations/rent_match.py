"""Rent the moment a match appears: the watch of the market with a hand on the purse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from console.operations.events import Report, silent
from console.operations.offers import NO_WISHES, Wishes, watch_offers
from console.operations.rent import rent
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.market import Look
    from remote.provision import Rental

MOST_FAILED_RENTALS = 4
MOST_FAILED_USD = 0.50
"""What one watch may lose on machines that fail, as one request may; then somebody should look."""


def rent_when_matched(
    session: Session,
    profile_name: str | None = None,
    wishes: Wishes = NO_WISHES,
    *,
    every_s: float | None = None,
    for_s: float | None = None,
    stopped: Callable[[], bool] | None = None,
    on_look: Callable[[Look], None] = lambda _look: None,
    on_failure: Callable[[str], None] = lambda _reason: None,
    report: Report = silent,
) -> Rental | None:
    """Watch, and rent the best match of the first look that has one; None when the time is over without.

    An offer that somebody else took, or a machine that failed and was destroyed, is told to `on_failure`, and the
    watch goes on, until four rentals failed or half a dollar went into them.

    Raises:
        remote.provision.ProvisionFailed: machines failed that often, or another would fail alike.
        remote.provision.OverBudget: the day's cap leaves no room for it.
        remote.cloud.CloudError: the cloud refuses the key or the query.
    """
    from remote.provision import NoOffers, ProvisionFailed

    failed, lost_usd = 0, 0.0
    for look in watch_offers(session, profile_name, wishes, every_s=every_s, for_s=for_s, stopped=stopped):
        on_look(look)
        if not look.offers:
            continue
        try:
            return rent(session, profile_name, offer_id=look.offers[0].id, wishes=wishes, report=report)
        except NoOffers as error:
            on_failure(str(error))
        except ProvisionFailed as error:
            failed += len(error.attempts)
            lost_usd += sum(attempt.usd for attempt in error.attempts)
            if error.our_fault or failed >= MOST_FAILED_RENTALS or lost_usd >= MOST_FAILED_USD:
                raise
            on_failure(str(error))
    return None
