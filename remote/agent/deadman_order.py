"""What the dead-man of a box is told, and what it says of itself, in the words that laptop and box share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

DEADMAN_ANSWER = "spotter-deadman "
"""Begins the line with which the program answers an order: a login may print greetings of its own."""
ACTIONS = ("destroy", "stop")
T = TypeVar("T")


class BadOrder(ValueError):
    """An order that makes no sense; the text says why."""


@dataclass(frozen=True)
class DeadmanOrder:
    """When a box gives itself back. There is no order to stand down: only a new one, with another deadline.

    Raises:
        BadOrder: a value makes no sense.
    """

    deadline_at: float
    """Unix seconds by the box's clock: `action` begins then, whatever runs."""
    idle_s: float | None = None
    """So long without a job and without a word from the laptop: `idle_action`. None never."""
    gpu_idle_s: float | None = None
    """So long with every GPU below `gpu_idle_below_percent`: `idle_action`, though jobs run. None never."""
    gpu_idle_below_percent: float = 5.0
    action: str = "destroy"
    """destroy ends the bill and loses the disk; stop ends the GPU's bill and keeps both the disk and its bill."""
    grace_s: float = 60.0
    """From the decision to the action: jobs are cancelled and may finish what they have in hand."""
    idle_action: str | None = None
    """None: the same as `action`."""

    def __post_init__(self) -> None:
        limits = [each for each in (self.idle_s, self.gpu_idle_s) if each is not None]
        numbers = [self.deadline_at, self.grace_s, *limits]
        if not all(isinstance(each, (int, float)) and math.isfinite(each) and each >= 0 for each in numbers):
            raise BadOrder(f"times of a dead-man's order are finite and not negative: {self}")
        if any(each <= 0 for each in limits):
            raise BadOrder(f"an idle limit of 0 s would end every box at once: {self}")
        if self.action not in ACTIONS or self.idle_action not in (None, *ACTIONS):
            raise BadOrder(f"a dead-man destroys or stops, it knows no {self.action!r} or {self.idle_action!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DeadmanOrder:
        """From `to_json` of this or a newer version."""
        return _known(cls, values)


@dataclass(frozen=True)
class DeadmanProof:
    """Whether the box may give itself back: the cloud's answer to a harmless call with the box's own key."""

    ok: bool
    at: float = 0.0
    http_status: int | None = None
    message: str = ""


@dataclass(frozen=True)
class DeadmanStatus:
    """How the dead-man of a box stands. Times are unix seconds by the box's clock.

    state: absent (never armed) | armed | draining (jobs may finish) | acting (asking the cloud until it confirms) |
    done.
    """

    state: str = "absent"
    alive: bool = False
    """Whether its process runs now; an armed one that is not alive guards nothing."""
    order: DeadmanOrder | None = None
    proof: DeadmanProof | None = None
    """Of the last arming; None: never tried."""
    at: float = 0.0
    """When it wrote this."""
    deadline_in_s: float | None = None
    idle_for_s: float | None = None
    """Since the last job or the laptop's last word."""
    gpu_idle_for_s: float | None = None
    """None without GPU samples, or when the order does not ask."""
    reason: str = ""
    """Of the last decision."""
    message: str = ""
    """The last answer of the cloud, while acting."""
    log: str = ""
    """The file that holds each decision, absolute on the box."""

    @property
    def guards(self) -> bool:
        """Whether the box will surely try to give itself back: it runs, and its key was proven."""
        return self.alive and self.state not in ("absent", "done") and self.proof is not None and self.proof.ok

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DeadmanStatus:
        """From `to_json` of this or a newer version."""
        order, proof = values.get("order"), values.get("proof")
        return _known(
            cls,
            {
                **values,
                "order": DeadmanOrder.from_json(order) if order else None,
                "proof": _known(DeadmanProof, proof) if proof else None,
            },
        )


def _known(kind: type[T], values: Mapping[str, Any]) -> T:
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})
