"""Commands about the emulated marketplace: serve it, look at it, let things go wrong, stop it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from console.commands.frame import Json, Yes, ask, guard, print_json, session, workspace

cloud = typer.Typer(
    no_args_is_help=True,
    help="The EMULATED marketplace of this workspace: vast.ai's HTTP surface on loopback, with machines that are "
    "SSH servers on this one. Nothing in it costs money.",
)

SERVE_HELP = """
Run the EMULATED marketplace in the foreground, for Spotter and for any other client of vast.ai's API.

It prints its address and the API key to use; the official command line takes them as `--url` and `--api-key`.

Not modelled: real GPUs, the contents of docker images, isolation (commands on a box run as you), how reliable hosts
are, real prices.
"""


@cloud.command("serve", help=SERVE_HELP)
def cloud_serve(
    port: Annotated[int, typer.Option(help="A fixed port; 0 takes a free one.")] = 0,
    speed: Annotated[float, typer.Option(min=0.01, help="Virtual seconds that pass in a real one.")] = 1.0,
    scenario: Annotated[str | None, typer.Option(metavar="NAME", help="What goes wrong; `happy` is nothing.")] = None,
    seed: Annotated[int, typer.Option(help="Which chances a scenario draws.")] = 0,
) -> None:
    """Run the emulated marketplace in the foreground."""

    def serve() -> int:
        place = workspace()
        place.prepare()
        options = {"--state": place.local_cloud, "--port": port, "--speed": speed, "--seed": seed}
        arguments = ["-m", "remote.localcloud", *(str(part) for option in options.items() for part in option)]
        if scenario is not None:
            arguments += ["--scenario", scenario]
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - it takes over the terminal

    raise typer.Exit(guard(serve))


@cloud.command("status")
def cloud_status(as_json: Json = False) -> None:
    """Say whether the emulated marketplace runs, where, at what time, and what is wrong with it."""

    def status() -> int:
        from remote.localcloud.controls import Controls
        from remote.localcloud.daemon import address

        where = workspace().local_cloud
        if address(where) is None:
            print_json(None) if as_json else print("the local cloud does not run")
            return 0
        state = Controls(where).state()
        if as_json:
            print_json({"emulated": True, **asdict(state)})
            return 0
        moment = datetime.fromtimestamp(state.virtual_time, UTC)
        wrong = state.scenario or ("nothing" if not state.rules else "rules of its own")
        print(f"EMULATED marketplace at {state.url}, process {state.pid}")
        print(f"  instances  {state.instances}")
        print(f"  time       {moment:%Y-%m-%d %H:%M:%S} UTC, {state.speed:g}x as fast as here")
        print(f"  scenario   {wrong} ({state.rules} rules, seed {state.seed})")
        return 0

    raise typer.Exit(guard(status, as_json=as_json))


@cloud.command("scenario")
def cloud_scenario(
    name: Annotated[str | None, typer.Argument(help="One of the list; `happy` ends all others.")] = None,
    seed: Annotated[int, typer.Option(help="Which chances it draws.")] = 0,
    rule: Annotated[str | None, typer.Option(help="Add one rule as JSON: {match: …, do: …}.")] = None,
    as_json: Json = False,
) -> None:
    """Let something go wrong in the emulated marketplace; without a name, list what can."""

    def put_in_force() -> int:
        from remote.localcloud.controls import Controls

        controls = Controls(workspace().local_cloud)
        if rule is not None:
            controls.add_rule(_rule_of(rule))
        if name is not None:
            controls.put_in_force(name, seed)
        if name is None and rule is None:
            return _list_scenarios(as_json)
        state = controls.state()
        if as_json:
            print_json({"emulated": True, **asdict(state)})
        else:
            print(
                f"EMULATED: {state.scenario or 'rules of its own'} is in force ({state.rules} rules, seed {state.seed})"
            )
        return 0

    raise typer.Exit(guard(put_in_force, as_json=as_json))


@cloud.command("stop")
def cloud_stop(
    force: Annotated[bool, typer.Option("--force", help="Give up what is on its instances and not here.")] = False,
    yes: Yes = False,
) -> None:
    """End the emulated marketplace and destroy its instances; not while one holds what is not here."""

    def stop() -> int:
        from console.operations.destroy import check_may_go

        here = session()
        rented = here.living_rentals() if here.emulated else []
        if rented:
            ids = ", ".join(str(row.instance_id) for row in rented)
            ask(f"Destroy {ids} and end the local cloud?", yes=yes)
        if not force and here.living_cloud() is not None:
            for row in rented:
                check_may_go(here, row.instance_id)
        print("the local cloud is stopped" if here.stop_local_cloud() else "the local cloud was not running")
        return 0

    raise typer.Exit(guard(stop))


def _list_scenarios(as_json: bool) -> int:
    from remote.localcloud.scenarios import NAMED

    if as_json:
        print_json({name: each.about for name, each in NAMED.items()})
        return 0
    for name, each in NAMED.items():
        print(f"  {name:<20} {each.about}")
    return 0


def _rule_of(text: str) -> dict[str, object]:
    from console.errors import WrongInput

    try:
        found = json.loads(text)
    except ValueError as error:
        raise WrongInput(f"--rule is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise WrongInput("--rule must be a JSON object with match and do")
    return found
