"""Options that could cost money by a slip of the hand are refused before anything is asked or rented."""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from typer.main import get_command

from console.cli import app
from console.operations.runbook import RunEntry
from console.operations.session import open_session
from console.workspace import create_workspace


@cache
def command() -> Any:
    """Made once: it takes longer than most mistakes."""
    return get_command(app)


def say(*words: object) -> Result:
    return CliRunner().invoke(command(), [str(word) for word in words])


@pytest.mark.parametrize(
    "words",
    [
        *(f"guard 1 --max-usd {value}" for value in ("-5", "0", "nan", "inf")),
        *(f"guard 1 --max-hours {value}" for value in ("-5", "0", "nan", "inf")),
        "guard 1 --add-hours nan", "rent 1 --max-usd-per-hour nan", "rerent 1 --max-usd-per-hour inf",
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused_before_the_machine_is_told(words: str) -> None:
    done = say(*words.split(), "--yes")
    assert done.exit_code == 2
    assert "write a number above 0" in done.output


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_workspace(tmp_path_factory.mktemp("empty"))[0].root


@pytest.mark.parametrize(
    "words",
    [
        "review queue /abs/x", "review queue **", "review decide x y no", "review save", "review take a**b",
        "guard 5 --add-hours 2 --max-usd 3", "sync --stop --watch", "sync --stop", "keys --check", "label 5 mine",
        "logs --last zz", "logs --all --filter /[/", "metrics --since x", "stop 5 --yes", "stop 5", "rerent 5 --yes",
    ],
)  # fmt: skip
def test_a_mistake_ends_with_a_sentence_and_for_a_program_with_one_json_value(empty: Path, words: str) -> None:
    done = say("-C", empty, *words.split(), "--json")
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit), "a sentence, not a traceback"
    assert set(json.loads(done.stdout)) == {"error", "type"}
    assert done.stderr.startswith("spotter: ")


def test_what_was_measured_is_said_though_it_cannot_be_kept(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = SimpleNamespace(to_json=lambda: {"ap50": 0.9})
    entry = RunEntry(run_id="01kquality", pipeline="docparse", plan_key="k")
    monkeypatch.setattr("console.operations.runbook.Runbook.resolve", lambda *_: entry)
    monkeypatch.setattr("pipeline.docparse.quality.labelled.read_labels", lambda _path: None)
    monkeypatch.setattr("pipeline.docparse.quality.labelled.found_in", lambda *_: None)
    monkeypatch.setattr("pipeline.docparse.quality.evaluate.evaluate", lambda *_: measured)
    (empty / "out" / "quality").write_text("in the way")
    done = say("-C", empty, "quality", "--run", "last", "--truth", "labels.json", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"ap50": 0.9})
    assert "not kept" in done.stderr


def test_no_name_is_no_run(empty: Path) -> None:
    done = say("-C", empty, "logs", "", "--json")
    assert (done.exit_code, "name a run" in done.stderr) == (2, True)


def test_a_plan_never_resumes_a_run(tmp_path: Path) -> None:
    done = say("-C", tmp_path, "run", "--resume", "last", "--dry-run")
    assert done.exit_code == 2
    assert "--dry-run plans new work" in done.output


def test_a_silent_cloud_does_not_hide_what_the_ledger_still_bills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = create_workspace(tmp_path)[0]
    here.settings_file.write_text('[cloud]\nname = "vast"\nurl = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("VAST_API_KEY", "0" * 64)
    opened = open_session(here)
    opened.ledger.open_instance(
        opened.cloud_name, 4711, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0
    )
    done = say("-C", tmp_path, "ps")
    assert done.exit_code == 1
    assert "still rented and billed: 4711" in done.output
