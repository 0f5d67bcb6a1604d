"""An index mirrored to a Chroma server: a real one, on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import chromadb
import pytest

from index.chroma import ChromaBroken
from index.chroma_place import chroma_place, mirror_to
from index.doctor import doctor
from index.generations import collect, doomed
from index.layout import Layout
from index.mirroring import mirror
from index.rebuild import rebuild
from index.snapshot import TagClaim
from index.stats import stats
from index.store import Store
from tests.free_port import free_port
from tests.index.index_world import RUN_1, RUN_2, in_chroma, ingest_runs, record, write_run


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`chroma run`, and its port."""
    port = free_port()
    command = [Path(sys.executable).with_name("chroma"), "run", "--path", tmp_path_factory.mktemp("served")]
    with subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            until = time.monotonic() + 150
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=5).close()
                    break
                except (urllib.error.URLError, OSError):
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def served(port, workspace):
    """Id to metadata, read by Chroma's own client from the collection of the index."""
    layout = Layout(workspace)
    current = layout.current()
    assert current is not None
    client = chromadb.HttpClient("127.0.0.1", port)
    page = client.get_collection(chroma_place(layout, current).collection, embedding_function=None).get()
    return dict(zip(page["ids"], page["metadatas"], strict=True))


@pytest.fixture
def workspace(tmp_path, server):
    layout = Layout(tmp_path)
    mirror_to(layout, f"http://127.0.0.1:{server}")
    write_run(tmp_path, RUN_1, [record("a", "Запись about layers", tags=["T"]), record("b", "other words")])
    ingest_runs(tmp_path)
    return tmp_path


def test_what_is_ingested_retagged_and_removed_reaches_the_server(server, workspace):
    assert served(server, workspace).keys() == {"a", "b"}
    assert not (workspace / ".spotter" / "chroma").exists()
    current = Layout(workspace).current()
    with Store(workspace, current.space, "test") as store:
        store.retag({"a": [TagClaim("Zone")]}, "review")
        store.mirror()
    assert served(server, workspace)["a"]["tags"] == ["T", "Zone"]
    write_run(workspace, RUN_2, [record("a", "Запись about layers", tags=["T"])])
    ingest_runs(workspace)
    assert served(server, workspace).keys() == {"a"}
    report = doctor(workspace)
    assert report.ok, report


def test_workspaces_and_generations_on_one_server_do_not_meet(server, workspace, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    mirror_to(Layout(other), f"http://127.0.0.1:{server}")
    write_run(other, RUN_1, [record("x", "elsewhere")])
    ingest_runs(other)
    rebuild(workspace, None)
    names = {one.name for one in chromadb.HttpClient("127.0.0.1", server).list_collections()}
    assert served(server, workspace).keys() == {"a", "b"}
    collect(workspace, doomed(workspace))
    left = {one.name for one in chromadb.HttpClient("127.0.0.1", server).list_collections()}
    assert len(names - left) == 1
    assert served(server, workspace).keys() == {"a", "b"}
    assert served(server, other).keys() == {"x"}


def test_another_place_gets_every_record(server, workspace):
    mirror_to(Layout(workspace), None)
    assert mirror(workspace).written == 2
    assert in_chroma(workspace).keys() == {"a", "b"}
    mirror_to(Layout(workspace), f"http://127.0.0.1:{server}")
    assert mirror(workspace).written == 2
    assert served(server, workspace).keys() == {"a", "b"}


def test_a_server_that_is_away_costs_no_record(server, workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        mirror_to(Layout(workspace), f"http://127.0.0.1:{taken.getsockname()[1]}")
        write_run(workspace, RUN_2, [record("c", "newer words", document="map")])
        with pytest.raises(ChromaBroken, match="while opening in http://127"):
            ingest_runs(workspace)
    assert stats(workspace).records == 3
    assert stats(workspace).waiting_for_chroma == 3
    mirror_to(Layout(workspace), f"http://127.0.0.1:{server}")
    assert mirror(workspace).written == 3
    assert served(server, workspace).keys() == {"a", "b", "c"}
