"""Ingest with an embedder that is paid: told before, capped, resumed after a kill, searched only in its own space."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from index.__main__ import main
from index.embed import OFFLINE, embedder
from index.errors import SpaceMismatch
from index.ingest import ingest
from index.layout import Layout
from index.search import Searcher
from tests.index.index_world import RUN_1, RUN_2, record, write_run
from tests.index.model_server import KEY, ModelServer, serving

RECORDS = [record(f"r{at}", f"Block {at} of the value stack feeds layer {at % 13}") for at in range(120)]


@pytest.fixture
def there() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def workspace(there: ModelServer, tmp_path: Path) -> Path:
    write_run(there.workspace(tmp_path), RUN_1, RECORDS)
    return tmp_path


Index = Callable[..., dict[str, Any]]


@pytest.fixture
def index(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Index:
    """`index ingest --json`: the last line that it says, and all before it as `said`."""

    def call(*more: Any, check: int = 0) -> dict[str, Any]:
        assert main(command(workspace, *more)[3:]) == check
        out, err = capsys.readouterr()
        assert KEY not in out + err
        lines = [json.loads(line) for line in out.splitlines()]
        return {**lines[-1], "said": lines[:-1]}

    return call


def command(workspace: Path, *more: Any) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "index",
        "ingest",
        "--workspace",
        str(workspace),
        "--embedder",
        "there/tiny",
        "--json",
    ]
    return [*words, *map(str, more), str(workspace / "out" / "runs")]


def test_an_ingest_tells_its_price_first_and_its_bill_last(there, workspace, index):
    estimate = index("--estimate")["result"]["estimate"]
    assert (estimate["texts"], estimate["cached"]) == (120, 0)
    assert there.requests == []
    assert Layout(workspace).current() is None
    done = index("--max-usd", 1)
    ahead = next(line for line in done["said"] if line["phase"] == "estimate")
    assert "120 of 120 texts" in ahead["message"]
    assert "capped at $1.00" in ahead["message"]
    assert done["result"]["embedded"] == 120
    assert done["result"]["spent"]["usd"] == pytest.approx(there.billed_usd)
    assert done["result"]["space"] == "there/tiny/16/v1"
    asked = len(there.requests)
    again = index()
    assert again["result"]["unchanged"] == 120
    assert "0 of 0 texts" in next(line for line in again["said"] if line["phase"] == "estimate")["message"]
    assert len(there.requests) == asked


def test_an_estimate_above_the_cap_sends_nothing(there, workspace, index):
    refused = index("--max-usd", "0.0000001", check=1)
    assert refused["error"]["type"] == "CapReached"
    assert "nothing was sent" in refused["error"]["message"]
    assert there.requests == []
    assert index("--max-usd", "-1", check=2)["error"]["type"] == "BadSource"


def test_a_killed_ingest_goes_on_from_the_cache(there, workspace, index):
    there.workspace(workspace, "max_inputs = 16\nmax_concurrency = 2")
    there.delay_s = 0.05
    enough = threading.Event()
    there.on_answered = lambda: enough.set() if len(there.requests) >= 4 else None
    process = subprocess.Popen(command(workspace), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert enough.wait(150)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there.delay_s = 0.0
    paid = {text for body in there.requests for text in body["input"]}
    assert paid
    there.requests.clear()
    assert index()["result"]["records"] == 120
    asked_again = [text for text in there.asked() if text in paid]
    assert len(asked_again) <= 3 * 16  # what was under way, not what had arrived
    assert len(there.asked()) < 120


def test_a_record_that_the_server_does_not_take_is_named_and_the_others_are_in(there, workspace, index):
    there.refuses = "layer 7"
    done = index()["result"]
    rejected = {each["record_id"]: each["reason"] for each in done["rejected"]}
    assert set(rejected) == {f"r{at}" for at in range(120) if at % 13 == 7}
    assert all("against our rules" in reason for reason in rejected.values())
    assert done["added"] == 120 - len(rejected)


def test_a_long_text_is_told_to_have_been_embedded_in_pieces(there, workspace, index):
    write_run(workspace, RUN_2, [record("long", "Слои платформы. " * 600, document="long")])
    done = index()["result"]
    assert done["spent"]["in_pieces"] == 1
    assert done["added"] == 121
    assert max(len(text.encode()) for text in there.asked()) <= 8192


def test_vectors_that_come_with_their_records_are_not_paid_for(there, workspace, index):
    chosen = embedder("there/tiny", workspace)
    carried = chosen.embed(["Block carried"], kind="doc")[0]
    line = {**json.loads(record("carried", "Block carried").to_line()), "vector": carried.tolist()}
    write_run(workspace, RUN_2, [{**line, "provider": "there", "model": "tiny"}])
    there.requests.clear()
    assert index(workspace / "out" / "runs" / RUN_2)["result"]["added"] == 121
    assert "Block carried" not in there.asked()


def test_a_query_never_meets_an_index_of_another_space(there, workspace):
    ingest([workspace / "out" / "runs"], workspace, embedder("there/tiny", workspace))
    with pytest.raises(SpaceMismatch, match=r"there/tiny/16/v1.*offline/hash3072"):
        Searcher(workspace, embedder(OFFLINE))
    with pytest.raises(SpaceMismatch):
        ingest([workspace / "out" / "runs"], workspace, embedder(OFFLINE))
    there.requests.clear()
    with Searcher(workspace) as searcher:
        found = searcher.search("value stack layer 5")
    assert found.label == "semantic"
    assert found.space == "there/tiny/16/v1"
    assert there.asked() == ["value stack layer 5"]


def test_typing_is_answered_by_words_until_the_vector_is_there(there, workspace):
    ingest([workspace / "out" / "runs"], workspace, embedder("there/tiny", workspace))
    there.requests.clear()
    with Searcher(workspace) as searcher:
        at_once = searcher.search("value stack layer 5", vector="ready")
        assert at_once.vector_pending
        assert at_once.lexical_only
        assert at_once.hits
        assert there.requests == []
        searcher.query_vector("value stack layer 5")
        merged = searcher.search("value stack layer 5", vector="ready")
        assert not merged.vector_pending
        assert merged.label == "semantic"
    with Searcher(workspace) as another:  # the disk remembers
        assert not another.search("value stack layer 5", vector="ready").vector_pending
    assert len(there.requests) == 1


def test_a_query_under_way_does_not_meet_an_index_of_another_space_that_is_switched_in(there, workspace):
    with (workspace / "spotter.toml").open("a", encoding="utf-8") as file:
        file.write("[providers.there.embeddings.other]\ndim = 16\nusd_per_1m_tokens = 0.1\nmax_input_tokens = 8192\n")
    runs, layout = workspace / "out" / "runs", Layout(workspace)
    ingest([runs], workspace, embedder("there/tiny", workspace))
    first = layout.current()
    assert first is not None
    layout.pointer.unlink()
    ingest([runs], workspace, embedder("there/other", workspace))
    second = layout.current()
    assert second is not None
    layout.switch_to(first)
    there.requests.clear()
    there.free.clear()
    with Searcher(workspace) as searcher:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(searcher.search("value stack layer 5")))
        thread.start()
        while not there.requests:
            thread.join(0.01)
        layout.switch_to(second)
        there.free.set()
        thread.join()
    assert results[0].space == "there/other/16/v1"
    assert [body["model"] for body in there.requests] == ["tiny", "other"]
