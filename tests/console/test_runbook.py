import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from console.operations.runbook import Phase, Runbook, RunBusy, RunEntry, RunNotFound
from console.workspace import create_workspace


@pytest.fixture
def runbook(tmp_path: Path) -> Runbook:
    return Runbook(create_workspace(tmp_path)[0])


def entry(run_id: str, created_at: float = 0.0) -> RunEntry:
    return RunEntry(run_id=run_id, pipeline="docparse", plan_key="k", created_at=created_at)


def test_what_was_written_is_read_back(runbook: Runbook) -> None:
    runbook.write(entry("01abc"))
    changed = runbook.update("01abc", phase=Phase.LAUNCHED, instance_id=7)
    assert runbook.read("01abc") == changed
    assert changed.phase is Phase.LAUNCHED


def test_phases_are_ordered() -> None:
    assert Phase.PULLED.reached(Phase.LAUNCHED)
    assert not Phase.RENTED.reached(Phase.LAUNCHED)
    assert Phase.DONE.reached(Phase.DONE)


def test_a_run_is_found_by_its_last_characters_and_last_is_the_newest(runbook: Runbook) -> None:
    runbook.write(entry("01aaa111", 1.0))
    with pytest.raises(RunNotFound, match="name a run"):
        runbook.resolve("")  # `spotter cancel "$RUN" --yes` without RUN
    runbook.write(entry("01bbb222", 2.0))
    assert runbook.resolve("222").run_id == "01bbb222"
    assert runbook.resolve("last").run_id == "01bbb222"
    with pytest.raises(RunNotFound, match="fits 2 runs"):
        runbook.resolve("01")
    with pytest.raises(RunNotFound, match="spotter runs"):
        runbook.resolve("zzz")


def _hold(folder: Path, holds: Event, leave: Event) -> None:
    with Runbook(create_workspace(folder)[0]).hold("01abc"):
        holds.set()
        leave.wait(30)


def test_only_one_process_drives_a_run_and_the_other_is_told_which(tmp_path: Path, runbook: Runbook) -> None:
    context = multiprocessing.get_context("spawn")
    holds, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, holds, leave))
    other.start()
    assert holds.wait(30)
    with pytest.raises(RunBusy, match=str(other.pid)), runbook.hold("01abc"):
        pass
    assert runbook.holder("01abc") == other.pid
    leave.set()
    other.join()
    assert runbook.holder("01abc") is None
    with runbook.hold("01abc"):
        assert str(os.getpid()) == (tmp_path / ".spotter" / "runs" / "01abc.lock").read_text().splitlines()[0]


def test_a_killed_driver_leaves_the_run_free(tmp_path: Path, runbook: Runbook) -> None:
    context = multiprocessing.get_context("spawn")
    holds, never = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, holds, never))
    other.start()
    assert holds.wait(30)
    other.kill()
    other.join()
    with runbook.hold("01abc"):
        pass


def test_a_damaged_entry_is_named_when_asked_for_and_left_out_of_the_list(tmp_path: Path, runbook: Runbook) -> None:
    runbook.write(entry("01abc"))
    (tmp_path / ".spotter" / "runs" / "01bad.json").write_text("{")
    assert [found.run_id for found in runbook.entries()] == ["01abc"]
    with pytest.raises(RunNotFound, match=r"01bad\.json is damaged"):
        runbook.read("01bad")
