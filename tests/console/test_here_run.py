"""Runs on this machine alone, and runs that go on from what another did."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from console.operations.events import silent
from console.operations.plan import params_of, plan
from console.operations.run import cancel, drive
from console.operations.run_terms import InstanceTaken, Wishes
from console.operations.runbook import Phase, Runbook
from console.operations.session import open_session
from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, draw_pdf


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    someone = Operator(tmp_path / "w")
    create_workspace(someone.root)
    (someone.root / "data").mkdir(exist_ok=True)
    draw_pdf(someone.root / "data" / "two.pdf", 2, "Value stack")
    try:
        yield someone
    finally:
        someone.stop_cloud()


def worked(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        return Counter(stage for (stage,) in ledger.execute("SELECT stage FROM executions"))


def test_a_run_here_rents_nothing_and_another_threshold_needs_no_detector(operator: Operator) -> None:
    first = operator.json("run", "--here")
    assert (first["state"], first["here"], first["instance_id"]) == ("succeeded", True, None)
    assert worked(Path(first["folder"]))["detect"] == 2
    found = operator.json("search", "layer")
    assert found["records"] > 0

    second = operator.json("run", "--from", first["run_id"][-8:], "--param", "detector.min_score=0.99")
    assert (second["state"], second["here"]) == ("succeeded", True), "what is left wants no GPU, so nothing is rented"
    assert second["run_id"] != first["run_id"]
    assert {"render", "detect"}.isdisjoint(worked(Path(second["folder"])))
    assert worked(Path(second["folder"]))["arrange"] == 2
    regions = [len(list(Path(run["folder"]).rglob("region-????.json"))) for run in (first, second)]
    assert regions[1] < regions[0]
    assert not operator.processes(), "no marketplace was started"

    known = operator.json("run", "--from", "last")
    assert known["run_id"] == second["run_id"], "the same work is the same run"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--here", "--instance", "7"), "--here rents nothing"),
        (("--from", "last", "--resume", "last"), "give one of them"),
        (("--from", "nobody"), "no run 'nobody' in this workspace"),
    ],
)
def test_what_cannot_be_is_one_sentence(operator: Operator, words: tuple[str, ...], said: str) -> None:
    done = operator.run("run", *words, check=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not Runbook(operator.workspace).entries()


def test_an_earlier_run_without_results_leaves_no_plan_behind(operator: Operator) -> None:
    session = open_session(operator.workspace)
    planned = plan(session)
    done = operator.run("run", "--from", "last", "--param", "dpi=100", check=2)
    assert "has no results here" in done.stderr
    assert [entry.run_id for entry in Runbook(operator.workspace).entries()] == [planned.entry.run_id]


def test_parameters_of_an_earlier_run_are_the_base_and_a_part_chosen_anew_is_as_the_workspace_says(
    operator: Operator,
) -> None:
    session = open_session(operator.workspace)
    first = plan(session, overrides={"dpi": 100, "detector": {"name": "opencv", "min_score": 0.7}})
    (operator.root / "spotter.toml").open("a").write("\n[pipelines.docparse.layout]\nmin_score = 0.4\n")
    session = open_session(operator.workspace)
    like = plan(session, overrides={"detector": {"labels": ["node"]}}, like=first.entry)
    told = params_of(session, like.entry)
    assert (told["dpi"], told["detector"]["min_score"], told["detector"]["labels"]) == (100, 0.7, ["node"])
    other = plan(session, overrides={"detector": "layout"}, like=first.entry)
    told = params_of(session, other.entry)
    assert (told["dpi"], told["detector"]["name"], told["detector"]["min_score"]) == (100, "layout", 0.4)


def test_stopped_here_it_is_cancelled_and_a_resume_goes_on_here(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, runbook = open_session(operator.workspace), Runbook(operator.workspace)
    run_id = plan(session).entry.run_id

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("console.operations.here_run.run_all_here", interrupt)
        with pytest.raises(KeyboardInterrupt):
            drive(session, run_id, silent, Wishes(here=True))
    entry = runbook.read(run_id)
    assert (entry.phase, entry.state, entry.here) == (Phase.DONE, "cancelled", True)
    with pytest.raises(InstanceTaken, match="one of this machine alone"):
        drive(session, run_id, silent, Wishes(instance_id=7))
    entry = drive(session, run_id, silent)
    assert (entry.phase, entry.state, entry.problem) == (Phase.DONE, "succeeded", None)
    assert session.ledger.spent_usd(run_id=run_id) == 0


def test_a_run_whose_driver_was_killed_can_be_cancelled(operator: Operator) -> None:
    session, runbook = open_session(operator.workspace), Runbook(operator.workspace)
    run_id = plan(session).entry.run_id
    runbook.update(run_id, here=True, state="running")
    cancel(session, run_id)
    entry = runbook.read(run_id)
    assert (entry.phase, entry.state, entry.problem) == (Phase.DONE, "cancelled", "cancelled by the operator")
