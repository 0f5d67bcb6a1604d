"""Shell completion, asked as shells ask: a process with words in its environment."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from console.workspace import Workspace, create_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place, _ = create_workspace(tmp_path_factory.mktemp("completion"))
    (place.state / "runs").mkdir()
    for run_id in ("01aaa", "01bbb", "02ccc"):
        (place.state / "runs" / f"{run_id}.json").write_text("{}")
    with sqlite3.connect(place.ledger) as ledger:
        ledger.execute("CREATE TABLE instances (instance_id INTEGER, opened_at REAL, closed_at REAL)")
        ledger.executemany("INSERT INTO instances VALUES (?, ?, ?)", [(31245, 1, None), (31299, 2, None), (7, 3, 4.0)])
    ledger.close()
    (place.data / "книга.pdf").write_text("")
    return place


def offered(workspace: Workspace, words: str, at: int, folder: Path | None = None) -> list[str]:
    environment = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(at), "_SPOTTER_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from console.entry import main; sys.argv = ['spotter']; main()"],
        env={**environment, "PYTHONPATH": str(Path.cwd())},
        cwd=folder or workspace.root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "at", "wanted"),
    [
        ("spotter doc", 1, ["doctor"]),
        ("spotter destroy ", 2, ["31299", "31245"]),
        ("spotter watch 01", 2, ["01bbb", "01aaa"]),
        ("spotter run d", 2, ["docparse", "data/книга.pdf"]),
        ("spotter review queue 02", 3, ["02ccc"]),
    ],
)
def test_commands_and_names_of_this_workspace_are_offered(
    workspace: Workspace, words: str, at: int, wanted: list[str]
) -> None:
    assert offered(workspace, words, at) == wanted


def test_another_workspace_is_looked_into_where_it_is_named(workspace: Workspace, tmp_path: Path) -> None:
    assert offered(workspace, "spotter destroy ", 2, tmp_path) == []
    assert offered(workspace, f"spotter -C {workspace.root} destroy 3124", 4, tmp_path) == ["31245"]


def test_nothing_heavy_is_loaded_for_it(workspace: Workspace) -> None:
    script = (
        "import os, sys\n"
        "os.environ.update(_SPOTTER_COMPLETE='complete_bash', COMP_WORDS='spotter ssh ', COMP_CWORD='2')\n"
        "sys.argv = ['spotter']\nfrom console.entry import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'textual', 'chromadb', 'paramiko', 'console.settings'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=workspace.root,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_script_for_a_shell_can_be_shown() -> None:
    asking = ["bash", "-c", f"'{sys.executable}' -m console --show-completion; exit"]
    done = subprocess.run(asking, capture_output=True, text=True, check=True)
    assert "_SPOTTER_COMPLETE" in done.stdout
