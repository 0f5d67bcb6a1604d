"""Many pages in one run, small enough for a test; `benchmarks/many_pages.py` is the full size of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.artifact_index import ArtifactIndex
from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.files import write_atomic
from tests.pipeline.driving import REPOSITORY

MOST_GROWTH_MB = 60.0
"""Ten times the pages may cost this much more memory over runner and workers; holding them would cost it per page."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_times_the_pages_take_the_memory_of_a_tenth_and_two_kills_change_nothing(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "benchmarks" / "many_pages.py", "--quick", "--pages", "20", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pages"] == 20
    assert told["files"] > 20 * 8, "every page left its files"
    assert (told["identical"], told["differing"], told["done_twice"]) == (True, [], 0)
    assert told["rss_growth_mb"] < MOST_GROWTH_MB
    assert not list(tmp_path.glob("many-pages-*")), "it leaves nothing behind"


def test_the_index_of_files_reads_on_and_the_last_line_of_a_path_wins(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.jsonl"

    def line(name: str, sha256: str) -> bytes:
        return json.dumps({"path": name, "sha256": sha256}).encode() + b"\n"

    index = ArtifactIndex(path)
    assert index.sha256("a") is None
    path.write_bytes(line("a", "1") + line("b", "2") + b"torn {\n" + line("a", "3") + line("c", "4")[:-5])
    index.catch_up()
    assert [index.sha256(name) for name in "abc"] == ["3", "2", None]
    with path.open("ab") as file:
        file.write(line("c", "4")[-5:] + line("b", "5"))
    index.catch_up()
    assert [index.sha256(name) for name in "abc"] == ["3", "5", "4"]
    assert index.holds({"sha256": "4", "path": "c"})
    assert not index.holds({"sha256": "9", "path": "c"})
    index.close()


def test_the_index_holds_a_million_files_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    """Here 200,000, which would be some 100 MB as objects."""
    code = f"""
import psutil, os
from pathlib import Path
from pipeline.core.artifact_index import ArtifactIndex
path = Path({str(tmp_path / "artifacts.jsonl")!r})
with path.open("w") as file:
    for number in range(200_000):
        file.write('{{"path": "artifacts/document/p%06d/page.png", "sha256": "%064d"}}\\n' % (number, number))
before = psutil.Process().memory_info().rss
index = ArtifactIndex(path)
assert index.sha256("artifacts/document/p199999/page.png") == "%064d" % 199999
print((psutil.Process().memory_info().rss - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 30


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a living process is taken for one of this session")
def test_drafts_of_earlier_sessions_go_when_their_folder_is_written_again_and_those_of_this_one_stay(
    tmp_path: Path,
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    unreaped = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, unreaped.pid, os.WEXITED | os.WNOWAIT)
    sibling = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stranger = 1
    folder = tmp_path / "artifacts" / "p1"
    folder.mkdir(parents=True)
    for pid in (dead.pid, unreaped.pid, stranger, sibling.pid, os.getppid()):
        (folder / f".page.png.{pid}-7.tmp").write_bytes(b"half")
    write_atomic(folder / "page.png", b"old")
    ArtifactWriter(tmp_path, "artifacts/p1", "render", "item").write("page.png", b"new", "page-image")
    kept = {f".page.png.{pid}-7.tmp" for pid in (sibling.pid, os.getppid())}
    assert {path.name for path in folder.iterdir()} == {"page.png", *kept}
    sibling.communicate()
    unreaped.wait()
