"""A look at the market for the offers view: the search, and what the ledger knows of each machine that it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.models.offer_news import STRANGER, HostHistory, OfferNews, PricedOffer
from console.models.offer_terms import Terms
from console.operations.offers import Wishes, find_offers
from console.operations.rerent_offers import MachineHistory, histories
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.cloud import Offer


def wishes_of(terms: Terms) -> Wishes:
    """Terms as wishes on top of a profile."""
    return Wishes(
        gpu=terms.gpu or None,
        gpu_count=terms.gpu_count,
        gpu_ram_gb=terms.gpu_ram_gb,
        disk_gb=terms.disk_gb,
        hours=terms.hours,
        max_usd_per_hour=terms.max_usd_per_hour,
        unverified=terms.unverified,
    )


def look_at_market(session: Session, terms: Terms) -> OfferNews:
    """Ask the market; it counts as one of the account's searches.

    Raises:
        console.settings.SettingsError: there is no such profile, or a term is out of its bounds.
        remote.cloud.CloudError: the cloud does not answer, or the day's searches are used up.
    """
    from remote.market import least_interval_s
    from remote.money import money_now
    from remote.offers import expected_cost

    found = find_offers(session, terms.profile, wishes_of(terms))
    known = host_histories(session, found.offers)
    money = money_now(session.ledger, session.cloud_name, None, session.clock)
    return OfferNews(
        offers=tuple(
            PricedOffer(
                offer, expected_cost(offer, found.query), known.get(offer.machine_id, STRANGER), found.query.hours
            )
            for offer in found.offers
        ),
        query=found.query,
        profile=terms.profile or session.settings.cloud.profile,
        terms=terms,
        explanation=found.note,
        least_interval_s=least_interval_s(session.cloud),
        emulated=session.emulated,
        burn_usd_per_hour=money.burn_usd_per_hour,
        spent_today_usd=money.today_usd,
        cap_usd_per_day=session.settings.money.max_usd_per_day,
    )


def host_histories(session: Session, offers: list[Offer]) -> dict[int, HostHistory]:
    """What we lived through with the machines of these offers, by the machine's number; strangers are left out."""
    ledger, name = session.ledger, session.cloud_name
    ours, bad = histories(session), ledger.bad_machines(name)
    known = {}
    for machine in {offer.machine_id for offer in offers}:
        was = ours.get(machine, MachineHistory())
        reason = bad[machine].reason if machine in bad else ""
        route = ledger.route(name, machine) or ""
        if machine in ours or route:
            known[machine] = HostHistory(was.rentals, was.served_s, was.failures, reason, route)
    return known
