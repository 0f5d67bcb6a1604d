import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from console.models.run_view import EventFile, Failure, RunView, fold, fold_failures


def folded(*events: dict[str, Any]) -> RunView:
    view = RunView()
    for event in events:
        view = fold(view, event)
    return view


def test_a_run_is_queued_until_its_first_event() -> None:
    assert RunView().state == "queued"
    assert not RunView().ended


@pytest.mark.parametrize("state", ["succeeded", "incomplete", "failed", "cancelled", "interrupted"])
def test_each_final_state_ends_the_run(state: str) -> None:
    assert folded({"type": "state", "state": state, "ts": 1.0, "seq": 0}).ended


def test_stages_keep_their_order_and_last_counts() -> None:
    view = folded(
        {"type": "stage", "stage": "render", "state": "started", "total": 4, "done": 0},
        {"type": "progress", "stage": "render", "total": 4, "done": 2, "ok": 2, "rate_per_s": 8.0, "eta_s": 0.25},
        {
            "type": "stage",
            "stage": "render",
            "state": "finished",
            "total": 4,
            "done": 4,
            "ok": 3,
            "failed": 1,
            "elapsed_s": 2.0,
        },
        {"type": "stage", "stage": "detect", "state": "started", "total": 3, "done": 0},
    )
    assert list(view.stages) == ["render", "detect"]
    assert view.stages["render"].done == 4
    assert view.stages["render"].failed == 1
    assert view.stages["render"].eta_s is None
    assert view.fraction == pytest.approx(4 / 7)


def test_a_failure_that_a_resume_mends_is_forgotten() -> None:
    failed = {"type": "item", "stage": "render", "item": "i1", "group": "d", "page": 2, "status": "failed",
              "error": {"type": "X", "message": "torn", "retryable": False}}  # fmt: skip
    failures: dict[str, Failure] = {}
    fold_failures(failures, failed)
    fold_failures(failures, failed)
    assert [failure.reason for failure in failures.values()] == ["torn"]
    fold_failures(failures, {"type": "item", "stage": "render", "item": "i1", "status": "ok"})
    assert failures == {}


@pytest.mark.parametrize("event", [{"type": "state"}, {"type": "stage", "stage": 3}, {"type": "progress"}, {"type": 7}])
def test_an_event_that_lacks_what_it_needs_is_passed_over(event: dict[str, Any]) -> None:
    assert fold(RunView(), event).stages == {}


def test_many_failures_are_folded_in_time_that_grows_with_their_number_only(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        path = tmp_path / f"{count}.jsonl"
        line = b'{"type":"item","stage":"render","item":"i%d","group":"d","status":"failed","error":{"message":"x"}}\n'
        path.write_bytes(b"".join(line % number for number in range(count)))
        reader = EventFile(path)
        started = time.process_time()
        reader.catch_up()
        assert len(reader.failures) == count
        return time.process_time() - started

    seconds(100)
    found = [seconds(16_000) / seconds(4_000)]
    while found[-1] >= 10 and len(found) < 3:  # other processes share the machine
        found.append(seconds(16_000) / seconds(4_000))
    assert min(found) < 10, found  # linear is 4, quadratic is 16


def test_an_unknown_event_only_moves_the_clock() -> None:
    before = folded({"type": "state", "state": "running", "ts": 1.0, "seq": 0})
    after = fold(before, {"type": "from-the-future", "ts": 9.0, "seq": 1})
    assert after.last_event_at == 9.0
    assert after.state == before.state


def test_the_start_is_that_of_the_first_running_state() -> None:
    view = folded(
        {"type": "state", "state": "running", "ts": 5.0},
        {"type": "state", "state": "interrupted", "ts": 7.0},
        {"type": "state", "state": "running", "ts": 9.0},
    )
    assert view.started_at == 5.0


def test_a_growing_file_is_read_in_any_pieces(tmp_path: Path) -> None:
    events = [{"type": "stage", "stage": "рендер", "state": "started", "total": n, "done": 0} for n in range(20)]
    data = b"".join(orjson.dumps(event) + b"\n" for event in events)
    path = tmp_path / "events.jsonl"
    reader = EventFile(path)
    assert not reader.refresh()
    for start in range(0, len(data), 7):
        with path.open("ab") as handle:
            handle.write(data[start : start + 7])
        assert reader.refresh()
    assert reader.view.stages["рендер"].total == 19
    assert not reader.refresh()


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"type":"state","sta\n{"type":"state","state":"running","ts":2.0,"seq":4}\n')
    reader = EventFile(path)
    reader.refresh()
    assert reader.view.state == "running"
    assert reader.view.last_seq == 4
