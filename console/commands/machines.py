"""Commands about machines: rent, ps, destroy."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from console.commands.frame import Json, Yes, ask, fail, print_json, reporting, session


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
