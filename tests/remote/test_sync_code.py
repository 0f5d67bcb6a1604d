from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remote.release import worker_files
from remote.sync.code import NoCode, workspace_code
from remote.sync.compare import Side, compare

PLANTED = "sk-planted-4f2a9c8e7d"
KEY_TEXT = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "рабочая папка"
    folder.mkdir()
    git(folder, "init", "-q")
    write(folder, {".gitignore": "/out/\nignored/\n*.log\n", "src/a.py": "1", "notes.ipynb": "{}", "gone.py": "x"})
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_code_is_what_git_tracks_as_it_lies_there_with_what_is_new_and_without_what_is_ignored(workspace: Path) -> None:
    write(workspace, {"src/a.py": "edited", "src/новый.py": "new", "ignored/x": "x", "a.log": "x", "out/r": "x"})
    write(workspace, {"data/source.pdf": "x", "notes.ipynb.20260102-030405.bak": "lost"})
    (workspace / "gone.py").unlink()
    tree = workspace_code(workspace, without=[workspace / "data"])
    names = {file.name: file.source.read_text() for file in tree.files}
    assert set(names) == {".gitignore", "src/a.py", "src/новый.py", "notes.ipynb"}
    assert names["src/a.py"] == "edited"
    assert set(tree.dirty) == {"src/a.py", "src/новый.py", "gone.py"}
    assert tree.commit is not None
    assert len(tree.commit) == 40
    status = subprocess.run(["git", "-C", str(workspace), "stash", "list"], capture_output=True, check=True)
    assert status.stdout == b""


def test_a_planted_secret_stays_here_even_if_git_tracks_it(workspace: Path) -> None:
    planted = {
        ".env": PLANTED,
        "deep/.env.local": PLANTED,
        "Secrets/sa.json": PLANTED,
        "keys/id_ed25519": KEY_TEXT,
        "keys/renamed.txt": KEY_TEXT,
        "server.pem": KEY_TEXT,
        "gcs_sa.json": PLANTED,
        "src/config.py": f'KEY = "{PLANTED}"',
    }
    harmless = {".env.example": "VAST_API_KEY=", "src/keys.py": "def key(): ...", "id_ed25519.pub": "x"}
    write(workspace, planted | harmless)
    git(workspace, "add", "-f", ".")
    tree = workspace_code(workspace, secrets=[PLANTED, "short"])
    names = {file.name for file in tree.files}
    assert not names & planted.keys()
    assert harmless.keys() <= names
    assert {words.split(":")[0] for words in tree.left_out} == set(planted)
    assert PLANTED not in "".join(tree.left_out)
    assert not any(PLANTED in file.source.read_text() for file in tree.files)


def test_links_are_no_code(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (workspace / "link.py").symlink_to(tmp_path / "outside")
    (workspace / "dead").symlink_to(tmp_path / "nowhere")
    tree = workspace_code(workspace)
    assert {"link.py", "dead"}.isdisjoint({file.name for file in tree.files})
    assert len(tree.left_out) == 2


def test_a_folder_without_a_commit_or_in_the_middle_of_a_repository_is_code_too(
    tmp_path: Path, workspace: Path
) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    git(fresh, "init", "-q")
    write(fresh, {"a.py": "1"})
    assert ([file.name for file in workspace_code(fresh).files], workspace_code(fresh).commit) == (["a.py"], None)
    assert workspace_code(fresh).dirty == ("a.py",)
    write(workspace, {"src/a.py": "edited"})
    below = workspace_code(workspace / "src")
    assert [file.name for file in below.files] == ["a.py"]
    assert below.dirty == ("a.py",)


def test_no_git_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(NoCode, match="git init"):
        workspace_code(tmp_path)


def test_the_worker_is_found_where_a_wheel_installs_it(tmp_path: Path) -> None:
    """A release is made of the packages beside the running one, not of a checkout."""
    site = tmp_path / "lib" / "site-packages"
    names = [file.name for file in worker_files()]
    for file in worker_files():
        place = site / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.source.read_bytes())
    repository = Path(__file__).parents[2]
    for path in (repository / "remote").rglob("*.py"):
        place = site / path.relative_to(repository)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    script = "import json; from remote.release import worker_files as files; "
    script += "print(json.dumps([(file.name, str(file.source)) for file in files()]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    found = dict(json.loads(done.stdout))
    assert sorted(found) == sorted(names)
    assert all(source.startswith(str(site)) for source in found.values())


def side(text: str) -> Side:
    return Side(1, 0.0, text)


@pytest.mark.parametrize(
    ("here", "there", "base", "kind"),
    [
        ("a", "a", None, None),
        ("a", None, None, "only here"),
        (None, "a", "a", "only there"),
        ("new", "old", "old", "changed here"),
        ("old", "new", "old", "changed there"),
        ("mine", "theirs", "old", "changed on both"),
        ("mine", "theirs", None, "changed on both"),
    ],
)
def test_who_changed_a_file_is_told_from_what_both_had(
    here: str | None, there: str | None, base: str | None, kind: str | None
) -> None:
    found = compare({"f": side(here)} if here else {}, {"f": side(there)} if there else {}, {"f": base} if base else {})
    assert [each.kind for each in found] == ([kind] if kind else [])
