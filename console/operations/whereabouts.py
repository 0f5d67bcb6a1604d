"""Where instances were reached last, kept here: a cloud that does not answer keeps nobody from a box that does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from remote.cloud import Endpoint, Instance


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The endpoints of one instance, and the machine that it is on."""

    machine_id: int
    endpoints: tuple[Endpoint, ...]

    @classmethod
    def of(cls, instance: Instance) -> Whereabouts:
        """As the cloud tells them."""
        return cls(instance.machine_id, tuple(instance.endpoints))


class KnownWhereabouts:
    """One small file an instance; two clouds may give the same number to different instances."""

    def __init__(self, folder: Path, cloud: str) -> None:
        self._folder = folder
        self._cloud = cloud

    def _path(self, instance_id: int) -> Path:
        return self._folder / f"{instance_id}.json"

    def keep(self, instance_id: int, found: Whereabouts) -> None:
        """Remember where an instance was reached; a file that says so already is left alone."""
        if self.recall(instance_id) == found:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(instance_id).write_bytes(orjson.dumps({"cloud": self._cloud, **asdict(found)}))

    def recall(self, instance_id: int) -> Whereabouts | None:
        """Where it was reached last; None when it never was, or on another cloud."""
        from remote.cloud import Endpoint

        try:
            kept = orjson.loads(self._path(instance_id).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        if kept["cloud"] != self._cloud:
            return None
        return Whereabouts(kept["machine_id"], tuple(Endpoint(**each) for each in kept["endpoints"]))
