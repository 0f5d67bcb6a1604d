from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.models.fleet import read_fleet
from console.models.fleet_words import stopped_sentence
from console.operations.destroy import StillNeeded, check_is_ours, destroy
from console.operations.loss import BoxStopped, start_if_stopped
from console.operations.rent import rent
from console.operations.runbook import RunEntry
from console.operations.session import Session, open_session
from console.workspace import create_workspace
from remote.cloud import InstanceStatus
from tests.remote.cloud_fixtures import until

THEIRS = "spotter-op-aaaaaa-01jtestlabel00000000000000"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("console.operations.rent.guard_rented", lambda *_: None)
    workspace, _fresh = create_workspace(tmp_path / "workspace")
    made = open_session(workspace)
    try:
        yield made
    finally:
        made.stop_local_cloud()


def test_a_box_that_cannot_be_asked_is_given_up_only_by_force(session: Session) -> None:
    instance_id = rent(session).instance.id
    session.cloud.stop(instance_id)
    until(lambda: session.instance(instance_id).status is InstanceStatus.STOPPED, "the box is stopped")
    with pytest.raises(StillNeeded, match=r"could not be asked what it holds .* --force"):
        destroy(session, instance_id)
    assert session.cloud.instance(instance_id) is not None
    destroy(session, instance_id, force=True)
    assert session.cloud.instance(instance_id) is None


def test_a_box_that_is_not_ours_is_destroyed_only_by_force(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    instance_id = rent(session).instance.id
    check_is_ours(session, instance_id)
    known = session.ledger.instance
    monkeypatch.setattr(session.ledger, "instance", lambda *_: None)
    check_is_ours(session, instance_id)  # lost by the ledger, and ours by its label
    for label, whose in ((THEIRS, "another workspace of this account"), ("my-own-box", "not rented with Spotter")):
        session.cloud.label(instance_id, label)
        with pytest.raises(StillNeeded, match=whose):
            destroy(session, instance_id)
    monkeypatch.setattr(session.ledger, "instance", known)
    assert session.cloud.instance(instance_id) is not None
    destroy(session, instance_id, force=True)


def test_a_run_that_goes_on_starts_its_stopped_box_and_one_that_is_watched_does_not(session: Session) -> None:
    instance_id = rent(session).instance.id
    session.cloud.stop(instance_id)
    until(lambda: session.instance(instance_id).status is InstanceStatus.STOPPED, "the box is stopped")
    (shown,) = read_fleet(session).instances
    assert f"`spotter destroy {instance_id}` ends that" in (stopped_sentence(shown) or "")
    assert "a day without end" in (stopped_sentence(shown) or "")
    entry = RunEntry(run_id="r", pipeline="docparse", plan_key="k", instance_id=instance_id)
    said: list[str] = []
    with pytest.raises(BoxStopped, match="--resume r"):
        start_if_stopped(session, instance_id, entry, said.append, may=False)
    start_if_stopped(session, instance_id, entry, said.append, may=True)
    start_if_stopped(session, instance_id, entry, said.append, may=False)
    assert said == [f"instance {instance_id} is stopped, by its dead-man or by the cloud: starting it"]
    session.reach(instance_id).close()
    assert stopped_sentence(read_fleet(session).instances[0]) is None
