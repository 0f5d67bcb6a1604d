"""SSH keys of the account and of instances."""

from __future__ import annotations

import json

from aiohttp import web

from remote.localcloud.api.requests import ONE, V0, contract_of, key_line, key_row, no_instance, object_of
from remote.localcloud.fleet import Fleet
from remote.localcloud.replies import failure, reply
from remote.localcloud.store import Store


class KeyRoutes:
    """Handlers of `…/ssh/`."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet

    def table(self) -> list[web.RouteDef]:
        """Every route with the name of its operation."""
        return [
            web.get(f"{ONE}ssh/", self.instance_keys, name="keys"),
            web.post(f"{ONE}ssh/", self.attach, name="attach"),
            web.delete(f"{ONE}ssh/{{key:\\d+}}/", self.detach, name="detach"),
            web.get(f"{V0}/ssh/", self.account_keys, name="account_keys"),
            web.post(f"{V0}/ssh/", self.add_account_key, name="add_account_key"),
            web.put(f"{V0}/ssh/{{key:\\d+}}/", self.change_account_key, name="change_account_key"),
            web.delete(f"{V0}/ssh/{{key:\\d+}}/", self.remove_account_key, name="remove_account_key"),
        ]

    async def instance_keys(self, request: web.Request) -> web.Response:
        """Keys of an instance; the list is a JSON string inside the JSON, as the real one sends it."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        return reply(
            {"success": True, "ssh_keys": json.dumps([key_row(each) for each in self._store.keys(contract.id)])}
        )

    async def attach(self, request: web.Request) -> web.Response:
        """Let a key in."""
        contract = contract_of(request, self._store)
        if contract is None:
            return no_instance()
        line = key_line(await object_of(request))
        if line is None:
            return failure(400, "invalid_args", "ssh_key is not an OpenSSH public key")
        self._fleet.attach(contract, line)
        return reply({"success": True, "msg": "SSH key added to instance."})

    async def detach(self, request: web.Request) -> web.Response:
        """Let a key in no longer."""
        contract = contract_of(request, self._store)
        if contract is None or not self._fleet.detach(contract, int(request.match_info["key"])):
            return failure(404, "not_found", "no such key")
        return reply({"success": True, "msg": "SSH key removed from instance."})

    async def account_keys(self, _request: web.Request) -> web.Response:
        """Keys that every new instance lets in."""
        return reply([{**key_row(each), "key": each.line, "deleted_at": None} for each in self._store.keys(None)])

    async def add_account_key(self, request: web.Request) -> web.Response:
        """Add one; living instances do not get it."""
        line = key_line(await object_of(request))
        if line is None:
            return failure(400, "invalid_args", "ssh_key is not an OpenSSH public key")
        return reply({"success": True, "key": key_row(self._store.add_key(line, None))})

    async def change_account_key(self, request: web.Request) -> web.Response:
        """Replace one."""
        line = key_line(await object_of(request))
        if line is None or not self._store.change_key(int(request.match_info["key"]), line):
            return failure(404, "no_ssh_key", "no such key")
        return reply({"success": True})

    async def remove_account_key(self, request: web.Request) -> web.Response:
        """Remove one."""
        if not self._store.remove_key(int(request.match_info["key"]), None):
            return failure(404, "no_ssh_key", "no such key")
        return reply({"success": True})
