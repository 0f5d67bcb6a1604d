"""Services of an instance: start, stop, list, and open one on this machine's loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from console.operations.events import OperationEvent, Report, Step, silent
from console.operations.guard import guard_if_forgotten
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.jobs import Agent, JobStatus
    from remote.services import OpenService, Service
    from remote.ssh.forward import Tunnel


@contextmanager
def agent_of(session: Session, instance_id: int) -> Iterator[Agent]:
    """The agent of an instance, for as long as the block lasts.

    Raises:
        InstanceGone: there is nothing to reach.
        remote.transport.TransportError: it cannot be reached, and why.
    """
    from remote.jobs import Agent

    with (
        session.reach(instance_id) as transport,
        Agent.start(transport, session.settings.cloud.remote_root, reconnect=session.reacher(instance_id)) as agent,
    ):
        guard_if_forgotten(session, agent, instance_id)
        yield agent


def list_services(session: Session, instance_id: int) -> list[Service]:
    """Every service that was started on the instance, with how it stands."""
    from remote.services import services

    with agent_of(session, instance_id) as agent:
        return services(agent)


def start(
    session: Session,
    instance_id: int,
    name: str,
    argv: Sequence[str],
    *,
    port: int | None = None,
    ready_path: str | None = None,
    restart: str = "on-failure",
    report: Report = silent,
) -> Service:
    """Start a command as a service, with the newest release on its path, and wait until it answers.

    On a box that was bootstrapped it gets the environment that jobs get.

    Raises:
        remote.services.ServiceError: it ended, does not become ready, differs from one that runs, or is exposed.
    """
    from remote.services import ServiceSpec, start_service

    with agent_of(session, instance_id) as agent:
        spec = ServiceSpec(
            name,
            tuple(argv),
            port=port,
            env={**_job_environment(agent), "PYTHONUNBUFFERED": "1", "PYTHONPATH": f"{agent.root}/current"},
            ready_path=ready_path,
            restart=restart,
        )
        with Step("service", f"starting {name}", report) as step:
            service = start_service(agent, spec, waiting=_ticker(name, report))
            step.summary = f"{name} answers on port {service.port} of instance {instance_id}, loopback only"
    return service


def stop(session: Session, instance_id: int, name: str, report: Report = silent) -> Service:
    """End a service and everything that it started.

    Raises:
        remote.services.NoSuchService: it was never started here.
    """
    from remote.services import stop_service

    with agent_of(session, instance_id) as agent, Step("service", f"stopping {name}", report) as step:
        service = stop_service(agent, name)
        step.summary = f"{name} has ended"
    return service


def restart(session: Session, instance_id: int, name: str, report: Report = silent) -> Service:
    """Start a service that has ended with the command and the port that it had.

    Raises:
        remote.services.NoSuchService: it was never started here.
        remote.services.ServiceError: it runs, had a token, or does not become ready.
    """
    from remote.services import spec_of_ended, start_service

    with agent_of(session, instance_id) as agent, Step("service", f"starting {name}", report) as step:
        service = start_service(agent, spec_of_ended(agent, name), waiting=_ticker(name, report))
        step.summary = f"{name} answers on port {service.port} of instance {instance_id}, loopback only"
    return service


def open_named(session: Session, instance_id: int, name: str, *, local_port: int | None = None) -> OpenService:
    """A tunnel to a service; the local port is that of the box when it is free here and none is named.

    Raises:
        remote.services.NoSuchService, remote.services.ServiceFailed: it was never started, or has ended.
        remote.ssh.forward.LocalPortTaken: the named port is taken.
    """
    from remote.services import find_service, open_service
    from remote.ssh.forward import LocalPortTaken

    with agent_of(session, instance_id) as agent:
        reach = session.reacher(instance_id)
        if local_port is None:
            with suppress(LocalPortTaken):
                return open_service(agent, name, reach, local_port=find_service(agent, name).port)
        return open_service(agent, name, reach, local_port=local_port or 0)


def open_jupyter(
    session: Session, instance_id: int, *, local_port: int | None = None, report: Report = silent
) -> OpenService:
    """Open a tunnel to Jupyter; the box is made ready for it and it is started when it does not run.

    Raises:
        remote.bootstrap.steps.BootstrapFailed: JupyterLab could not be installed.
        remote.services.ServiceError: it does not become ready, or runs with the other `[jupyter] auth`.
    """
    from remote.jupyter import SERVICE_NAME

    ensure_jupyter(session, instance_id, report)
    return open_named(session, instance_id, SERVICE_NAME, local_port=local_port)


def ensure_jupyter(session: Session, instance_id: int, report: Report = silent) -> None:
    """Start Jupyter unless it runs; the box is made ready for it.

    Raises:
        remote.bootstrap.steps.BootstrapFailed: JupyterLab could not be installed.
        remote.services.ServiceError: it does not become ready, or runs with the other `[jupyter] auth`.
    """
    from remote.jupyter import SERVICE_NAME
    from remote.services import ServiceDiffers, services

    auth = session.settings.jupyter.auth
    with agent_of(session, instance_id) as agent:
        running = next((each for each in services(agent) if each.name == SERVICE_NAME and each.alive), None)
        if running is None:
            _start_jupyter(session, agent, instance_id, report)
        elif (running.token_file is None) != (auth == "none"):
            raise ServiceDiffers(
                f"Jupyter runs on instance {instance_id} with another [jupyter] auth than {auth!r}: "
                f"`spotter service stop jupyter --on {instance_id}` ends it with its kernels, then open it again"
            )


def _start_jupyter(session: Session, agent: Agent, instance_id: int, report: Report) -> None:
    from console.operations.bootstrap import bootstrap
    from console.operations.prepare import push_code
    from remote.bootstrap.caches import job_environment
    from remote.jupyter import jupyter_service, prepare_jupyter
    from remote.services import start_service

    wanted = session.settings.jupyter
    release = push_code(session, agent.transport, report)
    python = bootstrap(session, agent.transport, instance_id, release, report, jupyter=True)
    with Step("jupyter", "starting Jupyter", report) as step:
        environment = job_environment(agent)
        prepare_jupyter(agent, python, wanted.notebook_dir, environment)
        spec = jupyter_service(agent, python, wanted.notebook_dir, environment, auth=wanted.auth)
        service = start_service(agent, spec, waiting=_ticker("Jupyter", report))
        step.summary = f"Jupyter answers on port {service.port} of instance {instance_id}, loopback only"


def open_port(session: Session, instance_id: int, port: int, *, local_port: int | None = None) -> Tunnel:
    """A tunnel to a port of the instance's loopback; the same port here when it is free and none is named.

    Raises:
        remote.ssh.forward.LocalPortTaken: the named port is taken.
    """
    from remote.ssh.forward import LOOPBACK, LocalPortTaken, open_tunnel

    reach = session.reacher(instance_id)
    if local_port is None:
        with suppress(LocalPortTaken):
            return open_tunnel(reach, LOOPBACK, port, port)
    return open_tunnel(reach, LOOPBACK, port, local_port or 0)


def _job_environment(agent: Agent) -> dict[str, str]:
    from remote.bootstrap.caches import NotBootstrapped, job_environment

    try:
        return job_environment(agent)
    except NotBootstrapped:
        return {}  # a service of the image itself needs none of it


def _ticker(name: str, report: Report) -> Callable[[JobStatus], None]:
    def tick(job: JobStatus) -> None:
        report(OperationEvent("service", "progress", f"{name} is {job.state}, waiting until it answers"))

    return tick
