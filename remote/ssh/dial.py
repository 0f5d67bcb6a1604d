"""From endpoints to an authenticated connection: every endpoint is tried to the end, the first that lets us in wins."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from remote.cloud import Endpoint, EndpointKind
from remote.ssh.connection import Transport
from remote.ssh.errors import HostKeyChanged, KeyRejected, KeyUnreadable, SshRefused, SshSilent, TransportError
from remote.ssh.sock import WatchedSocket, open_socket
from remote.ssh.trust import HostKey, check_pin, read_pin, write_pin

STAGGER_S = 0.3
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
LOG_CHANNEL = "remote.ssh.wire"
SEVERITY: tuple[type[TransportError], ...] = (HostKeyChanged, KeyRejected, SshRefused, SshSilent)
"""Which failure speaks for all endpoints: the one that got furthest."""

logging.getLogger(LOG_CHANNEL).addHandler(logging.NullHandler())  # else paramiko's errors land on the terminal


class _PatientPacketizer(Packetizer):
    """Never starts a key exchange of its own: paramiko deadlocks when its own falls into a busy channel.

    The server still asks for new keys when its limits say so, and that works.
    """

    REKEY_BYTES = 2**40


@dataclass(slots=True)
class _Attempt:
    endpoint: Endpoint
    sock: WatchedSocket | None = None
    host_key: HostKey | None = None


def dial(
    endpoints: Sequence[Endpoint],
    *,
    user: str,
    key_path: Path,
    pin_path: Path,
    timeout_s: float,
    first: EndpointKind = "direct",
) -> Transport:
    """See `remote.transport.connect`."""
    if not endpoints:
        raise SshSilent("the instance has no SSH endpoint yet")
    key = _read_key(key_path)
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.kind != first)
    outcomes: queue.Queue[tuple[_Attempt, paramiko.Transport | TransportError]] = queue.Queue()
    attempts: list[_Attempt] = []
    failures: list[tuple[Endpoint, TransportError]] = []
    over = threading.Event()

    def attempt(mine: _Attempt) -> None:
        try:
            outcome: paramiko.Transport | TransportError = _log_in(mine, user, key, pin_path, timeout_s)
        except TransportError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - a thread's end must always be told to the one who waits
            outcome = TransportError(f"{mine.endpoint}: {type(error).__name__}: {error}")
        outcomes.put((mine, outcome))
        if over.is_set():
            _hang_up(mine)

    deadline = time.monotonic() + 3 * timeout_s + len(ordered) * STAGGER_S + 1
    try:
        while len(failures) < len(ordered) and time.monotonic() < deadline:
            if len(attempts) < len(ordered):
                attempts.append(_Attempt(ordered[len(attempts)]))
                threading.Thread(target=attempt, args=(attempts[-1],), name="ssh-dial", daemon=True).start()
            try:
                tried, outcome = outcomes.get(timeout=STAGGER_S)
            except queue.Empty:
                continue
            if isinstance(outcome, TransportError):
                failures.append((tried.endpoint, outcome))
                continue
            assert tried.sock is not None
            assert tried.host_key is not None
            write_pin(pin_path, tried.host_key)
            attempts.remove(tried)
            return Transport(outcome, tried.sock, tried.endpoint, user)
    finally:
        over.set()
        for loser in attempts:
            _hang_up(loser)
    raise _verdict(failures, ordered, timeout_s)


def _verdict(
    told: Sequence[tuple[Endpoint, TransportError]], asked: Sequence[Endpoint], timeout_s: float
) -> TransportError:
    """The failure that speaks for all, with each endpoint's own beside it."""
    silent = [each for each in asked if each not in [endpoint for endpoint, _failure in told]]
    by_endpoint = (*told, *((each, SshSilent(f"{each} gave no answer within {3 * timeout_s:g} s")) for each in silent))
    verdict = _furthest([failure for _endpoint, failure in by_endpoint])
    verdict.by_endpoint = by_endpoint
    return verdict


def _furthest(failures: Sequence[TransportError]) -> TransportError:
    for kind in SEVERITY:
        for failure in failures:
            if type(failure) is kind:
                others = [str(other) for other in failures if other is not failure]
                failure.args = ("; ".join([str(failure), *others]),)
                return failure
    return failures[0]


def _hang_up(attempt: _Attempt) -> None:
    if attempt.sock is not None:
        attempt.sock.close()


def _read_key(key_path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(key_path)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise KeyUnreadable(f"the private key {key_path} cannot be used: {error}") from error


def _log_in(attempt: _Attempt, user: str, key: paramiko.PKey, pin_path: Path, timeout_s: float) -> paramiko.Transport:
    endpoint = attempt.endpoint
    sock = attempt.sock = open_socket(endpoint, timeout_s)
    wire = paramiko.Transport(sock, packetizer_class=_PatientPacketizer)
    try:
        _configure(wire, pin_path, timeout_s)
        _greet(wire, sock, endpoint, timeout_s)
        shown = wire.get_remote_server_key()
        attempt.host_key = HostKey(shown.get_name(), shown.get_base64())
        check_pin(pin_path, attempt.host_key)
        _authenticate(wire, sock, endpoint, user, key, timeout_s)
    except BaseException:
        wire.close()
        sock.close()
        raise
    return wire


def _configure(wire: paramiko.Transport, pin_path: Path, timeout_s: float) -> None:
    wire.set_log_channel(LOG_CHANNEL)
    wire.banner_timeout = timeout_s
    wire.handshake_timeout = timeout_s
    wire.auth_timeout = timeout_s
    options = wire.get_security_options()
    options.ciphers = [cipher for cipher in CIPHERS if cipher in options.ciphers]
    pinned = read_pin(pin_path)
    if pinned is not None:  # ask for the pinned kind first: a server with several keys then shows the one we know
        options.key_types = sorted(options.key_types, key=lambda kind: kind != pinned.kind)


def _greet(wire: paramiko.Transport, sock: WatchedSocket, endpoint: Endpoint, timeout_s: float) -> None:
    try:
        wire.start_client(timeout=timeout_s)
    except IncompatiblePeer as error:
        raise TransportError(f"{endpoint} speaks SSH that this client cannot: {error}") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if sock.hung_up:
            raise SshRefused(
                f"{endpoint} takes the connection but hangs up before its SSH greeting: its server is still starting"
            ) from error
        if "protocol version" in str(error) or "Invalid SSH banner" in str(error):
            raise TransportError(f"{endpoint} is not an SSH server: {error}") from error
        raise _silent(wire, endpoint, timeout_s) from error
    if not wire.initial_kex_done:  # paramiko returns as if all were well when its limit passes
        raise _silent(wire, endpoint, timeout_s)


def _silent(wire: paramiko.Transport, endpoint: Endpoint, timeout_s: float) -> SshSilent:
    what = "finish the key exchange" if wire.remote_version else "greet"
    return SshSilent(f"{endpoint} takes the connection but does not {what} within {timeout_s:g} s")


def _authenticate(
    wire: paramiko.Transport, sock: WatchedSocket, endpoint: Endpoint, user: str, key: paramiko.PKey, timeout_s: float
) -> None:
    rejected = KeyRejected(
        f"{endpoint} does not let {user!r} in with key {key.fingerprint}: "
        "it is not attached to the instance yet, or the user name is wrong"
    )
    began = time.monotonic()
    try:
        more_methods = wire.auth_publickey(user, key)
    except paramiko.AuthenticationException as error:
        if sock.hung_up:
            raise SshRefused(f"{endpoint} hung up during authentication") from error
        if time.monotonic() - began >= timeout_s:
            raise SshSilent(f"{endpoint} did not answer the authentication within {timeout_s:g} s") from error
        raise rejected from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise SshRefused(f"{endpoint} hung up during authentication: {error}") from error
    if more_methods:
        raise KeyRejected(f"{endpoint} wants more than a key: {', '.join(more_methods)}")
