"""Runs whose regions a model is asked about: on the laptop after the box, killed, stopped, refused, out of money."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.closing import ClosingRunner
from pipeline.core.events import MetricEvent
from pipeline.core.rundir import RunFolder
from pipeline.core.runner import Runner, RunOptions, load_run
from pipeline.core.sources import Sources
from pipeline.core.stage import Place
from pipeline.core.stop import StopSignal
from pipeline.core.survey import survey
from tests.pipeline.driving import Bench, pipeline, sequence_is_gap_free, wait_until
from tests.pipeline.rude_model_server import RudeServer, serving
from tests.pipeline.vlm_pages import PATIENT, PRICES

SEEN = "tests.pipeline.seen:PIPELINE"


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    with serving() as server:
        yield server


class Seen(Bench):
    """A workspace with made pages."""

    def prepare(self, pages: int, rude: RudeServer, **analyst: Any) -> dict[str, Any]:
        for number in range(1, pages + 1):
            self.source(f"page{number}", str(number))
        values = {"name": "openai", "model": "seer-1", "base_url": rude.url, **PATIENT, **PRICES, "max_concurrency": 2}
        return self.plan(analyst=values | analyst, workers=1)

    def session(self, check: int = 0, place: Place | None = None) -> str:
        """One session in this process, which has the client library loaded; returns what it says."""
        folder, options, said = RunFolder(self.run_dir), RunOptions(resume=True, place=place), []
        told = folder.read_info().stage_keys if place == "laptop" else None
        run = load_run(folder, self.pipeline, options, told)
        with folder.hold():
            if place == "laptop":
                code = ClosingRunner(run, Sources(self.root, False), StopSignal(), said.append).run()
            else:
                code = Runner(run, Sources(self.root, False), options, StopSignal(), said.append).run()
        assert code == check, said
        return "\n".join(said)

    def captions(self) -> list[str]:
        said: list[str] = json.loads((self.run_dir / "said.json").read_text())
        return said

    def asked(self, rude: RudeServer) -> Counter[str]:
        """How often each question got an answer that was worth its money."""
        pairs = zip(rude.questions(), rude.outcomes, strict=True)
        return Counter(json.dumps(question) for question, outcome in pairs if outcome == "ok")


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path, SEEN)


def test_the_laptop_goes_on_where_the_box_ends_with_no_source_and_no_key_on_the_box(
    seen: Seen, rude: RudeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = seen.prepare(3, rude, api_key_env="MY_MODEL_KEY", max_usd=2)
    assert answer["laptop_stages"] == ["analyze", "said"]
    assert answer["secrets"] == ["MY_MODEL_KEY"]
    assert "3 pages guessed" in answer["forecasts"][0]
    assert "for the laptop: analyze, said" in seen.session(place="box")
    assert rude.requests == []
    assert set(seen.info()["stage_keys"]) == {"render", "regions"}
    shutil.rmtree(tmp_path / "data")

    run = load_run(RunFolder(seen.run_dir), SEEN, RunOptions(place="laptop"), seen.info()["stage_keys"])
    assert any(line.startswith("analyze: seer-1: 6 questions") for line in survey(run))
    assert "there is no MY_MODEL_KEY for the analyst openai" in seen.session(1, "laptop")
    assert rude.requests == []

    monkeypatch.setenv("MY_MODEL_KEY", "sk-secret-of-mine")
    seen.session(place="laptop")
    assert rude.keys == {"Bearer sk-secret-of-mine"}
    assert len(seen.captions()) == 18
    assert seen.info()["state"] == "succeeded"
    events = seen.events()
    assert sequence_is_gap_free(events)
    spent = [event.value for event in events if isinstance(event, MetricEvent) and event.name == "usd"]
    assert spent[-1] == pytest.approx(rude.billed_usd, abs=1e-6)
    assert seen.done_twice() == []
    through = seen.report()["documents"][0]["through"]
    assert through["analysed"] == 1
    for path in seen.run_dir.rglob("*"):
        assert not path.is_file() or b"sk-secret-of-mine" not in path.read_bytes()
    struct = next(seen.run_dir.glob("artifacts/*/p0001/regions/region-0001.struct.json"))
    assert json.loads(struct.read_text())["analyst"] == "openai"


def test_a_killed_session_loses_no_paid_answer_and_asks_nothing_twice(seen: Seen, rude: RudeServer) -> None:
    seen.prepare(6, rude)
    with seen.started() as process:
        wait_until(lambda: len(rude.bills) >= 5, "five answers", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    kept = len(list((seen.run_dir / "answers").glob("*.json")))
    assert kept >= 3, "all but those under way"
    at_the_kill = len(rude.requests)
    seen.session()
    assert len(seen.captions()) == 36
    assert len(rude.requests) == at_the_kill + 12 - kept
    assert sequence_is_gap_free(seen.events())
    assert seen.done_twice() == []


def test_a_session_on_a_leash_that_is_let_go_hears_what_it_asked_and_leaves_the_rest_open(
    seen: Seen, rude: RudeServer
) -> None:
    seen.prepare(6, rude, max_concurrency=1)
    with seen.started("--leash") as process:
        wait_until(lambda: len(rude.bills) >= 3, "three answers", process)
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(30) == 5
    assert len(rude.requests) < 12
    assert seen.info()["state"] == "interrupted"
    assert seen.info()["counts"]["failed"] == 0
    seen.session()
    assert set(seen.asked(rude).values()) == {1}
    assert len(rude.requests) == 12


def test_the_cap_stops_the_run_and_a_higher_one_lets_it_go_on(
    seen: Seen, rude: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen.prepare(4, rude, max_usd=0.03, max_output_tokens=600)
    assert "the analyst's cap of $0.03 is reached" in seen.session(1)
    assert 0 < rude.billed_usd <= 0.03
    monkeypatch.setenv("ANALYST_MAX_USD", "1")
    seen.session()
    assert len(rude.requests) == 8


def test_a_page_that_the_model_refuses_is_rejected_with_its_reason_and_others_go_on(
    seen: Seen, rude: RudeServer
) -> None:
    rude.script = ["refusal", "refusal"]
    seen.prepare(2, rude, max_concurrency=1)
    assert "1 rejected" in seen.session()
    assert seen.info()["counts"] == {"ok": 1, "failed": 0, "rejected": 1, "open": 0}
    assert len(seen.captions()) == 6
    files = seen.run_dir.glob("artifacts/page1-*/p0001/regions/*.struct.json")
    structs = [json.loads(path.read_text()) for path in files]
    refused = [struct["skipped"] for struct in structs if "refused" in str(struct["skipped"])]
    assert refused == ["the model refused: I will not describe this."] * 5


def test_a_batch_takes_the_whole_run_at_once_and_leaves_no_pictures_behind(seen: Seen, rude: RudeServer) -> None:
    seen.prepare(3, rude, batch=True, max_usd=1)
    seen.session()
    assert len(rude.batches) == 1
    assert len(seen.captions()) == 18
    assert list((seen.run_dir / "answers" / "pictures").iterdir()) == []
    spent = [event.value for event in seen.events() if isinstance(event, MetricEvent) and event.name == "usd"]
    assert spent[-1] == pytest.approx(rude.billed_usd, abs=1e-6)


def test_a_laptop_without_a_boxs_results_says_so(seen: Seen, rude: RudeServer) -> None:
    seen.prepare(1, rude)
    done: subprocess.CompletedProcess[str] = pipeline(
        "run", SEEN, "--run-dir", seen.run_dir, "--place", "laptop", "--resume", check=2
    )
    assert "holds nothing that a box did" in done.stderr
