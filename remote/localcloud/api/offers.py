"""The market: searches and creates."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from remote.localcloud.api.requests import V0, object_of
from remote.localcloud.catalogue import BY_OFFER, MACHINES
from remote.localcloud.effects import Effects
from remote.localcloud.fleet import Fleet
from remote.localcloud.query import BadQuery, matches, ordered
from remote.localcloud.replies import failure, reply
from remote.localcloud.rows import offer_row
from remote.localcloud.scenario import Do, Scenario
from remote.localcloud.store import Store
from remote.localcloud.timers import Timers

DEFAULT_STORAGE_GB = 5.0
LEAST_DISK_GB = 8.0
WITHDRAWN = "withdrawn_offers"


class OfferRoutes:
    """Handlers of `/bundles/` and `/asks/`."""

    def __init__(self, store: Store, fleet: Fleet, timers: Timers, scenario: Scenario) -> None:
        self._store = store
        self._fleet = fleet
        self._timers = timers
        self._scenario = scenario

    def table(self) -> list[web.RouteDef]:
        """Every route with the name of its operation."""
        return [
            web.post(f"{V0}/bundles/", self.search, name="search"),
            web.put(f"{V0}/search/asks/", self.search, name="search_asks"),
            web.put(f"{V0}/asks/{{offer:\\d+}}/", self.create, name="create"),
        ]

    async def search(self, request: web.Request) -> web.Response:
        """Rows of the market that pass the query, in its order."""
        body = await object_of(request)
        query = body.get("q", body)
        if not isinstance(query, Mapping):
            return failure(400, "invalid_request", "q must be an object")
        storage_gb = float(query.get("allocated_storage") or DEFAULT_STORAGE_GB)
        rented = self._fleet.rented_offers()
        withdrawn, now = self._withdrawn(), self._timers.now()
        rows = [
            offer_row(
                each,
                storage_gb,
                rented=each.offer_id in rented,
                rentable=each.rentable and each.offer_id not in withdrawn,
                now=now,
            )
            for each in MACHINES
        ]
        try:
            found = ordered([row for row in rows if matches(row, query)], query.get("order") or [["score", "desc"]])
        except BadQuery as error:
            return failure(400, "invalid_request", str(error))
        return reply({"success": True, "offers": found[: int(query.get("limit") or len(found))]})

    async def create(self, request: web.Request) -> web.Response:
        """Rent an offer, if it is still there and the account can pay."""
        body = await object_of(request)
        machine = BY_OFFER.get(int(request.match_info["offer"]))
        do: Do | None = request.get("do")
        if machine is None:
            return failure(404, "no_such_ask", "error 404/3603: no_such_ask: it was never offered")
        if do is not None and do.withdraw:
            self._withdraw(machine.offer_id)
        effects = do.effects() if do is not None else Effects()
        rented = machine.offer_id in self._fleet.rented_offers()
        if rented and self._scenario.world.accept_rented:
            effects = effects.model_copy(update={"stuck_created": ""})
        elif rented or not machine.rentable or machine.offer_id in self._withdrawn():
            if body.get("cancel_unavail", True):
                message = f"error 410/3907: no_such_ask: offer {machine.offer_id} is unavailable"
                return failure(410, "no_such_ask", message)
            effects = effects.model_copy(update={"stopped_at_once": True})
        disk_gb = float(body.get("disk") or 10.0)
        if not body.get("image"):
            return failure(400, "invalid_args", "image is missing")
        if not LEAST_DISK_GB <= disk_gb <= machine.disk_gb:
            return failure(400, "invalid_args", f"disk must be {LEAST_DISK_GB:.0f} to {machine.disk_gb} GB")
        environment = body.get("env") or {}
        if not isinstance(environment, Mapping):
            return failure(400, "invalid_args", "env must be an object")
        if self._store.credit_usd() <= 0:
            return failure(400, "insufficient_credit", "the account has no credit")
        keeps = do is not None and do.refuse_but_keep
        contract = self._fleet.rent(
            {
                "offer_id": machine.offer_id,
                "label": body.get("label"),
                "image": str(body["image"]),
                "disk_gb": disk_gb,
                "environment": {str(name): str(value) for name, value in environment.items()},
                "onstart": body.get("onstart") or "",
                "runtype": body.get("runtype") or "ssh",
                "api_key": secrets.token_hex(32),
            },
            effects.model_copy(update={"stopped_at_once": True}) if keeps else effects,
        )
        answer: dict[str, Any] = {"success": True, "new_contract": contract.id, "instance_api_key": contract.api_key}
        if keeps:
            answer |= {"success": False, "error": "no_such_ask", "msg": "no_such_ask: the offer is unavailable"}
        return reply(answer)

    def withdraw_nothing(self) -> None:
        """Offer every machine again."""
        self._store.remember(WITHDRAWN, "")

    def _withdraw(self, offer_id: int) -> None:
        self._store.remember(WITHDRAWN, " ".join(map(str, sorted({*self._withdrawn(), offer_id}))))

    def _withdrawn(self) -> set[int]:
        return {int(each) for each in (self._store.note(WITHDRAWN) or "").split()}
