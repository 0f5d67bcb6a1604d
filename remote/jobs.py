"""The laptop's side of the agent on a box: jobs and files over one long-lived channel, reconnected when it breaks."""

from __future__ import annotations

import builtins
import json
import shlex
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from remote.agent.deadman_order import DEADMAN_ANSWER, BadOrder, DeadmanOrder, DeadmanProof, DeadmanStatus
from remote.agent.spec import JobSpec, JobStatus, Ready, Retry
from remote.agent_channel import AgentChannel, Answer
from remote.bootstrap.install import InstalledAgent, install_agent
from remote.transport import (
    ConnectionLost,
    HostKeyChanged,
    KeyRejected,
    KeyUnreadable,
    Transport,
    TransportError,
)

__all__ = [
    "Agent",
    "AgentError",
    "BadOrder",
    "DeadmanNotArmed",
    "DeadmanOrder",
    "DeadmanProof",
    "DeadmanStatus",
    "FileShrank",
    "JobConflict",
    "JobSpec",
    "JobStatus",
    "LogPieceGone",
    "NoSuchJob",
    "Ready",
    "RemoteEntry",
    "RemoteFolder",
    "Retry",
]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
HOPELESS = (HostKeyChanged, KeyRejected, KeyUnreadable)
"""What trying again does not mend."""


class AgentError(Exception):
    """The agent on the box refused or failed; the text is its sentence."""


class JobConflict(AgentError):
    """A job with this id exists and was started with another spec."""


class NoSuchJob(AgentError):
    """The box knows no job with this id."""


class FileShrank(AgentError):
    """A followed file is shorter than what was read of it before: it was replaced on the box."""


class LogPieceGone(FileShrank):
    """The asked part of a log was deleted, as its job's `log_keep_bytes` allows; the text names the first kept byte."""


class DeadmanNotArmed(AgentError):
    """The box did not take the dead-man's order: nothing but the laptop ends its bill."""


_ERRORS: dict[str, type[AgentError]] = {
    kind.__name__: kind for kind in (JobConflict, NoSuchJob, FileShrank, LogPieceGone)
}


@dataclass(frozen=True, slots=True)
class SqliteCopy:
    """A copy of a database on the box; `path` is absolute there."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One name in a folder on the box."""

    name: str
    """As it is there: undecodable bytes are surrogates."""
    kind: str
    """file | folder | link | other"""
    size: int
    mtime: float
    """Unix seconds by the box's clock."""


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder on the box."""

    path: str
    """Absolute there."""
    entries: tuple[RemoteEntry, ...]
    count: int
    """How many there are, shown or not."""


class Agent:
    """Jobs and files of one box. Thread-safe; every call ends within its limit, with ConnectionLost at worst.

    Every operation may be sent again after a broken connection: launching is exactly once, the others change nothing
    that a second time would change further.
    """

    def __init__(
        self,
        transport: Transport,
        installed: InstalledAgent,
        reconnect: Callable[[], Transport] | None,
        channel: AgentChannel,
    ) -> None:
        """Use `start`."""
        self.root = installed.root
        self._installed = installed
        self._reconnect = reconnect
        self._transport = transport
        self._owned: Transport | None = None
        self._channel = channel
        self._lock = threading.Lock()
        self._opening: Future[AgentChannel] | None = None
        self._closed = False

    @classmethod
    def start(cls, transport: Transport, root: str, *, reconnect: Callable[[], Transport] | None = None) -> Self:
        """Install the agent (by content hash) if the box lacks it, and open its channel.

        `reconnect` makes a new transport when this one is lost; without it a lost connection is an error.
        `root` becomes absolute in `self.root`.
        """
        installed = install_agent(transport, root)
        return cls(transport, installed, reconnect, AgentChannel(transport, installed))

    @property
    def transport(self) -> Transport:
        """The connection in use now; another one after a reconnect."""
        return self._channel.transport

    @property
    def alive(self) -> bool:
        """Whether the channel is up now; a call on a broken one reconnects first."""
        return self._channel.alive

    def launch(self, spec: JobSpec, *, timeout_s: float = 60) -> JobStatus:
        """Start the job exactly once: launching the same spec again only tells how it stands.

        Raises:
            JobConflict: the id is taken by another spec.
        """
        return JobStatus.from_json(self._ask("launch", timeout_s, spec=spec.to_json()))

    def status(self, job_id: str, *, timeout_s: float = 20) -> JobStatus:
        """How the job stands now. Raises NoSuchJob."""
        return JobStatus.from_json(self._ask("status", timeout_s, job=job_id))

    def list(self, *, timeout_s: float = 20) -> builtins.list[JobStatus]:
        """Every job of the box, oldest first."""
        return [JobStatus.from_json(values) for values in self._ask("list", timeout_s)["jobs"]]

    def cancel(self, job_id: str, *, timeout_s: float = 30) -> JobStatus:
        """Ask the supervisor to stop the job; `wait` for the end. What is left of a lost job is ended at once."""
        return JobStatus.from_json(self._ask("cancel", timeout_s, job=job_id))

    def wait(self, job_id: str, *, timeout_s: float | None = None, poll_s: float = 0.3) -> JobStatus:
        """Block until the job ended.

        Raises:
            TimeoutError: it has not ended after `timeout_s`.
            ConnectionLost: the box could not be reached for 20 s.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self.status(job_id)
            if status.ended:
                return status
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"job {job_id} is still {status.state} after {timeout_s:g} s")
            time.sleep(poll_s)

    def follow(
        self, path: str, offset: int, *, max_bytes: int = 1 << 20, wait_s: float = 0, timeout_s: float = 20
    ) -> bytes:
        """Bytes of a growing file from exactly `offset`; b"" when there are none yet, or no file yet.

        With `wait_s` the box answers as soon as the file grows, at the latest after that time.
        The offset to ask for is the size of the local copy, so no byte is lost or doubled over any reconnect.

        Raises:
            FileShrank: the file is shorter than `offset`.
        """
        arguments = {"path": path, "offset": offset, "max_bytes": max_bytes, "wait_s": wait_s}
        return self._call("read", arguments, b"", timeout_s + wait_s).payload

    def stat(self, path: str, *, timeout_s: float = 20) -> dict[str, Any]:
        """`exists`, and then `folder`, `size`, `mtime` of a path below the root."""
        return self._ask("stat", timeout_s, path=path)

    def folder(self, path: str, *, limit: int = 5000, timeout_s: float = 20) -> RemoteFolder:
        """What lies in a folder below the root, folders first, each by name; at most `limit` of it."""
        answer = self._ask("folder", timeout_s, path=path, limit=limit)
        entries = tuple(RemoteEntry(**each) for each in answer["entries"])
        return RemoteFolder(str(answer["path"]), entries, int(answer["count"]))

    def sha256(self, path: str, *, timeout_s: float = 600) -> str:
        """The sha256 of a file below the root."""
        return str(self._ask("sha256", timeout_s, path=path)["sha256"])

    def write(self, path: str, data: bytes, *, mode: int = 0o644, timeout_s: float = 60) -> str:
        """Replace a file below the root; its absolute path. For small files; data goes through `remote.sync`."""
        answer = self._call("write", {"path": path, "mode": mode}, data, timeout_s)
        return str(answer.header["ok"]["path"])

    def put_secret(self, name: str, value: str, *, timeout_s: float = 30) -> str:
        """Store a secret as a 0600 file that `JobSpec.secret_files` can name; it never is in a command line or log."""
        return self.write(f"secrets/{name}", value.encode(), mode=0o600, timeout_s=timeout_s)

    def sample(self, *, timeout_s: float = 20) -> dict[str, Any]:
        """How busy the box is now: CPU, memory, disk, network, GPUs. To the box's guard this is no use of it."""
        return self._ask("sample", timeout_s)

    def samples(self, since: float = 0.0, *, limit: int = 1000, timeout_s: float = 20) -> builtins.list[dict[str, Any]]:
        """Samples of the last 24 hours, taken every 5 s also while no laptop was there, oldest first; no use either.

        Args:
            since: unix seconds by the box's clock; later samples only.
            limit: at most so many, evenly thinned out where there are more.
        """
        found: builtins.list[dict[str, Any]] = self._ask("samples", timeout_s, since=since, limit=limit)["samples"]
        return found

    def arm_deadman(self, order: DeadmanOrder, *, timeout_s: float = 90) -> DeadmanStatus:
        """Give the box its order, or a new one: it proves that its own key works, and guards from now on.

        A box whose key could not be proven is armed all the same, and tries when its time comes: look at
        `DeadmanStatus.proof`. Its process needs no laptop and survives everything but the end of the container, after
        which the container's start script brings it back.

        Raises:
            DeadmanNotArmed: the process could not be started there.
        """
        deadline = time.monotonic() + timeout_s
        transport = self._open_channel(deadline).transport
        agent = self._installed
        # Not over the agent's channel: that one was started without the login's environment, which holds the box's key.
        command = shlex.join([agent.python, "-E", "-S", "-u", agent.folder, "deadman", agent.root])
        done = transport.run(command, stdin=json.dumps(order.to_json()).encode(), timeout_s=timeout_s)
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            if line.startswith(DEADMAN_ANSWER):
                answer = json.loads(line.removeprefix(DEADMAN_ANSWER))
                if "error" in answer:
                    raise DeadmanNotArmed(f"the box did not arm its dead-man: {answer['error']}")
                return DeadmanStatus.from_json(answer["ok"])
        raise DeadmanNotArmed(f"the box did not arm its dead-man: {done.last_lines() or 'it said nothing'}")

    def deadman_status(self, *, timeout_s: float = 20) -> DeadmanStatus:
        """How the dead-man stands: its order, its proof, and how near it is to acting."""
        return DeadmanStatus.from_json(self._ask("deadman_status", timeout_s))

    def snapshot_sqlite(self, path: str, to: str, *, timeout_s: float = 120) -> SqliteCopy:
        """Make a consistent copy of a database that a job may be writing, both below the root.

        The copy is one file without a journal. The writer is not disturbed: no lock is taken on its database.
        """
        answer = self._ask("snapshot_sqlite", timeout_s, path=path, to=to)
        return SqliteCopy(str(answer["path"]), int(answer["size"]), str(answer["sha256"]))

    def hello(self, *, timeout_s: float = 20) -> dict[str, Any]:
        """`root`, `python`, `system`, `pid` and `time` (unix seconds by the box's clock)."""
        return self._ask("hello", timeout_s)

    def close(self) -> None:
        """Close the channel; jobs go on. A transport that was given stays open, one from `reconnect` is closed."""
        self._closed = True
        self._channel.close()
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, operation: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        values: dict[str, Any] = self._call(operation, arguments, b"", timeout_s).header["ok"]
        return values

    def _call(self, operation: str, arguments: dict[str, Any], payload: bytes, timeout_s: float) -> Answer:
        deadline = time.monotonic() + timeout_s
        pause_s = 0.0
        while True:
            try:
                channel = self._open_channel(deadline)
                answer = channel.call(operation, arguments, payload, timeout_s=max(0.1, deadline - time.monotonic()))
                break
            except HOPELESS:
                raise
            except TransportError as error:
                hopeless = self._closed or (self._reconnect is None and not self._transport.alive)
                if hopeless or time.monotonic() + pause_s >= deadline:
                    raise _as_lost(error) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s or FIRST_PAUSE_S, LONGEST_PAUSE_S)
        failure = answer.header.get("error")
        if failure:
            kind = _ERRORS.get(failure["type"])
            raise kind(failure["message"]) if kind else AgentError(f"{failure['type']}: {failure['message']}")
        return answer

    def _open_channel(self, deadline: float) -> AgentChannel:
        """The living channel. A dead one is replaced once for all callers, who wait no longer than their own limit."""
        with self._lock:
            if self._channel.alive:
                return self._channel
            if self._closed:
                raise ConnectionLost("this agent was closed")
            if self._opening is None:
                self._opening = Future()
                threading.Thread(target=self._reopen, args=(self._opening,), name="agent-reopen", daemon=True).start()
            opening = self._opening
        try:
            return opening.result(max(0.1, deadline - time.monotonic()))
        except FutureTimeout as error:
            raise ConnectionLost("the box was not reached again within the limit") from error

    def _channel_over(self, transport: Transport) -> AgentChannel:
        """The agent that was there before, started again; a box that lost it gets it anew."""
        try:
            return AgentChannel(transport, self._installed)
        except TransportError:
            if not transport.alive:
                raise
            return AgentChannel(transport, install_agent(transport, self.root))

    def _reopen(self, opening: Future[AgentChannel]) -> None:
        try:
            transport = self._transport
            if not transport.alive and self._reconnect is not None:
                transport = self._reconnect()
            channel = self._channel_over(transport)
        except BaseException as error:  # noqa: BLE001 - every caller that waits must hear of it
            with self._lock:
                self._opening = None
            opening.set_exception(error)
            return
        with self._lock:
            self._opening = None
            dead, self._channel = self._channel, channel
            if transport is not self._transport:
                outgrown, self._owned, self._transport = self._owned, transport, transport
            else:
                outgrown = None
            closed = self._closed
        dead.close()
        if outgrown is not None:
            outgrown.close()
        if closed:
            self.close()
        opening.set_result(channel)


def _as_lost(error: TransportError) -> TransportError:
    """Callers of the agent know one word for a box that cannot be reached; why is in the text."""
    return error if isinstance(error, ConnectionLost) else ConnectionLost(str(error))
