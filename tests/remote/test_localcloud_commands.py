"""`spotter cloud`: it serves anyone's client, says that it is emulated, and lets things go wrong on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.cloud import InstanceSpec, OfferGone
from remote.localcloud.controls import Controls, LocalCloudRefused
from remote.vast.cloud import VastCloud
from tests.remote.cloud_fixtures import QUERY, Market


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("workspace")
    assert spotter(place, "init", str(place)).returncode == 0
    return place


@pytest.fixture(scope="module")
def serving(workspace: Path) -> Iterator[dict[str, str]]:
    """What `spotter cloud serve` prints before it waits, by its first words."""
    command = [sys.executable, "-m", "console", "-C", str(workspace), "cloud", "serve"]
    options = ["--scenario", "gone_offer", "--seed", "5", "--speed", "7"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=plain()) as process:
        assert process.stdout is not None
        said: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if "EMULATED" in line:
                said["url"] = words[-2]
            elif words[:2] == ["API", "key"]:
                said["key"] = words[-1]
            said["all"] = said.get("all", "") + line
            if line.startswith("Ctrl-C"):
                break
        yield said
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def plain() -> dict[str, str]:
    return {**os.environ, "TERM": "dumb", "COLUMNS": "200"}


def spotter(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "console", "-C", str(place), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=plain())


def test_what_is_served_names_address_key_scenario_and_limits_and_any_client_can_use_it(
    serving: dict[str, str],
) -> None:
    cloud = VastCloud(serving["key"], serving["url"])
    offers = cloud.search(QUERY)
    assert offers
    with pytest.raises(OfferGone):
        cloud.create(offers[0].id, InstanceSpec("image", 20.0, "spotter-op-gone"))
    for words in ("scenario: gone_offer", "7x as fast", "not modelled: real GPUs", "docker images", "run as you"):
        assert words in serving["all"]


def test_status_and_scenario_say_and_change_what_is_in_force(serving: dict[str, str], workspace: Path) -> None:
    state = json.loads(spotter(workspace, "cloud", "status", "--json").stdout)
    assert (state["emulated"], state["url"], state["speed"], state["seed"]) == (True, serving["url"], 7.0, 5)
    rule = json.dumps({"match": {"op": "create", "chance": 0.2}, "do": {"key_lag_s": 20}})
    said = spotter(workspace, "cloud", "scenario", "outbid", "--seed", "2", "--rule", rule).stdout
    assert "EMULATED: outbid is in force" in said
    assert "EMULATED marketplace at" in spotter(workspace, "cloud", "status").stdout
    refused = spotter(workspace, "cloud", "scenario", "nonsense")
    assert refused.returncode == 1
    assert "is none of happy" in refused.stderr


def test_without_a_cloud_each_command_says_so(tmp_path: Path) -> None:
    spotter(tmp_path, "init", str(tmp_path))
    assert spotter(tmp_path, "cloud", "status").stdout == "the local cloud does not run\n"
    refused = spotter(tmp_path, "cloud", "scenario", "happy")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "start it with `spotter cloud serve`" in refused.stderr
    assert "slow_pull" in spotter(tmp_path, "cloud", "scenario").stdout
    unknown = spotter(tmp_path, "cloud", "serve", "--scenario", "nonsense")
    assert unknown.returncode == 1
    assert "there is no scenario 'nonsense'" in unknown.stderr


def test_a_program_controls_it_in_the_same_words(market: Market) -> None:
    controls = Controls(market.directory)
    controls.put_in_force("wan80ms", seed=9)
    controls.add_rule({"match": {"op": "list"}, "do": {"status": 502}})
    state = controls.state()
    assert (state.scenario, state.seed, state.rules, state.url) == ("wan80ms", 9, 2, market.address.url)
    assert controls.advance(3600) >= state.virtual_time + 3600
    controls.clear()
    assert controls.state().rules == 0
    with pytest.raises(LocalCloudRefused, match="there is no such instance"):
        controls.fault("exit", 1)
    instance_id = market.create()
    market.clock.sleep(60)
    assert controls.fault("exit", instance_id, message="gone") == [instance_id]
    assert market.cloud.instance(instance_id).status == "exited"  # type: ignore[union-attr]
