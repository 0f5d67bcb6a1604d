import io
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from console.operations.events import Journal, OperationEvent, Step, tee
from console.terminal import BarReport, PlainReport


def test_a_step_reports_its_start_and_what_came_of_it() -> None:
    said: list[OperationEvent] = []
    with Step("push", "sending", said.append) as step:
        step.summary = "3 files"
    assert [(event.state, event.message) for event in said] == [("started", "sending"), ("finished", "3 files")]


def test_a_failing_step_reports_why_and_lets_the_error_through() -> None:
    said: list[OperationEvent] = []
    with pytest.raises(ValueError, match="no room"), Step("push", "sending", said.append):
        raise ValueError("no room")
    assert (said[-1].state, said[-1].message) == ("failed", "no room")


def test_ctrl_c_is_named_as_such() -> None:
    said: list[OperationEvent] = []
    with pytest.raises(KeyboardInterrupt), Step("push", "sending", said.append):
        raise KeyboardInterrupt
    assert said[-1].message == "stopped by Ctrl-C"


def test_a_journal_that_cannot_be_written_stops_no_operation(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way, as a full disk is")
    done = False
    with Step("destroy", "destroying instance 7", Journal(tmp_path / "logs" / "operations.jsonl")):
        done = True
    assert done


def test_the_journal_keeps_what_matters_and_leaves_ticks_out(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "operations.jsonl"
    said: list[OperationEvent] = []
    report = tee(Journal(path), said.append)
    report(OperationEvent("push", "started", "отправка\nв две строки"))
    report(OperationEvent("push", "progress", "", 1, 2))
    report(OperationEvent("push", "finished", "done"))
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["state"] for line in lines] == ["started", "finished"]
    assert lines[0]["message"] == "отправка\nв две строки"
    assert len(said) == 3


def test_plain_lines_name_the_operation_and_its_end() -> None:
    out = io.StringIO()
    report = PlainReport(out)
    report(OperationEvent("pull", "started", "fetching", ts=1.0))
    report(OperationEvent("pull", "progress", "", 1, 9, "files", ts=1.5))
    report(OperationEvent("pull", "finished", "9 files verified", ts=3.0))
    report(OperationEvent("rent", "failed", "no offer", ts=4.0))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert "9 files verified  (2.0s)" in lines[1]
    assert lines[2].split() == ["FAILED", "rent", "no", "offer"]


def test_sentences_for_the_operator_stay_on_a_terminal_that_draws_bars() -> None:
    out = io.StringIO()
    with BarReport(Console(file=out, force_terminal=True, width=200)) as report:
        report(OperationEvent("pull", "progress", "a tick that passes", 1, 9, "files"))
        report(OperationEvent("run", "progress", "instance 7 is still rented: [x] gives it up"))
    lines = [line for line in out.getvalue().split("\n") if "still rented" in line]
    assert len(lines) == 1
    assert "[x] gives it up" in lines[0]
