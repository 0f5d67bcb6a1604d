"""Files: look around on a box, below the folder in which Spotter works there. Nothing is changed."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from console.operations.session import Session

if TYPE_CHECKING:
    from remote.jobs import Agent, RemoteFolder


class RemoteFiles:
    """Folders of one box, over one connection that is opened by the first look and kept until `close`.

    Call it from threads; looks follow one another. An operator who looks at files uses the box: it does not count as
    idle meanwhile.
    """

    def __init__(self, session: Session, instance_id: int) -> None:
        self._session = session
        self._instance_id = instance_id
        self._stack = ExitStack()
        self._agent: Agent | None = None
        self._closed = False
        self._lock = threading.Lock()

    def folder(self, path: str, *, limit: int = 5000) -> RemoteFolder:
        """What lies in a folder; `path` is below Spotter's folder there, `.` is that folder itself.

        Raises:
            InstanceGone: there is nothing to reach.
            remote.transport.TransportError: the box cannot be reached, and why.
            remote.jobs.AgentError: there is no such folder, it cannot be read, or it lies elsewhere.
        """
        from console.operations.services import agent_of

        with self._lock:
            if self._agent is None:
                self._agent = self._stack.enter_context(agent_of(self._session, self._instance_id))
            try:
                return self._agent.folder(path, limit=limit)
            finally:
                if self._closed:
                    self._stack.close()

    def close(self) -> None:
        """Let the connection go; a look that is under way ends first."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._agent = None
                self._stack.close()
            finally:
                self._lock.release()
