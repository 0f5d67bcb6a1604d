"""When a box is given back: an order, the facts of a moment, and the decision that follows from both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from remote.agent.deadman_order import DeadmanOrder, DeadmanProof
from remote.agent.files import write_atomically
from remote.agent.moment import Moment


@dataclass(frozen=True)
class Armed:
    """An order, the moment at which it was given, and the proof that was had then."""

    order: DeadmanOrder
    given: Moment
    proof: DeadmanProof

    @classmethod
    def read(cls, folder: Path) -> Armed | None:
        """What the box was told; None when it never was."""
        try:
            values = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        proof = DeadmanProof(**values["proof"])
        return cls(DeadmanOrder.from_json(values["order"]), Moment(**values["given"]), proof)

    def write(self, folder: Path) -> None:
        """Keep it for the process and for its successors."""
        values = {"order": self.order.to_json(), "given": self.given.to_json(), "proof": vars(self.proof)}
        write_atomically(folder / "order.json", json.dumps(values).encode())

    def left_s(self, now: Moment) -> float:
        """Until the deadline; set anew by the wall clock only at the first look after a boot."""
        return self.order.deadline_at - self.given.at - now.seconds_since(self.given)


@dataclass(frozen=True)
class Facts:
    """All that a decision looks at."""

    deadline_in_s: float
    idle_for_s: float
    gpu_idle_for_s: float | None


@dataclass(frozen=True)
class Decision:
    """What to do, and why."""

    cause: str
    """deadline | idle | gpu"""
    action: str
    reason: str


def decide(order: DeadmanOrder, facts: Facts) -> Decision | None:
    """What the order says of these facts; None: nothing yet."""
    idle_action = order.idle_action or order.action
    if facts.deadline_in_s <= 0:
        return Decision("deadline", order.action, "its deadline is over")
    if order.idle_s is not None and facts.idle_for_s >= order.idle_s:
        reason = f"for {facts.idle_for_s:.0f} s there was no job, and no word from the laptop"
        return Decision("idle", idle_action, reason)
    if order.gpu_idle_s is not None and facts.gpu_idle_for_s is not None and facts.gpu_idle_for_s >= order.gpu_idle_s:
        reason = f"for {facts.gpu_idle_for_s:.0f} s every GPU was below {order.gpu_idle_below_percent:g} %"
        return Decision("gpu", idle_action, reason)
    return None
