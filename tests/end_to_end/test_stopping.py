"""Ctrl-C, wherever the work stands, and SIGTERM: no instance, no process, and the run can go on later."""

from __future__ import annotations

import os
import signal

import pytest

from tests.end_to_end.driving import Operator, draw_pdf, wait_for

PHASES = {
    "plan": "…  plan",
    "rent": "…  rent",
    "code": "…  push       sending Spotter's worker code",
    "bootstrap": "…  bootstrap",
    "data": "…  push       sending 1 source",
    "launch": "…  launch",
    "render": "…  render",
    "pull": "…  pull",
    "ingest": "…  ingest",
    "destroy": "…  destroy",
}

AS_IF_STOPPED_WHILE_RENTING = {"code", "bootstrap", "data"}
"""A run stopped there is in the book as one stopped while it rented: no machine, no job, nothing fetched."""


@pytest.mark.parametrize("phase", list(PHASES))
def test_ctrl_c_leaves_no_instance_and_no_process_behind(operator: Operator, phase: str) -> None:
    draw_pdf(operator.root / "data" / "doc.pdf", 3, "Value stack")
    console = operator.start("run", "--yes", "--param", "workers=1")
    wait_for(lambda: PHASES[phase] in operator.log() or console.poll() is not None, f"{phase} to begin")
    os.killpg(console.pid, signal.SIGINT)
    assert console.wait(timeout=90) in (130, 0), operator.log()
    assert "Traceback" not in operator.log()
    assert operator.instances() == []
    assert phase == "plan" or operator.rented() == 0
    wait_for(lambda: operator.on_boxes() == [], "every box to end without being told again")
    operator.stop_cloud()
    assert operator.processes() == []

    if phase in ("rent", *AS_IF_STOPPED_WHILE_RENTING):
        entry = operator.run_entry()
        assert [entry[name] for name in ("phase", "state", "instance_id", "job_id", "attempt", "keep_instance")] == [
            "done", "cancelled", None, None, 0, False,
        ]  # fmt: skip
    if phase not in ("plan", *AS_IF_STOPPED_WHILE_RENTING):
        outcome = operator.json("run", "--resume", "last", "--yes")
        assert outcome["state"] == "succeeded"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_rental_that_is_told_to_end_half_way_leaves_no_instance(operator: Operator, number: signal.Signals) -> None:
    console = operator.start("rent", "--yes")
    wait_for(lambda: "·  rent       pulling" in operator.log() or console.poll() is not None, "the pull to begin")
    os.killpg(console.pid, number)
    assert console.wait(timeout=60) == 130, operator.log()
    assert operator.rented() == 0
    assert operator.instances() == []


def test_sigterm_winds_down_like_ctrl_c(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "doc.pdf", 4, "Value stack")
    console = operator.start("run", "--yes")
    wait_for(lambda: PHASES["render"] in operator.log(), "the job to work")
    console.send_signal(signal.SIGTERM)
    assert console.wait(timeout=90) == 130, operator.log()
    assert operator.instances() == []
    entry = operator.run_entry()
    assert entry["state"] == "cancelled"


def test_cancel_from_elsewhere_stops_the_driver_and_keeps_what_is_done(operator: Operator) -> None:
    draw_pdf(operator.root / "data" / "doc.pdf", 6, "Value stack")
    console = operator.start("run", "--yes")
    wait_for(lambda: "…  detect" in operator.log(), "the job to detect")
    operator.run("cancel", "last", "--yes")
    console.wait(timeout=60)
    entry = operator.run_entry()
    assert entry["state"] == "cancelled"
    assert operator.instances() == []
    folder = operator.run_folder()
    assert list(folder.glob("artifacts/*/*/page.png")), "rendered pages were fetched before the machine went"
