"""Faults on request: rules that make the marketplace, or an instance that it rents, misbehave; seeded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from remote.localcloud.effects import Effects

RANGED = ("_s", "_ms", "_gb", "_mbps", "_per_s")
"""Endings of the figures that may be given as [least, most]."""


class Match(BaseModel):
    """Which calls a rule means."""

    model_config = ConfigDict(extra="forbid")

    op: str | list[str]
    """Names of operations, as the routes call them: search, create, list, show, destroy, attach, …; `any` is all."""
    nth: int | None = Field(default=None, ge=1)
    """Only the n-th matching call since the rule was set; without it all of them."""
    first: int | None = Field(default=None, ge=1)
    """Only so many matching calls, from the first on."""
    chance: float | None = Field(default=None, ge=0, le=1)
    """Only this share of them, drawn by the scenario's seed and the number of the call."""


class Do(Effects):
    """What happens then: to the answer of the call, and (create only) to the instance."""

    delay_s: float = Field(default=0, ge=0)
    """The answer is held back this long; the operation itself is done at once."""
    status: int | None = None
    """Answer with this status instead of doing anything."""
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    lose_answer: bool = False
    """The operation is done, then the connection is cut without a word."""
    withdraw: bool = False
    """create: nobody will be offered this machine again."""
    refuse_but_keep: bool = False
    """create: the answer is `success: false` and names the stopped instance that it left."""

    def effects(self) -> Effects:
        """The part that concerns the instance."""
        return Effects.model_validate(self.model_dump(include=set(Effects.model_fields)))


class Rule(BaseModel):
    """`{"match": {"op": "create", "nth": 2}, "do": {"delay_s": 90}}`; figures may be `[least, most]`."""

    model_config = ConfigDict(extra="forbid")

    match: Match
    do: dict[str, Any]

    @field_validator("do")
    @classmethod
    def _is_a_do(cls, value: dict[str, Any]) -> dict[str, Any]:
        Do.model_validate(drawn(value, Random(0)))  # noqa: S311 - a reproducible draw is the point
        return value


class World(BaseModel):
    """What holds for the whole marketplace while a scenario is in force."""

    model_config = ConfigDict(extra="forbid")

    min_intervals: bool = False
    """Refuse calls that come sooner than vast.ai's published interval of their endpoint."""
    searches_per_day: int | None = Field(default=None, ge=0)
    """Searches that a day (UTC, virtual) allows; then 429 until midnight."""
    accept_rented: bool = False
    """A create on a rented offer succeeds; its container never starts."""
    credit_usd: float | None = None
    """What the account has when the scenario begins."""


@dataclass(slots=True)
class Scenario:
    """The rules in force, and how often each one's operation was called."""

    rules: list[Rule] = field(default_factory=list)
    world: World = field(default_factory=World)
    seed: int = 0
    name: str = ""
    _calls: list[int] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self.rules.append(rule)
        self._calls.append(0)

    def clear(self) -> None:
        """Behave well again."""
        self.rules.clear()
        self._calls.clear()
        self.world = World()
        self.seed, self.name = 0, ""

    def next(self, operation: str) -> Do | None:
        """What the next call of `operation` shall suffer; counts the call. The first rule that hits decides."""
        hit: Do | None = None
        for index, rule in enumerate(self.rules):
            if not _means(rule.match, operation):
                continue
            self._calls[index] += 1
            number = self._calls[index]
            draw = Random(f"{self.seed}:{index}:{number}")  # noqa: S311 - a reproducible draw is the point
            if hit is None and _hits(rule.match, number, draw):
                hit = Do.model_validate(drawn(rule.do, draw))
        return hit

    def dump(self) -> str:
        """All of it, for the next daemon."""
        return json.dumps(
            {
                "rules": [rule.model_dump(mode="json") for rule in self.rules],
                "world": self.world.model_dump(),
                "seed": self.seed,
                "name": self.name,
                "calls": self._calls,
            }
        )

    @classmethod
    def load(cls, text: str | None) -> Scenario:
        """What `dump` wrote."""
        if text is None:
            return cls()
        value = json.loads(text)
        rules = [Rule.model_validate(each) for each in value["rules"]]
        return cls(rules, World.model_validate(value["world"]), value["seed"], value["name"], value["calls"])


def drawn(value: Any, draw: Random) -> Any:
    """`value` with every range `[least, most]` of a figure replaced by one number from it."""
    if isinstance(value, dict):
        return {name: _one_of(name, each, draw) for name, each in value.items()}
    if isinstance(value, list):
        return [drawn(each, draw) for each in value]
    return value


def _one_of(name: str, value: Any, draw: Random) -> Any:
    is_range = name.endswith(RANGED) and isinstance(value, list) and len(value) == 2
    if is_range and all(isinstance(each, int | float) for each in value):
        return draw.uniform(*value)
    return drawn(value, draw)


def _means(match: Match, operation: str) -> bool:
    names = [match.op] if isinstance(match.op, str) else match.op
    return operation in names or "any" in names


def _hits(match: Match, number: int, draw: Random) -> bool:
    if match.nth is not None and number != match.nth:
        return False
    if match.first is not None and number > match.first:
        return False
    return match.chance is None or draw.random() < match.chance
