"""Shards: a run cut over several workers ends in the very folder that one process would have made."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.manifest import Item, read_manifest
from pipeline.core.merge import Merger
from pipeline.core.rundir import RunFolder
from pipeline.core.shards import ShardQueue, round_size, shard_count, shards_of
from tests.pipeline.driving import TOY, Bench, pipeline, sequence_is_gap_free, wait_until

IDS = st.lists(st.text("0123456789abcdef", min_size=24, max_size=24), unique=True)


@given(IDS, st.integers(1, 300))
def test_every_item_is_in_one_shard_which_depends_on_nothing_but_its_id(ids: list[str], count: int) -> None:
    shards = shards_of(ids, count)
    assert Counter(item for items in shards.values() for item in items) == Counter(ids)
    assert len(shards) <= count
    for name, items in shards.items():
        assert shards_of(items, count) == {name: items}
        assert list(items) == [item for item in ids if item in items]


@pytest.mark.parametrize(
    ("items", "count"), [(0, 1), (1, 1), (24, 24), (100, 64), (1024, 64), (2048, 128), (9999, 256)]
)
def test_there_are_many_more_shards_than_boxes_and_no_more_than_items(items: int, count: int) -> None:
    assert shard_count(items) == count


def test_a_round_is_short_until_its_pace_is_known_and_never_more_than_a_fair_half() -> None:
    assert round_size(64, 1, None, 300) == 1
    assert round_size(64, 1, 10.0, 300) == 30
    assert round_size(64, 4, 10.0, 300) == 8
    assert round_size(64, 1, 1000.0, 300) == 1
    assert round_size(0, 1, 1.0, 300) == 1


def test_takers_and_thieves_at_once_leave_every_shard_with_exactly_one(tmp_path: Path) -> None:
    queue = ShardQueue(tmp_path / "queue")
    shards = {f"{number:04d}": (f"{number:024x}",) for number in range(200)}
    queue.add(shards)

    def take(worker: str) -> list[str]:
        mine = ShardQueue(tmp_path / "queue")
        got: list[str] = []
        while names := list(mine.take(worker, 3)) if worker != "thief" else list(mine.steal(3)):
            got += names
        return got

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(take, ["a", "b", "c", "thief"]))
    assert Counter(name for names in got for name in names) == Counter(list(shards))
    assert set(queue.taken_by("a")) == set(got[0])
    queue.finish("a", got[0])
    listing = queue.listing()
    assert (set(listing.done), set(listing.taken)) == (set(got[0]), set(got[1]) | set(got[2]))
    queue.add(shards)
    assert set(queue.listing().pending) == set(got[3]), "what was stolen can come back; the rest stays where it is"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "w")
    for number in range(12):
        bench.source(f"{number:02d}.txt", "ok")
    return bench


class Boxes:
    """Two folders that stand for boxes, and the queues on them."""

    def __init__(self, bench: Bench, names: tuple[str, ...] = ("a", "b")) -> None:
        self.bench = bench
        self.folder = RunFolder(bench.run_dir)
        self.manifest = read_manifest(self.folder.manifest_file)
        told = json.loads(pipeline("keys", TOY, "--run-dir", bench.run_dir, check=0).stdout)
        self.keys, self.stages = told["keys"], told["stages"]
        self.parts = {name: RunFolder(bench.root / "boxes" / name / "run") for name in names}
        for part in self.parts.values():
            part.path.mkdir(parents=True)
            for file in ("run.json", "params.yaml", "manifest.jsonl"):
                shutil.copy(bench.run_dir / file, part.path / file)

    def queue(self, name: str) -> ShardQueue:
        return ShardQueue(self.parts[name].path.parent / "queue")

    def give(self, *names: str) -> None:
        """Share the open items out."""
        shards = shards_of((item.item_id for item in self.open()), 6)
        for number, name in enumerate(names):
            self.queue(name).add(dict(list(shards.items())[number :: len(names)]))

    def options(self, name: str) -> list[str]:
        return ["--resume", "--workspace", str(self.bench.root), "--queue", str(self.parts[name].path.parent / "queue")]

    def work(self, name: str, check: int = 0) -> None:
        pipeline("run", TOY, "--run-dir", self.parts[name].path, *self.options(name), check=check)

    def merge(self, *names: str) -> None:
        with closing(Merger(self.folder)) as merger:
            for name in names:
                merger.merge(name, self.parts[name], time.time())

    def open(self, *, final: bool = True) -> list[Item]:
        with closing(Merger(self.folder)) as merger:
            return list(merger.open_items(self.manifest.items, self.stages, self.keys, final=final))

    def close(self, *options: str, check: int = 0) -> str:
        done = pipeline(
            "close", TOY, "--run-dir", self.bench.run_dir, "--keys", json.dumps(self.keys), *options, check=check
        )
        return done.stdout


def alone(bench: Bench, tmp_path: Path, **params: object) -> Bench:
    """The same work, done by one process in peace."""
    other = Bench(tmp_path / "alone")
    shutil.copytree(bench.root / "data", other.root / "data")
    other.plan(**params)
    other.run(check=None)
    return other


def same_results(one: Bench, other: Bench) -> None:
    left, right = one.artifacts(), other.artifacts()
    kept = ("text", "records")
    assert {p: a["sha256"] for p, a in left.items() if a["kind"] in kept} == {
        p: a["sha256"] for p, a in right.items() if a["kind"] in kept
    }
    for path, row in left.items():
        assert (one.run_dir / path).stat().st_size == row["bytes"]
    assert one.info()["state"] == other.info()["state"]
    assert one.info()["counts"] == other.info()["counts"]
    for name in ("documents", "failures", "state", "items"):
        assert one.report()[name] == other.report()[name]


def test_two_workers_and_a_closing_make_what_one_process_makes(bench: Bench, tmp_path: Path) -> None:
    bench.source("12.txt", "bad")
    bench.plan()
    boxes = Boxes(bench)
    boxes.give("a", "b")
    boxes.work("a")
    boxes.work("b")
    boxes.merge("a", "b")
    assert boxes.open(final=False) == []
    keys, boxes.keys = boxes.keys, dict.fromkeys(boxes.keys, "0" * 32)
    assert len(boxes.open()) == 13, "results under the keys of other code do not count"
    boxes.keys = keys
    boxes.close(check=3)
    same_results(bench, alone(bench, tmp_path))
    assert bench.done_twice() == []
    assert sequence_is_gap_free(bench.events())
    bench.run("--resume", check=3)
    assert bench.done_twice() == [], "an ordinary session finds everything done"


def test_what_a_lost_worker_had_not_finished_goes_to_another_and_the_rest_is_kept(bench: Bench, tmp_path: Path) -> None:
    bench.plan(pace_s=0.03, workers=1)
    boxes = Boxes(bench)
    boxes.give("a")
    command = ["run", TOY, "--run-dir", str(boxes.parts["a"].path), *boxes.options("a")]
    process = _start(command)
    wait_until(lambda: len(boxes.queue("a").listing().done) >= 2, "two shards done")
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    boxes.merge("a")
    left = boxes.open()
    assert 0 < len(left) < 12
    boxes.give("b")
    boxes.work("b")
    boxes.merge("b", "a", "b")
    assert boxes.open() == []
    boxes.close()
    same_results(bench, alone(bench, tmp_path, pace_s=0.03, workers=1))


def under_way(queue: ShardQueue) -> bool:
    """Whether a round is through and another one has begun."""
    listing = queue.listing()
    return bool(listing.done and listing.taken and not set(listing.done) & set(listing.taken))


def test_a_killed_worker_takes_up_what_it_had_taken(bench: Bench) -> None:
    bench.plan(pace_s=0.1, workers=1)
    boxes = Boxes(bench)
    boxes.give("a")
    process = _start(["run", TOY, "--run-dir", str(boxes.parts["a"].path), *boxes.options("a")])
    wait_until(lambda: under_way(boxes.queue("a")), "a shard done, and others taken")
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert boxes.queue("a").listing().taken
    boxes.work("a")
    boxes.merge("a")
    boxes.close()
    assert bench.done_twice() == []
    assert bench.info()["state"] == "succeeded"


def test_a_part_that_was_fetched_half_counts_half(bench: Bench) -> None:
    bench.plan()
    boxes = Boxes(bench)
    boxes.give("a")
    boxes.work("a")
    victim = next(boxes.parts["a"].path.glob("artifacts/*/*/batch.txt"))
    hidden = victim.with_name("hidden")
    victim.rename(hidden)
    boxes.merge("a")
    assert len(boxes.open()) == 1
    hidden.rename(victim)
    boxes.merge("a")
    assert boxes.open() == []
    boxes.close()
    assert bench.done_twice() == []


def test_a_run_that_could_not_be_finished_says_why_and_is_gone_on_with(bench: Bench) -> None:
    bench.plan()
    boxes = Boxes(bench)
    boxes.give("a", "b")
    boxes.work("a")
    boxes.merge("a")
    said = boxes.close(check=5)
    assert "interrupted" in said
    assert re.search(r": the boxes left \d+ of \d+ open; of 0 the files are not whole", said), said
    assert "the boxes were lost" in boxes.close("--problem", "the boxes were lost", check=1)
    boxes.folder.cancel_file.touch()
    boxes.close(check=4)
    assert not (bench.run_dir / "records").exists()
    boxes.work("b")
    boxes.merge("b")
    boxes.close()
    assert bench.info()["state"] == "succeeded"
    assert sequence_is_gap_free(bench.events())


def _start(arguments: list[str]) -> int:
    from tests.pipeline.driving import _command, _environment

    return os.posix_spawn(
        _command()[0], [*_command(*arguments)], _environment(), setsid=False, setpgroup=0,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
    )  # fmt: skip


def test_a_shard_file_that_is_none_is_named(tmp_path: Path) -> None:
    queue = ShardQueue(tmp_path / "queue")
    queue.add({"0001": ("a",)})
    (tmp_path / "queue" / "pending" / "0001.json").write_bytes(orjson.dumps({}))
    with pytest.raises(Exception, match="is no shard"):
        queue.take("a", 1)
