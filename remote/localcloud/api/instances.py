"""Rented instances: lists, life and logs."""

from __future__ import annotations

import base64
import json
import secrets

from aiohttp import web

from remote.localcloud.api.requests import ONE, V0, contract_of, no_instance, object_of
from remote.localcloud.fleet import CommandRefused, Fleet
from remote.localcloud.query import BadQuery, matches, ordered
from remote.localcloud.replies import failure, reply
from remote.localcloud.store import Store
from remote.localcloud.timers import Timers

PAGE_ROWS = 25
PREPARED_AFTER_S = 0.3
KEPT_S = 600.0


class InstanceRoutes:
    """Handlers of `/instances/`."""

    def __init__(self, store: Store, fleet: Fleet, timers: Timers) -> None:
        self._store = store
        self._fleet = fleet
        self._timers = timers
        self._prepared: dict[str, tuple[float, str]] = {}

    def table(self) -> list[web.RouteDef]:
        """Every route with the name of its operation."""
        return [
            web.get("/api/v1/instances/", self.list, name="list"),
            web.get(f"{V0}/instances/", self.list_all, name="list_all"),
            web.get(f"{V0}/instances/filters/", self.filters, name="filters"),
            web.get(ONE, self.show, name="show"),
            web.put(ONE, self.change, name="change"),
            web.delete(ONE, self.destroy, name="destroy"),
            web.put(f"{V0}/instances/reboot/{{id:\\d+}}/", self.reboot, name="reboot"),
            web.put(f"{V0}/instances/recycle/{{id:\\d+}}/", self.recycle, name="recycle"),
            web.put(f"{V0}/instances/request_logs/{{id:\\d+}}/", self.request_logs, name="logs"),
            web.put(f"{V0}/instances/command/{{id:\\d+}}/", self.execute, name="execute"),
            web.get("/_emu/logs/{token}", self.read_prepared, name="read_log"),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """One page of instances, filtered and ordered; the token of the next page is its first position."""
        try:
            filters = json.loads(request.query.get("select_filters") or "{}")
            order = json.loads(request.query.get("order_by") or "[]")
            columns = json.loads(request.query.get("select_cols") or "null")
            limit = min(int(request.query.get("limit") or PAGE_ROWS), PAGE_ROWS)
            token = request.query.get("after_token")
            start = int(base64.urlsafe_b64decode(token)) if token else 0
        except ValueError:
            return failure(400, "invalid_token", "a parameter is not readable")
        everything = [self._fleet.row(contract) for contract in self._fleet.seen()]
        try:
            rows = [row for row in everything if matches(row, filters)]
        except BadQuery as error:
            return failure(400, "invalid_args", str(error))
        rows = [dict(row) for row in ordered(rows, [[each["col"], each.get("dir", "asc")] for each in order])]
        page = rows[start : start + limit]
        if columns and columns != ["*"]:
            page = [{name: row.get(name) for name in columns} for row in page]
        more = start + limit < len(rows)
        labels: dict[str, int] = {}
        for row in everything:
            labels[row["label"] or ""] = labels.get(row["label"] or "", 0) + 1
        return reply(
            {
                "success": True,
                "instances": page,
                "instances_found": len(rows),
                "total_instances": len(everything),
                "label_counts": labels,
                "next_token": base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None,
            }
        )

    async def list_all(self, _request: web.Request) -> web.Response:
        """All instances at once, as the older version answers."""
        return reply({"instances": [self._fleet.row(contract) for contract in self._fleet.seen()]})

    async def filters(self, _request: web.Request) -> web.Response:
        """What instances can be filtered by."""
        names = ("actual_status", "gpu_name", "verification", "label")
        rows = [self._fleet.row(contract) for contract in self._fleet.seen()]
        return reply({"success": True, "filters": [{name: row[name] for name in names} for row in rows]})

    async def show(self, request: web.Request) -> web.Response:
        """One instance; one that is not there, or not seen yet, is null, not an error."""
        wanted = int(request.match_info["id"])
        contract = next((each for each in self._fleet.seen() if each.id == wanted), None)
        return reply({"instances": self._fleet.row(contract) if contract else None})

    async def change(self, request: web.Request) -> web.Response:
        """Start, stop or name an instance."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        body = await object_of(request)
        if "label" in body:
            self._store.set_label(contract.id, str(body["label"]))
        if body.get("state") == "stopped":
            await self._fleet.stop(contract)
        elif body.get("state") == "running" and contract.intended_status != "running":
            if self._store.credit_usd() <= 0:
                return failure(400, "insufficient_credit", "the account has no credit")
            await self._fleet.start(contract, "loading")
        return reply({"success": True})

    async def reboot(self, request: web.Request) -> web.Response:
        """Restart the container on the same disk."""
        return await self._restart(request, "rebooting", fresh_disk=False)

    async def recycle(self, request: web.Request) -> web.Response:
        """Make the container anew: its disk is empty."""
        return await self._restart(request, "recycling", fresh_disk=True)

    async def _restart(self, request: web.Request, status: str, *, fresh_disk: bool) -> web.Response:
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        if contract.intended_status != "running":
            return failure(400, "invalid_args", f"instance {contract.id} is {contract.intended_status}: start it first")
        await self._fleet.start(contract, status, fresh_disk=fresh_disk)
        return reply({"success": True})

    async def destroy(self, request: web.Request) -> web.Response:
        """Begin to destroy; the instance is listed until it is done."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        self._fleet.destroy(contract)
        return reply({"success": True, "msg": f"destroying instance {contract.id}."})

    async def request_logs(self, request: web.Request) -> web.Response:
        """Prepare the container's log under a URL that works a moment later."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        body = await object_of(request)
        text = self._fleet.container_log(contract, int(body.get("tail") or 1000))
        if body.get("filter"):
            text = "".join(line for line in text.splitlines(keepends=True) if str(body["filter"]) in line)
        url = self._prepare(request, text)
        return reply({"success": True, "result_url": url, "msg": "the log will be there in a moment"})

    async def execute(self, request: web.Request) -> web.Response:
        """Look into the instance's home: `ls` and `du` of paths below it. vast.ai's `rm` is not emulated."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        command = str((await object_of(request)).get("command") or "")
        try:
            text = await self._fleet.look(contract, command)
        except CommandRefused as error:
            return failure(400, "invalid_args", str(error))
        return reply({"success": True, "result_url": self._prepare(request, text), "writeable_path": "", "msg": ""})

    def _prepare(self, request: web.Request, text: str) -> str:
        token = secrets.token_urlsafe(16)
        now = self._timers.now()
        self._prepared = {each: kept for each, kept in self._prepared.items() if now < kept[0] + KEPT_S}
        self._prepared[token] = (now + PREPARED_AFTER_S, text)
        return f"http://{request.host}/_emu/logs/{token}"

    async def read_prepared(self, request: web.Request) -> web.Response:
        """A prepared text: forbidden until it is ready and after it expired, as vast.ai's object store answers."""
        ready_at, text = self._prepared.get(request.match_info["token"], (float("inf"), ""))
        if not ready_at <= self._timers.now() < ready_at + KEPT_S:
            return web.Response(status=403, text="AccessDenied")
        return web.Response(text=text)
