"""Tell a box that it is worked with: who sits in Jupyter, in a shell or behind a tunnel asks no agent for anything.

A box's dead-man counts jobs and the laptop's words as use. Without these words it would stop itself under its operator.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from console.operations.services import agent_of
from console.operations.session import Session

FIRST_BEAT_S = 3.0
"""A command that is through by then needs no second connection."""
BEAT_EVERY_S = 60.0
BEATS_PER_LIMIT = 3
END_LIMIT_S = 1.0


class Use:
    """Says every minute that a box is in use, until it is closed. What fails is tried at the next beat.

    A laptop that sleeps says nothing, and so lets the box count as idle.
    """

    def __init__(self, session: Session, instance_id: int) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=_beat, args=(session, instance_id, self._over), name="in-use", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Say no more."""
        self._over.set()
        self._thread.join(END_LIMIT_S)


@contextmanager
def in_use(session: Session, instance_id: int) -> Iterator[None]:
    """A box is in use for as long as the block lasts."""
    use = Use(session, instance_id)
    try:
        yield
    finally:
        use.close()


def _beat(session: Session, instance_id: int, over: threading.Event) -> None:
    idle_s = session.settings.guard.idle_minutes * 60
    every_s = min(BEAT_EVERY_S, idle_s / BEATS_PER_LIMIT) if idle_s else BEAT_EVERY_S
    pause_s = min(FIRST_BEAT_S, every_s)
    while not over.wait(pause_s):
        pause_s = every_s
        try:
            with agent_of(session, instance_id) as agent:
                agent.hello()
                while not over.wait(every_s):
                    agent.hello()
        except Exception:  # noqa: BLE001, S112 - whatever is wrong, what the operator does there tells it better
            continue
