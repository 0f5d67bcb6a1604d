"""What the marketplace tells a box at its start, and what the box tells back: two small files of its directory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from remote.localcloud.files import read_json, write_json
from remote.localcloud.processes import ProcessIdentity

SETTINGS_NAME = "box.json"
STATUS_NAME = "status.json"
KEYS_NAME = "authorized_keys"
HOST_KEY_NAME = "host_ed25519"
LOG_NAME = "container.log"


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """How to run one instance. Holds the instance's API key: the file is 0600."""

    instance_id: int
    state_dir: str
    environment: dict[str, str] = field(default_factory=dict)
    onstart: str = ""
    orphan_grace_s: float = 10.0
    """The box ends by itself when its marketplace has been dead for this long."""
    refuse_s: float = 0.0
    """SSH ports refuse connections for this long after the start."""

    def write(self, directory: Path) -> None:
        """Leave the settings where the box looks for them."""
        write_json(directory / SETTINGS_NAME, asdict(self))

    @classmethod
    def read(cls, directory: Path) -> BoxSettings:
        """The settings of the box in `directory`."""
        return cls(**read_json(directory / SETTINGS_NAME))


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """A box that has its ports."""

    pid: int
    created_at: float
    direct_port: int
    proxy_port: int

    @property
    def identity(self) -> ProcessIdentity:
        """The box's process."""
        return ProcessIdentity(self.pid, self.created_at)

    def write(self, directory: Path) -> None:
        """Tell the marketplace."""
        write_json(directory / STATUS_NAME, asdict(self))

    @classmethod
    def read(cls, directory: Path) -> BoxStatus | None:
        """What the box in `directory` last told; it may have died since."""
        value = read_json(directory / STATUS_NAME)
        return None if value is None else cls(**value)
