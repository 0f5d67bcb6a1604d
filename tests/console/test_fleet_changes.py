"""What rings between two looks at the fleet: a table of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.models.fleet import STOPPED_HERE, FleetView, InstanceView
from console.models.fleet_changes import alerts
from tests.console.test_burn import GUARD, NOW, OURS, fleet

STOPPED = replace(OURS, state="stopped")
UNLISTED = replace(OURS, standing="missing", unlisted=1)


@pytest.mark.parametrize(
    ("before", "after", "rings"),
    [
        ((OURS,), (OURS,), ""),
        ((OURS,), (), "instance 31245 is gone: the cloud knows it no more, $1.00 spent on it"),
        ((replace(OURS, unpulled_run="01jrun00aaaabbbb"),), (), "results of run aaaabbbb were on it"),
        ((replace(OURS, guard=replace(GUARD, ends_at=NOW + 30)),), (), "its guard fired: it destroyed itself"),
        ((replace(OURS, state="destroying"),), (), ""),
        ((replace(OURS, standing="foreign"),), (), ""),
        ((replace(OURS, standing="orphan"),), (), ""),
        ((OURS,), (STOPPED,), "instance 31245 is stopped: by its guard after 30m 00s idle, or by the cloud; its disk"),
        ((OURS,), (replace(STOPPED, guard=None),), "by the cloud; its disk is billed on"),
        ((OURS,), (replace(STOPPED, guard=replace(GUARD, action="stop", ends_at=NOW)),), "its guard fired; its disk"),
        ((STOPPED,), (STOPPED,), ""),
        ((OURS,), (replace(STOPPED, why=STOPPED_HERE),), ""),
        ((OURS,), (replace(OURS, state="lost"),), "its host is away"),
        ((replace(OURS, started_at=NOW - 30),), (), ""),  # its cloud lists what is new now and then
        ((OURS,), (UNLISTED,), ""),  # one list proves nothing
        ((UNLISTED,), (replace(UNLISTED, unlisted=2),), "instance 31245 is not listed"),
        ((replace(UNLISTED, unlisted=2),), (replace(UNLISTED, unlisted=3),), ""),
        ((), (replace(OURS, standing="orphan"),), "instance 31245 is an orphan"),
        ((), (OURS,), ""),
        ((OURS,), (replace(OURS, state="booting", since=NOW - 1e4),), "instance 31245 is stuck: runs, but SSH"),
        ((replace(OURS, state="booting", since=NOW - 1e4),), (replace(OURS, state="booting", since=NOW - 1e4),), ""),
        (
            (replace(OURS, state="booting", since=NOW - 1e4, stale=True),),
            (replace(OURS, state="booting", since=NOW - 1e4),),
            "",
        ),
    ],
)
def test_what_goes_stops_or_gets_stuck_rings_once_and_says_why(
    before: tuple[InstanceView, ...], after: tuple[InstanceView, ...], rings: str
) -> None:
    found = alerts(fleet(*before), fleet(*after), NOW)
    assert len(found) == bool(rings)
    assert rings in "".join(f"{each.title}: {each.text}" for each in found)


def test_nothing_rings_before_the_first_look_or_for_a_list_that_cannot_be_believed() -> None:
    assert alerts(None, fleet(replace(OURS, standing="orphan")), NOW) == []
    assert alerts(fleet(OURS), replace(fleet(), error="no answer"), NOW) == []
    assert alerts(fleet(OURS), FleetView(), NOW) == []
