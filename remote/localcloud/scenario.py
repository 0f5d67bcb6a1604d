"""Faults on request: rules that make the marketplace, or an instance that it rents, misbehave."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Match(BaseModel):
    """Which calls a rule means."""

    model_config = ConfigDict(extra="forbid")

    op: str
    """Name of the operation, as the routes call it: search, create, list, show, destroy, attach, …"""
    nth: int | None = Field(default=None, ge=1)
    """Only the n-th matching call since the rule was set; without it all of them."""


class Do(BaseModel):
    """What happens then."""

    model_config = ConfigDict(extra="forbid")

    delay_s: float = Field(default=0, ge=0)
    """The answer is held back this long; the operation itself is done at once."""
    status: int | None = None
    """Answer with this status instead of doing anything."""
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    key_lag_s: float = Field(default=0, ge=0)
    """create: an attached key works only after this long."""
    ssh_refused_s: float = Field(default=0, ge=0)
    """create: the SSH ports refuse connections for this long after the container started."""
    load_s: float = Field(default=0, ge=0)
    """create: the pull lasts this much longer, with one frozen message."""
    pull_error: str | None = None
    """create: the pull never ends, and this stands in the status message."""
    wrong_container_id: bool = False
    """create: the container believes to be another instance."""


class Rule(BaseModel):
    """`{"match": {"op": "create", "nth": 2}, "do": {"delay_s": 90}}`."""

    model_config = ConfigDict(extra="forbid")

    match: Match
    do: Do


@dataclass(frozen=True, slots=True)
class Effects:
    """What a rule does to the instance that a create made; kept with the instance."""

    key_lag_s: float = 0.0
    ssh_refused_s: float = 0.0
    load_s: float = 0.0
    pull_error: str | None = None
    wrong_container_id: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)

    @classmethod
    def of(cls, do: Do | None) -> Effects:
        """The part of a rule that concerns the instance."""
        if do is None:
            return cls()
        return cls(do.key_lag_s, do.ssh_refused_s, do.load_s, do.pull_error, do.wrong_container_id)


@dataclass(slots=True)
class Scenario:
    """The rules in force, and how often each one's operation was called."""

    rules: list[Rule] = field(default_factory=list)
    _calls: list[int] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self.rules.append(rule)
        self._calls.append(0)

    def clear(self) -> None:
        """Behave well again."""
        self.rules.clear()
        self._calls.clear()

    def next(self, operation: str) -> Do | None:
        """What the next call of `operation` shall suffer; counts the call."""
        hit: Do | None = None
        for index, rule in enumerate(self.rules):
            if rule.match.op != operation:
                continue
            self._calls[index] += 1
            if rule.match.nth is None or rule.match.nth == self._calls[index]:
                hit = hit or rule.do
        return hit
