"""`spotter tags …`: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.embed import OFFLINE, embedder
from index.ingest import ingest
from index.tags.hook import workspace_hook
from tests.index.index_world import RUN_1, record, write_run

Say = Callable[..., Result]
RECORDS = [
    record("stack", "Platform Value Stack", "Title", tags=["diagram", "Nobody's"]),
    *(
        record(f"harbour-{verb}", f"The harbour master {verb}s.", page=1)
        for verb in ["see", "hear", "write", "wait", "send", "call"]
    ),
    *(record(f"other-{n}", f"Number {n} stands alone.", document="other", page=n) for n in range(16)),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace, _fresh = create_workspace(tmp_path_factory.mktemp("tags"))
    ingest([write_run(workspace.root, RUN_1, RECORDS)], workspace.root, embedder(OFFLINE), mirror=False,
           tagging=workspace_hook(workspace.root))  # fmt: skip
    return workspace.root


@pytest.fixture
def say(root: Path) -> Say:
    return lambda *words: CliRunner().invoke(app, ["-C", str(root), "tags", *map(str, words)])


def told(done: Result, code: int = 0) -> Any:
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_list_shows_names_boosts_and_how_many_records_have_each(say: Say) -> None:
    lines = told(say("list", "--json"))["tags"]
    stack = next(line for line in lines if line["id"] == "Diagram/ValueStack")
    assert (stack["boost"], stack["records"], stack["label"]["ru"]) == (1.1, 1, "Стек ценности платформы")
    assert len(lines) >= 200
    layers = say("list", "--group", "Layer").stdout.splitlines()
    assert len(layers) == 11
    assert layers[0].split()[:3] == ["Layer/Engagement", "×1.0867", "0"]
    wrong = say("list", "--group", "Layers")
    assert (wrong.exit_code, "there is no group 'Layers'" in wrong.stderr) == (2, True)


def test_lint_ends_with_one_only_when_something_is_wrong(say: Say, tmp_path: Path) -> None:
    findings = told(say("lint", "--json"))
    assert {finding["code"] for finding in findings} == {"orphan", "no hits"}
    bad = tmp_path / "bad.json"
    entry = {"id": "A/X", "group": "A", "label": {"en": "x"}, "broader": "A/X"}
    bad.write_text(json.dumps({"version": 1, "groups": [{"id": "A", "label": {"en": "A"}}], "tags": [entry]}), "utf-8")
    done = say("lint", bad)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (
        1, "error: broader runs in a circle: A/X → A/X; take one of them out.",
    )  # fmt: skip


def test_the_page_is_written_once_and_a_stale_one_is_told(say: Say, tmp_path: Path) -> None:
    page = tmp_path / "TAGS.md"
    assert told(say("docs", "--out", page, "--json"))["changed"] is True
    assert say("docs", "--out", page, "--check").exit_code == 0
    page.write_text("stale", "utf-8")
    stale = say("docs", "--out", page, "--check")
    assert (stale.exit_code, page.read_text("utf-8")) == (1, "stale")
    assert "make it anew with `spotter tags docs`" in stale.stderr


def test_infer_shows_the_words_that_give_a_tag(say: Say) -> None:
    (one,) = told(say("infer", "слои", "данных", "--json"))["assigned"]
    assert (one["tag"], one["evidence"]) == ("Layer/Data", "слои данных")
    assert "Nobody's" in say("infer", "--record", "stack").stdout
    assert say("infer").exit_code == say("infer", "a", "--record", "b").exit_code == 2
    missing = say("infer", "--record", "nobody")
    assert (missing.exit_code, missing.stderr.startswith("spotter: The index has no record 'nobody'")) == (1, True)


def test_mine_decide_accept_apply(say: Say, root: Path) -> None:
    mined = told(say("mine", "--json"))
    assert mined["records"] == len(RECORDS)
    path = root / "tags" / "candidates.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["name"] for line in lines] == ["harbour master"]
    lines[0]["decision"] = "accept"
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    (tag,) = told(say("accept", "--json"))["added"]
    dry = told(say("apply", "--dry-run", "--json"))
    assert dry["by_tag"] == {tag: [0, 6]}
    assert "6 records of 23 changed" in say("apply").stdout
    assert told(say("apply", "--json"))["changed"] == 0
    assert told(say("mine", "--json"))["by_decision"] == {"accept": 1}
    report = told(say("report", "--out", root / "out" / "tags.md", "--json"))
    assert report["coverage"]["by_tag"][tag] == 6
    assert f"`{tag}`" in (root / "out" / "tags.md").read_text("utf-8")


def test_boosts_show_their_formula_and_count_only_when_written(say: Say, root: Path) -> None:
    line = say("boosts", "--explain", "Canvas", "--phase", "Define").stdout
    assert line.startswith("Canvas: influence 0.8 (group Canvas, line 23) +0.2 (phase Define for Canvas")
    assert told(say("boosts", "--json"))["written"] is None
    assert not (root / "tags" / "boosts.json").exists()
    written = told(say("boosts", "--write", "--json"))
    assert json.loads(Path(written["written"]).read_bytes())["tags"]["Canvas"] == 1.0867
    assert told(say("boosts", "--json"))["changed"] == {}
    assert "there is no phase 'Dream'" in say("boosts", "--phase", "Dream").stderr
    assert "There is no tag 'canvas'" in say("boosts", "--explain", "canvas").stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["accept", "nothing.jsonl"], "nothing.jsonl does not exist; `spotter tags mine` writes one."),
        (["boosts", "--policy", "nothing.md"], "nothing.md: can't be read (No such file or directory)."),
        (["boosts", "--policy", "policy.toml"], "policy.toml: can't be read"),
        (["lint", "nothing.json"], "nothing.json: can't be read"),
        (["mine", "--embedder", "nobody/nothing"], "no embedder named 'nobody/nothing'"),
        (["mine", "--model", "nobody/nothing"], "nobody/nothing"),
        (["report", "--queries", "nothing.jsonl"], "nothing.jsonl does not exist"),
    ],
)
def test_a_wrong_word_is_answered_by_one_sentence(say: Say, words: list[str], sentence: str) -> None:
    done = say(*words)
    assert done.exit_code in (1, 2)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert json.loads(say(*words, "--json").stdout)["error"] in done.stderr


def test_no_screen_of_tags_calls_a_boost_a_weight(say: Say) -> None:
    pages = [say(name, "--help").stdout for name in ("list", "boosts", "report", "apply", "mine", "accept", "docs")]
    shown = [say("boosts").stdout, say("report").stdout, say("list").stdout]
    assert not [page for page in (*pages, *shown) if "weight" in page.lower()]
