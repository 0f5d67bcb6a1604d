"""The local cloud as a `Cloud`: the vast.ai adapter pointed at loopback."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Cloud, CloudUnreachable
from remote.localcloud.daemon import LocalCloudAddress, LocalCloudFailed, address, ensure_running
from remote.vast.cloud import VastCloud

if TYPE_CHECKING:
    from remote.vast.client import Client


def local_cloud(
    state_dir: Path,
    *,
    audit: Path | None = None,
    create_timeout_s: float = 60.0,
    speed: float = 1.0,
    clock: Clock = SYSTEM_CLOCK,
) -> Cloud:
    """The emulated marketplace of `state_dir`, started at the first call, and again when it went away meanwhile.

    Args:
        state_dir: where its instances, keys and bills are.
        audit: a file that gets a line per call.
        create_timeout_s: how long (real) a create may take until its outcome is unknown.
        speed: of a daemon that a call starts.
        clock: whose seconds the client waits between its tries; a `MarketClock` waits in the marketplace's own.

    Raises (each of its methods):
        CloudUnreachable: the daemon cannot be started.
    """
    return _LocalCloud(state_dir, audit, create_timeout_s, speed, clock)


class _LocalCloud(VastCloud):
    """Looks before every call where the daemon listens now: it ends by itself when it is not needed."""

    def __init__(
        self, state_dir: Path, audit: Path | None, create_timeout_s: float, speed: float, clock: Clock
    ) -> None:
        super().__init__("", name="local", emulated=True, audit=audit, create_timeout_s=create_timeout_s, clock=clock)
        self._state_dir = state_dir
        self._speed = speed
        self._clients: dict[tuple[str, str], Client] = {}

    def _client(self) -> Client:
        with self._making:
            where = self._find()
            known = (where.api_key, where.url)
            if known not in self._clients:
                self._clients[known] = self._make_client(*known)
            return self._clients[known]

    def _find(self) -> LocalCloudAddress:
        """The daemon's address; while it starts, the client's slow import is done beside it."""
        try:
            found = address(self._state_dir)
            if found is not None:
                return found
            with ThreadPoolExecutor(1) as starting:
                coming = starting.submit(ensure_running, self._state_dir, speed=self._speed)
                import remote.vast.client  # noqa: F401

                return coming.result()
        except LocalCloudFailed as error:
            raise CloudUnreachable(str(error)) from error
