"""What the handlers share: the body of a request, the instance that it names, the keys as they are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from remote.localcloud.replies import failure
from remote.localcloud.store import Contract, Key, Store

USER_ID = 1
V0 = "/api/v0"
ONE = f"{V0}/instances/{{id:\\d+}}/"


async def object_of(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; empty when there is none. Answers 400 when it is not JSON."""
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError as error:
        raise web.HTTPBadRequest(text="the body is not JSON") from error
    return body if isinstance(body, dict) else {}


def contract_of(request: web.Request, store: Store) -> Contract | None:
    """The living instance that the path names."""
    return store.contract(int(request.match_info["id"]))


def key_line(body: Mapping[str, Any]) -> str | None:
    """The OpenSSH public key of a request, unless it is none."""
    line = str(body.get("ssh_key") or "").strip()
    parts = line.split()
    return line if len(parts) >= 2 and parts[0].startswith(("ssh-", "ecdsa-", "sk-")) else None


def key_row(key: Key) -> dict[str, Any]:
    """A key as the API shows it."""
    return {"id": key.id, "user_id": USER_ID, "public_key": key.line, "created_at": key.created_at}


def no_instance() -> web.Response:
    """The refusal of an id that is not (or no longer) known."""
    return failure(404, "no_such_instance", "no such instance")
