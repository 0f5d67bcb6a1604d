"""What everybody who rents, waits, watches or destroys works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remote.clock import Clock
from remote.cloud import Cloud
from remote.keys import KeyPair
from remote.ledger import Ledger
from remote.progress import Progress, Report
from remote.states import Limits, State


@dataclass(frozen=True, slots=True)
class Desk:
    """One account of one cloud, the ledger of one workspace, and the time and limits that hold there."""

    cloud: Cloud
    ledger: Ledger
    key: KeyPair
    pins: Path
    """Folder of the pinned host keys, a file an instance."""
    ssh_user: str
    limits: Limits
    clock: Clock
    claims: Path
    """Lock file of the account: whoever holds it may send a create."""

    @property
    def cloud_name(self) -> str:
        """`vast` or `local`."""
        return self.cloud.name

    def pin(self, instance_id: int) -> Path:
        """Where an instance's host key is pinned."""
        self.pins.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.pins / str(instance_id)

    def spent_usd(self, instance_id: int) -> float:
        """What one instance cost so far."""
        return self.ledger.spent_usd(cloud=self.cloud_name, instance_id=instance_id)

    def enter(self, state: State, request_id: str | None, instance_id: int, message: str, report: Report) -> None:
        """Note that an instance, and its request, entered `state`: the ledger first, then whoever watches."""
        self.ledger.transition(request_id, state.value, cloud=self.cloud_name, instance_id=instance_id, message=message)
        report(Progress(state.value, f"instance {instance_id}: {message}"))
