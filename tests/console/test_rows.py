"""Values drawn as cells and lines: tables of cases, no screen needed."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from console.commands.parameters import parameters
from console.models.item_names import ItemNames
from console.models.run_reader import NamedFailure, RunNews, RunReader, journal_line
from console.models.run_view import Failure, RunView
from console.models.runs import RunRow
from console.operations.open import OpenError, open_at_page, viewer_command
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.run_details import failure_lines, run_head
from console.screens.run_rows import run_row
from console.workspace import create_workspace

ENTRY = RunEntry(run_id="01m7y5p59xc6fey9ep0kj13082", pipeline="docparse", plan_key="k", created_at=50.0)


@pytest.mark.parametrize(
    ("entry", "view", "driver", "state"),
    [
        (ENTRY.model_copy(update={"phase": Phase.DONE, "state": "incomplete"}), RunView(), None, "incomplete"),
        (ENTRY.model_copy(update={"phase": Phase.LAUNCHED}), RunView(state="running"), 42, "running"),
        (ENTRY.model_copy(update={"phase": Phase.LAUNCHED}), RunView(state="running"), None, "stopped"),
        (ENTRY.model_copy(update={"phase": Phase.LAUNCHED, "boxes": (7,)}), RunView(state="running"), None, "detached"),
        (ENTRY.model_copy(update={"here": True}), RunView(state="running"), 42, "running"),
        (ENTRY.model_copy(update={"phase": Phase.RENTED}), RunView(), None, "stopped"),
        (ENTRY.model_copy(update={"phase": Phase.PULLED}), RunView(state="succeeded"), 42, "pulled"),
    ],
)
def test_a_runs_state_is_one_word(entry: RunEntry, view: RunView, driver: int | None, state: str) -> None:
    row = RunRow(entry, view, 0, driver)
    assert row.state == state
    assert run_row(row, 110.0).cells[1].plain == state


@pytest.mark.parametrize(
    ("changes", "may_rent"),
    [
        ({}, True),
        ({"here": True}, False),
        ({"instance_id": 7}, False),
        ({"phase": Phase.DONE, "state": "succeeded"}, False),
        ({"phase": Phase.DONE, "state": "incomplete"}, True),
        ({"laptop_stages": ("analyze",), "box_state": "succeeded"}, False),
        ({"laptop_stages": ("analyze",), "box_state": "incomplete"}, True),
    ],
)
def test_only_a_run_that_may_need_a_machine_asks_for_money(changes: dict[str, object], may_rent: bool) -> None:
    assert ENTRY.model_copy(update=changes).may_rent is may_rent


def test_failures_are_named_by_their_source_and_the_rest_is_counted(tmp_path: Path) -> None:
    known = Failure("render", "i1", "otchet-1", 3, "torn")
    assert ItemNames(tmp_path).of(known) == "otchet-1"
    item = {"item_id": "i1", "page": 3, "source": {"path": "data/Отчёт [1].pdf"}}
    (tmp_path / "manifest.jsonl").write_bytes(orjson.dumps(item) + b"\n")
    names = ItemNames(tmp_path)
    assert names.of(known) == "data/Отчёт [1].pdf, page 3"
    assert names.of(replace(known, item="i9")) == "otchet-1"
    failure = NamedFailure(names.of(known), "render", "torn")
    text = failure_lines(RunNews(ENTRY, RunView(), (failure, failure), 3, ()), 1).plain
    assert "data/Отчёт [1].pdf, page 3 render: torn" in text
    assert "and 2 more" in text


def test_the_head_of_a_run_says_where_it_is_and_what_went_wrong() -> None:
    live = ENTRY.model_copy(update={"phase": Phase.LAUNCHED, "instance_id": 7, "problem": "stopped by Ctrl-C"})
    text = run_head(RunNews(live, RunView(state="running", started_at=1.0, last_event_at=62.0), (), 2, ()), 70.0).plain
    assert "running" in text
    assert "on 7" in text
    assert "1m 01s" in text
    assert "2 failures" in text
    assert "stopped by Ctrl-C" in text


def test_a_long_log_is_read_from_its_end_in_whole_lines_and_then_as_it_grows(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path)
    Runbook(workspace).write(ENTRY)
    logs = workspace.run_folder(ENTRY.run_id) / "logs"
    logs.mkdir(parents=True)
    job = logs / "job-1.log"
    job.write_text("".join(f"строка {number}\n" for number in range(40_000)))
    (logs / "operations.jsonl").write_text('{"operation":"rent","state":"fin\n')
    reader = RunReader(workspace, ENTRY.run_id)
    lines = reader.look().new_lines
    assert lines[-1] == "строка 39999"
    assert lines[0] == '{"operation":"rent","state":"fin'
    assert all(line.startswith("строка ") for line in lines[1:])
    with job.open("a") as handle:
        handle.write("half")
    assert reader.look().new_lines == ()
    with job.open("a") as handle:
        handle.write(" and half\n" + "x" * 600_000)
    assert reader.look().new_lines[0] == "half and half"
    assert len("".join(reader.look().new_lines)) > 0, "a line without end does not stop the log"


def test_the_journal_is_read_as_sentences() -> None:
    line = journal_line('{"operation":"rent","state":"failed","message":"no offer","ts":0}')
    assert line.endswith("✗ rent: no offer")


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        (["dpi=200"], {"dpi": 200}),
        (["detector.name=opencv", "detector.score=0.3"], {"detector": {"name": "opencv", "score": 0.3}}),
        (["sources=[a, b]"], {"sources": ["a", "b"]}),
        (["x="], {"x": None}),
    ],
)
def test_parameters_are_yaml_and_dots_go_deeper(pairs: list[str], found: dict[str, object]) -> None:
    assert parameters(pairs) == found


def test_a_pdf_is_opened_at_its_page_where_a_viewer_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    okular = tmp_path / "okular"
    okular.write_text("#!/bin/sh\n")
    okular.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert viewer_command(tmp_path / "a b.pdf", 7) == ([str(okular), "--page", "7", str(tmp_path / "a b.pdf")], True)
    assert viewer_command(tmp_path / "a.png", 7) is None
    with pytest.raises(OpenError, match="neither the source nor"):
        open_at_page(tmp_path / "gone.pdf", 1, None)
