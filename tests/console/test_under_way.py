"""Which instances a command is at work on, told from the command log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.models.command_log import Ran
from console.models.under_way import under_way

RUNS = Ran(1, 100.0, "spotter destroy 7 --yes --force", "destroy 7")
DONE = replace(RUNS, exit_code=0, seconds=10.0)
AGAIN = replace(RUNS, number=2, at=200.0)


@pytest.mark.parametrize(
    ("ran", "heard_at", "found"),
    [
        ([RUNS], 500.0, {7: "destroying…"}),
        ([DONE], 105.0, {7: "destroying…"}),  # the list is older than its end
        ([DONE], None, {7: "destroying…"}),
        ([DONE], 111.0, {}),
        ([replace(DONE, exit_code=1)], 105.0, {}),
        ([replace(DONE, exit_code=1), AGAIN], 105.0, {7: "destroying…"}),
        ([RUNS, replace(AGAIN, exit_code=1, seconds=1.0)], 105.0, {}),
        ([replace(RUNS, line="spotter stop 8 --yes"), replace(RUNS, line="spotter rerent 9 --yes")], 0.0,
         {8: "stopping…", 9: "replacing…"}),
        ([replace(RUNS, waited_for=False), replace(RUNS, line="spotter ps")], 0.0, {}),
    ],
)  # fmt: skip
def test_a_command_counts_until_it_failed_or_the_cloud_was_heard_after_it(
    ran: list[Ran], heard_at: float | None, found: dict[int, str]
) -> None:
    assert under_way(ran, (), heard_at) == found


def test_what_waits_for_its_turn_was_agreed_to_as_well() -> None:
    assert under_way((), [("destroy", "7", "--yes"), ("run", "--resume", "x")], 0.0) == {7: "destroying…"}
