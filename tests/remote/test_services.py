"""Services on a real OpenSSH server. JupyterLab itself is not among the tests' packages: a stand-in module answers to
its command line, reads its token the same way and refuses what it refuses."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from remote.jobs import Agent
from remote.jupyter import KERNEL_NAME, jupyter_service, prepare_jupyter
from remote.listening import exposed_addresses, free_port_on_box
from remote.services import (
    NoSuchService,
    ServiceDiffers,
    ServiceExposed,
    ServiceFailed,
    ServiceSpec,
    find_service,
    open_service,
    services,
    spec_of_ended,
    start_service,
    stop_service,
)
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually

HTTP_SERVER = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("served " + self.path).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
print("serving", flush=True)
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
"""

JUPYTER_STAND_IN = """
import http.server, os, sys, urllib.parse
options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
assert options["ip"] == "127.0.0.1" and options["ServerApp.port_retries"] == "0", options
assert os.path.isdir(options["ServerApp.root_dir"]), options
token = options.get("IdentityProvider.token")
if token is None:
    token = open(os.environ["JUPYTER_TOKEN_FILE"]).read().strip()
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        asked = urllib.parse.parse_qs(url.query).get("token", [""])[0]
        asked = asked or (self.headers.get("Authorization") or "").removeprefix("token ").strip()
        right = not token or asked == token
        body = url.path.encode() if right else b"Forbidden"
        self.send_response(200 if right else 403); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer((options["ip"], int(options["port"])), Page).serve_forever()
"""

WORKER_ENVIRONMENT = {"MODEL_DIR": "/models"}


@pytest.fixture
def agent(sshd: Sshd, transport: Transport) -> Iterator[Agent]:
    """The agent of a box; its services are stopped at the end."""
    with Agent.start(transport, "spotter", reconnect=sshd.connect) as agent:
        try:
            yield agent
        finally:
            for service in services(agent):
                stop_service(agent, service.name)


@pytest.fixture
def worker_python(sshd: Sshd) -> str:
    """An interpreter on the box that has a stand-in for JupyterLab."""
    packages = sshd.home / "packages"
    packages.mkdir()
    (packages / "jupyterlab.py").write_text(JUPYTER_STAND_IN)
    wrapper = sshd.home / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def page(address: str = "127.0.0.1", **more: object) -> ServiceSpec:
    argv = (sys.executable, "-S", "-c", HTTP_SERVER, address, "{port}")
    return ServiceSpec("page", argv, **({"ready_path": "/"} | more))  # type: ignore[arg-type]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(url: str) -> bool:
    try:
        return get(url)[0] == 200
    except OSError:
        return False


def test_a_service_is_started_once_and_reached_through_a_tunnel(sshd: Sshd, agent: Agent) -> None:
    service = start_service(agent, page())
    again = start_service(agent, page())
    assert again.job.id == service.job.id == "service-page.1"
    assert again.port == service.port
    opened = open_service(agent, "page", sshd.connect)
    try:
        assert opened.url == opened.entry_url
        assert get(f"{opened.url}x") == (200, "served /x")
        sshd.cut()
        eventually(lambda: get(f"{opened.url}y") == (200, "served /y"), what="the tunnel to come back")
    finally:
        opened.close()


def test_a_stopped_service_is_listed_and_can_be_started_anew(sshd: Sshd, agent: Agent) -> None:
    first = start_service(agent, page())
    assert stop_service(agent, "page").job.state == "cancelled"
    assert [(each.name, each.alive) for each in services(agent)] == [("page", False)]
    assert stop_service(agent, "page").job.id == first.job.id  # stopping it again changes nothing
    with pytest.raises(ServiceFailed, match="has ended"):
        open_service(agent, "page", sshd.connect)
    second = start_service(agent, page())
    assert second.job.id == "service-page.2"
    assert find_service(agent, "page").alive


def test_a_service_that_ended_is_started_again_as_it_was(agent: Agent) -> None:
    first = start_service(agent, page())
    with pytest.raises(ServiceDiffers, match="stop it first"):
        spec_of_ended(agent, first.name)
    stop_service(agent, first.name)
    again = start_service(agent, spec_of_ended(agent, first.name))
    assert (again.alive, again.port, again.open_path) == (True, first.port, first.open_path)
    assert again.job.id != first.job.id


def test_a_name_that_was_never_started_is_told_with_those_that_were(agent: Agent) -> None:
    start_service(agent, page())
    with pytest.raises(NoSuchService, match=r"no service 'label' \(it has: page\)"):
        find_service(agent, "label")


def test_another_command_under_the_same_name_is_refused(agent: Agent) -> None:
    start_service(agent, page())
    with pytest.raises(ServiceDiffers, match="stop it first"):
        start_service(agent, page(env={"COLOUR": "red"}))


def test_a_service_that_ends_at_once_is_told_with_its_last_lines(agent: Agent) -> None:
    spec = ServiceSpec("broken", ("sh", "-c", "echo no such model >&2; exit 3"), restart="never")
    with pytest.raises(ServiceFailed, match=r"exit code 3; its log ends with: no such model"):
        start_service(agent, spec)


def test_a_service_that_keeps_ending_is_stopped_and_told(agent: Agent) -> None:
    spec = ServiceSpec("broken", ("sh", "-c", "echo no such option >&2; exit 2"))
    with pytest.raises(ServiceFailed, match=r"ended 3 times before it was ready, and was stopped.*no such option"):
        start_service(agent, spec)
    assert not find_service(agent, "broken").alive


def test_a_service_that_dies_is_begun_again_behind_the_same_tunnel(sshd: Sshd, agent: Agent) -> None:
    service = start_service(agent, page())
    opened = open_service(agent, "page", sshd.connect)
    try:
        assert get(opened.url) == (200, "served /")
        assert service.job.pid is not None
        os.kill(service.job.pid, signal.SIGKILL)
        eventually(lambda: answers(opened.url), what="the service to answer again")
    finally:
        opened.close()
    assert find_service(agent, "page").job.attempt == 2


def test_a_service_that_never_answers_is_told_and_goes_on(agent: Agent) -> None:
    spec = ServiceSpec("slow", ("sh", "-c", "echo loading the model; exec sleep 60"), ready_s=1)
    with pytest.raises(ServiceFailed, match=r"not ready after 1 s; it goes on as job .*loading"):
        start_service(agent, spec)
    assert find_service(agent, "slow").alive


@pytest.mark.parametrize("address", ["0.0.0.0", ""])
def test_a_service_that_listens_on_every_address_is_stopped(agent: Agent, address: str) -> None:
    with pytest.raises(ServiceExposed, match=r"listened on 0\.0\.0\.0 port \d+, not only on loopback, and was stopped"):
        start_service(agent, page(address))
    assert not find_service(agent, "page").alive


def test_a_listener_on_every_address_of_both_families_is_seen(transport: Transport, sshd: Sshd) -> None:
    import socket

    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert exposed_addresses(transport, sys.executable, server.getsockname()[1]) == ["::"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert exposed_addresses(transport, sys.executable, server.getsockname()[1]) == []
    assert 0 < free_port_on_box(transport, sys.executable) < 65536


def test_jupyter_lets_in_who_has_the_token_and_shows_it_nowhere(sshd: Sshd, agent: Agent, worker_python: str) -> None:
    prepare_jupyter(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)
    service = start_service(agent, jupyter_service(agent, worker_python, "notebooks", WORKER_ENVIRONMENT))
    opened = open_service(agent, "jupyter", sshd.connect)
    try:
        token = opened.entry_url.rpartition("token=")[2]
        assert len(token) >= 32
        assert token not in opened.url
        assert get(opened.entry_url) == (200, "/lab")
        assert get(opened.url)[0] == 403
    finally:
        opened.close()
    spec = json.loads((sshd.home / "spotter" / "jobs" / service.job.id / "spec.json").read_text())
    assert spec["env"]["JUPYTER_TOKEN_FILE"].startswith(f"{agent.root}/secrets/service-jupyter.")
    secret = Path(spec["env"]["JUPYTER_TOKEN_FILE"])
    assert secret.stat().st_mode & 0o777 == 0o600
    holders = [
        path for path in (sshd.home / "spotter").rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert holders == [secret]
    for process in sshd.leftovers():
        assert not any(token in word for word in process.cmdline())
        if process.pid != os.getpid():
            assert token not in process.environ().values()
    kernel = sshd.home / "spotter" / "jupyter" / "kernels" / KERNEL_NAME / "kernel.json"
    told = json.loads(kernel.read_text())
    assert (told["display_name"], told["argv"][0]) == ("Spotter (worker)", worker_python)
    assert told["env"]["PYTHONPATH"] == f"{agent.root}/current"
    assert told["env"]["MODEL_DIR"] == "/models"


def test_each_start_of_jupyter_has_a_token_of_its_own(sshd: Sshd, agent: Agent, worker_python: str) -> None:
    prepare_jupyter(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)
    spec = jupyter_service(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)

    def token() -> str:
        token_file = start_service(agent, spec).token_file
        assert token_file is not None
        return (sshd.home / "spotter" / token_file).read_text()

    first = token()
    assert token() == first
    ended = stop_service(agent, "jupyter")
    assert (sshd.home / "spotter" / str(ended.token_file)).read_text() == ""
    assert len(token()) == len(first)
    assert token() != first


def test_two_who_start_a_service_at_once_get_the_same_one(sshd: Sshd, agent: Agent, worker_python: str) -> None:
    prepare_jupyter(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)
    spec = jupyter_service(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _each: start_service(agent, spec), range(4)))
    assert {(each.job.id, each.port, each.token_file) for each in started} == {
        ("service-jupyter.1", started[0].port, started[0].token_file)
    }
    opened = open_service(agent, "jupyter", sshd.connect)
    try:
        assert get(opened.entry_url) == (200, "/lab")
    finally:
        opened.close()


def test_jupyter_without_a_token_asks_nothing_and_still_listens_on_loopback_only(
    sshd: Sshd, agent: Agent, worker_python: str
) -> None:
    prepare_jupyter(agent, worker_python, "notebooks", WORKER_ENVIRONMENT)
    service = start_service(agent, jupyter_service(agent, worker_python, "notebooks", WORKER_ENVIRONMENT, auth="none"))
    opened = open_service(agent, "jupyter", sshd.connect)
    try:
        assert opened.entry_url == opened.url
        assert get(opened.url) == (200, "/lab")
    finally:
        opened.close()
    listening = {
        each.laddr.ip
        for process in psutil.process_iter()
        for each in _connections(process)
        if each.status == psutil.CONN_LISTEN and each.laddr.port == service.port
    }
    assert listening == {"127.0.0.1"}


def test_a_box_without_jupyter_says_so(agent: Agent) -> None:
    prepare_jupyter(agent, sys.executable, "notebooks", WORKER_ENVIRONMENT)
    spec = jupyter_service(agent, sys.executable, "notebooks", WORKER_ENVIRONMENT)
    with pytest.raises(ServiceFailed, match="No module named jupyterlab"):
        start_service(agent, replace(spec, restart="never"))


def _connections(process: psutil.Process) -> list[psutil._common.pconn]:  # type: ignore[name-defined]
    try:
        return list(process.net_connections("tcp"))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
