"""Commands about machines: offers, rent, ps, destroy."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from console.commands.frame import Json, Yes, ask, fail, print_json, reporting, session


def offers(
    profile: Annotated[str | None, typer.Option(help="A [profiles.…] of spotter.toml.")] = None,
    as_json: Json = False,
) -> int:
    """Show what could be rented now, cheapest full price first."""
    from console.operations.rent import find_offers
    from console.words import usd, usd_per_hour

    found = find_offers(session(), profile)
    rows = [(offer, offer.price(found.disk_gb)) for offer in found.offers]
    if as_json:
        print_json(
            [
                asdict(offer) | {"usd_per_hour": price.usd_per_hour, "usd_per_day": price.usd_per_day,
                                 "usd_per_30_days": price.usd_per_30_days, "disk_gb_priced": found.disk_gb}
                for offer, price in rows
            ]
        )  # fmt: skip
        return 0
    from console.terminal import print_table

    wide = {"$/30 days", "CPU", "RAM"}
    print_table(
        ("offer", "GPU", "$/h", "$/day", "$/30 days", "VRAM", "CPU", "RAM", "net", "rel.", "place"),
        [
            (
                str(offer.id),
                offer.gpu_name if offer.gpu_count == 1 else f"{offer.gpu_count}× {offer.gpu_name}",
                usd_per_hour(price.usd_per_hour),
                usd(price.usd_per_day),
                usd(price.usd_per_30_days),
                f"{offer.gpu_ram_mb / 1024:.0f} GB",
                f"{offer.cpu_cores:.0f}",
                f"{offer.ram_mb / 1024:.0f} GB",
                f"{offer.download_mbps:.0f} Mb/s",
                f"{offer.reliability:.3f}",
                offer.location,
            )
            for offer, price in rows
        ],
        found.note,
        wide,
    )
    return 0 if rows else 1


def rent(
    offer: Annotated[int | None, typer.Argument(help="An offer's id; default: the cheapest of the profile.")] = None,
    profile: Annotated[str | None, typer.Option(help="A [profiles.…] of spotter.toml.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Rent a machine and wait until it is verified. It is billed until `spotter destroy`."""
    from console.operations.rent import rent as rent_machine

    here = session()
    what = (
        f"offer {offer}"
        if offer is not None
        else f"the cheapest offer of profile {profile or here.settings.cloud.profile}"
    )
    ask(f"Rent {what}? It is billed until it is destroyed.", yes=yes)
    with reporting(as_json=as_json) as report:
        rental = rent_machine(here, profile, offer_id=offer, report=report)
    if as_json:
        print_json(asdict(rental.instance) | {"usd_per_hour": rental.price.usd_per_hour})
    return 0


def ps(as_json: Json = False) -> int:
    """Show what is rented and what it costs; orphans are instances that the ledger does not know."""
    from console.models.fleet import read_fleet
    from console.words import duration, usd, usd_per_hour

    view = read_fleet(session())
    if as_json:
        print_json(asdict(view))
        return 1 if view.error else 0
    from console.terminal import print_table

    if view.error:
        fail(f"the cloud does not answer: {view.error}")
    emulated = "EMULATED · " if view.emulated else ""
    words = f"{len(view.instances)} rented" if view.instances else "nothing is rented"
    print_table(
        ("id", "GPU", "state", "$/h", "spent", "age", "run", "endpoint"),
        [
            (
                str(row.id),
                row.gpu,
                "ORPHAN" if row.orphan else row.state,
                usd_per_hour(row.usd_per_hour),
                usd(row.spent_usd),
                duration(time.time() - row.started_at) if row.started_at else "–",
                (row.run_id or "–")[-8:],
                row.endpoint,
            )
            for row in view.instances
        ],
        f"{emulated}{words} · today {usd(view.spent_today_usd)}",
    )
    return 0


def destroy(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    force: Annotated[bool, typer.Option("--force", help="Give up results that are not pulled.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Destroy an instance; refused while it holds what is not pulled."""
    from console.operations.destroy import destroy as destroy_instance

    here = session()
    if instance not in {row.instance_id for row in here.living_rentals()}:
        here.instance(instance)  # says so when there is none
    ask(f"Destroy instance {instance}? Its disk and everything on it go for good.", yes=yes)
    with reporting(as_json=as_json) as report:
        destroy_instance(here, instance, force=force, report=report)
    if as_json:
        print_json({"instance": instance, "destroyed": True})
    return 0
