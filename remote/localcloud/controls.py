"""What an operator or a test asks of a running marketplace beyond vast.ai's surface: scenarios, faults, its state."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.localcloud.daemon import address

ANSWER_LIMIT_S = 30.0

NOT_MODELLED = (
    "real GPUs (the cards are names; work runs on this machine's CPU)",
    "the contents of docker images (every box has this machine's Python libraries and nothing of Spotter)",
    "isolation (a box's commands run as you, in a home of their own)",
    "how reliable hosts really are, and real prices",
)
"""What a stranger might believe in and should not."""


class LocalCloudRefused(Exception):
    """The local cloud does not run, or did not take what was asked; the text says which."""


@dataclass(frozen=True, slots=True)
class CloudState:
    """A running marketplace as it describes itself."""

    url: str
    pid: int
    instances: int
    virtual_time: float
    """Virtual unix seconds."""
    speed: float
    scenario: str
    """Its name; empty when there is none, or only rules without a name."""
    seed: int
    rules: int


class Controls:
    """Asks the marketplace of a state folder; every method raises LocalCloudRefused when it does not run."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def state(self) -> CloudState:
        """How it is."""
        found = address(self._state_dir)
        health, clock, scenario = self._ask("GET", "health"), self._ask("GET", "clock"), self._ask("GET", "scenario")
        assert found is not None
        in_force = scenario["in_force"]
        return CloudState(
            url=found.url,
            pid=found.pid,
            instances=health["instances"],
            virtual_time=clock["now"],
            speed=clock["speed"],
            scenario=in_force["name"],
            seed=in_force["seed"],
            rules=len(in_force["rules"]),
        )

    def put_in_force(self, name: str, seed: int = 0) -> None:
        """Replace what is in force by a named scenario."""
        self._ask("POST", "scenario", {"name": name, "seed": seed})

    def add_rule(self, rule: dict[str, Any]) -> None:
        """Add one rule: `{"match": {"op": "create", "chance": 0.2}, "do": {"key_lag_s": 20}}`."""
        self._ask("POST", "scenario", rule)

    def clear(self) -> None:
        """Let everything work again, with fresh credit."""
        self._ask("DELETE", "scenario")

    def fault(self, kind: str, instance_id: int | None = None, **fault: Any) -> list[int]:
        """Let something befall one instance (all with None) now; the ids of those that it befell."""
        answer = self._ask("POST", "fault", {"kind": kind, "instance": instance_id, **fault})
        return [int(each) for each in answer["instances"]]

    def advance(self, seconds: float) -> float:
        """Let virtual seconds pass at once; the virtual time then."""
        return float(self._ask("POST", "clock", {"advance_s": seconds})["now"])

    def _ask(self, method: str, what: str, body: Any = None) -> dict[str, Any]:
        where = address(self._state_dir)
        if where is None:
            raise LocalCloudRefused("the local cloud does not run: start it with `spotter cloud serve`")
        request = urllib.request.Request(  # noqa: S310 (our own loopback address)
            f"{where.url}/_emu/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {where.api_key}"},
        )
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=ANSWER_LIMIT_S) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())
            raise LocalCloudRefused(f"the local cloud did not take it: {said.get('msg', error.code)}") from error
        except (OSError, ValueError) as error:
            raise LocalCloudRefused(f"the local cloud at {where.url} does not answer: {error}") from error
        assert isinstance(found, dict)
        return found
