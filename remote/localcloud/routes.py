"""vast.ai's HTTP surface: paths, shapes and refusals as its own clients meet them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from remote.localcloud.catalogue import MACHINES
from remote.localcloud.fleet import BY_OFFER, Fleet
from remote.localcloud.query import BadQuery, matches, ordered
from remote.localcloud.replies import failure, reply
from remote.localcloud.rows import offer_row
from remote.localcloud.effects import Effects
from remote.localcloud.store import Contract, Key, Store

DEFAULT_STORAGE_GB = 5.0
LEAST_DISK_GB = 8.0
PAGE_ROWS = 25
LOG_DELAY_S = 0.3
USER_ID = 1


class Routes:
    """Handlers of the API; one object a daemon."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._logs: dict[str, tuple[float, str]] = {}

    def table(self) -> list[web.RouteDef]:
        """Every route with the name of its operation, by which scenarios speak of it."""
        v0 = "/api/v0"
        one = f"{v0}/instances/{{id:\\d+}}/"
        return [
            web.post(f"{v0}/bundles/", self.search, name="search"),
            web.put(f"{v0}/search/asks/", self.search, name="search_asks"),
            web.put(f"{v0}/asks/{{offer:\\d+}}/", self.create, name="create"),
            web.get("/api/v1/instances/", self.list, name="list"),
            web.get(f"{v0}/instances/", self.list_all, name="list_all"),
            web.get(f"{v0}/instances/filters/", self.filters, name="filters"),
            web.get(one, self.show, name="show"),
            web.put(one, self.change, name="change"),
            web.delete(one, self.destroy, name="destroy"),
            web.put(f"{v0}/instances/reboot/{{id:\\d+}}/", self.reboot, name="reboot"),
            web.put(f"{v0}/instances/recycle/{{id:\\d+}}/", self.recycle, name="recycle"),
            web.put(f"{v0}/instances/request_logs/{{id:\\d+}}/", self.request_logs, name="logs"),
            web.get(f"{one}ssh/", self.instance_keys, name="keys"),
            web.post(f"{one}ssh/", self.attach, name="attach"),
            web.delete(f"{one}ssh/{{key:\\d+}}/", self.detach, name="detach"),
            web.get(f"{v0}/ssh/", self.account_keys, name="account_keys"),
            web.post(f"{v0}/ssh/", self.add_account_key, name="add_account_key"),
            web.put(f"{v0}/ssh/{{key:\\d+}}/", self.change_account_key, name="change_account_key"),
            web.delete(f"{v0}/ssh/{{key:\\d+}}/", self.remove_account_key, name="remove_account_key"),
            web.get(f"{v0}/users/current", self.user, name="user"),
            web.get(f"{v0}/users/current/", self.user),
            web.get(f"{v0}/charges/", self.charges, name="charges"),
            web.get("/_emu/logs/{token}", self.read_log, name="read_log"),
        ]

    # offers

    async def search(self, request: web.Request) -> web.Response:
        """Rows of the market that pass the query, in its order."""
        body = await _object(request)
        query = body.get("q", body)
        if not isinstance(query, Mapping):
            return failure(400, "invalid_request", "q must be an object")
        storage_gb = float(query.get("allocated_storage") or DEFAULT_STORAGE_GB)
        rented = self._fleet.rented_offers()
        rows = [offer_row(each, storage_gb, rented=each.offer_id in rented) for each in MACHINES]
        try:
            found = ordered([row for row in rows if matches(row, query)], query.get("order") or [["score", "desc"]])
        except BadQuery as error:
            return failure(400, "invalid_request", str(error))
        return reply({"success": True, "offers": found[: int(query.get("limit") or len(found))]})

    async def create(self, request: web.Request) -> web.Response:
        """Rent an offer, if it is still there and the account can pay."""
        body = await _object(request)
        machine = BY_OFFER.get(int(request.match_info["offer"]))
        if machine is None:
            return failure(404, "no_such_ask", "error 404/3603: no_such_ask: it was never offered")
        if not machine.rentable or machine.offer_id in self._fleet.rented_offers():
            return failure(410, "no_such_ask", f"error 410/3907: no_such_ask: offer {machine.offer_id} is unavailable")
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
            request["do"].effects() if "do" in request else Effects(),
        )
        return reply({"success": True, "new_contract": contract.id, "instance_api_key": contract.api_key})

    # instances

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
        everything = [self._fleet.row(contract) for contract in self._store.contracts()]
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
        return reply({"instances": [self._fleet.row(contract) for contract in self._store.contracts()]})

    async def filters(self, _request: web.Request) -> web.Response:
        """What instances can be filtered by."""
        names = ("actual_status", "gpu_name", "verification", "label")
        rows = [self._fleet.row(contract) for contract in self._store.contracts()]
        return reply({"success": True, "filters": [{name: row[name] for name in names} for row in rows]})

    async def show(self, request: web.Request) -> web.Response:
        """One instance; one that is not there is null, not an error."""
        contract = self._contract(request)
        return reply({"instances": self._fleet.row(contract) if contract else None})

    async def change(self, request: web.Request) -> web.Response:
        """Start, stop or name an instance."""
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        body = await _object(request)
        if "label" in body:
            self._store.set_label(contract.id, str(body["label"]))
        if body.get("state") == "stopped":
            await self._fleet.stop(contract)
        elif body.get("state") == "running" and contract.intended_status != "running":
            await self._fleet.start(contract)
        return reply({"success": True})

    async def reboot(self, request: web.Request) -> web.Response:
        """Restart the container on the same disk."""
        return await self._restart(request, fresh_disk=False)

    async def recycle(self, request: web.Request) -> web.Response:
        """Make the container anew: its disk is empty."""
        return await self._restart(request, fresh_disk=True)

    async def _restart(self, request: web.Request, *, fresh_disk: bool) -> web.Response:
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        await self._fleet.start(contract, fresh_disk=fresh_disk)
        return reply({"success": True})

    async def destroy(self, request: web.Request) -> web.Response:
        """Begin to destroy; the instance is listed until it is done."""
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        self._fleet.destroy(contract)
        return reply({"success": True, "msg": f"destroying instance {contract.id}."})

    async def request_logs(self, request: web.Request) -> web.Response:
        """Prepare the container's log under a URL that works a moment later."""
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        tail = int((await _object(request)).get("tail") or 1000)
        token = secrets.token_urlsafe(16)
        self._logs[token] = (time.monotonic() + LOG_DELAY_S, self._fleet.container_log(contract, tail))
        url = f"http://{request.host}/_emu/logs/{token}"
        return reply({"success": True, "result_url": url, "msg": "the log will be there in a moment"})

    async def read_log(self, request: web.Request) -> web.Response:
        """A prepared log: forbidden until it is ready, as the object store behind the real one answers."""
        ready_at, text = self._logs.get(request.match_info["token"], (float("inf"), ""))
        if time.monotonic() < ready_at:
            return web.Response(status=403, text="AccessDenied")
        return web.Response(text=text)

    # keys

    async def instance_keys(self, request: web.Request) -> web.Response:
        """Keys of an instance; the list is a JSON string inside the JSON, as the real one sends it."""
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        return reply({"success": True, "ssh_keys": json.dumps([_key(each) for each in self._store.keys(contract.id)])})

    async def attach(self, request: web.Request) -> web.Response:
        """Let a key in."""
        contract = self._contract(request)
        if contract is None:
            return _no_instance()
        line = _line(await _object(request))
        if line is None:
            return failure(400, "invalid_args", "ssh_key is not an OpenSSH public key")
        self._fleet.attach(contract, line)
        return reply({"success": True, "msg": "SSH key added to instance."})

    async def detach(self, request: web.Request) -> web.Response:
        """Let a key in no longer."""
        contract = self._contract(request)
        if contract is None or not self._fleet.detach(contract, int(request.match_info["key"])):
            return failure(404, "not_found", "no such key")
        return reply({"success": True, "msg": "SSH key removed from instance."})

    async def account_keys(self, _request: web.Request) -> web.Response:
        """Keys that every new instance lets in."""
        return reply([{**_key(each), "key": each.line, "deleted_at": None} for each in self._store.keys(None)])

    async def add_account_key(self, request: web.Request) -> web.Response:
        """Add one; living instances do not get it."""
        line = _line(await _object(request))
        if line is None:
            return failure(400, "invalid_args", "ssh_key is not an OpenSSH public key")
        return reply({"success": True, "key": _key(self._store.add_key(line, None))})

    async def change_account_key(self, request: web.Request) -> web.Response:
        """Replace one."""
        line = _line(await _object(request))
        if line is None or not self._store.change_key(int(request.match_info["key"]), line):
            return failure(404, "no_ssh_key", "no such key")
        return reply({"success": True})

    async def remove_account_key(self, request: web.Request) -> web.Response:
        """Remove one."""
        if not self._store.remove_key(int(request.match_info["key"]), None):
            return failure(404, "no_ssh_key", "no such key")
        return reply({"success": True})

    # money

    async def user(self, _request: web.Request) -> web.Response:
        """Who pays, and what is left."""
        credit = self._store.credit_usd()
        return reply(
            {
                "id": USER_ID,
                "username": "emulated",
                "email": "emulated@localhost",
                "email_verified": True,
                "credit": credit,
                "balance": 0.0,
                "can_pay": credit > 0,
                "has_billing": True,
                "host_agreement_accepted": False,
                "ssh_key": None,
            }
        )

    async def charges(self, _request: web.Request) -> web.Response:
        """What each instance cost so far, by kind."""
        labels = {contract.id: contract.label for contract in self._store.contracts(also_destroyed=True)}
        by_instance: dict[int, list[dict[str, Any]]] = {}
        for (contract_id, kind), usd in self._store.billed_usd().items():
            by_instance.setdefault(contract_id, []).append({"type": kind, "amount": usd})
        return reply(
            {
                "success": True,
                "results": [
                    {
                        "type": "instance",
                        "source": f"instance-{contract_id}",
                        "amount": sum(item["amount"] for item in items),
                        "metadata": {"label": labels.get(contract_id)},
                        "items": items,
                    }
                    for contract_id, items in sorted(by_instance.items())
                ],
                "next_token": None,
            }
        )

    def _contract(self, request: web.Request) -> Contract | None:
        return self._store.contract(int(request.match_info["id"]))


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError as error:
        raise web.HTTPBadRequest(text="the body is not JSON") from error
    return body if isinstance(body, dict) else {}


def _line(body: Mapping[str, Any]) -> str | None:
    line = str(body.get("ssh_key") or "").strip()
    parts = line.split()
    return line if len(parts) >= 2 and parts[0].startswith(("ssh-", "ecdsa-", "sk-")) else None


def _key(key: Key) -> dict[str, Any]:
    return {"id": key.id, "user_id": USER_ID, "public_key": key.line, "created_at": key.created_at}


def _no_instance() -> web.Response:
    return failure(404, "no_such_instance", "no such instance")
