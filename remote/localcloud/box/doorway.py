"""One listening port of a box, which can be made to refuse, to swallow or to accept connections and say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from remote.localcloud.box.settings import DoorState

BACKLOG = 64
HOST = "127.0.0.1"


class Doorway:
    """A port of loopback. It is bound at once and refuses connections until it is opened; its number never changes.

    That a full queue drops newcomers is how Linux does it; where a system refuses them instead, a blackhole is a
    refusal.
    """

    def __init__(self, admit: Callable[[socket.socket], None]) -> None:
        self._admit = admit
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind((HOST, 0))
        # Set only now, so that the port that was given is nobody else's; it lets `_refuse` bind the same one again.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = int(self._socket.getsockname()[1])
        self._state: DoorState = "refused"
        self._held: list[socket.socket] = []

    def become(self, state: DoorState) -> None:
        """Behave like `state` from now on; connections that were let in stay."""
        if state == self._state:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._let_go()
        self._state = state
        if state == "refused":
            self._refuse()
        elif state == "blackhole":
            self._swallow()
        else:
            self._socket.listen(BACKLOG)
            self._socket.setblocking(False)
            loop.add_reader(self._socket, self._accept)

    def _refuse(self) -> None:
        self._socket.close()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, self.port))

    def _swallow(self) -> None:
        """Fill the queue of connections with one of our own: the system drops whoever comes after it."""
        self._socket.listen(0)
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        filler.setblocking(False)
        filler.connect_ex((HOST, self.port))
        self._held.append(filler)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _address = self._socket.accept()
            client.setblocking(False)
            if self._state == "open":
                self._admit(client)
            else:
                self._held.append(client)

    def _let_go(self) -> None:
        if self._state == "blackhole":
            self._drop_waiting()
        for each in self._held:
            each.close()
        self._held.clear()

    def _drop_waiting(self) -> None:
        """Close the connection that filled the queue, so that nobody serves it."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                self._socket.accept()[0].close()
