"""`spotter ingest` with an embedder that is paid, and `spotter answer`: what they print and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from console.cli import app
from console.operations.doctor import examine
from console.workspace import create_workspace
from tests.index.index_world import RUN_1, ingest_runs, record, write_run
from tests.index.model_server import KEY, ModelServer, serving

SIZE = {"page_size_px": (1000, 1400)}
RECORDS = [
    record("stack", "The Platform Value Stack has 7 layers.", page=3, bbox_px=(100, 200, 300, 80), **SIZE),
    record("price", "A licence of the platform costs 1 250 000 roubles.\x1b[31m", page=4, **SIZE),
]
Say = Callable[..., Result]


@pytest.fixture
def there() -> Iterator[ModelServer]:
    with serving() as server:
        server.answer = said
        yield server


def said(body: dict[str, Any]) -> dict[str, Any]:
    passages = json.loads(body["messages"][-1]["content"])["passages"]
    stack = next(each for each in passages if "7 layers" in each["text"])
    good = {"n": stack["n"], "page": 3, "quote": "has 7 layers"}
    return {
        "claims": [
            {"text": "The stack has 7 layers.", "citations": [good]},
            {"text": "It has 9 blocks.", "citations": [good]},
        ],
        "missing": "",
    }


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace, _fresh = create_workspace(tmp_path_factory.mktemp("answers"))
    write_run(workspace.root, RUN_1, RECORDS)
    ingest_runs(workspace.root)
    return workspace.root


@pytest.fixture
def say(indexed: Path, there: ModelServer) -> Say:
    there.workspace(indexed)
    return lambda *words: CliRunner().invoke(app, ["-C", str(indexed), *map(str, words)])


def test_an_answer_names_page_and_box_and_what_was_dropped(say: Say) -> None:
    done = say("answer", "how many layers has the value stack", "--model", "there/talker")
    assert done.exit_code == 0, done.output
    assert "• The stack has 7 layers." in done.stdout
    assert "data/guide.pdf, page 3, 300×80 px at 100,200: “has 7 layers”" in done.stdout
    assert "✗ It has 9 blocks." in done.stdout
    assert "the number 9 stands in nothing that it cites" in done.stdout
    assert "1 of 2 claims of there/talker passed the checks" in done.stdout


def test_an_answer_is_one_json_value(say: Say) -> None:
    done = say("answer", "how many layers has the value stack", "--model", "there/talker", "--json")
    found = json.loads(done.stdout)
    assert found["verdict"] == "answered"
    assert [each["text"] for each in found["claims"]] == ["The stack has 7 layers."]
    assert found["claims"][0]["citations"][0]["bbox_px"] == [100, 200, 300, 80]
    assert [each["text"] for each in found["dropped"]] == ["It has 9 blocks."]
    assert KEY not in done.output


def test_without_a_model_passages_are_shown_without_what_could_move_the_cursor(say: Say, there: ModelServer) -> None:
    done = say("answer", "what does a licence of the platform cost")
    assert done.exit_code == 0
    assert "so these are the best passages, not an answer" in done.stdout
    assert "costs 1 250 000 roubles" in done.stdout
    assert "\x1b" not in done.stdout
    assert there.requests == []


def test_nobody_is_paid_for_an_answer_that_could_not_be_written(say: Say, there: ModelServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "answer.json"):
        done = say("answer", "how many layers has the value stack", "--model", "there/talker", "--out", out)
        assert (done.exit_code, "--out" in done.stderr or "name a file" in done.stderr) == (2, True)
    assert there.requests == []


def test_no_answer_is_an_exit_code_of_its_own(say: Say, there: ModelServer) -> None:
    done = say("answer", "where do penguins breed", "--model", "there/talker")
    assert done.exit_code == 3
    assert there.requests == []
    there.always = "404"
    assert say("answer", "layers of the value stack", "--model", "there/talker").exit_code == 1
    assert say("answer", "layers of the value stack", "--model", "nobody/talker").exit_code == 1
    assert "asked about" in done.stdout or "Nothing was found" in done.stdout


def test_an_ingest_shows_what_embedding_will_cost_and_keeps_to_the_cap(tmp_path: Path, there: ModelServer) -> None:
    workspace, _fresh = create_workspace(tmp_path)
    write_run(there.workspace(workspace.root), RUN_1, RECORDS)

    def ingest(*more: str) -> Result:
        return CliRunner().invoke(app, ["-C", str(tmp_path), "ingest", "--embedder", "there/tiny", *more])

    estimate = ingest("--estimate", "--json")
    assert json.loads(estimate.stdout)["estimate"]["texts"] == 2
    assert there.requests == []
    done = ingest()
    assert done.exit_code == 0, done.output
    assert "2 of 2 texts to embed" in done.output
    assert "capped at $5.00" in done.output
    assert "for embedding" in done.output
    assert KEY not in estimate.output + done.output


def test_a_wrong_server_in_the_settings_is_named_by_file_and_key(tmp_path: Path) -> None:
    workspace, _fresh = create_workspace(tmp_path)
    workspace.settings_file.write_text("[providers.near]\nbase_url = 'http://a/v1'\ntrys = 2\n", "utf-8")
    done = CliRunner().invoke(app, ["-C", str(tmp_path), "answer", "anything"])
    assert done.exit_code == 2
    assert "spotter.toml" in done.output
    assert "providers.near.trys" in done.output


def test_doctor_tells_what_an_embedder_or_a_model_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    workspace, _fresh = create_workspace(tmp_path)
    assert {finding.subject for finding in examine(workspace, "")} & {"embedder", "answers"} == set()
    workspace.settings_file.write_text(
        '[index]\nembedder = "openai/text-embedding-3-large"\n[answers]\nmodel = "near/talker"\n', "utf-8"
    )
    said = {finding.subject: finding.message for finding in examine(workspace, "")}
    assert "OPENAI_API_KEY, which is not set" in said["embedder"]
    assert "There is no model 'near/talker'" in said["answers"]
