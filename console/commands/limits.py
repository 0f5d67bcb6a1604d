"""The command about limits: when an instance gives itself back with nobody there."""

from __future__ import annotations

from typing import Annotated

import typer

from console.commands.frame import Json, Yes, ask, fail, limit, print_json, reporting, session


def guard(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    max_usd: Annotated[float | None, typer.Option(help="What it may cost in all, from now on.", callback=limit)] = None,
    max_hours: Annotated[
        float | None, typer.Option(help="How long it may be rented in all, from now on.", callback=limit)
    ] = None,
    add_hours: Annotated[
        float | None, typer.Option(help="How much longer than now it may go on.", callback=limit)
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Show when an instance gives itself back with nobody there; arm or raise its limits."""
    from console.operations.guard import extend, prolong, words_of
    from console.operations.guard import guard as arm
    from remote.jobs import Agent

    if add_hours is not None and (max_usd is not None or max_hours is not None):
        fail("--add-hours counts from now, --max-usd and --max-hours count in all: give one of both kinds", 2)
    here = session()
    if max_usd is not None or max_hours is not None or add_hours is not None:
        ask(f"Raise what instance {instance} may cost?", yes=yes)
    root = here.settings.cloud.remote_root
    with reporting(as_json=as_json) as report, here.reach(instance) as transport, Agent.start(transport, root) as agent:
        if add_hours is not None:
            status = prolong(here, agent, instance, add_hours=add_hours, report=report)
        elif max_usd is None and max_hours is None:
            status = arm(here, agent, instance, report)
        else:
            status = extend(here, agent, instance, max_usd=max_usd, max_hours=max_hours, report=report)
    if as_json:
        print_json(status.to_json() | {"instance": instance, "guards": status.guards})
        return 0 if status.guards else 1
    print(("EMULATED: " if here.emulated else "") + words_of(instance, status))
    return 0 if status.guards else 1
