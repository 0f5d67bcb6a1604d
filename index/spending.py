"""The purse of one command: what its requests cost, and a cap that holds whatever becomes of an answer.

Before a request is sent, the most that it can cost is set aside. When its answer came, the server's own count takes the
place of that; when the server says that it did not answer, nothing does. When nobody knows, because the line was cut or
no answer came in time, the whole of it stays counted: the server may have charged it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from index.errors import IndexProblem


class CapReached(IndexProblem):
    """What is left of the cap does not cover the next request; what was answered is kept."""


class Stopped(IndexProblem):
    """The work was given up while a request waited for its turn."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent so far, or may have been."""

    usd: float
    unanswered_usd: float
    """Part of `usd` that is counted for requests whose answers never arrived."""
    requests: int
    input_tokens: int
    """By the server's count."""
    output_tokens: int


@dataclass(slots=True)
class _Ticket:
    reserved_usd: float
    spent_usd: float | None = None
    flying: bool = True

    @property
    def counted_usd(self) -> float:
        return self.reserved_usd if self.spent_usd is None else self.spent_usd


class Purse:
    """Counts the money of one command; thread-safe."""

    def __init__(self, cap_usd: float | None = None, stop: threading.Event | None = None) -> None:
        """`stop`: whoever waits for money gives up."""
        self.cap_usd = cap_usd
        self._stop = stop or threading.Event()
        self._tickets: list[_Ticket] = []
        self._changed = threading.Condition()
        self._scale = 1.0
        self._input_tokens = self._output_tokens = 0

    @property
    def spent(self) -> Spent:
        """The account as it stands."""
        with self._changed:
            return Spent(
                sum(ticket.counted_usd for ticket in self._tickets),
                self._lost_usd(),
                len(self._tickets),
                self._input_tokens,
                self._output_tokens,
            )

    def reserve(self, at_most_usd: float) -> int:
        """Set aside what a request can cost at most; waits for what other requests in flight give back.

        Raises:
            CapReached: it might pass the cap.
            Stopped: the work was given up meanwhile.
        """
        with self._changed:
            while True:
                worst_usd = at_most_usd * self._scale
                spent_usd = sum(ticket.counted_usd for ticket in self._tickets)
                if self.cap_usd is None or spent_usd + worst_usd <= self.cap_usd:
                    self._tickets.append(_Ticket(worst_usd))
                    return len(self._tickets) - 1
                if not any(ticket.flying for ticket in self._tickets):
                    raise CapReached(self._words(spent_usd, worst_usd))
                if self._stop.is_set():
                    raise Stopped("Stopped while it waited for what other requests give back.")
                self._changed.wait(0.2)

    def settle(self, number: int, spent_usd: float, input_tokens: int, output_tokens: int) -> None:
        """A request was answered and the server counted it."""
        with self._changed:
            self._input_tokens += input_tokens
            self._output_tokens += output_tokens
            ticket = self._tickets[number]
            if ticket.reserved_usd > 0:  # a server that counts more than the bound: set aside accordingly from now on
                self._scale = max(self._scale, self._scale * spent_usd / ticket.reserved_usd)
            ticket.spent_usd, ticket.flying = spent_usd, False
            self._changed.notify_all()

    def release(self, number: int) -> None:
        """The server did not answer, and says so: nothing was spent."""
        with self._changed:
            self._tickets[number].spent_usd, self._tickets[number].flying = 0.0, False
            self._changed.notify_all()

    def lose(self, number: int) -> None:
        """Nobody knows whether the server answered: what was set aside stays counted."""
        with self._changed:
            self._tickets[number].flying = False
            self._changed.notify_all()

    def _lost_usd(self) -> float:
        return sum(t.reserved_usd for t in self._tickets if t.spent_usd is None and not t.flying)

    def _words(self, spent_usd: float, worst_usd: float) -> str:
        assert self.cap_usd is not None
        lost = self._lost_usd()
        unheard = f", {dollars(lost)} of it for requests whose answers never arrived" if lost else ""
        return (
            f"The cap of {dollars(self.cap_usd)} is reached: {dollars(spent_usd)} is spent{unheard}, and the next "
            f"request may cost {dollars(worst_usd)}; what was answered is kept, go on with a higher --max-usd."
        )


def dollars(usd: float) -> str:
    """Cents, and of less than one the first digit that is not 0: no price but 0 is shown as 0."""
    if usd >= 0.01 or usd == 0:
        return f"${usd:.2f}"
    return f"${usd:.1g}" if usd >= 0.0001 else "less than $0.0001"
