"""A run that goes on from another: what both ask the same is taken over, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.driving import Bench, pipeline


class Later(Bench):
    """Another run over the same sources."""

    @property
    def run_dir(self) -> Path:
        return self.root / "out" / "runs" / "later"

    def take(self, earlier: Bench) -> dict[str, Any]:
        done = pipeline("take", self.pipeline, "--run-dir", self.run_dir, "--from", earlier.run_dir, check=0)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def worked(self) -> Counter[str]:
        """Map stage → items that it worked on here."""
        return Counter(stage for stage, _, _ in self.executions().elements() if stage != "sum")


@pytest.fixture
def earlier(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    for name in ("a.txt", "b.txt", "c.txt"):
        bench.source(name, "ok")
    bench.plan()
    bench.run()
    return bench


def test_only_what_is_asked_otherwise_is_done_again_and_the_result_is_that_of_a_fresh_run(
    earlier: Bench, tmp_path: Path
) -> None:
    later = Later(tmp_path)
    later.plan(pepper="hot")
    taken = later.take(earlier)
    assert (taken["stages"], taken["devices"]) == ({"first": 3, "batch": 3}, [])
    later.run()
    assert later.worked() == {"last": 3}
    fresh = Bench(tmp_path / "fresh")
    for name in ("a.txt", "b.txt", "c.txt"):
        fresh.source(name, "ok")
    fresh.plan(pepper="hot")
    fresh.run()
    sums = [(bench.run_dir / "records" / "toy.ndjson").read_bytes() for bench in (later, fresh, earlier)]
    assert sums[0] == sums[1] != sums[2]
    assert set(later.artifacts()) == set(fresh.artifacts())
    assert later.info()["taken_from"] == earlier.info()["run_id"]


def test_a_stage_that_is_asked_otherwise_takes_all_that_follow_along(earlier: Bench, tmp_path: Path) -> None:
    later = Later(tmp_path)
    later.plan(salt="s")
    taken = later.take(earlier)
    assert (taken["stages"], taken["devices"]) == ({}, ["batch"])
    later.run()
    assert later.worked() == {"first": 3, "batch": 3, "last": 3}


def test_new_and_changed_sources_are_worked_on_and_the_others_are_not(earlier: Bench, tmp_path: Path) -> None:
    earlier.source("c.txt", "ok ")
    earlier.source("d.txt", "ok")
    later = Later(tmp_path)
    later.plan()
    taken = later.take(earlier)
    assert (taken["stages"], taken["devices"]) == ({"first": 2, "batch": 2, "last": 2}, ["batch"])
    later.run()
    assert later.worked() == {"first": 2, "batch": 2, "last": 2}


def test_a_file_that_is_gone_or_changed_is_made_again_with_what_follows_from_it(earlier: Bench, tmp_path: Path) -> None:
    lost, spoilt = sorted(earlier.run_dir.glob("artifacts/*/*/first.txt"))[:2]
    lost.unlink()
    spoilt.write_text("x" * spoilt.stat().st_size)
    later = Later(tmp_path)
    later.plan()
    assert later.take(earlier)["stages"] == {"first": 1, "batch": 1, "last": 1}
    later.run()
    assert later.worked() == {"first": 2, "batch": 2, "last": 2}
    assert spoilt.read_text().startswith("xxx"), "the earlier run is not touched"


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    earlier, later = Bench(tmp_path), Later(tmp_path)
    earlier.source("a.txt", "ok")
    earlier.source("b.txt", "bad")
    earlier.plan()
    earlier.run(check=3)
    later.plan(pepper="hot")
    taken = later.take(earlier)
    assert (taken["stages"], taken["devices"]) == ({"first": 1, "batch": 1}, ["batch"])


def test_taking_twice_and_over_file_systems_without_links_changes_nothing(
    earlier: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.core.rundir import RunFolder
    from pipeline.core.taking import take_over

    later = Later(tmp_path)
    later.plan(pepper="hot")
    first = later.take(earlier)

    def no_links(*_: object) -> None:
        raise OSError("links are not to be had here")

    monkeypatch.setattr("pipeline.core.taking.os.link", no_links)
    again = take_over(RunFolder(later.run_dir), RunFolder(earlier.run_dir), later.pipeline)
    assert json.loads(json.dumps(again.to_json())) == first
    with closing(sqlite3.connect(later.run_dir / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM results").fetchone() == (6,)
    listed = (later.run_dir / "artifacts.jsonl").read_text().splitlines()
    assert len(listed) == len(set(listed)) == 6
    later.run()
    assert later.worked() == {"last": 3}


@pytest.mark.parametrize("spoil", ["unplanned", "unstarted"])
def test_a_run_without_results_is_refused_in_one_sentence(tmp_path: Path, spoil: str) -> None:
    earlier, later = Bench(tmp_path), Later(tmp_path)
    earlier.source("a.txt", "ok")
    later.plan()
    if spoil == "unstarted":
        earlier.plan()
    done = pipeline("take", later.pipeline, "--run-dir", later.run_dir, "--from", earlier.run_dir, check=2)
    assert ("holds no run" if spoil == "unplanned" else "has no results here") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
