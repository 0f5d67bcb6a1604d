"""The official `vastai` command line against the emulated marketplace. It exits 0 on refusals: its text is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.remote.cloud_fixtures import Market, until

Cli = Callable[..., str]

DRIVER = """
import json, os, sys, tempfile
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
def cli(market: Market, home: dict[str, str]) -> Iterator[Cli]:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None

        def call(*arguments: str) -> str:
            where = ["--url", market.address.url, "--api-key", market.address.api_key]
            driver.stdin.write(json.dumps([*arguments, *where]) + "\n")  # type: ignore[union-attr]
            driver.stdin.flush()  # type: ignore[union-attr]
            out, err = json.loads(driver.stdout.readline())  # type: ignore[union-attr]
            assert "rror" not in err, err
            assert "Traceback" not in err, err
            return str(out)

        yield call
        driver.stdin.close()


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


def test_the_official_command_line_rents_reaches_and_destroys(cli: Cli, market: Market) -> None:
    offers = json.loads(cli("search", "offers", "gpu_name=RTX_4090 num_gpus=1", "-o", "dph", "--raw"))
    prices = [offer["dph_total"] for offer in offers]
    assert prices == sorted(prices)
    unrentable = json.loads(cli("search", "offers", "rentable=any gpu_name=RTX_4090", "--raw"))
    assert 31101604 in {offer["id"] for offer in unrentable}

    options = (
        "--image",
        "pytorch/pytorch",
        "--disk",
        "20",
        "--ssh",
        "--direct",
        "--label",
        "by hand",
        "--env",
        "-e A=1",
    )
    rented = json.loads(cli("create", "instance", str(offers[0]["id"]), *options, "--raw"))
    assert rented["success"] is True
    instance = str(rented["new_contract"])
    market.running(rented["new_contract"])

    assert "by hand" in cli("show", "instances")
    (row,) = json.loads(cli("show", "instances", "--raw"))
    assert (row["id"], row["actual_status"], row["extra_env"]) == (int(instance), "running", {"A": "1"})
    assert cli("show", "instances", "-q").split() == [instance]
    assert json.loads(cli("show", "instance", instance, "--raw"))["label"] == "by hand"

    assert "SSH key added" in cli("attach", "ssh", instance, str(market.key.private_path) + ".pub")
    url = cli("ssh-url", instance).strip()
    endpoint = market.running(int(instance)).endpoints[0]
    assert url == f"ssh://root@127.0.0.1:{endpoint.port}"
    assert market.ssh(endpoint, "echo $CONTAINER_ID").stdout.decode().strip() == instance

    assert "EMULATED instance" in cli("logs", instance)
    cli("label", "instance", instance, "renamed")
    assert json.loads(cli("show", "instance", instance, "--raw"))["label"] == "renamed"
    assert json.loads(cli("show", "user", "--raw"))["credit"] > 0
    assert "emulated@localhost" in cli("show", "user")

    assert f"destroying instance {instance}" in cli("destroy", "instance", instance, "--yes")
    until(lambda: json.loads(cli("show", "instances", "--raw")) == [], "the list is empty")


def test_the_official_command_line_stops_starts_reboots_and_recycles(cli: Cli, market: Market) -> None:
    instance = market.rent()
    endpoint = market.running(instance).endpoints[0]
    assert market.ssh(endpoint, "echo kept > file").returncode == 0

    cli("stop", "instance", str(instance))
    until(lambda: market.cloud.instance(instance).status == "stopped", "stopped")  # type: ignore[union-attr]
    assert market.ssh(endpoint, "true").returncode == 255
    cli("start", "instance", str(instance))
    assert market.ssh(market.running(instance).endpoints[0], "cat file").stdout == b"kept\n"

    cli("reboot", "instance", str(instance))
    assert market.ssh(market.running(instance).endpoints[0], "cat file").stdout == b"kept\n"
    cli("recycle", "instance", str(instance))
    assert market.ssh(market.running(instance).endpoints[1], "ls file").returncode != 0


def test_account_keys_are_let_in_on_instances_rented_later(cli: Cli, market: Market) -> None:
    assert "ssh-key created" in cli("create", "ssh-key", market.key.public_line)
    offer = json.loads(cli("search", "offers", "num_gpus=1", "--raw"))[0]["id"]
    rented = json.loads(cli("create", "instance", str(offer), "--image", "i", "--ssh", "--direct", "--raw"))
    instance = market.running(rented["new_contract"])
    assert market.ssh(instance.endpoints[0], "echo in").stdout == b"in\n"
