"""A run whose regions a model is asked about: the box is gone before the first question, and never had the key."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from console.operations.events import silent
from console.operations.fleet_book import FleetBook
from console.operations.laptop_stages import Ended, SecretMissing, environment, run_held
from console.operations.plan import Plan, docparse_params, plan
from console.operations.run import drive
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.operations.single_run import SingleDriver
from console.workspace import create_workspace
from pipeline.core.rundir import RunFolder
from pipeline.core.runner import Runner, RunOptions, load_run
from pipeline.core.sources import Sources
from pipeline.core.stop import StopSignal
from tests.end_to_end.driving import Operator, draw_pdf, wait_for
from tests.pipeline.rude_model_server import RudeServer, serving

RUN = "01jtestrun00000000abcdefgh"
KEY = "sk-planted-where-only-the-laptop-looks"


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    with serving() as server:
        yield server


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    someone = Operator(tmp_path / "w")
    create_workspace(someone.root)
    try:
        yield someone
    finally:
        for process in someone.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        someone.stop_cloud()
        for process in someone.processes():
            process.kill()


def plant_key(operator: Operator) -> None:
    path = operator.root / ".env"
    path.write_text(f"MODEL_KEY={KEY}\n")
    path.chmod(0o600)


def analyst(rude: RudeServer, **more: object) -> dict[str, object]:
    """The parameters that name the analyst."""
    return {
        "name": "openai", "model": "seer-1", "base_url": rude.url, "api_key_env": "MODEL_KEY", "longest_pause_s": 0.2,
        "usd_per_1m_input": 2.5, "usd_per_1m_output": 10.0, "max_usd": 1.0, **more,
    }  # fmt: skip


def options(values: dict[str, object]) -> list[str]:
    """The same for a command line."""
    return [word for name, value in values.items() for word in ("--param", f"analyst.{name}={json.dumps(value)}")]


def planned(operator: Operator, values: dict[str, object]) -> tuple[Session, Plan]:
    """A run that is planned in this process."""
    session = open_session(operator.workspace)
    return session, plan(session, [operator.root / "data"], overrides={"analyst": values})


def ever_rented(operator: Operator) -> int:
    with closing(sqlite3.connect(operator.root / ".spotter" / "state.db")) as ledger:
        return int(ledger.execute("SELECT count(*) FROM instances").fetchone()[0])


def rented_at_first_question(operator: Operator, rude: RudeServer) -> list[int]:
    """Filled with how many machines were rented when the first question came."""
    seen: list[int] = []
    rude.on_request = lambda: seen or seen.append(operator.rented())  # type: ignore[func-returns-value]
    return seen


def captions(operator: Operator) -> list[str]:
    lines = (operator.run_folder() / "records" / "docparse.ndjson").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [record["text"] for record in records if record["meta"]["type"] == "VisualCaption"]


def holders_of_the_key(operator: Operator) -> list[str]:
    files = [path for path in operator.root.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path.name for path in files if KEY.encode() in path.read_bytes()]


def test_without_its_key_a_run_rents_nothing_and_says_where_the_key_goes(operator: Operator, rude: RudeServer) -> None:
    draw_pdf(operator.root / "data" / "doc.pdf", 1, "Value stack")
    session, run = planned(operator, analyst(rude))
    assert "1 page guessed" in run.forecasts[0]
    assert "capped at $1.00" in run.forecasts[0]
    with pytest.raises(SecretMissing, match=r"wants MODEL_KEY: put it in .*\.env"):
        drive(session, run.entry.run_id)
    assert rude.requests == []
    assert session.living_rentals() == []
    assert ever_rented(operator) == 0


def test_ctrl_c_lets_go_of_the_process_which_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; print('began', flush=True); sys.stdin.read(); print('heard what was on its way')"
    log = tmp_path / "logs" / "job.log"

    pressed: list[str] = []

    def interrupt(_seconds: float) -> None:
        if not pressed and log.read_text() == "began\n":
            pressed.append("Ctrl-C")
            raise KeyboardInterrupt

    monkeypatch.setattr("console.operations.laptop_stages.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_held([sys.executable, "-c", script], tmp_path, log, {}, silent)
    assert log.read_text() == "began\nheard what was on its way\n"


def test_ctrl_c_stays_a_ctrl_c_when_the_process_has_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("console.operations.laptop_stages.time.sleep", interrupt)
    monkeypatch.setattr("console.operations.laptop_stages.PATIENCE_S", 0.1)
    with pytest.raises(KeyboardInterrupt):
        run_held([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, tmp_path / "log", {}, silent)


def test_a_run_that_is_stopped_while_this_machine_works_is_cancelled_and_goes_on_from_there(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, runbook = open_session(operator.workspace), Runbook(operator.workspace)
    entry = runbook.write(
        RunEntry(
            run_id=RUN,
            pipeline="docparse",
            plan_key="k",
            phase=Phase.PULLED,
            box_state="succeeded",
            laptop_stages=("analyze", "records"),
        )
    )
    ends: list[Ended | type[BaseException]] = [KeyboardInterrupt, Ended("succeeded", 0, None)]

    def finish(*_: object) -> Ended:
        end = ends.pop(0)
        if isinstance(end, Ended):
            return end
        raise end

    monkeypatch.setattr("console.operations.single_run.finish_here", finish)
    driver = SingleDriver(session, runbook, entry, silent)
    with pytest.raises(KeyboardInterrupt):
        driver.drive()
    driver.wind_down()
    stopped = runbook.read(RUN)
    assert (stopped.phase, stopped.state) == (Phase.DONE, "cancelled")
    ended = SingleDriver(session, runbook, stopped, silent).drive()
    assert (ended.phase, ended.state, ended.problem) == (Phase.DONE, "succeeded", None)
    assert session.living_rentals() == []


def test_only_the_secrets_that_are_wanted_reach_the_process(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_key(operator)
    monkeypatch.setenv("VAST_API_KEY", "rents-machines")
    given = environment(open_session(operator.workspace), ["MODEL_KEY"])
    assert given["MODEL_KEY"] == KEY
    assert "rents-machines" not in given.values()
    assert given["PATH"] == os.environ["PATH"]


def test_what_the_workspace_says_of_the_analyst_holds_where_it_is_chosen_and_nowhere_else(operator: Operator) -> None:
    settings = operator.root / "spotter.toml"
    settings.write_text(settings.read_text() + '\n[pipelines.docparse.openai]\nmodel = "m"\nmax_parts = 7\n')
    session = open_session(operator.workspace)
    assert docparse_params(session, ["data"], {})["analyst"] == {"name": "text-layer"}
    chosen = docparse_params(session, ["data"], {"analyst": {"name": "openai", "max_parts": 8}, "dpi": 99})
    assert chosen["analyst"] == {"name": "openai", "model": "m", "max_parts": 8}
    assert chosen["dpi"] == 99


def test_the_box_is_gone_before_the_first_question_and_a_run_goes_on_from_any_end(
    operator: Operator, rude: RudeServer
) -> None:
    plant_key(operator)
    draw_pdf(operator.root / "data" / "doc.pdf", 1, "Value stack")
    rented = rented_at_first_question(operator, rude)
    rude.script = ["ok"]
    rude.always = "hang"
    console = operator.start("run", "--yes", *options(analyst(rude, max_concurrency=1, timeout_s=2)))
    wait_for(lambda: len(rude.requests) >= 2, "a question that hangs", 120)
    os.killpg(console.pid, signal.SIGKILL)
    console.wait()
    assert rented == [0]
    assert operator.run_entry()["phase"] == "pulled"
    left = [process for process in operator.processes() if "--leash" in process.cmdline()]
    assert all(KEY not in " ".join(process.cmdline()) for process in left)

    rude.always = "quota"
    session, run_id = open_session(operator.workspace), operator.run_entry()["run_id"]
    failed = drive(session, run_id)
    assert failed.state == "failed"
    assert "Add credit to the account" in str(failed.problem)
    assert ever_rented(operator) == 1, "no second machine for what this one does itself"

    rude.always = None
    ended = drive(session, run_id)
    assert (ended.state, ended.box_state) == ("succeeded", "succeeded")
    assert ever_rented(operator) == 1
    answered = Counter(
        json.dumps(question) for question, how in zip(rude.questions(), rude.outcomes, strict=True) if how == "ok"
    )
    assert set(answered.values()) == {1}
    assert any(caption.startswith("seen") for caption in captions(operator))
    assert rude.keys == {f"Bearer {KEY}"}
    assert holders_of_the_key(operator) == [".env"]
    events = [json.loads(line) for line in (operator.run_folder() / "events.jsonl").read_bytes().splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item" and event["status"] == "ok"]
    assert len(done) == len(set(done))


def work_as_boxes_do(operator: Operator, session: Session, run_id: str) -> None:
    """Bring a run to where a fleet leaves it: the boxes' stages merged here, their keys in the fleet's book."""
    folder, box = RunFolder(operator.workspace.run_folder(run_id)), RunOptions(resume=True, place="box")
    run = load_run(folder, "docparse", box)
    with folder.hold():
        assert Runner(run, Sources(operator.root, False), box, StopSignal(), lambda _line: None).run() == 0
    stages = tuple({"name": each.name, "kind": each.kind, "requires": each.requires} for each in run.stages)
    FleetBook(operator.workspace, run_id).agree(dict(run.keys), stages)
    Runbook(operator.workspace).update(run_id, sharded=True, instances=2, phase=Phase.DONE, state="failed")


def test_a_fleet_whose_boxes_are_through_rents_none_for_what_this_machine_does(
    operator: Operator, rude: RudeServer
) -> None:
    plant_key(operator)
    draw_pdf(operator.root / "data" / "doc.pdf", 1, "Value stack")
    session, run = planned(operator, analyst(rude, max_concurrency=1))
    work_as_boxes_do(operator, session, run.entry.run_id)
    ended = drive(session, run.entry.run_id)
    assert ended.state == "succeeded"
    assert ever_rented(operator) == 0
    assert captions(operator)
    assert holders_of_the_key(operator) == [".env"]
