from __future__ import annotations

import json
import subprocess
import sys

import pytest

from index.__main__ import main
from tests.index.index_world import RUN_1, record, write_run

RECORDS = [record("a", "Слои Platform Value Stack"), record("b", "Block 'Marketplace'", "VisualFact", "map", page=7)]


def index(*arguments, check=0):
    done = subprocess.run(
        [sys.executable, "-m", "index", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == check, done.stderr
    return done


def index_here(capsys, *arguments):
    """In this process, which has Chroma loaded: what it printed."""
    assert main(list(map(str, arguments))) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work space")
    write_run(folder, RUN_1, RECORDS)
    done = index(
        "ingest", "--workspace", folder, "--embedder", "offline/hash3072-stem-char4", folder / "out/runs", "--json"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["result"]["added"] == 2
    progress = lines[:-1]
    assert {"snapshot", "chroma"} <= {line["phase"] for line in progress}
    assert all({"phase", "done", "total"} <= line.keys() for line in progress)
    assert (progress[-1]["done"], progress[-1]["total"]) == (2, 2)
    return folder


def test_an_ingest_reports_progress_as_json_lines_and_then_the_result(workspace):
    again = index("ingest", "--workspace", workspace, workspace / "out/runs" / RUN_1)
    assert "2 unchanged" in again.stdout


def test_search_prints_hits_for_people_and_for_programs(workspace, capsys):
    said = index("search", "--workspace", workspace, "слоёв").stdout
    assert "guide.pdf, page 1" in said
    assert "Слои Platform Value Stack" in said
    found = json.loads(index_here(capsys, "search", "--workspace", workspace, "--json", "-k", 1, "marketplace"))
    assert found["hits"][0]["id"] == "b"
    assert found["hits"][0]["why"]["lexical_rank"] == 1
    of_tables = index_here(capsys, "search", "--workspace", workspace, "--json", "--type", "Table", "слои")
    assert json.loads(of_tables)["hits"] == []


def test_doctor_and_stats_answer_in_both_forms(workspace, capsys):
    assert "ok   chroma finds its records" in index("doctor", "--workspace", workspace).stdout
    last = json.loads(index_here(capsys, "doctor", "--workspace", workspace, "--json").splitlines()[-1])
    assert last["result"]["ok"] is True
    assert json.loads(index_here(capsys, "stats", "--workspace", workspace, "--json"))["by_type"] == {
        "NarrativeText": 1,
        "VisualFact": 1,
    }
    assert "data/map.pdf" in index_here(capsys, "stats", "--workspace", workspace)


def test_misuse_is_exit_code_two_with_one_sentence(tmp_path):
    runs = write_run(tmp_path, RUN_1, RECORDS)
    assert "--embedder" in index("ingest", "--workspace", tmp_path, runs, check=2).stderr
    assert "OPENAI_API_KEY" in index("ingest", "--workspace", tmp_path, runs, "--embedder", "openai/x", check=2).stderr
    assert "python -m index ingest" in index("search", "--workspace", tmp_path, "x", check=2).stderr
    missing = index(
        "ingest",
        "--workspace",
        tmp_path,
        "--embedder",
        "offline/hash3072-stem-char4",
        tmp_path / "no",
        "--json",
        check=2,
    )
    assert json.loads(missing.stdout)["error"]["type"] == "BadSource"
    index("juggle", check=2)


def test_a_broken_records_file_is_exit_code_one_and_is_named(tmp_path):
    runs = write_run(tmp_path, RUN_1, [{"id": "a", "text": "x", "meta": {}}])
    failed = index("ingest", "--workspace", tmp_path, "--embedder", "offline/hash3072-stem-char4", runs, check=1)
    assert "docparse.ndjson, line 1: meta.type" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_help_and_the_search_path_stay_light():
    program = (
        "import sys\n"
        "from index import __main__, embed, errors, progress, layout\n"
        "heavy = {'numpy', 'chromadb', 'openai'} & set(sys.modules)\n"
        "from index import search, ingest, stats\n"
        "heavy |= {'chromadb', 'openai', 'torch'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert "ingest" in index("--help").stdout
