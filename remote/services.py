"""Services: long-lived processes on a box that listen on its loopback, kept by the supervisor, reached by a tunnel.

The job is the only truth about a service: its number stands in the job's id, its port in the job's environment. So a
second laptop, or the same one after a crash, finds what runs without a file that could disagree.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from remote.agent.spec import JobSpec, JobStatus, Ready
from remote.bootstrap.install import install_agent
from remote.clock import SYSTEM_CLOCK, Clock
from remote.jobs import Agent, JobConflict
from remote.listening import exposed_addresses, free_port_on_box, http_status, takes_connections
from remote.ssh.forward import LOOPBACK, Tunnel, open_tunnel
from remote.transport import PortClosed, Transport

READY_POLL_S = 0.2
MOST_STARTS = 3
"""A service that ended so often before it was ready will not mend itself by another start."""
STOP_LIMIT_S = 30.0
LOG_TAIL_BYTES = 4096
LOG_KEPT_BYTES = 16 * 1024 * 1024
PORT_VARIABLE = "SPOTTER_SERVICE_PORT"
PATH_VARIABLE = "SPOTTER_SERVICE_PATH"
TOKEN_VARIABLE = "SPOTTER_SERVICE_TOKEN_FILE"  # noqa: S105 (a name)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_JOB = re.compile(r"service-(?P<name>[a-z0-9][a-z0-9-]*)\.(?P<number>\d+)")


class ServiceError(Exception):
    """A service could not be had; the text says why and what to do."""


class NoSuchService(ServiceError):
    """No service of this name was ever started on the box."""


class ServiceDiffers(ServiceError):
    """A service of this name runs with another command or environment; stop it first."""


class ServiceFailed(ServiceError):
    """The service ended, or did not become ready; the text has the last lines of its log."""


class ServiceExposed(ServiceError):
    """The service listens on more than the box's loopback; it was stopped."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What to keep running on a box. In `argv` and `env`, `{port}` and `{token_file}` stand for what they say.

    The process must listen on 127.0.0.1 only: that is checked when it is ready. Nothing secret belongs in here; a
    service with `token` finds its secret in the 0600 file `{token_file}`, new at each start.
    """

    name: str
    argv: tuple[str, ...]
    port: int | None = None
    """On the box's loopback; None takes one that is free there."""
    cwd: str = "."
    env: dict[str, str] = field(default_factory=dict)
    secret_files: dict[str, str] = field(default_factory=dict)
    """As in `JobSpec`."""
    token: bool = False
    open_path: str = "/"
    """What a browser is sent to."""
    ready_path: str | None = None
    """Is asked by HTTP until it answers 2xx or 3xx, with the token; None: the port takes connections."""
    ready_s: float = 90.0
    restart: str = "on-failure"
    """never | on-failure | always, as in `JobSpec`."""
    gpu: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a service's name is lower-case letters, digits and '-', not {self.name!r}")
        if not self.open_path.startswith("/"):
            raise ValueError(f"service {self.name}: open_path begins with '/', not {self.open_path!r}")


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a box, as its newest job stands."""

    name: str
    job: JobStatus
    port: int
    open_path: str
    token_file: str | None
    """Below the Spotter root on the box."""

    @property
    def alive(self) -> bool:
        """Whether its process runs or is about to."""
        return not self.job.ended


@dataclass(frozen=True, slots=True)
class OpenService:
    """A service behind a tunnel."""

    service: Service
    tunnel: Tunnel
    url: str
    """Without the token: fit for a screen or a log."""
    entry_url: str
    """With the token, if there is one: only for the browser and for the operator's own eyes."""

    def close(self) -> None:
        """Close the tunnel; the service goes on."""
        self.tunnel.close()


def services(agent: Agent) -> list[Service]:
    """Every service that was ever started on the box, each by its newest job."""
    newest: dict[str, tuple[int, JobStatus]] = {}
    for job in agent.list():
        match = _JOB.fullmatch(job.id)
        if match and int(match["number"]) >= newest.get(match["name"], (0, job))[0]:
            newest[match["name"]] = (int(match["number"]), job)
    return [_service(agent, name, job) for name, (_number, job) in sorted(newest.items())]


def find_service(agent: Agent, name: str) -> Service:
    """The service of this name.

    Raises:
        NoSuchService: it was never started here.
    """
    found = _newest(agent, name)
    if found is None:
        known = ", ".join(each.name for each in services(agent)) or "none"
        raise NoSuchService(f"this box has no service {name!r} (it has: {known})")
    return found


def start_service(
    agent: Agent, spec: ServiceSpec, *, clock: Clock = SYSTEM_CLOCK, waiting: Callable[[JobStatus], None] | None = None
) -> Service:
    """Start it unless it runs, wait until it is ready, and see that only loopback listens. Exactly once by name.

    Raises:
        ServiceDiffers: one with this name runs with another command.
        ServiceFailed: it ended, keeps ending, or was not ready within its limit: that one goes on and is named.
        ServiceExposed: it listens on more than loopback; it was stopped.
    """
    service = _newest(agent, spec.name)
    if service is None or not service.alive:
        try:
            service = _launch(agent, spec, 1 if service is None else _number(service) + 1)
        except JobConflict:  # somebody else started it at the same moment, on another port or with another token
            service = find_service(agent, spec.name)
    wanted = _job_spec(agent, spec, _number(service), service.port, service.token_file)
    if wanted.digest != _spec_of(agent, service.job.id).digest:
        raise ServiceDiffers(
            f"service {spec.name} runs with another command or environment (job {service.job.id}): "
            f"stop it first, then start it anew"
        )
    service = _wait_until_ready(agent, spec, service, clock, waiting)
    exposed = exposed_addresses(agent.transport, _python(agent), service.port)
    if exposed:
        stop_service(agent, spec.name)
        raise ServiceExposed(
            f"service {spec.name} listened on {', '.join(exposed)} port {service.port}, not only on loopback, "
            f"and was stopped: make it bind {LOOPBACK}"
        )
    return service


def stop_service(agent: Agent, name: str, *, timeout_s: float = STOP_LIMIT_S) -> Service:
    """End it, with everything it started; one that has ended is left as it is.

    Raises:
        NoSuchService: it was never started here.
        ServiceFailed: it did not end within the limit.
    """
    service = find_service(agent, name)
    if not service.alive:
        return service
    agent.cancel(service.job.id)
    try:
        ended = agent.wait(service.job.id, timeout_s=timeout_s)
    except TimeoutError as error:
        raise ServiceFailed(f"service {name} did not end within {timeout_s:g} s: {error}") from error
    if service.token_file is not None:
        agent.write(service.token_file, b"", mode=0o600)  # nothing needs it any more
    return _service(agent, name, ended)


def spec_of_ended(agent: Agent, name: str) -> ServiceSpec:
    """What a service that has ended was started with, its port included, so that it can be started again.

    Raises:
        NoSuchService: it was never started here.
        ServiceDiffers: it runs, or it had a token, which whoever starts it must make anew.
    """
    service = find_service(agent, name)
    if service.alive:
        raise ServiceDiffers(f"service {name} runs (job {service.job.id}): stop it first, then start it anew")
    if service.token_file is not None:
        raise ServiceDiffers(f"service {name} had a token, which is gone: start it with its own command")
    spec = _spec_of(agent, service.job.id)
    env = {key: value for key, value in spec.env.items() if key not in (PORT_VARIABLE, PATH_VARIABLE, TOKEN_VARIABLE)}
    return ServiceSpec(
        name, spec.argv, port=service.port, cwd=spec.cwd, env=env, secret_files=dict(spec.secret_files),
        open_path=service.open_path, restart=spec.restart, gpu=spec.gpu,
    )  # fmt: skip


def open_service(
    agent: Agent, name: str, transport_factory: Callable[[], Transport], *, local_port: int = 0
) -> OpenService:
    """A tunnel to the service on this machine's loopback, and the address to open.

    Raises:
        NoSuchService, ServiceFailed: it was never started, or has ended.
        LocalPortTaken: something here listens on `local_port`.
        TransportError: the box cannot be reached.
    """
    service = find_service(agent, name)
    if not service.alive:
        raise ServiceFailed(f"service {name} has ended ({_why_ended(agent, service.job)}); start it anew")
    tunnel = open_tunnel(transport_factory, LOOPBACK, service.port, local_port)
    url = f"http://{tunnel.local_address}{service.open_path}"
    token = _token(agent, service)
    return OpenService(service, tunnel, url, f"{url}{'&' if '?' in url else '?'}token={token}" if token else url)


def _wait_until_ready(
    agent: Agent, spec: ServiceSpec, service: Service, clock: Clock, waiting: Callable[[JobStatus], None] | None
) -> Service:
    token = _token(agent, service)
    deadline = clock.monotonic() + spec.ready_s
    while True:
        job = agent.status(service.job.id)
        if job.ended:
            raise ServiceFailed(f"service {spec.name} ended before it was ready: {_why_ended(agent, job)}")
        if job.attempt > MOST_STARTS:
            stop_service(agent, spec.name)
            raise ServiceFailed(
                f"service {spec.name} ended {MOST_STARTS} times before it was ready, and was stopped. "
                f"Its log ends with: {_log_tail(agent, job)}"
            )
        if _is_ready(agent.transport, spec, service.port, token):
            return _service(agent, spec.name, job)
        if clock.monotonic() >= deadline:
            raise ServiceFailed(
                f"service {spec.name} is not ready after {spec.ready_s:g} s; it goes on as job {job.id}. "
                f"Its log ends with: {_log_tail(agent, job)}"
            )
        if waiting is not None:
            waiting(job)
        clock.sleep(READY_POLL_S)


def _is_ready(transport: Transport, spec: ServiceSpec, port: int, token: str | None) -> bool:
    """Asked over the very way that the tunnel will take."""
    try:
        if spec.ready_path is None:
            return takes_connections(transport, port)
        return 200 <= http_status(transport, port, spec.ready_path, token=token) < 400
    except PortClosed:
        return False


def _launch(agent: Agent, spec: ServiceSpec, number: int) -> Service:
    """Start it. The token's file has a name of its own, so that whoever loses a race spoils nobody's token."""
    port = spec.port if spec.port is not None else free_port_on_box(agent.transport, _python(agent))
    token_file = None
    if spec.token:
        token_file = f"secrets/service-{spec.name}.{secrets.token_hex(4)}.token"
        agent.write(token_file, secrets.token_urlsafe(32).encode(), mode=0o600)
    return _service(agent, spec.name, agent.launch(_job_spec(agent, spec, number, port, token_file)))


def _job_spec(agent: Agent, spec: ServiceSpec, number: int, port: int, token_file: str | None) -> JobSpec:
    def filled(text: str) -> str:
        return text.replace("{port}", str(port)).replace("{token_file}", f"{agent.root}/{token_file}")

    told = {PORT_VARIABLE: str(port), PATH_VARIABLE: spec.open_path}
    if spec.token and token_file is not None:
        told[TOKEN_VARIABLE] = token_file
    return JobSpec(
        id=f"service-{spec.name}.{number}",
        argv=tuple(filled(each) for each in spec.argv),
        cwd=spec.cwd,
        env={name: filled(value) for name, value in spec.env.items()} | told,
        secret_files=dict(spec.secret_files),
        restart=spec.restart,
        gpu=spec.gpu,
        ready=Ready(port=port),
        log_keep_bytes=LOG_KEPT_BYTES,
    )


def _newest(agent: Agent, name: str) -> Service | None:
    return next((each for each in services(agent) if each.name == name), None)


def _service(agent: Agent, name: str, job: JobStatus) -> Service:
    told = _spec_of(agent, job.id).env
    return Service(name, job, int(told[PORT_VARIABLE]), told[PATH_VARIABLE], told.get(TOKEN_VARIABLE))


def _spec_of(agent: Agent, job_id: str) -> JobSpec:
    values: dict[str, Any] = json.loads(agent.follow(f"jobs/{job_id}/spec.json", 0))
    return JobSpec(**values)


def _python(agent: Agent) -> str:
    """The interpreter that the agent itself runs with."""
    return install_agent(agent.transport, agent.root).python


def _number(service: Service) -> int:
    return int(service.job.id.rpartition(".")[2])


def _token(agent: Agent, service: Service) -> str | None:
    return agent.follow(service.token_file, 0).decode().strip() if service.token_file else None


def _why_ended(agent: Agent, job: JobStatus) -> str:
    how = f"exit code {job.exit_code}" if job.exit_code is not None else job.message or job.state
    if job.signal is not None:
        how = f"signal {job.signal}"
    return f"{how}; its log ends with: {_log_tail(agent, job)}"


def _log_tail(agent: Agent, job: JobStatus, lines: int = 6) -> str:
    path = job.log.removeprefix(f"{agent.root}/")
    size = int(agent.stat(path).get("size", 0))
    if size == 0:
        return "nothing"
    text = agent.follow(path, max(0, size - LOG_TAIL_BYTES)).decode("utf-8", "replace")
    return " | ".join(text.strip().splitlines()[-lines:])


def uptime_s(service: Service, now: float | None = None) -> float | None:
    """Seconds since its process was started, by the box's clock as far as this machine's agrees."""
    started = service.job.started_at
    return None if started is None or not service.alive else max(0.0, (time.time() if now is None else now) - started)
