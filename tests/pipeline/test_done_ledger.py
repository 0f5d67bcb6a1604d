"""The ledger of what is done: a result per item, stage and key, and every attempt behind it."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.artifacts import Artifact
from pipeline.core.errors import ErrorInfo, UsageError
from pipeline.core.ledger import Execution, Ledger, Result

KEYS = st.tuples(st.sampled_from("abc"), st.sampled_from(["render", "detect"]), st.sampled_from(["k1", "k2"]))
STEPS = st.lists(st.tuples(KEYS, st.sampled_from(["ok", "failed", "rejected"]), st.integers(1, 5)), max_size=25)


def result(key: tuple[str, str, str], status: str, attempts: int) -> Result:
    item, stage, cache_key = key
    error = ErrorInfo("ItemError", "это плохо\n", False) if status == "failed" else None
    files = (Artifact(path=f"{item}.png", sha256="0" * 64, bytes=attempts, kind="crop", stage=stage, item=item),)
    return Result(item, stage, cache_key, status, attempts, 0.5, 1.0, {"n": attempts}, files, error)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_the_last_result_of_a_key_is_kept_and_no_attempt_is_forgotten(
    steps: list[tuple[tuple[str, str, str], str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        expected: dict[tuple[str, str, str], Result] = {}
        for half in (steps[: len(steps) // 2], steps[len(steps) // 2 :]):
            ledger = Ledger(path)
            ledger.begin_session(1, 0.0)
            for key, status, attempts in half:
                expected[key] = result(key, status, attempts)
                ledger.record([expected[key]], [Execution(*key, attempts, status, 1.0)])
            ledger.close()
        reader = Ledger(path, read_only=True)
        for stage, cache_key in {key[1:] for key in expected}:
            known = {key[0]: value for key, value in expected.items() if key[1:] == (stage, cache_key)}
            assert reader.results(stage, cache_key) == known
        assert [run.attempt for run in reader.executions()] == [attempts for _, _, attempts in steps]
        reader.close()


def test_results_and_attempts_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    bad = Execution("a", "render", "k1", 1, None, 1.0)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        ledger.record([result(("a", "render", "k1"), "ok", 1)], [bad])
    assert ledger.results("render", "k1") == {}
    ledger.close()


def test_a_ledger_can_be_read_from_the_first_moment_that_it_is_there(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.sqlite" for number in range(40)]

    def read() -> int:
        attempts = 0
        for path in paths:
            while not path.exists():
                time.sleep(0)
            reader = Ledger(path, read_only=True)
            attempts += len(list(reader.executions()))
            reader.close()
        return attempts

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for path in paths:
            Ledger(path).close()
        assert reading.result(timeout=60) == 0


def test_a_settled_ledger_is_one_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record([result(("a", "render", "k1"), "ok", 1)], [])
    assert ledger.settle()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]
    (tmp_path / "copy.sqlite").write_bytes((tmp_path / "ledger.sqlite").read_bytes())
    assert Ledger(tmp_path / "copy.sqlite", read_only=True).result("a", "render", "k1") is not None
    with pytest.raises(UsageError, match="not started"):
        Ledger(tmp_path / "none.sqlite", read_only=True)


def test_somebody_who_looks_on_does_not_hinder_the_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    onlooker = Ledger(path, read_only=True)
    assert onlooker.results("render", "k1") == {}
    ledger.record([result(("a", "render", "k1"), "ok", 1)], [])
    assert ledger.settle()
    (tmp_path / "copy.sqlite").write_bytes(path.read_bytes())
    assert Ledger(tmp_path / "copy.sqlite", read_only=True).result("a", "render", "k1") is not None
    assert onlooker.result("a", "render", "k1") is not None
    onlooker.close()
