"""What only the emulator has: its clock, its scenarios, faults on request, and its end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from remote.localcloud.api.requests import object_of
from remote.localcloud.effects import Fault
from remote.localcloud.fleet import Fleet
from remote.localcloud.replies import failure, reply
from remote.localcloud.scenario import Rule, Scenario, World
from remote.localcloud.scenarios import NAMED
from remote.localcloud.store import FIRST_CREDIT_USD, Store
from remote.localcloud.timers import Timers

SCENARIO_NOTE = "scenario"


class NamedScenario(BaseModel):
    """`{"name": "slow_pull", "seed": 7}`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    seed: int = 0


class InstanceFault(Fault):
    """A fault now, for one instance or for all of them."""

    instance: int | None = None


class ControlRoutes:
    """Handlers of `/_emu/`."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        timers: Timers,
        scenario: Scenario,
        *,
        forget: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        """Handlers.

        Args:
            forget: undoes what earlier scenarios did to the market.
            end: ends the daemon.
        """
        self._store = store
        self._fleet = fleet
        self._timers = timers
        self._scenario = scenario
        self._forget = forget
        self._end = end

    def table(self) -> list[web.RouteDef]:
        """Every route."""
        return [
            web.get("/_emu/health", self.health),
            web.get("/_emu/clock", self.clock),
            web.post("/_emu/clock", self.step_clock),
            web.get("/_emu/scenario", self.scenario),
            web.post("/_emu/scenario", self.set_scenario),
            web.delete("/_emu/scenario", self.clear_scenario),
            web.post("/_emu/fault", self.fault),
            web.post("/_emu/stop", self.stop),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """That it lives, and that it is emulated."""
        return reply({"emulated": True, "pid": os.getpid(), "instances": len(self._store.contracts())})

    async def clock(self, _request: web.Request) -> web.Response:
        """The virtual time."""
        return reply(self._time())

    async def step_clock(self, request: web.Request) -> web.Response:
        """Jump ahead, by `advance_s` or to `until`; everything that became due has happened when the answer comes."""
        body = await object_of(request)
        try:
            until = float(body["until"]) if "until" in body else self._timers.now() + float(body["advance_s"])
        except (KeyError, TypeError, ValueError):
            return failure(400, "invalid_args", "advance_s (seconds) or until (a virtual moment) must be a number")
        await self._timers.jump_to(until)
        return reply(self._time())

    async def scenario(self, _request: web.Request) -> web.Response:
        """What is in force, and what there is."""
        names = {name: each.about for name, each in NAMED.items()}
        return reply({"in_force": json.loads(self._scenario.dump()), "named": names})

    async def set_scenario(self, request: web.Request) -> web.Response:
        """Put a named scenario in force in place of all others, or add one rule, or change the world."""
        body = await object_of(request)
        try:
            if "name" in body:
                wanted = NamedScenario.model_validate(body)
                if wanted.name not in NAMED:
                    known = ", ".join(NAMED)
                    return failure(404, "no_such_scenario", f"{wanted.name!r} is none of {known}")
                self.put_in_force(wanted.name, wanted.seed)
            elif "world" in body:
                self._scenario.world = World.model_validate(body["world"])
                self._begin_world(self._scenario.world)
            else:
                self._scenario.seed = int(body.pop("seed", self._scenario.seed))
                self._scenario.add(Rule.model_validate(body))
        except ValidationError as error:
            return _invalid(error)
        self._store.remember(SCENARIO_NOTE, self._scenario.dump())
        return reply({"success": True, "rules": len(self._scenario.rules)})

    def put_in_force(self, name: str, seed: int) -> None:
        """Replace whatever is in force by a named scenario; its name must be known."""
        self._forget()
        NAMED[name].put_in_force(self._scenario, name, seed)
        self._begin_world(self._scenario.world)
        self._store.remember(SCENARIO_NOTE, self._scenario.dump())

    async def clear_scenario(self, _request: web.Request) -> web.Response:
        """Behave well again. Instances keep what is wrong with them; the account is given fresh credit."""
        self._scenario.clear()
        self._forget()
        self._fleet.accounts.grant(FIRST_CREDIT_USD)
        self._store.remember(SCENARIO_NOTE, self._scenario.dump())
        return reply({"success": True})

    async def fault(self, request: web.Request) -> web.Response:
        """Let something befall one instance, or all that run."""
        try:
            wanted = InstanceFault.model_validate_json(await request.text())
        except ValidationError as error:
            return _invalid(error)
        struck = [each for each in self._store.contracts() if wanted.instance in (None, each.id)]
        if not struck:
            return failure(404, "no_such_instance", "there is no such instance")
        for contract in struck:
            await self._fleet.happen(contract, wanted)
        return reply({"success": True, "instances": [each.id for each in struck]})

    async def stop(self, _request: web.Request) -> web.Response:
        """Destroy every instance and end."""
        await self._fleet.destroy_all()
        self._end()
        return reply({"success": True})

    def _begin_world(self, world: World) -> None:
        if world.credit_usd is not None:
            self._fleet.accounts.grant(world.credit_usd)

    def _time(self) -> dict[str, Any]:
        formula = self._timers.formula
        return {"now": self._timers.now(), "speed": formula.speed, "advanced_s": formula.advanced_s}


def _invalid(error: ValidationError) -> web.Response:
    first = error.errors()[0]
    return failure(400, "invalid_rule", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
