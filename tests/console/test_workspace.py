from pathlib import Path

import pytest

from console.workspace import WorkspaceError, create_workspace, find_workspace


def test_a_workspace_is_found_from_any_folder_inside_it(tmp_path: Path) -> None:
    workspace, fresh = create_workspace(tmp_path / "папка с пробелом")
    inside = workspace.data / "deep" / "er"
    inside.mkdir(parents=True)
    assert fresh
    assert find_workspace(inside).root == workspace.root


def test_making_a_workspace_twice_keeps_the_settings_that_were_there(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path)
    workspace.settings_file.write_text("[cloud]\nprofile = 'B'\n")
    again, fresh = create_workspace(tmp_path)
    assert not fresh
    assert again.settings_file.read_text() == "[cloud]\nprofile = 'B'\n"


def test_without_a_workspace_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="spotter init"):
        find_workspace(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # Root may write anywhere, so a file stands where the state folder should be.
    (tmp_path / ".spotter").write_text("in the way")
    with pytest.raises(WorkspaceError, match="cannot be written") as caught:
        create_workspace(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_state_is_for_its_owner_only(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path)
    assert workspace.state.stat().st_mode & 0o077 == 0
    assert workspace.keys.stat().st_mode & 0o077 == 0


def test_a_source_outside_the_workspace_is_refused_with_the_way_out(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path / "w")
    with pytest.raises(WorkspaceError, match="copy or link"):
        workspace.relative(tmp_path / "elsewhere.pdf")


def test_a_linked_data_folder_still_belongs_to_the_workspace(tmp_path: Path) -> None:
    workspace, _ = create_workspace(tmp_path / "w")
    (tmp_path / "disk").mkdir()
    (workspace.data / "more").symlink_to(tmp_path / "disk")
    assert workspace.relative(workspace.data / "more" / "a.pdf") == "data/more/a.pdf"
