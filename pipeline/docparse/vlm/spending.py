"""The purse: what the run spent on the analyst, and the cap that holds whatever happens to an answer.

Before a request is sent, the most that it can cost is set aside, on disk. When its answer came the true price takes its
place; when the server says that it did not answer (an HTTP error), nothing does. When nobody knows, because the line
was cut or this process was killed, the whole of it stays counted as spent: the server may have charged it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import Interrupted, StageCrash
from pipeline.core.files import LineFile, read_lines
from pipeline.docparse.vlm.answers import FOLDER, AnswerFolder
from pipeline.docparse.vlm.bodies import hear
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.tokens import usd

FILE = "spending.jsonl"


class CapReached(StageCrash):
    """What is left of the cap does not cover the next question."""


@dataclass(slots=True)
class _Ticket:
    key: str
    reserved_usd: float
    spent_usd: float | None = None
    flying: bool = True
    """Its request is under way in this process."""

    @property
    def counted_usd(self) -> float:
        return self.reserved_usd if self.spent_usd is None else self.spent_usd


def paid_usd(run_dir: Path) -> float:
    """What a run's questions cost over all its sessions, or may have cost where no answer was heard; 0 without any."""
    return sum(ticket.counted_usd for ticket in _read(run_dir / FOLDER / FILE).values())


def _read(path: Path) -> dict[int, _Ticket]:
    tickets: dict[int, _Ticket] = {}
    for line in read_lines(path):
        number = int(line["ticket"])
        if "reserved_usd" in line:
            tickets[number] = _Ticket(str(line["request"]), float(line["reserved_usd"]), flying=False)
        elif number in tickets:
            tickets[number].spent_usd = float(line["spent_usd"])
    return tickets


class Purse:
    """Counts money over all sessions of a run. Thread-safe; one process at a time, the one that holds the run."""

    def __init__(
        self, params: OpenAiParams, answers: AnswerFolder, cap_usd: float | None, stop: threading.Event
    ) -> None:
        """`stop`: whoever waits for money gives up."""
        self._params = params
        self._stop = stop
        self._cap_usd = cap_usd
        self._changed = threading.Condition()
        self._scale = 1.0
        """How far the server's count of a question went beyond the bound here; set aside accordingly from then on."""
        path = answers.path / FILE
        self._tickets = _read(path)
        self._lines = LineFile(path)
        self._settle_kept(answers)

    def _settle_kept(self, answers: AnswerFolder) -> None:
        """Answers that came just before an earlier process was killed are paid at their true price."""
        for number, ticket in self._tickets.items():
            if ticket.spent_usd is not None:
                continue
            answer = answers.find(ticket.key)
            if answer is not None and answer.ticket == number:
                self.settle(number, self.price_of(answer.raw))

    @property
    def spent_usd(self) -> float:
        """What is spent, or may be."""
        with self._changed:
            return sum(ticket.counted_usd for ticket in self._tickets.values())

    @property
    def unanswered_usd(self) -> float:
        """What is counted for requests whose answers never arrived."""
        with self._changed:
            open_tickets = [ticket for ticket in self._tickets.values() if ticket.spent_usd is None]
            return sum(ticket.reserved_usd for ticket in open_tickets if not ticket.flying)

    def price_of(self, raw: object) -> float | None:
        """What an answer cost by the server's own count; None when it did not count."""
        heard = hear(self._params.api, raw)
        if heard.usage is None:
            return None
        return usd(self._params, heard.usage.input_tokens, heard.usage.output_tokens, heard.usage.cached_tokens)

    def note_count(self, input_bound: int, input_tokens: int) -> None:
        """Learn from a server that counts a question as more than the bound says."""
        with self._changed:
            self._scale = max(self._scale, input_tokens / max(1, input_bound))

    def reserve(self, key: str, input_bound: int, output_bound: int, *, wait: bool = True) -> int:
        """Set aside what a request can cost at most; returns the reservation's number.

        What other requests in flight give back is waited for, unless told not to `wait`.

        Raises:
            CapReached: it might pass the cap.
            Interrupted: the run was asked to stop meanwhile.
        """
        with self._changed:
            while True:
                worst = usd(self._params, input_bound * self._scale, output_bound) or 0.0
                if self._cap_usd is None:
                    break
                spent = sum(ticket.counted_usd for ticket in self._tickets.values())
                if spent + worst <= self._cap_usd:
                    break
                flying = any(ticket.flying and ticket.spent_usd is None for ticket in self._tickets.values())
                if not (flying and wait):
                    raise CapReached(self._words(spent, worst))
                if self._stop.is_set():
                    raise Interrupted("stopped while it waited for what other questions give back")
                self._changed.wait(0.2)
            number = max(self._tickets, default=0) + 1
            self._lines.append([{"ticket": number, "request": key, "reserved_usd": worst}], sync=True)
            self._tickets[number] = _Ticket(key, worst)
            return number

    def _words(self, spent: float, worst: float) -> str:
        assert self._cap_usd is not None
        lost = sum(t.reserved_usd for t in self._tickets.values() if t.spent_usd is None and not t.flying)
        unheard = f", ${lost:.4f} of it for questions whose answers never arrived" if lost else ""
        return (
            f"the analyst's cap of ${self._cap_usd:.2f} is reached: ${spent:.4f} is spent{unheard}, and the next "
            f"question may cost ${worst:.4f}. What was answered is kept; go on with a higher cap: "
            f"{CAP_VARIABLE}=USD in front of the same command with --resume"
        )

    def settle(self, number: int, spent_usd: float | None) -> None:
        """The answer of a request is kept; a price that nobody counted stays at the most that it can be."""
        with self._changed:
            ticket = self._tickets[number]
            ticket.spent_usd = ticket.reserved_usd if spent_usd is None else spent_usd
            ticket.flying = False
            self._lines.append([{"ticket": number, "spent_usd": ticket.spent_usd}])
            self._changed.notify_all()

    def release(self, number: int) -> None:
        """The server did not answer, and says so: nothing was spent."""
        self.settle(number, 0.0)

    def lose(self, number: int) -> None:
        """Nobody knows whether the server answered: what was set aside stays counted."""
        with self._changed:
            self._tickets[number].flying = False
            self._changed.notify_all()

    def is_open(self, number: int) -> bool:
        """Whether nothing is known yet of what became of a request."""
        with self._changed:
            return self._tickets[number].spent_usd is None

    def fly_again(self, number: int) -> None:
        """A reservation of an earlier process whose answer is still to be had, as a batch's are."""
        with self._changed:
            self._tickets[number].flying = True

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


CAP_VARIABLE = "ANALYST_MAX_USD"
"""In the environment, it takes the place of the run's own `max_usd`, so that a run can go on with a higher one."""


def cap_of(params: OpenAiParams, environment: Mapping[str, str]) -> float | None:
    """What may be spent: as the environment says, else as the run's parameters do; None: no cap.

    Raises:
        StageCrash: the environment says no amount, or there are no prices to count with.
    """
    said = environment.get(CAP_VARIABLE, "").strip()
    if not said:
        return params.max_usd
    try:
        cap_usd = float(said)
    except ValueError:
        cap_usd = 0.0
    if not (0 < cap_usd < float("inf")):
        raise StageCrash(f"{CAP_VARIABLE}={said} is no amount of dollars: say for example {CAP_VARIABLE}=5")
    if not params.priced:
        raise StageCrash(f"{CAP_VARIABLE} needs prices to count with: plan the run with analyst.usd_per_1m_input and "
                         "analyst.usd_per_1m_output")  # fmt: skip
    return cap_usd
