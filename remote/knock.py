"""From a container that runs to an SSH session that let us in: why not yet is told apart, and mended once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remote.cloud import CloudError, Endpoint, Instance, OutcomeUnknown, Unauthorized
from remote.desk import Desk
from remote.look import look, refuse_broken
from remote.rental import Unusable
from remote.states import State
from remote.track import Track

if TYPE_CHECKING:
    from remote.transport import KeyRejected, Transport, TransportError


@dataclass(slots=True)
class _Door:
    """What one endpoint did since the container ran; seconds of the desk's clock."""

    silent_since: float | None = None


class Knock:
    """Tries every endpoint of one instance until one lets us in. One object a rental."""

    def __init__(self, desk: Desk, track: Track, instance_id: int, machine_id: int, *, may_mend: bool) -> None:
        """`may_mend`: nothing of anybody's can be on the box yet, so that it may be rebooted or made anew."""
        self._desk = desk
        self._track = track
        self._id = instance_id
        self._machine_id = machine_id
        self._may_reboot = self._may_recycle = may_mend
        self._doors: dict[Endpoint, _Door] = {}
        self._began = desk.clock.monotonic()
        self._refused_s = desk.limits.refused_s
        self._silent_s = desk.limits.silent_s
        self._rejected_since: float | None = None
        self._attached = 0

    def until_let_in(self) -> Transport:
        """Connect, told on the track as REACHABLE and AUTHED.

        Raises:
            Unusable: it will not let us in, also not after a reboot or a fresh container.
            CloudError: the cloud has not answered for too long.
        """
        from remote.transport import HostKeyChanged, KeyRejected, KeyUnreadable, TransportError, connect

        first = self._desk.ledger.route(self._desk.cloud_name, self._machine_id) or "direct"
        while True:
            endpoints = self._endpoints()
            try:
                transport = connect(
                    endpoints,
                    user=self._desk.ssh_user,
                    key_path=self._desk.key.private_path,
                    pin_path=self._desk.pin(self._id),
                    timeout_s=self._desk.limits.connect_s,
                    first=first,
                )
            except KeyRejected as error:
                self._rejected(error)
            except KeyUnreadable as error:
                raise Unusable(str(error), our_fault=True) from error
            except HostKeyChanged as error:
                raise Unusable(str(error)) from error
            except TransportError as error:
                self._unreachable(endpoints, error)
            else:
                return self._entered(transport)
            self._desk.clock.sleep(self._desk.limits.poll_s)

    def _entered(self, transport: Transport) -> Transport:
        try:
            if self._track.state is State.BOOTING:
                self._track.enter(State.REACHABLE, f"SSH answers at {transport.endpoint}", instance_id=self._id)
            self._track.enter(State.AUTHED, f"let in at {transport.endpoint}", instance_id=self._id)
            self._desk.ledger.note_route(self._desk.cloud_name, self._machine_id, transport.endpoint.kind)
        except BaseException:
            transport.close()
            raise
        return transport

    def _endpoints(self) -> tuple[Endpoint, ...]:
        """Endpoints worth a try: all that the cloud names but the dead; a direct one is waited for a while."""
        while True:
            instance = self._look()
            waited_s = self._waited_s
            direct = any(each.kind == "direct" for each in instance.endpoints)
            if direct or (instance.endpoints and waited_s > self._desk.limits.ports_s):
                living = tuple(each for each in instance.endpoints if not self._is_dead(each))
                return living or instance.endpoints
            if waited_s > self._refused_s:
                self._mend_or_give_up("it runs, but the cloud names no way to reach it")
            self._desk.clock.sleep(self._desk.limits.poll_s)

    def _look(self) -> Instance:
        instance = look(self._desk, self._track, self._id)
        if instance is None:
            raise Unusable("the cloud no longer knows it")
        refuse_broken(self._desk, instance)
        return instance

    @property
    def _waited_s(self) -> float:
        return self._desk.clock.monotonic() - self._began

    # nobody answers

    def _is_dead(self, endpoint: Endpoint) -> bool:
        door = self._doors.get(endpoint)
        if door is None or door.silent_since is None:
            return False
        return self._desk.clock.monotonic() - door.silent_since > self._silent_s

    def _unreachable(self, endpoints: tuple[Endpoint, ...], error: TransportError) -> None:
        """Keep what each endpoint did; with all of them given up, mend once, then give up the machine."""
        from remote.transport import SshSilent

        self._rejected_since = None
        now = self._desk.clock.monotonic()
        for endpoint, failure in error.by_endpoint or tuple((each, error) for each in endpoints):
            door = self._doors.setdefault(endpoint, _Door())
            if not isinstance(failure, SshSilent):
                door.silent_since = None
            elif door.silent_since is None:
                door.silent_since = now
        quiet = [each for each in endpoints if self._doors[each].silent_since is not None]
        answering = len(quiet) < len(endpoints)
        if not answering and all(self._is_dead(each) for each in endpoints):
            self._mend_or_give_up(f"it runs, but nothing answers at {_names(endpoints)}: {error}", unreachable=True)
        elif answering and self._waited_s > self._refused_s:
            self._mend_or_give_up(f"it runs, but SSH does not come up at {_names(endpoints)}: {error}")
        elif answering:
            self._track.tell("the machine answers; its SSH server is not up yet")
        else:
            self._track.tell("no answer from SSH yet")

    def _mend_or_give_up(self, reason: str, *, unreachable: bool = False) -> None:
        if not self._may_reboot:
            raise Unusable(reason, unreachable=unreachable)
        self._may_reboot = False
        self._track.tell(f"{reason}; rebooting it once")
        intent = self._desk.ledger.record_intent(
            "reboot", cloud=self._desk.cloud_name, request_id=self._track.request_id, instance_id=self._id
        )
        self._repair(intent, "reboot", reason)

    # it answers, and does not let our key in

    def _rejected(self, error: KeyRejected) -> None:
        now = self._desk.clock.monotonic()
        limits = self._desk.limits
        for door in self._doors.values():
            door.silent_since = None
        if self._rejected_since is None:
            self._rejected_since = now
        if self._track.state is State.BOOTING:
            self._track.enter(State.REACHABLE, "SSH answers; our key is not let in yet", instance_id=self._id)
        waited_s = now - self._rejected_since
        if waited_s > limits.authed_s:
            self._recycle_or_give_up(f"our key is not let in after {waited_s:.0f} s: {error}")
        elif self._attached < len(limits.attach_at_s) and waited_s >= limits.attach_at_s[self._attached]:
            self._attached += 1
            self._attach_again()

    def _attach_again(self) -> None:
        """Ask which keys the cloud has for it, then attach ours in any case: attached is not yet let in."""
        cloud, key = self._desk.cloud, self._desk.key
        try:
            known = key.public_line.split()[1] in " ".join(cloud.attached_keys(self._id))
            self._track.tell(
                "our key is attached and not let in yet" if known else "our key is not attached: attaching it"
            )
            cloud.attach_key(self._id, key.public_line)
        except Unauthorized:
            raise
        except CloudError as error:
            self._track.tell(f"{error}; trying again")

    def _recycle_or_give_up(self, reason: str) -> None:
        if not self._may_recycle:
            raise Unusable(reason)
        self._may_recycle = False
        self._track.enter(State.BOOTING, f"{reason}; making its container anew, once", instance_id=self._id)
        intent = self._desk.ledger.record_intent(
            "recycle", cloud=self._desk.cloud_name, request_id=self._track.request_id, instance_id=self._id
        )
        self._desk.pin(self._id).unlink(missing_ok=True)  # a fresh container has a host key of its own
        self._repair(intent, "recycle", reason)
        try:
            self._desk.cloud.attach_key(self._id, self._desk.key.public_line)
        except CloudError as error:
            self._track.tell(f"{error}; the key is attached again once SSH asks for it")

    # both remedies

    def _repair(self, intent: int, remedy: str, reason: str) -> None:
        """Send the remedy once and begin to wait anew, for a shorter while."""
        try:
            (self._desk.cloud.reboot if remedy == "reboot" else self._desk.cloud.recycle)(self._id)
        except OutcomeUnknown as error:  # it may be under way: waiting tells
            self._desk.ledger.record_outcome(intent, "ok", detail=f"taken for sent: {error}")
        except CloudError as error:
            self._desk.ledger.record_outcome(intent, "failed", detail=str(error))
            raise Unusable(f"{reason}; {remedy} failed: {error}") from error
        else:
            self._desk.ledger.record_outcome(intent, "ok")
        self._doors.clear()
        self._rejected_since, self._attached = None, 0
        self._began = self._desk.clock.monotonic()
        self._refused_s = self._silent_s = self._desk.limits.rebooted_s


def _names(endpoints: tuple[Endpoint, ...]) -> str:
    return " and ".join(map(str, endpoints)) or "any endpoint"
