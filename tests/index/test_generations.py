"""Generations side by side: built, judged, switched, kept, collected, and what a kill in between leaves."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from index.embed import OFFLINE, Space, embedder
from index.errors import IndexEmpty, IndexLocked, UnknownGeneration
from index.generations import GenerationInUse, collect, doomed, generations, use
from index.hashing import HashEmbedder
from index.layout import Current, Layout
from index.lock import WriterLock
from index.rebuild import rebuild
from index.search import Searcher
from index.snapshot import TagClaim
from index.store import Store
from index.transfer import export_lines
from tests.index.index_world import RUN_1, RUN_2, in_chroma, ingest_runs, record, write_run

SPACE = embedder(OFFLINE).space
FIRST = SPACE.slug


class Counting(HashEmbedder):
    """The offline embedder, telling what it was asked for."""

    def __init__(self):
        self.asked = []

    def embed(self, texts, *, kind):
        self.asked += texts
        return super().embed(texts, kind=kind)


class Short(Counting):
    """An embedder of another space."""

    space = Space("test", "short", 8, "v1")

    def embed(self, texts, *, kind):
        self.asked += texts
        full = HashEmbedder().embed(texts, kind=kind)[:, :8].copy()
        full[:, 0] += 1
        return (full / np.linalg.norm(full, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Said:
    passed: bool
    reason: str


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_run(folder, RUN_1, [record(f"r{at}", f"Запись {at} about layer{at}", tags=[f"T{at}"]) for at in range(6)])
    ingest_runs(folder)
    return folder


@pytest.fixture
def workspace(made, tmp_path):
    return shutil.copytree(made, tmp_path / "workspace")


def used(workspace) -> Current:
    current = Layout(workspace).current()
    assert current is not None
    return current


def test_a_rebuild_without_sources_keeps_every_record_tag_and_bit_and_embeds_nothing(workspace):
    with Store(workspace, SPACE, "test") as store:
        store.retag({"r1": [TagClaim("Zone", 0.5)]}, "review")
    before = b"".join(export_lines(workspace))
    counting = Counting()
    result = rebuild(workspace, None, counting)
    assert (result.records, result.reused, result.embedded, result.missing_count) == (6, 6, 0, 0)
    assert counting.asked == []
    assert result.switched
    assert used(workspace).name == f"{FIRST}.g2" == result.generation
    assert b"".join(export_lines(workspace)) == before
    assert in_chroma(workspace)["r1"][1]["tags"] == ["T1", "Zone"]
    assert [(one.name, one.in_use, one.records) for one in generations(workspace)] == [
        (FIRST, False, 6),
        (f"{FIRST}.g2", True, 6),
    ]


def test_a_rebuild_from_sources_embeds_only_what_is_new_and_says_what_is_missing(workspace):
    with Store(workspace, SPACE, "test") as store:
        store.retag({"r1": [TagClaim("Zone", 0.5)]}, "review")
    new = write_run(workspace, RUN_2, [record("r1", "Запись 1 about layer1", tags=["T1"]), record("n", "new words")])
    counting = Counting()
    result = rebuild(workspace, [new], counting)
    assert (result.records_before, result.records, result.embedded, result.reused) == (6, 2, 1, 1)
    assert counting.asked == ["new words"]
    assert result.missing == ("r0", "r2", "r3", "r4", "r5")
    assert in_chroma(workspace)["r1"][1]["tags"] == ["T1", "Zone"]


def test_an_open_searcher_follows_a_rebuild_and_the_way_back(workspace):
    new = write_run(workspace, RUN_2, [record("n", "completely different words")])
    with Searcher(workspace) as searcher:
        assert searcher.search("layer3").hits[0].id == "r3"
        rebuild(workspace, [new])
        assert searcher.search("different").hits[0].id == "n"
        assert use(workspace, "1").in_use
        assert searcher.search("layer3").hits[0].id == "r3"


@pytest.mark.parametrize("kept", [True, False])
def test_a_refused_rebuild_leaves_the_old_in_use_and_says_why(workspace, kept):
    asked = []

    def gate(candidate):
        asked.append(candidate)
        with Store(workspace, SPACE, "", generation=candidate, lock=WriterLock(workspace / "x", "")) as store:
            assert store.snapshot.count == 6
        assert used(workspace).name == FIRST
        return Said(False, "text R@5 fell from 0.36 to 0.04")

    result = rebuild(workspace, None, gate=gate, keep_refused=kept)
    assert (result.switched, result.kept, result.verdict) == (False, kept, "text R@5 fell from 0.36 to 0.04")
    assert used(workspace).name == FIRST
    states = {one.name: (one.state, one.note) for one in generations(workspace)}
    assert states.get(asked[0].name) == (("refused", "text R@5 fell from 0.36 to 0.04") if kept else None)
    assert asked[0].chroma.exists() == kept
    if kept:
        assert use(workspace, asked[0].name).in_use


def test_two_spaces_lie_side_by_side_and_a_query_meets_only_its_own(workspace):
    short = Short()
    result = rebuild(workspace, None, short)
    assert (result.embedded, result.reused, result.space) == (6, 0, "test/short/8/v1")
    assert used(workspace).space == short.space
    with Searcher(workspace, short) as searcher:
        assert searcher.search("layer3").hits[0].id == "r3"
    back = rebuild(workspace, None, Counting())
    assert back.embedded == 6
    assert [one.space for one in generations(workspace)] == [SPACE.id, short.space.id, SPACE.id]
    assert use(workspace, "2").space == short.space.id


def test_vectors_that_came_with_records_stay_only_in_their_own_space(workspace):
    vector = np.zeros(SPACE.dim, np.float32)
    vector[3] = 2.5
    carried = {
        "id": "own", "text": "with a vector", "meta": {"type": "Table"}, "vector": vector.tolist(),
        "provider": SPACE.provider, "model": SPACE.model,
    }  # fmt: skip
    write_run(workspace, RUN_2, [carried])
    ingest_runs(workspace)
    before = b"".join(export_lines(workspace))
    assert rebuild(workspace, None).embedded == 0
    assert b"".join(export_lines(workspace)) == before
    assert rebuild(workspace, None, Short()).embedded == 7
    use(workspace, "2")
    assert b"".join(export_lines(workspace)) == before


def test_collecting_names_what_dies_and_leaves_what_is_in_use(workspace):
    rebuild(workspace, None)
    (workspace / ".spotter" / "chroma.broken-20260101-000000").mkdir()
    dying = doomed(workspace)
    assert [(one.name, one.state) for one in dying] == [
        (FIRST, "complete"),
        ("chroma.broken-20260101-000000", "leftover"),
    ]
    assert dying[0].size_bytes > 100_000
    assert collect(workspace, dying) == sum(one.size_bytes for one in dying)
    assert [one.name for one in generations(workspace)] == [f"{FIRST}.g2"]
    assert doomed(workspace) == ()
    assert not (workspace / ".spotter" / "chroma").exists()
    assert len(in_chroma(workspace)) == 6


def test_what_was_taken_into_use_meanwhile_is_not_collected(workspace):
    rebuild(workspace, None)
    dying = doomed(workspace)
    use(workspace, "1")
    with pytest.raises(GenerationInUse, match="nothing was deleted"):
        collect(workspace, dying)
    assert len(generations(workspace)) == 2


def test_what_can_not_be_is_refused_by_name(workspace, tmp_path_factory):
    with pytest.raises(UnknownGeneration, match=rf"no generation 'g9'.*{FIRST}"):
        use(workspace, "g9")
    with pytest.raises(IndexEmpty):
        rebuild(tmp_path_factory.mktemp("empty"), None)
    with WriterLock(Layout(workspace).lock, "an ingest of 3 runs"), pytest.raises(IndexLocked, match="an ingest of 3"):
        rebuild(workspace, None)


POINTS = ("begun", "copied", "half in chroma", "judged", "complete", "switched")
KILLER = """
import os, signal, sys
from pathlib import Path
import chromadb
from index import chroma, generations, rebuild

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    real = getattr(owner, name)
    def wrapped(*args, **kwargs):
        real(*args, **kwargs)
        die()
    setattr(owner, name, wrapped)

for line in sys.stdin:
    point = line.strip()
    pid = os.fork()
    if pid == 0:
        if point == "begun": after(generations, "note_state")
        if point == "copied": rebuild.Store.mirror = die
        if point == "half in chroma": after(chroma.Mirror, "upsert")
        if point == "switched": rebuild.note = die
        if point == "complete": rebuild.Layout.switch_to = generations.Layout.switch_to = die
        rebuild.rebuild(Path(sys.argv[1]), None, gate=die if point == "judged" else None)
        os._exit(0)
    print(os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_a_rebuild_killed_anywhere_leaves_an_index_in_use_and_the_next_one_cleans_up(workspace):
    before = b"".join(export_lines(workspace))
    with subprocess.Popen(
        [sys.executable, "-c", KILLER, str(workspace)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for point in POINTS:
            was = used(workspace).name
            print(point, file=killer.stdin, flush=True)
            assert killer.stdout.readline() == f"{signal.SIGKILL.value}\n", point
            assert (used(workspace).name != was) == (point == "switched"), point
            assert b"".join(export_lines(workspace)) == before
            with Searcher(workspace) as searcher:
                assert searcher.search("layer3").hits[0].id == "r3"
        killer.stdin.close()
    assert rebuild(workspace, None).switched
    assert all(one.state == "complete" for one in generations(workspace))
    collect(workspace, doomed(workspace))
    assert {folder.name for folder in (workspace / ".spotter").glob("chroma*")} == {used(workspace).chroma.name}
    assert len(in_chroma(workspace)) == 6
    assert b"".join(export_lines(workspace)) == before
