from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.operations.destroy import StillNeeded, check_is_ours, destroy
from console.operations.rent import rent
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
