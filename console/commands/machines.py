"""Commands about machines: rent, ps, destroy, stop, label, rerent."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, Yes, ask, fail, limit, print_json, reporting, session
from console.operations.signals import stop_on_signals

if TYPE_CHECKING:
    from console.operations.session import Session


def rent(
    offer: Annotated[int | None, typer.Argument(help="An offer's id; default: the cheapest of the profile.")] = None,
    profile: Annotated[str | None, typer.Option(help="A [profiles.…] of spotter.toml.")] = None,
    count: Annotated[int | None, typer.Option(help="How many cards; default: the profile's.", min=1)] = None,
    disk: Annotated[
        float | None, typer.Option(help="Disk to order, GB; default: the profile's.", min=8, callback=limit)
    ] = None,
    max_usd_per_hour: Annotated[
        float | None, typer.Option(help="Refuse what costs more by now, disk and all.", callback=limit)
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Rent a machine and wait until it is verified. It is billed until `spotter destroy`."""
    from console.operations.offers import Wishes, quote
    from console.operations.rent import rent as rent_machine

    here = session()
    wishes = Wishes(gpu_count=count, disk_gb=disk, max_usd_per_hour=max_usd_per_hour if offer is None else None)
    if not yes:
        ask(f"Rent {quote(here, profile, offer, wishes)}? It is billed until it is destroyed.", yes=yes)
    stop_on_signals(also_hangup=True)
    agreed = max_usd_per_hour if offer is not None else None
    with reporting(as_json=as_json) as report:
        rental = rent_machine(here, profile, offer_id=offer, wishes=wishes, agreed_usd_per_hour=agreed, report=report)
    _refresh_names(here)
    if as_json:
        print_json(asdict(rental.instance) | {"usd_per_hour": rental.price.usd_per_hour})
    return 0


def ps(as_json: Json = False) -> int:
    """Show what is rented, what it costs and who ends the bill; orphans are ours though the ledger lost them."""
    from console.models.burn import burn_words, leaving
    from console.models.fleet import read_fleet
    from console.models.fleet_words import guard_word, spent_word, state_word, stopped_sentence
    from console.models.stuck import stuck_of, words_of
    from console.operations.guard import guard_forgotten
    from console.words import duration, usd, usd_per_hour

    here = session()
    view = read_fleet(here)
    if not view.error and guard_forgotten(here, lambda event: print(f"spotter: {event.message}", file=sys.stderr)):
        view = read_fleet(here)
    _refresh_names(here)
    stuck = {each.id: found for each in view.instances if (found := stuck_of(each, view.now, time.time())) is not None}
    if as_json:
        told = {
            "burn": asdict(burn_words(view, time.time())),
            "leaving": leaving(view, time.time()),
            "stuck": {str(number): asdict(found) | {"words": words_of(found)} for number, found in stuck.items()},
        }
        print_json(asdict(view) | told)
        return 1 if view.error else 0
    from console.terminal import print_table

    if view.error:
        known = ", ".join(str(row.instance_id) for row in here.living_rentals())
        held = f"; by the ledger still rented and billed: {known}" if known else ""
        fail(f"the cloud does not answer: {view.error}{held}")
    emulated = "EMULATED · " if view.emulated else ""
    ours = [row for row in view.instances if row.standing in ("ours", "missing")]
    words = f"{len(ours)} rented" if ours else "nothing is rented"
    orphans = "".join(f" · {row.id} is an ORPHAN: `spotter destroy {row.id}`" for row in view.orphans)
    print_table(
        ("id", "GPU", "state", "$/h", "spent", "up", "dead-man", "run", "endpoint"),
        [
            (
                str(row.id),
                row.gpu,
                "ORPHAN" if row.orphan else state_word(row),
                usd_per_hour(row.usd_per_hour),
                spent_word(row, view.now),
                duration(max(0.0, view.now - row.started_at)) if row.started_at else "–",
                guard_word(row.guard, time.time())[0] if row.billed else "–",
                (row.run_id or "–")[-8:],
                row.endpoints[0] if row.endpoints else "–",
            )
            for row in view.instances
        ],
        f"{emulated}{words} · today {usd(view.spent_today_usd)}{orphans}",
    )
    for sentence in filter(None, map(stopped_sentence, view.instances)):
        print(f"WARNING: {sentence}")
    for number, found in stuck.items():
        if found.kind != "orphan":
            print(f"WARNING: instance {number} is stuck: {words_of(found)}")
    return 0


def destroy(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    force: Annotated[bool, typer.Option("--force", help="Give up what is on it and not here, or whose it is.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Destroy an instance; one that may hold what is not here, or is not ours, only with its id typed or --force."""
    from console.operations.destroy import StillNeeded
    from console.operations.destroy import destroy as destroy_instance

    here = session()
    if instance not in {row.instance_id for row in here.living_rentals()}:
        here.instance(instance)  # says so when there is none
    ask(f"Destroy instance {instance}? Its disk and everything on it go for good.", yes=yes)
    try:
        with reporting(as_json=as_json) as report:
            destroy_instance(here, instance, force=force, report=report)
    except StillNeeded as reason:
        if yes or not sys.stdin.isatty():
            raise
        if typer.prompt(f"{reason}\nType {instance} to destroy it all the same") != str(instance):
            raise typer.Exit(1) from reason
        with reporting(as_json=as_json) as report:
            destroy_instance(here, instance, force=True, report=report)
    _refresh_names(here)
    if as_json:
        print_json({"instance": instance, "destroyed": True})
    return 0


def stop(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Stop an instance: its GPU's bill ends, its disk's goes on, and it may not get its GPU back."""
    from console.operations.stop import stop as stop_instance

    here = session()
    ask(f"Stop instance {instance}? Its disk is billed on, and its GPU may be gone when it is started.", yes=yes)
    with reporting(as_json=as_json) as report:
        price = stop_instance(here, instance, report)
    if as_json:
        print_json({"instance": instance, "stopped": True, "disk_usd_per_hour": price})
    return 0


def label(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    text: Annotated[str, typer.Argument(help="What to call it; nothing takes the label away.")] = "",
    as_json: Json = False,
) -> int:
    """Write a label on an instance, for your own eyes: it stays on this machine, no cloud is told."""
    from console.operations.notes import write_note

    here = session()
    if text and here.ledger.instance(here.cloud_name, instance) is None:
        here.instance(instance)  # says so when there is none
    kept = write_note(here, instance, text)
    if as_json:
        print_json({"instance": instance, "label": kept})
    else:
        print(f"instance {instance} is labelled {kept!r}" if kept else f"instance {instance} has no label")
    return 0


def rerent(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    offer: Annotated[int | None, typer.Option(help="An offer's id; default: the best on the same terms.")] = None,
    max_usd_per_hour: Annotated[
        float | None, typer.Option(help="What the new one may cost an hour.", callback=limit)
    ] = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Go on without what cannot be fetched from the old one.")
    ] = False,
    run: Annotated[str | None, typer.Option(help="The run that may move; refuse when it is another.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Rent another machine in an instance's place, on the same terms, and move its run; the old one is destroyed."""
    from console.commands.bootstrap import drive_and_decide
    from console.commands.runs import EXIT_OF_STATE
    from console.operations.rerent import rerent as rerent_instance
    from console.operations.rerent_plan import plan_rerent
    from console.operations.run import Wishes

    here = session()
    plan = plan_rerent(here, instance, offer_id=offer, max_usd_per_hour=max_usd_per_hour)
    plan.check_run(run)
    if not yes:
        ask(f"Replace {plan.words}?", yes=yes)
    stop_on_signals(also_hangup=True)
    with reporting(as_json=as_json) as report:
        done = rerent_instance(here, plan, report, give_up=give_up)
    _refresh_names(here)
    state = None
    if done.run_id is not None:
        state = drive_and_decide(here, done.run_id, Wishes(), as_json=as_json).state
    if as_json:
        print_json(asdict(done) | {"state": state})
    elif not done.old_is_gone:
        print(f"spotter: instance {instance} is STILL BILLED: `spotter destroy {instance} --force`", file=sys.stderr)
    return EXIT_OF_STATE.get(state or "succeeded", 1) or (0 if done.old_is_gone else 1)


def _refresh_names(here: Session) -> None:
    """What `ssh` knows of our machines follows what is rented, where that is installed; it fails no command."""
    from console.operations.ssh_config import refresh
    from remote.cloud import CloudError

    try:
        refresh(here)
    except (CloudError, OSError) as error:
        print(f"spotter: the names for ssh are not up to date: {error}", file=sys.stderr)
