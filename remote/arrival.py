"""From a rented machine to one that lets us in and is what was ordered: waiting with limits, never forever."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remote.cloud import CloudError, Endpoint, Instance, InstanceStatus
from remote.desk import Desk
from remote.knock import Knock
from remote.look import look, refuse_broken
from remote.rental import Unusable
from remote.states import State
from remote.track import Track
from remote.verify import PROBE, parse_probe, problems_of

if TYPE_CHECKING:
    from remote.transport import Transport

Accept = Callable[[Instance], None]
"""Looks at the first row of an instance, and the first of it running; raises Unusable for another price than agreed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A verified box, and the endpoint that let us in."""

    instance: Instance
    endpoint: Endpoint


class Arrival:
    """Waits for one instance. Every state is on the track before it is waited in."""

    def __init__(self, desk: Desk, *, may_mend: bool = True, accept: Accept | None = None) -> None:
        """`may_mend`: it was rented for this and nothing is on it, so that it may be rebooted and made anew."""
        self._desk = desk
        self._may_mend = may_mend
        self._accept = accept
        self._attached = False

    def wait(self, track: Track, instance_id: int, image_gb: float) -> Arrived:
        """Until the instance is verified.

        Raises:
            Unusable: it will not do, and why.
            CloudError: the cloud refuses us, or has not answered for too long.
        """
        machine_id = self._wait_until_running(track, instance_id, image_gb)
        knock = Knock(self._desk, track, instance_id, machine_id, may_mend=self._may_mend)
        with knock.until_let_in() as transport:
            return self._verify(track, instance_id, transport)

    def _wait_until_running(self, track: Track, instance_id: int, image_gb: float) -> int:
        """Returns the id of the machine."""
        clock, limits = self._desk.clock, self._desk.limits
        deadline = clock.monotonic() + limits.allocated_s
        seen = False
        while True:
            instance = look(self._desk, track, instance_id)
            if instance is None and seen:
                raise Unusable("the cloud no longer knows it")
            if instance is not None:
                if self._accept is not None and (not seen or instance.status is InstanceStatus.RUNNING):
                    self._accept(instance)
                seen = True
                if instance.status is InstanceStatus.LOADING and track.state is State.ALLOCATED:
                    deadline = clock.monotonic() + limits.pulling_s(image_gb, instance.download_mbps)
                    track.enter(State.PULLING, f"pulling {instance.image}", instance_id=instance_id)
                elif instance.status_message:
                    track.tell(instance.status_message)
                refuse_broken(self._desk, instance)
                self._attach_early(instance)
                if instance.status is InstanceStatus.RUNNING:
                    break
            if clock.monotonic() > deadline:
                said = instance.status_message or instance.status if instance else "nothing"
                raise Unusable(f"not running within the limit of {track.state}; the cloud says: {said}")
            clock.sleep(limits.poll_s)
        track.enter(State.BOOTING, "the container runs; waiting for SSH", instance_id=instance_id)
        return instance.machine_id

    def _attach_early(self, instance: Instance) -> None:
        """Attach the key as soon as the cloud knows the instance; a refusal is settled once SSH asks for the key."""
        if not self._attached:
            try:
                self._desk.cloud.attach_key(instance.id, self._desk.key.public_line)
            except CloudError:
                return
            self._attached = True

    def _verify(self, track: Track, instance_id: int, transport: Transport) -> Arrived:
        from remote.transport import TransportError

        asked_at = time.time()
        try:
            output = transport.run(PROBE, timeout_s=self._desk.limits.verified_s).stdout.decode(errors="replace")
        except TransportError as error:
            raise Unusable(f"it let us in, but does not answer: {error}") from error
        instance = look(self._desk, track, instance_id)
        if instance is None:
            raise Unusable("the cloud no longer knows it")
        probe = parse_probe(output)
        problems = problems_of(probe, instance, asked_at=asked_at)
        if problems:
            raise Unusable("; ".join(problems))
        track.enter(State.VERIFIED, probe.summary, instance_id=instance_id)
        return Arrived(instance, transport.endpoint)
