"""What the marketplace tells a box, and what the box tells back: small files of its directory.

The settings are written once, before the box starts. Orders follow while it lives: the marketplace writes one with a
higher number and sends SIGUSR1; the box carries it out and puts that number into its status.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from remote.localcloud.files import read_json, write_json
from remote.localcloud.processes import ProcessIdentity

SETTINGS_NAME = "box.json"
ORDER_NAME = "order.json"
STATUS_NAME = "status.json"
KEYS_NAME = "authorized_keys"
HOST_KEY_NAME = "host_ed25519"
LOG_NAME = "container.log"
FULL_NAME = "disk-is-full"

DoorState = Literal["open", "refused", "blackhole", "silent"]
"""How a port behaves: answers, refuses connections, lets them time out, or accepts them and says nothing."""


@dataclass(frozen=True, slots=True)
class BoxSettings:
    """How to run one instance. Holds the instance's API key: the file is 0600."""

    instance_id: int
    state_dir: str
    environment: dict[str, str] = field(default_factory=dict)
    onstart: str = ""
    orphan_grace_s: float = 10.0
    """The box ends by itself when its marketplace has been dead for this long."""

    def write(self, directory: Path) -> None:
        """Leave the settings where the box looks for them."""
        write_json(directory / SETTINGS_NAME, asdict(self), durable=False)

    @classmethod
    def read(cls, directory: Path) -> BoxSettings:
        """The settings of the box in `directory`."""
        return cls(**read_json(directory / SETTINGS_NAME))


@dataclass(frozen=True, slots=True)
class Order:
    """How a box shall be from now on."""

    number: int = 0
    running: bool = False
    """The container runs: its start script has been started."""
    direct: DoorState = "refused"
    proxy: DoorState = "refused"
    rtt_ms: float = 0.0
    mbit_per_s: float = 0.0
    loss: float = 0.0
    """The line to it; all 0 is none."""
    full: bool = False
    """Its files cannot grow."""
    cuts: int = 0
    """How often all SSH connections were cut so far."""

    def write(self, directory: Path) -> None:
        """Leave it where the box looks for it."""
        write_json(directory / ORDER_NAME, asdict(self), durable=False)

    @classmethod
    def read(cls, directory: Path) -> Order:
        """The last order to the box in `directory`."""
        value = read_json(directory / ORDER_NAME)
        return cls() if value is None else cls(**value)


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """A box that has its ports."""

    pid: int
    created_at: float
    direct_port: int
    proxy_port: int
    order: int = 0
    """Number of the order that it carried out last."""

    @property
    def identity(self) -> ProcessIdentity:
        """The box's process."""
        return ProcessIdentity(self.pid, self.created_at)

    def write(self, directory: Path) -> None:
        """Tell the marketplace."""
        write_json(directory / STATUS_NAME, asdict(self), durable=False)

    @classmethod
    def read(cls, directory: Path) -> BoxStatus | None:
        """What the box in `directory` last told; it may have died since."""
        value = read_json(directory / STATUS_NAME)
        return None if value is None else cls(**value)
