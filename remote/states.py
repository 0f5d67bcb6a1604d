"""The states of a rental, which follows which, and how long each may last. Data, so that a table test can read it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a rental stands; every change is a row of the ledger."""

    PLANNED = "planned"
    SEARCHED = "searched"
    CLAIMING = "claiming"
    RECONCILING = "reconciling"
    ALLOCATED = "allocated"
    PULLING = "pulling"
    BOOTING = "booting"
    REACHABLE = "reachable"
    AUTHED = "authed"
    VERIFIED = "verified"
    BOOTSTRAPPED = "bootstrapped"
    READY = "ready"
    DRAINING = "draining"
    DISCARD = "discard"
    DESTROYING = "destroying"
    GONE = "gone"
    STOPPED = "stopped"
    LOST = "lost"
    FAILED = "failed"
    """The request ended without a machine."""


_ENDING = frozenset({State.DISCARD, State.DESTROYING})

NEXT: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.SEARCHED, State.ALLOCATED, State.FAILED}),
    State.SEARCHED: frozenset({State.CLAIMING, State.FAILED}),
    State.CLAIMING: frozenset({State.ALLOCATED, State.RECONCILING, State.SEARCHED, State.FAILED}),
    State.RECONCILING: frozenset({State.ALLOCATED, State.SEARCHED, State.FAILED}) | _ENDING,
    State.ALLOCATED: frozenset({State.PULLING, State.BOOTING}) | _ENDING,
    State.PULLING: frozenset({State.BOOTING}) | _ENDING,
    State.BOOTING: frozenset({State.REACHABLE}) | _ENDING,
    State.REACHABLE: frozenset({State.AUTHED, State.BOOTING}) | _ENDING,
    State.AUTHED: frozenset({State.VERIFIED}) | _ENDING,
    State.VERIFIED: frozenset({State.BOOTSTRAPPED, State.READY, State.DRAINING, State.STOPPED, State.LOST}) | _ENDING,
    State.BOOTSTRAPPED: frozenset({State.READY, State.DRAINING, State.STOPPED, State.LOST}) | _ENDING,
    State.READY: frozenset({State.DRAINING, State.STOPPED, State.LOST}) | _ENDING,
    State.DRAINING: frozenset({State.READY, State.STOPPED, State.LOST}) | _ENDING,
    State.STOPPED: frozenset({State.LOST, State.VERIFIED, State.BOOTSTRAPPED, State.READY, State.DRAINING}) | _ENDING,
    State.LOST: frozenset({State.STOPPED, State.VERIFIED, State.BOOTSTRAPPED, State.READY, State.DRAINING}) | _ENDING,
    State.DISCARD: frozenset({State.DESTROYING}),
    State.DESTROYING: frozenset({State.GONE}),
    State.GONE: frozenset({State.SEARCHED, State.FAILED}),
    State.FAILED: frozenset(),
}
"""Which state may follow which; anything else is a mistake in the program."""

IN_USE = frozenset({State.VERIFIED, State.BOOTSTRAPPED, State.READY, State.DRAINING})
"""States of a box that somebody works with, or may."""

ASTRAY = frozenset({State.STOPPED, State.LOST})
"""States of such a box whose cloud stopped it, or whose host is away: it returns to where it was, or is destroyed."""

HOLDS_INSTANCE = frozenset(State) - {State.PLANNED, State.SEARCHED, State.CLAIMING, State.GONE, State.FAILED}
"""States in which money may be running."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each state may last, in seconds, and how far one request may go.

    The figures are those that people who run vast.ai at scale settled on: an image pull shows no progress
    on a healthy slow host, so only a deadline from size and bandwidth bounds it.
    """

    answered_s: float = 90
    """How long the answer to a create that is in flight is waited for when the request is given up."""
    reconciling_s: float = 60
    reconcile_poll_s: float = 3
    allocated_s: float = 180
    pulling_least_s: float = 480
    pulling_most_s: float = 2400
    ports_s: float = 60
    """After this long without a direct port, the proxy alone is tried."""
    connect_s: float = 10
    """Each phase of one attempt to connect: TCP, greeting, authentication."""
    refused_s: float = 180
    """An endpoint that refuses this long after the container ran is given up."""
    silent_s: float = 60
    """One that does not answer at all for this long is given up; a machine without another is rebooted once."""
    rebooted_s: float = 120
    """How long it may take to answer after that."""
    authed_s: float = 90
    """How long our key may be refused; then the container is made anew, once."""
    attach_at_s: tuple[float, ...] = (0, 15, 45)
    verified_s: float = 60
    destroying_s: float = 120
    offline_s: float = 300
    """A box whose host is away for this long is lost: it may come back, but nobody should wait for it."""
    create_spacing_s: float = 5
    """Between two creates of one account, over all its processes: a cloud may sell one offer twice."""
    price_tolerance: float = 0.01
    """How much dearer than its offer (as a share) an instance's row may be without a word."""
    unanswered_s: float = 120
    """How long the cloud's API may be out of reach while an instance is waited for."""
    rentals: int = 4
    rentals_usd: float = 0.50
    rentals_s: float = 3600
    poll_s: float = 5
    """Between two looks at an instance that is changing; each box's own calls are far apart on a real cloud."""

    def pulling_s(self, image_gb: float, download_mbps: float) -> float:
        """Deadline of an image pull: twice what size and bandwidth promise, and three minutes."""
        transfer_s = image_gb * 8000 / max(download_mbps, 1.0)
        wanted = 2 * (transfer_s + image_gb * 6) + 180
        return min(max(wanted, self.pulling_least_s), self.pulling_most_s)


LOOPBACK_LIMITS = Limits(poll_s=0.1, reconcile_poll_s=0.2, create_spacing_s=0)
"""For the emulated cloud: nobody limits how often it is asked."""
