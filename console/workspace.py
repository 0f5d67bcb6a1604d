"""A workspace: the folder that holds one operator's sources, results and state, marked by `spotter.toml`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from console.errors import WrongInput

SETTINGS_FILE = "spotter.toml"


class WorkspaceError(WrongInput):
    """A folder cannot serve as a workspace; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of a workspace. Nothing is created until `prepare` or the part that needs it does."""

    root: Path

    @property
    def exists(self) -> bool:
        """Whether the folder is one: `spotter.toml` makes it."""
        return self.settings_file.is_file()

    @property
    def settings_file(self) -> Path:
        """Where the operator's choices stand."""
        return self.root / SETTINGS_FILE

    @property
    def env_file(self) -> Path:
        """Where secrets stand (0600)."""
        return self.root / ".env"

    @property
    def data(self) -> Path:
        """Sources: what cannot be made again."""
        return self.root / "data"

    @property
    def runs(self) -> Path:
        """Run folders: what can be made again."""
        return self.root / "out" / "runs"

    @property
    def state(self) -> Path:
        """Everything the console must remember."""
        return self.root / ".spotter"

    @property
    def cloud_calls(self) -> Path:
        """One line for every call to the cloud, without key and body; of the local one there is none."""
        return self.state / "vast-calls.jsonl"

    @property
    def ledger(self) -> Path:
        """What is rented and spent."""
        return self.state / "state.db"

    @property
    def local_cloud(self) -> Path:
        """State of the emulated marketplace."""
        return self.state / "cloud"

    @property
    def keys(self) -> Path:
        """The SSH key pair that instances let in."""
        return self.state / "keys"

    @property
    def host_keys(self) -> Path:
        """One pinned host key per instance."""
        return self.state / "known_hosts"

    def run_folder(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.runs / run_id

    def relative(self, path: Path) -> str:
        """`path` as it is written in parameters: relative to the workspace, with `/`.

        Raises:
            WorkspaceError: the path lies outside the workspace.
        """
        absolute = _absolute(path)
        try:
            return absolute.relative_to(self.root).as_posix()
        except ValueError:
            raise WorkspaceError(
                f"{path} lies outside the workspace {self.root}: copy or link it under {self.data}, then name it again"
            ) from None

    def prepare(self) -> None:
        """Make the folders; state is for its owner's eyes only.

        Raises:
            WorkspaceError: the folder cannot be written.
        """
        try:
            for folder in (self.data, self.runs, self.state, self.keys, self.host_keys):
                folder.mkdir(parents=True, exist_ok=True)
            self.state.chmod(0o700)
            self.keys.chmod(0o700)
            probe = self.state / ".writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be written ({error.strerror}: {error.filename}): "
                "mend its permissions or choose another with -C DIR"
            ) from error


def remembers(state: Path) -> bool:
    """Whether the console may keep its small conveniences there: a folder that is no workspace stays untouched."""
    return state.is_dir() or (state.parent / SETTINGS_FILE).is_file()


def _absolute(path: Path) -> Path:
    """Without `..`, but with links as they stand: a `data/` that links to another disk is still the workspace's."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def find_workspace(start: Path) -> Workspace:
    """The nearest folder at or above `start` that holds `spotter.toml`.

    Raises:
        WorkspaceError: there is none.
    """
    origin = _absolute(start)
    for folder in (origin, *origin.parents):
        if (folder / SETTINGS_FILE).is_file():
            return Workspace(folder)
    raise WorkspaceError(
        f"no {SETTINGS_FILE} in {origin} or above it: run `spotter init` in the folder that shall be the workspace, "
        "or name one with -C DIR"
    )


def folder_without_workspace(root: Path) -> Workspace:
    """A folder that is no workspace yet, for the console's welcome: nothing is written there until it is asked for.

    Raises:
        WorkspaceError: there is no such folder.
    """
    workspace = Workspace(_absolute(root))
    if not workspace.root.is_dir():
        raise WorkspaceError(f"there is no folder {root}: `spotter init {root}` makes it a workspace")
    return workspace


def create_workspace(root: Path) -> tuple[Workspace, bool]:
    """Make `root` a workspace; returns it, and whether its settings file was written now (an existing one is kept).

    Raises:
        WorkspaceError: the folder cannot be written.
    """
    workspace = Workspace(_absolute(root))
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"cannot make the workspace {root}: {error.strerror}; choose another with -C DIR"
        ) from error
    workspace.prepare()
    fresh = not workspace.settings_file.exists()
    if fresh:
        template = resources.files("console").joinpath("templates")
        workspace.settings_file.write_text(template.joinpath(SETTINGS_FILE).read_text("utf-8"), "utf-8")
        ignore = workspace.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("/out/\n/.spotter/\n/.env\n", "utf-8")
    return workspace, fresh
