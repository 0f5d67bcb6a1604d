"""One operator at work in one workspace: settings, cloud, ledger, keys, and ways to reach an instance."""

from __future__ import annotations

import copy
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from console.operations.clock import SessionClock
from console.operations.whereabouts import KnownWhereabouts, Whereabouts
from console.settings import Secrets, Settings, SettingsError, load_secrets, load_settings
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.models.recorder import Recorder
    from remote.cloud import Cloud, CloudError, Instance
    from remote.keys import KeyPair
    from remote.ledger import Ledger, RentedInstance
    from remote.provision import Provisioner
    from remote.transport import Transport


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class InstanceGone(Exception):
    """The cloud no longer knows this instance."""


class Session:
    """What every operation needs; parts are opened at first use, so that a light command stays light."""

    def __init__(self, workspace: Workspace, settings: Settings, secrets: Secrets) -> None:
        self.workspace = workspace
        self.settings = settings
        self._secrets = secrets
        self._sleep: Callable[[float], None] = time.sleep

    def until(self, stop: threading.Event) -> Session:
        """This session for another thread, which no Ctrl-C reaches: once `stop` is set, its waits raise one."""

        def wait(seconds: float) -> None:
            if stop.wait(seconds):
                raise KeyboardInterrupt

        other = copy.copy(self)
        other._sleep = wait
        return other

    def to_the_end(self) -> Session:
        """This session for a clean-up: its waits are slept whole, also once `until` of another one is over."""
        other = copy.copy(self)
        other._sleep = time.sleep
        return other

    @property
    def cloud_name(self) -> str:
        """Under which the ledger keeps what is rented and spent here.

        A marketplace behind a loopback address has a name of its own: its machines and dollars are nobody's, whatever
        the settings call it.
        """
        name = self.settings.cloud.name
        if self._keeps_marketplace or not self.emulated:
            return name
        return f"{name}@{urlsplit(self.settings.cloud.url).netloc}"

    @property
    def emulated(self) -> bool:
        """Whether the machines are emulated on this one."""
        return self._keeps_marketplace or urlsplit(self.settings.cloud.url).hostname in LOOPBACK

    @property
    def notes_calls(self) -> bool:
        """Whether calls to the cloud are noted in `workspace.cloud_calls`; those to the local one are not."""
        return not self._keeps_marketplace

    @property
    def _keeps_marketplace(self) -> bool:
        """Whether the cloud is this workspace's own emulated one, which is started and ended from here."""
        return self.settings.cloud.name == "local"

    @cached_property
    def ledger(self) -> Ledger:
        """What is rented and spent."""
        from remote.ledger import Ledger

        self.workspace.prepare()
        return Ledger(self.workspace.ledger, clock=self.clock)

    @cached_property
    def recorder(self) -> Recorder:
        """What boxes measured and what happened to them; its times are this machine's."""
        from console.models.recorder import FILE, Recorder

        self.workspace.prepare()
        return Recorder(self.workspace.state / FILE, self.cloud_name)

    @property
    def clock(self) -> SessionClock:
        """What waits and bills: the time of the cloud of the settings."""
        state_dir = self.workspace.local_cloud if self._keeps_marketplace else None
        return SessionClock(state_dir, self._sleep)

    @cached_property
    def key(self) -> KeyPair:
        """The key pair that instances let in; made at first use."""
        from remote.keys import ensure_key_pair

        self.workspace.prepare()
        return ensure_key_pair(self.workspace.keys)

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud of the settings; the local one is started when it isn't running.

        Raises:
            SettingsError: vast.ai is chosen and there is no key.
        """
        if self._keeps_marketplace:
            from remote.localcloud.connect import local_cloud

            self.workspace.prepare()
            return local_cloud(self.workspace.local_cloud)
        return self._vast()

    def _vast(self) -> Cloud:
        from remote.vast.cloud import DEFAULT_URL, VastCloud

        if self._secrets.vast_api_key is None:
            raise SettingsError(
                f'cloud.name is "vast" but there is no VAST_API_KEY: put it in {self.workspace.env_file} (chmod 600) '
                'or set cloud.name = "local" in spotter.toml'
            )
        key = self._secrets.vast_api_key.get_secret_value()
        url = self.settings.cloud.url or DEFAULT_URL
        return VastCloud(key, url, name=self.cloud_name, emulated=self.emulated, audit=self.workspace.cloud_calls)

    def living_cloud(self) -> Cloud | None:
        """The cloud, but never starting the local one: None when that isn't running, and so has no instances."""
        if self._keeps_marketplace:
            from remote.localcloud.daemon import address

            if address(self.workspace.local_cloud) is None:
                self.__dict__.pop("cloud", None)
                return None
        return self.cloud

    def stop_local_cloud(self) -> bool:
        """Destroy what is still rented there, then end the emulated marketplace; False when it wasn't running."""
        if not self._keeps_marketplace:
            return False
        from remote.localcloud.daemon import stop

        if self.living_cloud() is not None:
            for row in self.living_rentals():
                self.provisioner.destroy(row.instance_id)
        stopped = stop(self.workspace.local_cloud)
        self.__dict__.pop("cloud", None)
        return stopped

    @property
    def provisioner(self) -> Provisioner:
        """Rents, verifies and destroys."""
        from remote.provision import Provisioner

        return Provisioner(
            self.cloud,
            self.ledger,
            self.key,
            self.workspace.host_keys,
            ssh_user=self.settings.cloud.ssh_user,
            clock=self.clock,
            claims=self._claims,
        )

    @property
    def _claims(self) -> Path | None:
        """The lock that all workspaces of one account take before they rent; the local cloud has one workspace."""
        if self._keeps_marketplace or self._secrets.vast_api_key is None:
            return None
        from remote.vast.pacing import account_file

        return account_file(self._secrets.vast_api_key.get_secret_value()).with_suffix(".create")

    def living_rentals(self) -> list[RentedInstance]:
        """What the ledger knows to be rented on the cloud of the settings."""
        return self.ledger.instances(alive_only=True, cloud=self.cloud_name)

    def instance(self, instance_id: int) -> Instance:
        """The instance as the cloud describes it now.

        Raises:
            InstanceGone: the cloud doesn't know it.
        """
        cloud = self.living_cloud()
        found = cloud.instance(instance_id) if cloud else None
        if found is None and self.ledger.instance(self.cloud_name, instance_id) is None:
            raise InstanceGone(f"there is no instance {instance_id}: the {self.cloud_name} cloud does not know it")
        if found is None:
            raise InstanceGone(f"instance {instance_id} is gone: the {self.cloud_name} cloud does not know it")
        return found

    def where(self, instance_id: int) -> tuple[Whereabouts, CloudError | None]:
        """Where the instance can be reached: as the cloud says, or, when that is silent, where it was reached last.

        Returns:
            The endpoints, and why the cloud did not tell them. A box that is not at the old ones may be anywhere.

        Raises:
            InstanceGone: there is nothing to reach.
            remote.cloud.CloudError: the cloud is silent, and nobody here was ever in that box.
        """
        from remote.cloud import CloudUnreachable, RateLimited

        try:
            return Whereabouts.of(self.instance(instance_id)), None
        except (CloudUnreachable, RateLimited) as silence:
            known = self._known_whereabouts.recall(instance_id)
            if known is None or not (self.workspace.host_keys / str(instance_id)).exists():
                raise
            return known, silence

    @property
    def _known_whereabouts(self) -> KnownWhereabouts:
        return KnownWhereabouts(self.workspace.state / "whereabouts", self.cloud_name)

    def reach(self, instance_id: int) -> Transport:
        """A new connection to the instance, by whichever endpoint answers.

        Raises:
            InstanceGone: there is nothing to reach.
            remote.transport.SshError: it cannot be reached, and why.
            remote.cloud.CloudError: the cloud is silent, and the box is not where it was reached last.
        """
        from remote.transport import TransportError, connect

        found, silence = self.where(instance_id)
        cloud = self.cloud_name
        first = self.ledger.route(cloud, found.machine_id) or "direct"
        try:
            transport = connect(
                found.endpoints,
                user=self.settings.cloud.ssh_user,
                key_path=self.key.private_path,
                pin_path=self.workspace.host_keys / str(instance_id),
                first=first,
            )
        except TransportError as error:
            if silence is None:
                raise
            raise silence from error
        self._known_whereabouts.keep(instance_id, found)
        if transport.endpoint.kind != first:
            self.ledger.note_route(cloud, found.machine_id, transport.endpoint.kind)
        transport.count_traffic(self._traffic_noter(instance_id))
        return transport

    def _traffic_noter(self, instance_id: int) -> Callable[[int, int], None]:
        ledger, cloud = self.ledger, self.cloud_name

        def note(into: int, out_of: int) -> None:
            with suppress(sqlite3.Error):  # the cloud's own bill settles what could not be written down
                ledger.note_traffic(cloud, instance_id, bytes_in=into, bytes_out=out_of)

        return note

    def reacher(self, instance_id: int) -> Callable[[], Transport]:
        """`reach` for later: what a broken channel calls to come back."""
        return lambda: self.reach(instance_id)


def open_session(workspace: Workspace) -> Session:
    """Read the settings and secrets of a workspace.

    Raises:
        SettingsError: a file is wrong.
    """
    return Session(workspace, load_settings(workspace), load_secrets(workspace))
