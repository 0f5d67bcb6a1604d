"""Commands about services: jupyter, service start|stop|list|open, tunnel."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, fail, guard, print_json, reporting, session

if TYPE_CHECKING:
    from console.operations.session import Session
    from remote.services import OpenService, Service
    from remote.ssh.forward import Tunnel

HOLD_STEP_S = 0.5

Instance = Annotated[int | None, typer.Argument(help="The instance's id; default: the only one that is rented.")]
OnInstance = Annotated[
    int | None, typer.Option("--on", metavar="ID", help="The instance; default: the only one that is rented.")
]
LocalPort = Annotated[
    int | None, typer.Option("--local", metavar="PORT", help="The port here; default: the same, or a free one.")
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]


def jupyter(
    instance: Instance = None,
    local: LocalPort = None,
    no_browser: NoBrowser = False,
    start_only: Annotated[bool, typer.Option("--start-only", help="Start it, and open nothing here.")] = False,
    as_json: Json = False,
) -> int:
    """Open JupyterLab of an instance in the browser; the tunnel stays until Ctrl-C, Jupyter goes on."""
    from console.operations.services import ensure_jupyter, open_jupyter
    from console.operations.shell import the_instance

    here = session()
    chosen = the_instance(here, instance)
    if start_only:
        with reporting(as_json=as_json) as report:
            ensure_jupyter(here, chosen, report)
        if as_json:
            print_json({"instance": chosen, "service": "jupyter", "running": True})
        return 0
    with reporting(as_json=as_json) as report:
        opened = open_jupyter(here, chosen, local_port=local, report=report)
    return _show_and_hold(here, opened, chosen, browser=not no_browser, as_json=as_json)


def tunnel(
    instance: Annotated[int, typer.Argument(help="The instance's id.")],
    port: Annotated[int, typer.Argument(help="The port of its loopback.", min=1, max=65535)],
    local: LocalPort = None,
    as_json: Json = False,
) -> int:
    """Lead a port of this machine's loopback to one of the instance's, until Ctrl-C."""
    from console.operations.services import open_port

    here = session()
    opened = open_port(here, instance, port, local_port=local)
    if as_json:
        print_json({"instance": instance, "remote_port": port, "local_port": opened.local_port})
    else:
        print(f"{opened.local_address} leads to {opened.remote_host}:{port} of instance {instance}; Ctrl-C ends it")
    return _hold(here, instance, opened)


service = typer.Typer(no_args_is_help=True, help="Long-lived processes on an instance, reached by tunnels.")


@service.command("start")
def service_start(
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, '-'.")],
    command: Annotated[
        list[str], typer.Argument(help="After --: the command; {port} in it stands for the port it must listen on.")
    ],
    on: OnInstance = None,
    port: Annotated[int | None, typer.Option(help="A fixed port of the box's loopback; default: a free one.")] = None,
    ready: Annotated[str | None, typer.Option(metavar="PATH", help="An HTTP path that must answer first.")] = None,
    restart: Annotated[str, typer.Option(help="never, on-failure or always.")] = "on-failure",
    as_json: Json = False,
) -> None:
    """Start a command on an instance and keep it running; it must listen on 127.0.0.1 only."""

    def start() -> int:
        from console.operations import services
        from console.operations.shell import the_instance

        here = session()
        with reporting(as_json=as_json) as report:
            started = services.start(
                here, the_instance(here, on), name, command,
                port=port, ready_path=ready, restart=restart, report=report,
            )  # fmt: skip
        if as_json:
            print_json(_service_data(started))
        return 0

    raise typer.Exit(guard(start, as_json=as_json))


@service.command("stop")
def service_stop(
    name: Annotated[str, typer.Argument(help="Its name.")], on: OnInstance = None, as_json: Json = False
) -> None:
    """End a service and everything that it started."""

    def stop() -> int:
        from console.operations import services
        from console.operations.shell import the_instance

        here = session()
        with reporting(as_json=as_json) as report:
            stopped = services.stop(here, the_instance(here, on), name, report)
        if as_json:
            print_json(_service_data(stopped))
        return 0

    raise typer.Exit(guard(stop, as_json=as_json))


@service.command("restart")
def service_restart(
    name: Annotated[str, typer.Argument(help="Its name.")], on: OnInstance = None, as_json: Json = False
) -> None:
    """Start a service that has ended again, with the command and the port that it had."""

    def restart() -> int:
        from console.operations import services
        from console.operations.shell import the_instance

        here = session()
        with reporting(as_json=as_json) as report:
            started = services.restart(here, the_instance(here, on), name, report)
        if as_json:
            print_json(_service_data(started))
        return 0

    raise typer.Exit(guard(restart, as_json=as_json))


@service.command("list")
def service_list(instance: Instance = None, on: OnInstance = None, as_json: Json = False) -> None:
    """Show the services of an instance."""

    def show() -> int:
        from console.operations.services import list_services
        from console.operations.shell import the_instance
        from console.terminal import print_table
        from console.words import count, duration
        from remote.services import uptime_s

        if None not in (instance, on) and instance != on:
            fail(f"name one instance: {instance} or --on {on}", 2)
        here = session()
        chosen = the_instance(here, instance if on is None else on)
        found = list_services(here, chosen)
        if as_json:
            print_json([_service_data(each) for each in found])
            return 0
        rows = []
        for each in found:
            up = uptime_s(each)
            rows.append((each.name, each.job.state, str(each.port), "–" if up is None else duration(up), each.job.id))
        print_table(
            ("service", "state", "port", "up", "job"), rows, f"{count(len(found), 'service')} on instance {chosen}"
        )
        return 0

    raise typer.Exit(guard(show, as_json=as_json))


@service.command("open")
def service_open(
    name: Annotated[str, typer.Argument(help="Its name.")],
    on: OnInstance = None,
    local: LocalPort = None,
    no_browser: NoBrowser = False,
    as_json: Json = False,
) -> None:
    """Open a service in the browser; the tunnel stays until Ctrl-C, the service goes on."""

    def open_it() -> int:
        from console.operations.services import open_named
        from console.operations.shell import the_instance

        here = session()
        chosen = the_instance(here, on)
        opened = open_named(here, chosen, name, local_port=local)
        return _show_and_hold(here, opened, chosen, browser=not no_browser, as_json=as_json)

    raise typer.Exit(guard(open_it, as_json=as_json))


def _service_data(service: Service) -> dict[str, object]:
    return {"service": service.name, "job": service.job.id, "state": service.job.state, "port": service.port}


def _show_and_hold(here: Session, opened: OpenService, instance_id: int, *, browser: bool, as_json: bool) -> int:
    """Print the address, open it, and keep the tunnel. The token is printed for the operator's own eyes."""
    from console.operations.browser import open_in_browser

    if as_json:
        told = _service_data(opened.service) | {"instance": instance_id, "url": opened.entry_url}
        print_json(told | {"local_port": opened.tunnel.local_port})
    else:
        print(f"{opened.service.name} of instance {instance_id}: {opened.entry_url}")
        shown = browser and open_in_browser(opened.entry_url)
        print("opened in the browser; Ctrl-C closes the tunnel" if shown else "Ctrl-C closes the tunnel")
    return _hold(here, instance_id, opened.tunnel)


def _hold(here: Session, instance_id: int, tunnel: Tunnel) -> int:
    """Stay until Ctrl-C or SIGTERM, and let the box know; say when connections fail, once for each reason."""
    from console.operations.in_use import in_use
    from console.operations.signals import stop_on_signals

    stop_on_signals()
    sys.stdout.flush()
    said = None
    try:
        with in_use(here, instance_id):
            while True:
                time.sleep(HOLD_STEP_S)
                if tunnel.last_error != said:
                    said = tunnel.last_error
                    print(f"spotter: a connection failed: {said}", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    finally:
        tunnel.close()
