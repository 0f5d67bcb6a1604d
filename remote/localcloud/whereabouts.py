"""Where the marketplace of a state directory runs: the one file that daemon, boxes and clients agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from remote.localcloud.files import read_json, write_json
from remote.localcloud.processes import ProcessIdentity

NAME = "cloud.json"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A running daemon. Holds its key: the file is 0600."""

    pid: int
    created_at: float
    port: int
    api_key: str

    @property
    def identity(self) -> ProcessIdentity:
        """The daemon's process."""
        return ProcessIdentity(self.pid, self.created_at)

    @property
    def url(self) -> str:
        """Base URL of its API."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, state_dir: Path) -> None:
        """Publish, once the daemon listens."""
        write_json(state_dir / NAME, asdict(self))

    @classmethod
    def read(cls, state_dir: Path) -> Whereabouts | None:
        """What was published last; the daemon may have died since."""
        value = read_json(state_dir / NAME)
        return None if value is None else cls(**value)

    @staticmethod
    def forget(state_dir: Path) -> None:
        """Take it down at an orderly end."""
        (state_dir / NAME).unlink(missing_ok=True)
