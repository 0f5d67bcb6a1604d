"""From a rented machine to one that lets us in and is what was ordered: waiting with limits, never forever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remote.cloud import Cloud, CloudError, CloudUnreachable, Endpoint, Instance, InstanceStatus, RateLimited
from remote.keys import KeyPair
from remote.ledger import Ledger
from remote.rental import Unusable
from remote.states import Limits, State
from remote.track import Track
from remote.verify import PROBE, parse_probe, problems_of

if TYPE_CHECKING:
    from remote.transport import Transport

CONNECT_LIMIT_S = 10.0
BROKEN_IMAGE_WORDS = ("manifest unknown", "unauthorized", "repository does not exist")
"""In a status message: the image cannot be had by anybody."""
BROKEN_MACHINE_WORDS = (
    "error response from daemon",
    "failed to pull image",
    "no space left on device",
    "unexpected eof",
    "oci runtime create failed",
    "failed to create task",
)
"""In a status message: this machine will not do, although its status goes on to say `loading`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A verified box, and the endpoint that let us in."""

    instance: Instance
    endpoint: Endpoint


class Arrival:
    """Waits for one instance. Every state is on the track before it is waited in."""

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        key: KeyPair,
        pin_path: Path,
        ssh_user: str,
        limits: Limits,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._key = key
        self._pin_path = pin_path
        self._ssh_user = ssh_user
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._attached = False

    def wait(self, track: Track, instance_id: int, image_gb: float) -> Arrived:
        """Until the instance is verified.

        Raises:
            Unusable: it will not do, and why.
            CloudError: the cloud refuses us, or has not answered for too long.
        """
        self._wait_until_running(track, instance_id, image_gb)
        with self._knock(track, instance_id) as transport:
            return self._verify(track, instance_id, transport)

    def _wait_until_running(self, track: Track, instance_id: int, image_gb: float) -> None:
        deadline = self._clock() + self._limits.allocated_s
        seen = False
        while True:
            instance = self._look(track, instance_id)
            if instance is None and seen:
                raise Unusable("the cloud no longer knows it")
            if instance is not None:
                seen = True
                self._refuse_broken(instance)
                self._attach_early(instance)
                if instance.status is InstanceStatus.RUNNING:
                    break
                if instance.status is InstanceStatus.LOADING and track.state is State.ALLOCATED:
                    limit_s = self._limits.pulling_s(image_gb, instance.download_mbps)
                    deadline = self._clock() + limit_s
                    track.enter(State.PULLING, f"pulling {instance.image}", instance_id=instance_id)
                elif instance.status_message:
                    track.tell(instance.status_message)
            if self._clock() > deadline:
                said = instance.status_message or instance.status if instance else "nothing"
                raise Unusable(f"not running within the limit of {track.state}; the cloud says: {said}")
            self._sleep(self._limits.poll_s)
        self._ledger.instance_running(self._cloud.name, instance_id)
        track.enter(State.BOOTING, "the container runs; waiting for SSH", instance_id=instance_id)

    def _look(self, track: Track, instance_id: int) -> Instance | None:
        """The instance now; an API that is out of reach for a while is waited for."""
        deadline = self._clock() + self._limits.unanswered_s
        while True:
            try:
                return self._cloud.instance(instance_id)
            except (CloudUnreachable, RateLimited) as error:
                if self._clock() > deadline:
                    raise
                track.tell(f"{error}; asking again")
                self._sleep(self._limits.poll_s)

    def _refuse_broken(self, instance: Instance) -> None:
        said = instance.status_message.lower()
        if any(words in said for words in BROKEN_IMAGE_WORDS):
            raise Unusable(f"the image cannot be pulled: {instance.status_message}", our_fault=True)
        if any(words in said for words in BROKEN_MACHINE_WORDS):
            raise Unusable(instance.status_message)
        if instance.status is InstanceStatus.EXITED:
            raise Unusable(f"the container ended: {self._last_log_line(instance) or instance.status_message}")
        if instance.status in (InstanceStatus.STOPPED, InstanceStatus.FROZEN) or instance.intended_status == "stopped":
            raise Unusable("the cloud stopped it: the machine was taken, or the account ran out of credit")

    def _last_log_line(self, instance: Instance) -> str:
        try:
            lines = self._cloud.logs(instance.id, tail=20).strip().splitlines()
        except CloudError as error:
            return f"its log cannot be read: {error}"
        return lines[-1] if lines else ""

    def _attach_early(self, instance: Instance) -> None:
        """Attach the key as soon as the cloud knows the instance; a refusal is settled once SSH asks for the key."""
        if not self._attached:
            try:
                self._cloud.attach_key(instance.id, self._key.public_line)
            except CloudError:
                return
            self._attached = True

    def _knock(self, track: Track, instance_id: int) -> Transport:
        """Connect over whichever endpoint lets us in, telling apart why none does yet."""
        from remote.transport import (
            ConnectionLost,
            HostKeyChanged,
            KeyRejected,
            SshRefused,
            SshSilent,
            connect,
        )

        began = self._clock()
        silent_since: float | None = None
        rejected_since: float | None = None
        attached = 0
        while True:
            endpoints = self._endpoints(track, instance_id, began)
            try:
                transport = connect(
                    endpoints,
                    user=self._ssh_user,
                    key_path=self._key.private_path,
                    pin_path=self._pin_path,
                    timeout_s=CONNECT_LIMIT_S,
                )
            except KeyRejected as error:
                silent_since = None
                if rejected_since is None:
                    rejected_since = self._clock()
                if track.state is State.BOOTING:
                    track.enter(State.REACHABLE, "SSH answers; our key is not let in yet", instance_id=instance_id)
                waited_s = self._clock() - rejected_since
                if waited_s > self._limits.authed_s:
                    raise Unusable(f"our key is not let in after {waited_s:.0f} s: {error}") from error
                if attached < len(self._limits.attach_at_s) and waited_s >= self._limits.attach_at_s[attached]:
                    attached += 1
                    self._attach_again(track, instance_id)
            except SshSilent as error:
                silent_since = self._clock() if silent_since is None else silent_since
                if self._clock() - silent_since > self._limits.silent_s:
                    raise Unusable(f"it runs, but nothing answers at {_names(endpoints)}: {error}") from error
                track.tell("no answer from SSH yet")
            except (SshRefused, ConnectionLost) as error:
                silent_since = None
                if self._clock() - began > self._limits.refused_s:
                    raise Unusable(f"it runs, but SSH does not come up at {_names(endpoints)}: {error}") from error
                track.tell("the machine answers; its SSH server is not up yet")
            except HostKeyChanged as error:
                raise Unusable(str(error)) from error
            else:
                try:
                    if track.state is State.BOOTING:
                        track.enter(State.REACHABLE, f"SSH answers at {transport.endpoint}", instance_id=instance_id)
                    track.enter(State.AUTHED, f"let in at {transport.endpoint}", instance_id=instance_id)
                except BaseException:
                    transport.close()
                    raise
                return transport
            self._sleep(self._limits.poll_s)

    def _endpoints(self, track: Track, instance_id: int, began: float) -> tuple[Endpoint, ...]:
        """Every endpoint that the cloud names; a direct one is waited for a while, then the proxy must do."""
        while True:
            instance = self._look(track, instance_id)
            if instance is None:
                raise Unusable("the cloud no longer knows it")
            self._refuse_broken(instance)
            direct = any(each.kind == "direct" for each in instance.endpoints)
            waited_s = self._clock() - began
            if direct or (instance.endpoints and waited_s > self._limits.ports_s):
                return instance.endpoints
            if waited_s > self._limits.refused_s:
                raise Unusable("it runs, but the cloud names no way to reach it")
            self._sleep(self._limits.poll_s)

    def _attach_again(self, track: Track, instance_id: int) -> None:
        try:
            known = self._key.public_line.split()[1] in " ".join(self._cloud.attached_keys(instance_id))
            track.tell("our key is attached and not let in yet" if known else "our key is not attached: attaching it")
            self._cloud.attach_key(instance_id, self._key.public_line)
        except (CloudUnreachable, RateLimited) as error:
            track.tell(f"{error}; trying again")

    def _verify(self, track: Track, instance_id: int, transport: Transport) -> Arrived:
        from remote.transport import TransportError

        try:
            output = transport.run(PROBE, timeout_s=self._limits.verified_s).stdout.decode(errors="replace")
        except TransportError as error:
            raise Unusable(f"it let us in, but does not answer: {error}") from error
        instance = self._look(track, instance_id)
        if instance is None:
            raise Unusable("the cloud no longer knows it")
        probe = parse_probe(output)
        problems = problems_of(probe, instance)
        if problems:
            raise Unusable("; ".join(problems))
        track.enter(State.VERIFIED, probe.summary, instance_id=instance_id)
        return Arrived(instance, transport.endpoint)


def _names(endpoints: tuple[Endpoint, ...]) -> str:
    return " and ".join(map(str, endpoints)) or "any endpoint"
