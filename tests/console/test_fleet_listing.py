"""A list of instances that cannot be believed never reads as "nothing is rented": over a cloud that answers at will."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.models.fleet import FleetView, ListingDoubted, read_fleet
from console.operations.notes import NoteTooLong, write_note
from console.operations.rent import refuse_unlisted
from console.operations.session import Session, open_session
from console.workspace import create_workspace
from remote.cloud import CloudUnreachable, Instance, InstanceStatus

LONG_AGO_S = 3600.0


def instance(number: int, **more: Any) -> Instance:
    values: dict[str, Any] = {
        "id": number, "machine_id": 1, "label": f"l{number}", "status": InstanceStatus.RUNNING,
        "intended_status": "running", "status_message": "", "gpu_name": "RTX 4090", "gpu_count": 1, "gpu_ram_mb": 24576,
        "disk_gb": 40.0, "usd_per_hour": 0.4, "image": "img", "location": "PL", "started_at": None,
    }  # fmt: skip
    return Instance(**(values | more))


@dataclass
class Cloud:
    """Lists and knows what a test says."""

    listed: list[Instance] | Exception = field(default_factory=list)
    known: dict[int, Instance] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def instances(self) -> list[Instance]:
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    def instance(self, instance_id: int) -> Instance | None:
        self.asked.append(instance_id)
        return self.known.get(instance_id)

    def account(self) -> SimpleNamespace:
        return SimpleNamespace(credit_usd=10.0)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def session(tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Session:
    made = open_session(create_workspace(tmp_path / "workspace")[0])
    monkeypatch.setattr(Session, "living_cloud", lambda _session: cloud)
    provisioner = SimpleNamespace(look_after=lambda listed: listed)
    monkeypatch.setattr(Session, "provisioner", property(lambda _session: provisioner))
    return made


Rent = Callable[..., None]


@pytest.fixture
def rent(session: Session) -> Rent:
    def rented(number: int, ago_s: float = LONG_AGO_S) -> None:
        session.ledger.open_instance(
            "local", number, label=f"l{number}", gpu_name="RTX 4090", gpu_usd_per_hour=0.38, disk_usd_per_hour=0.02,
            opened_at=time.time() - ago_s, state="ready",
        )  # fmt: skip

    return rented


def rows(view: FleetView) -> list[tuple[int, str, bool]]:
    return [(each.id, each.standing, each.stale) for each in view.instances]


def test_an_error_before_any_answer_shows_what_the_ledger_holds_as_stale(
    session: Session, cloud: Cloud, rent: Rent
) -> None:
    rent(7)
    cloud.listed = CloudUnreachable("HTTP 500")
    view = read_fleet(session)
    assert rows(view) == [(7, "ours", True)]
    assert (view.error, view.trusted) == ("HTTP 500", False)


def test_an_error_after_an_answer_keeps_the_rows_and_says_since_when(
    session: Session, cloud: Cloud, rent: Rent
) -> None:
    rent(7)
    cloud.listed = [instance(7), instance(9, label="foreign")]
    good = read_fleet(session)
    assert (good.trusted, rows(good)) == (True, [(7, "ours", False), (9, "foreign", False)])
    rent(8)  # by another process
    cloud.listed = CloudUnreachable("no answer")
    view = read_fleet(session, good)
    assert rows(view) == [(7, "ours", True), (9, "foreign", True), (8, "ours", True)]
    assert view.heard_at == good.heard_at
    session.ledger.close_instance("local", 7)
    assert [each.id for each in read_fleet(session, view).instances] == [9, 8]


def test_an_empty_list_is_doubted_while_the_cloud_knows_one_of_ours(session: Session, cloud: Cloud, rent: Rent) -> None:
    rent(7)
    cloud.known = {7: instance(7)}
    view = read_fleet(session)
    assert rows(view) == [(7, "ours", True)]
    assert not view.trusted
    assert "its list cannot be believed" in (view.error or "")


def test_an_empty_list_is_believed_when_the_cloud_knows_none_of_ours(
    session: Session, cloud: Cloud, rent: Rent
) -> None:
    rent(7)
    view = read_fleet(session)
    assert rows(view) == [(7, "missing", False)]
    assert view.trusted


def test_lists_that_leave_a_machine_out_are_counted_until_it_is_listed_or_nobody_answers(
    session: Session, cloud: Cloud, rent: Rent
) -> None:
    rent(7)
    view: FleetView | None = None
    counts = []
    gone: list[Instance] = []
    for listed in ([instance(7)], gone, gone, [instance(7)], gone, CloudUnreachable("no answer"), gone):
        cloud.listed = listed
        view = read_fleet(session, view)
        counts.append(view.instances[0].unlisted)
    assert counts == [0, 1, 2, 0, 1, 0, 1]


def test_a_new_machine_that_was_listed_once_does_not_come_and_go_with_the_list(
    session: Session, cloud: Cloud, rent: Rent
) -> None:
    rent(7, ago_s=5)
    cloud.listed = [instance(7)]
    view = read_fleet(session)
    cloud.listed = []
    assert rows(read_fleet(session, view)) == [(7, "missing", False)]


def test_an_empty_list_of_an_empty_account_asks_nothing_more(session: Session, cloud: Cloud, rent: Rent) -> None:
    assert rows(read_fleet(session)) == []
    rent(7, ago_s=5)  # too young to be listed
    assert rows(read_fleet(session)) == []
    assert cloud.asked == []


def test_an_answer_that_doubts_cannot_hide_behind_silence(session: Session, cloud: Cloud, rent: Rent) -> None:
    rent(7)

    def silent(_instance_id: int) -> Instance | None:
        raise CloudUnreachable("no answer")

    cloud.instance = silent  # type: ignore[method-assign]
    view = read_fleet(session)
    assert (rows(view), view.error) == ([(7, "ours", True)], "no answer")


def test_nothing_is_rented_by_an_empty_list_while_something_is_rented(session: Session, rent: Rent) -> None:
    refuse_unlisted(session, [])
    rent(7, ago_s=5)  # too young to be listed
    refuse_unlisted(session, [])
    rent(8)
    with pytest.raises(ListingDoubted, match="but knows 8: nothing more is rented"):
        refuse_unlisted(session, [])
    refuse_unlisted(session, [instance(9)])


def test_what_is_being_destroyed_says_so_as_long_as_it_is_listed(session: Session, cloud: Cloud, rent: Rent) -> None:
    rent(7)
    session.ledger.transition(None, "destroying", cloud="local", instance_id=7, message="asked")
    cloud.listed = [instance(7, status=InstanceStatus.LOADING)]
    (row,) = read_fleet(session).instances
    assert row.state == "destroying"
    assert row.since == pytest.approx(time.time(), abs=5)


def test_a_note_is_kept_by_cloud_and_taken_away_by_nothing(session: Session, cloud: Cloud, rent: Rent) -> None:
    rent(7)
    cloud.listed = [instance(7)]
    assert write_note(session, 7, "  the   big one ") == "the big one"
    assert read_fleet(session).instances[0].note == "the big one"
    write_note(session, 8, "other")
    write_note(session, 7, "")
    assert read_fleet(session).instances[0].note == ""
    with pytest.raises(NoteTooLong, match="60 characters"):
        write_note(session, 7, "x" * 61)
