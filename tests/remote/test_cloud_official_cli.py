"""The official `vastai` command line against the emulated marketplace. It exits 0 on refusals: its text is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.remote.cloud_fixtures import Market

Cli = Callable[..., str]


@dataclass(frozen=True)
class Said:
    """What one invocation wrote."""

    out: str
    err: str

    @property
    def complains(self) -> bool:
        return "rror" in self.err or "Traceback" in self.err


Told = Callable[..., Said]

DRIVER = """
import json, os, sys, tempfile, traceback
from vastai.cli.main import main
for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if not pid:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["vastai", *json.loads(line)]
            try:
                main()
            except Exception:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        os.waitpid(pid, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    print(json.dumps(texts), flush=True)
"""
"""The command line's own entry point in a fork for each command: its import alone takes seconds."""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own: the command line keeps keys, caches ssh urls and asks for updates."""
    home = tmp_path / "home"
    home.mkdir()
    folders = {name: str(home / name) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    return {"HOME": str(home), "PATH": os.environ["PATH"], "VASTAI_NO_UPDATE_CHECK": "1", "COLUMNS": "200", **folders}


@pytest.fixture
def told(market: Market, home: dict[str, str]) -> Iterator[Told]:
    """The command line; answers with both of its voices."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None

        def call(*arguments: str) -> Said:
            where = ["--url", market.address.url, "--api-key", market.address.api_key]
            driver.stdin.write(json.dumps([*arguments, *where]) + "\n")  # type: ignore[union-attr]
            driver.stdin.flush()  # type: ignore[union-attr]
            return Said(*json.loads(driver.stdout.readline()))  # type: ignore[union-attr]

        yield call
        driver.stdin.close()


@pytest.fixture
def cli(told: Told) -> Cli:
    """The command line where nothing may go wrong; answers with what it printed."""

    def call(*arguments: str) -> str:
        said = told(*arguments)
        assert not said.complains, said.err
        return said.out

    return call


def test_the_installed_vastai_script_finds_offers(market: Market, home: dict[str, str]) -> None:
    script = Path(sys.executable).with_name("vastai")
    where = ["--url", market.address.url, "--api-key", market.address.api_key]
    done = subprocess.run(
        [sys.executable, str(script), "search", "offers", "gpu_name=RTX_4090 num_gpus=1 gpu_ram>=24", *where],
        capture_output=True,
        text=True,
        env=home,
        timeout=60,
        check=True,
    )
    assert "31101402" in done.stdout
    assert "31101604" not in done.stdout, "not rentable"


def test_21_of_22_invocations_of_the_official_command_line_behave_and_the_22nd_is_its_own_bug(
    told: Told, market: Market
) -> None:
    """The golden run: rent, look, reach, change, pay, destroy. `execute` alone fails, whatever a server answers."""
    behaved: list[str] = []
    complained: dict[str, str] = {}

    def invoke(*arguments: str) -> str:
        said = told(*arguments)
        name = " ".join(each for each in arguments if each.isalpha() or each.startswith("--") or "-" in each)
        if said.complains:
            complained[name] = said.err
        else:
            behaved.append(name)
        return said.out

    def row_of(text: str) -> Any:
        return json.loads(text)

    offers = row_of(invoke("search", "offers", "gpu_name=RTX_4090 num_gpus=1", "-o", "dph", "--raw"))
    prices = [offer["dph_total"] for offer in offers]
    assert prices == sorted(prices)
    assert 31101604 not in {offer["id"] for offer in offers}, "not rentable"

    options = ["--image", "pytorch/pytorch", "--disk", "20", "--ssh", "--direct", "--label", "by-hand"]
    rented = row_of(invoke("create", "instance", str(offers[0]["id"]), *options, "--env", "-e A=1", "--raw"))
    assert rented["success"] is True
    number = rented["new_contract"]
    instance = str(number)
    market.running(number)

    assert row_of(invoke("show", "instance", instance, "--raw"))["label"] == "by-hand"
    (row,) = row_of(invoke("show", "instances", "--raw"))
    assert (row["id"], row["actual_status"], row["extra_env"]) == (number, "running", {"A": "1"})
    table = invoke("show", "instances")
    assert "by-hand" in table
    assert "running" in table
    assert invoke("show", "instances", "-q").split() == [instance]

    assert "SSH key added" in invoke("attach", "ssh", instance, f"{market.key.private_path}.pub")
    endpoint = market.running(number).endpoints[0]
    assert invoke("ssh-url", instance).strip() == f"ssh://root@127.0.0.1:{endpoint.port}"
    assert invoke("scp-url", instance).strip() == f"scp://root@127.0.0.1:{endpoint.port}"
    assert market.ssh(endpoint, "echo $CONTAINER_ID; echo kept > file").stdout.decode().strip() == instance

    assert "EMULATED instance" in invoke("logs", instance)
    invoke("execute", instance, "ls")
    assert invoke("label", "instance", instance, "renamed") == f"label for {instance} set to renamed.\n"
    assert [each.label for each in market.cloud.instances()] == ["renamed"]

    assert instance in invoke("reboot", "instance", instance)
    assert market.ssh(market.running(number).endpoints[0], "cat file").stdout == b"kept\n"
    assert instance in invoke("stop", "instance", instance)
    assert market.cloud.instance(number).status == "stopped"  # type: ignore[union-attr]
    assert market.ssh(endpoint, "true").returncode == 255
    assert instance in invoke("start", "instance", instance)
    assert market.ssh(market.running(number).endpoints[0], "cat file").stdout == b"kept\n"
    assert instance in invoke("recycle", "instance", instance)
    assert market.ssh(market.running(number).endpoints[1], "ls file").returncode != 0

    assert "ssh-key created" in invoke("create", "ssh-key", market.key.public_line)
    assert market.key.public_line in invoke("show", "ssh-keys")
    assert "emulated@localhost" in invoke("show", "user")
    market.clock.sleep(3600)
    now = int(market.clock.time())
    days = ["--start-date", str(now - 86400), "--end-date", str(now)]
    charges = invoke("show", "invoices-v1", "--charges", "--no-color", *days)
    assert instance in charges
    assert f"${prices[0]:.3f}"[:4] in charges

    assert f"destroying instance {instance}" in invoke("destroy", "instance", instance, "--yes")
    market.gone(number)
    assert told("destroy", "instance", instance, "--yes").err == "Failed with error 404: no such instance\n"
    behaved.append("destroy what is gone")

    assert list(complained) == ["execute ls"], complained
    assert "'str' object has no attribute 'get'" in complained["execute ls"]
    assert len(behaved) == 21


def test_account_keys_are_let_in_on_instances_rented_later(cli: Cli, market: Market) -> None:
    assert "ssh-key created" in cli("create", "ssh-key", market.key.public_line)
    offer = json.loads(cli("search", "offers", "num_gpus=1", "--raw"))[0]["id"]
    rented = json.loads(cli("create", "instance", str(offer), "--image", "i", "--ssh", "--direct", "--raw"))
    instance = market.running(rented["new_contract"])
    assert market.ssh(instance.endpoints[0], "echo in").stdout == b"in\n"
