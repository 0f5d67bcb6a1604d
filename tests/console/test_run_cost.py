"""What a run costs while it runs: pace from its events, dollars from the ledger, in words that fit one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from console.models.run_cost import CostReader, cost_words, pace_of
from console.models.run_view import RunView, StageView
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.settings import Secrets, Settings
from console.workspace import create_workspace
from remote.money import RunCost

ENTRY = RunEntry(run_id="run", pipeline="docparse", plan_key="k")


def view(*stages: StageView, state: str = "running", started_at: float = 100.0, last: float = 200.0) -> RunView:
    return RunView(state, "", {stage.name: stage for stage in stages}, started_at, last)


def test_the_slowest_stage_at_work_sets_the_pace() -> None:
    pace = pace_of(
        view(
            StageView("render", "started", 100, 60, rate_per_s=8.0),
            StageView("detect", "started", 100, 20, rate_per_s=2.0),
        )
    )
    assert (pace.done, pace.total, pace.seconds_per_item, pace.eta_s) == (20, 100, 0.5, 40.0)


def test_without_a_stage_at_work_the_mean_since_the_beginning_counts() -> None:
    pace = pace_of(view(StageView("render", "finished", 50, 50), StageView("detect", "finished", 50, 50)))
    assert (pace.done, pace.seconds_per_item, pace.eta_s) == (50, 2.0, 0.0)


def test_a_run_that_told_nothing_has_no_pace() -> None:
    assert pace_of(RunView()).eta_s is None


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (None, ""),
        (RunCost(0.0, 0.0, None, None), ""),
        (RunCost(0.02, 0.3, None, None), "$0.0200 so far"),
        (RunCost(0.02, 0.3, 0.001, 0.05), "$0.0200 so far · $0.0010 an item · $0.0500 to finish at $0.300/h"),
        (RunCost(1.5, 0.0, 0.01, 0.0), "$1.50 so far · $0.0100 an item"),
    ],
)
def test_cost_in_words(cost: RunCost | None, words: str) -> None:
    assert cost_words(cost) == words


def test_the_ledger_is_asked_only_where_there_is_one(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path / "w")
    assert CostReader(workspace).of(ENTRY, RunView()) is None
    assert not workspace.ledger.exists()
    session = Session(workspace, Settings(), Secrets(_env_file=None))
    assert session.ledger.instances() == []
    cost = CostReader(workspace).of(ENTRY, RunView())
    assert cost is not None
    assert cost.usd_so_far == 0.0


HOUR_S = 3600.0


def rented(session: Session, run_id: str) -> None:
    """A machine of $1 an hour that was rented three hours ago, and runs."""
    began = time.time() - 3 * HOUR_S
    session.ledger.open_instance(
        "vast",
        7,
        label="l",
        gpu_name="RTX",
        gpu_usd_per_hour=0.9,
        disk_usd_per_hour=0.1,
        run_id=run_id,
        opened_at=began,
    )
    session.ledger.instance_running("vast", 7, at=began)


@pytest.mark.parametrize(
    ("changes", "dollars", "burns"),
    [
        ({"phase": Phase.DONE, "keep_instance": True}, 1.0, 0.0),
        ({"phase": Phase.LAUNCHED, "keep_instance": True}, 3.0, 1.0),  # it works on
        ({"phase": Phase.DONE}, 3.0, 1.0),  # nobody wanted it kept: its bill is the run's until it ends
    ],
)
def test_what_a_kept_machine_costs_after_its_run_is_not_the_runs(
    changes: dict[str, object], dollars: float, burns: float, tmp_path: Path
) -> None:
    workspace, _ = create_workspace(tmp_path / "w")
    session = Session(workspace, Settings(), Secrets(_env_file=None))
    rented(session, "run")
    entry = ENTRY.model_copy(update={**changes, "freed_at": time.time() - 2 * HOUR_S})
    cost = CostReader(workspace).of(entry, RunView())
    assert cost is not None
    assert cost.usd_so_far == pytest.approx(dollars, abs=0.01)
    assert cost.usd_per_hour == pytest.approx(burns)


def test_the_book_notes_once_when_a_run_wanted_its_machines_no_more(tmp_path: Path) -> None:
    book = Runbook(create_workspace(tmp_path / "w")[0])
    assert book.write(ENTRY).freed_at is None
    freed_at = book.update("run", phase=Phase.PULLED).freed_at
    assert freed_at is not None
    assert book.update("run", phase=Phase.DONE).freed_at == freed_at
    assert book.update("run", phase=Phase.RENTED).freed_at is None  # it goes on
