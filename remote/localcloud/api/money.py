"""The account: who pays, and what for."""

from __future__ import annotations

import base64
import json

from aiohttp import web

from remote.localcloud.accounts import charges_between
from remote.localcloud.api.requests import USER_ID, V0
from remote.localcloud.catalogue import DAY_S
from remote.localcloud.fleet import Fleet
from remote.localcloud.replies import failure, reply
from remote.localcloud.store import Store
from remote.localcloud.timers import Timers

PAGE_CHARGES = 500


class MoneyRoutes:
    """Handlers of `/users/` and `/charges/`."""

    def __init__(self, store: Store, fleet: Fleet, timers: Timers) -> None:
        self._store = store
        self._fleet = fleet
        self._timers = timers

    def table(self) -> list[web.RouteDef]:
        """Every route with the name of its operation."""
        return [
            web.get(f"{V0}/users/current", self.user, name="user"),
            web.get(f"{V0}/users/current/", self.user),
            web.get(f"{V0}/charges/", self.charges, name="charges"),
        ]

    async def user(self, _request: web.Request) -> web.Response:
        """Who pays, and what is left."""
        self._fleet.count_traffic()
        credit = self._store.credit_usd()
        return reply(
            {
                "id": USER_ID,
                "username": "emulated",
                "email": "emulated@localhost",
                "email_verified": True,
                "credit": credit,
                "balance": min(0.0, credit),
                "can_pay": credit > 0,
                "has_billing": True,
                "host_agreement_accepted": False,
                "ssh_key": None,
            }
        )

    async def charges(self, request: web.Request) -> web.Response:
        """What each instance cost on the days that `select_filters` names, by kind; a page at a time."""
        try:
            filters = json.loads(request.query["select_filters"])
            day = filters.get("day") or {}
            since = float(day.get("gte", day.get("gt", 0)))
            until = float(day.get("lte", day.get("lt", self._timers.now() + DAY_S)))
            kinds = (filters.get("type") or {}).get("in") or ["instance"]
            limit = min(int(request.query.get("limit") or PAGE_CHARGES), PAGE_CHARGES)
            token = request.query.get("after_token")
            start = int(base64.urlsafe_b64decode(token)) if token else 0
            latest_first = json.loads(request.query.get("latest_first") or "false")
        except (KeyError, ValueError, AttributeError, TypeError):
            return failure(400, "invalid_args", "select_filters must be JSON that names days")
        self._fleet.count_traffic()
        rows = charges_between(self._store, since, until) if "instance" in kinds else []
        if latest_first:
            rows.reverse()
        page = rows[start : start + limit]
        more = start + limit < len(rows)
        return reply(
            {
                "success": True,
                "results": page,
                "count": len(page),
                "total": len(rows),
                "next_token": base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None,
            }
        )
