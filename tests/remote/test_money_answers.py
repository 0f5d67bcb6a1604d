"""What may be believed: no answer is lost to a full disk, no stranger's word is an end, no living owner is dead."""

from __future__ import annotations

import errno
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote.cloud import (
    CloudError,
    CloudUnreachable,
    InstanceSpec,
    InstanceStatus,
    NotSent,
    OutcomeUnknown,
)
from remote.owner import is_alive, owner_here
from remote.vast.cloud import VastCloud
from remote.vast.pacing import ENDPOINTS, Pacer
from tests.remote.rude_server import Scripted, script

__all__ = ["script"]

SPEC = InstanceSpec("image", 20.0, "spotter-op-x")
CREATE = next(each for each in ENDPOINTS if each.name == "create")


@pytest.fixture
def cloud(script: Scripted) -> VastCloud:
    return VastCloud("k", script.url, create_timeout_s=30, read_timeout_s=30)


def full(*_arguments: Any) -> int:
    """A write on a disk without room."""
    raise OSError(errno.ENOSPC, "No space left on device")


# answers of the cloud


def test_a_create_is_answered_although_its_row_of_the_audit_cannot_be_written(
    script: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    cloud = VastCloud("k", script.url, audit=Path("/dev/full"))
    script.answers = [(200, {"success": True, "new_contract": 5}), (200, {"success": True})]
    assert cloud.create(3, SPEC) == 5
    cloud.destroy(5)
    assert [each[0] for each in script.asked] == ["PUT", "DELETE"]
    assert len([each for each in caplog.records if "cannot be noted" in each.message]) == 1


def test_a_turn_is_had_although_the_file_of_turns_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ftruncate", "pwrite"):
        monkeypatch.setattr(os, name, full)
    pacer = Pacer(tmp_path / "turns.json")
    assert pacer.wait(CREATE) == 0
    pacer.hold(CREATE, 1)
    monkeypatch.setattr("remote.vast.pacing.fcntl.flock", full)
    assert Pacer(tmp_path / "turns.json").wait(CREATE) == 0


@pytest.mark.parametrize("body", ["<html>404 page not found</html>", {}, {"error": "route_not_found"}, [], "null"])
def test_a_404_that_is_not_the_clouds_own_confirms_no_end(script: Scripted, cloud: VastCloud, body: Any) -> None:
    script.answers = [(404, body)] * 6
    with pytest.raises(CloudUnreachable, match="does not say that the instance is gone"):
        cloud.instance(7)
    with pytest.raises(CloudUnreachable, match="does not say that the instance is gone"):
        cloud.destroy(7)


def test_an_answer_without_instances_is_no_empty_list(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(200, {"success": True})] * 2
    with pytest.raises(CloudError, match="unknown shape"):
        cloud.instances()


def test_a_create_that_a_proxy_refuses_may_have_rented(script: Scripted, cloud: VastCloud) -> None:
    script.answers = [(404, "<html>404 page not found</html>")]
    with pytest.raises(OutcomeUnknown):
        cloud.create(3, SPEC)


def test_one_odd_row_of_anybody_hides_no_instance(
    script: Scripted, cloud: VastCloud, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {
        "id": 8,
        "actual_status": "running",
        "ports": {"22/tcp": [None]},
        "public_ipaddr": "1.2.3.4",
        "ssh_host": "ssh5",
        "ssh_port": "none",
        "dph_total": "a lot",
        "num_gpus": "two",
        "start_date": "yesterday",
    }
    script.answers = [(200, {"instances": [odd, {"id": 9, "label": "mine", "dph_total": "0.5"}]})]
    first, second = cloud.instances()
    assert (first.id, first.status, first.usd_per_hour, first.endpoints) == (8, InstanceStatus.RUNNING, 0.0, ())
    assert (second.id, second.label, second.usd_per_hour) == (9, "mine", 0.5)
    assert "instance 8" in caplog.text
    assert "dph_total" in caplog.text


def test_a_create_whose_request_is_given_up_before_its_turn_is_never_sent(script: Scripted) -> None:
    given_up = threading.Event()

    class Turn(Pacer):
        def wait(self, endpoint: object) -> float:
            given_up.set()  # while the call waited
            return 1.0

    cloud = VastCloud("k", script.url, pacer=Turn())
    with pytest.raises(NotSent):
        cloud.create(3, replace(SPEC, still_wanted=lambda: not given_up.is_set()))
    assert script.asked == []


# owners


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there psutil adds the moment of the boot")
def test_a_stepped_clock_makes_no_living_owner_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil._pslinux as system

    me = owner_here()
    booted = system.boot_time()
    monkeypatch.setattr(system, "boot_time", lambda: booted + 3600)
    assert is_alive(me)


def test_an_owner_that_cannot_be_seen_from_here_counts_as_living() -> None:
    me = owner_here()
    assert is_alive({**me, "start": "1"}) is False
    assert is_alive({**me, "pid": 2**22 + 1}) is False
    assert is_alive({**me, "boot": "an earlier one"}) is False
    assert is_alive({**me, "host": "another", "boot": "another"})
    assert is_alive({**me, "namespace": "pid:[1]", "start": "1"})
    assert is_alive({**me, "boot": "", "start": "1"})
