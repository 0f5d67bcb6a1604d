"""`kill -9` of a real ingest at chosen points; the next ingest must end as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from index.doctor import doctor
from index.search import Searcher
from index.stats import stats
from tests.index.index_world import RUN_1, RUN_2, in_chroma, ingest_runs, record, write_run

CHILD = """
import os, signal, sys
from index import __main__, chroma, ingest, snapshot, store, vectors

ingest.BATCH = store.MAX_BATCH = 60

def die_at(owner, name, call, *, after):
    real = getattr(owner, name)
    calls = iter(range(1, 1000))
    def dying(*args, **kwargs):
        due = next(calls) == call
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, dying)

owner, name, call, when = sys.argv[1:5]
die_at(eval(owner), name, int(call), after=when == "after")
sys.exit(__main__.main(sys.argv[5:]))
"""

POINTS = {
    "the pointer was not written yet": ("store.Layout", "switch_to", 1, "before"),
    "vectors are on disk, the records are not": ("vectors", "append", 2, "after"),
    "inside the transaction": ("snapshot.Snapshot", "_learn", 2, "after"),
    "records are committed, Chroma has none": ("chroma.Mirror", "clear", 1, "before"),
    "half of Chroma is written": ("chroma.Mirror", "upsert", 2, "before"),
    "Chroma is written, the note is not struck out": ("chroma.Mirror", "upsert", 2, "after"),
}


def killed_ingest(workspace, point):
    owner, name, call, when = point
    command = ["ingest", "--workspace", str(workspace), "--embedder", "offline/hash3072-stem-char4"]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, owner, name, str(call), when, *command, str(workspace / "out" / "runs")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


def assert_exactly(workspace, expected):
    """The index holds these texts by id, once each, on both sides, and finds them."""
    assert {record_id: row[0] for record_id, row in in_chroma(workspace).items()} == expected
    assert stats(workspace).records == len(expected)
    assert stats(workspace).waiting_for_chroma == 0
    report = doctor(workspace)
    assert report.ok, report
    with Searcher(workspace) as searcher:
        for record_id in list(expected)[::37]:
            assert searcher.search(expected[record_id]).hits[0].id == record_id


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_an_ingest_killed_where(tmp_path, point):
    written = {f"r{at}": f"Запись {at} about layer{at}" for at in range(150)}
    write_run(tmp_path, RUN_1, [record(record_id, text) for record_id, text in written.items()])
    killed_ingest(tmp_path, point)
    result = ingest_runs(tmp_path)
    assert result.added + result.unchanged == 150
    assert_exactly(tmp_path, written)


def test_a_replacement_killed_before_the_vanished_are_removed(tmp_path):
    write_run(tmp_path, RUN_1, [record(f"r{at}", f"old words number{at}") for at in range(40)])
    ingest_runs(tmp_path)
    written = {f"r{at}": f"new words number{at}" for at in range(20)}
    write_run(tmp_path, RUN_2, [record(record_id, text) for record_id, text in written.items()])
    for point in (("snapshot.Snapshot", "remove", 1, "before"), ("chroma.Mirror", "delete", 1, "before")):
        killed_ingest(tmp_path, point)
    ingest_runs(tmp_path)
    assert_exactly(tmp_path, written)
