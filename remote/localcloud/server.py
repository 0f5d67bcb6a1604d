"""The marketplace's HTTP server: who may call what, scenarios, and the end when nobody needs it."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from remote.localcloud.files import write_text
from remote.localcloud.fleet import Delays, Fleet
from remote.localcloud.processes import ProcessIdentity
from remote.localcloud.replies import failure, reply
from remote.localcloud.routes import Routes
from remote.localcloud.scenario import Rule, Scenario
from remote.localcloud.store import Store
from remote.localcloud.whereabouts import Whereabouts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DATABASE_NAME = "cloud.sqlite"
KEY_NAME = "api_key"
SEEN_EVERY_S = 2.0
OPEN_PATHS = ("/_emu/logs/", "/_emu/health")
BOX_MAY = frozenset({"show", "change", "destroy", "list"})
"""Operations that an instance may do to itself with its own key."""


class PortTaken(Exception):
    """Somebody else listens on the port that was asked for."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How to serve a state directory."""

    state_dir: Path
    port: int = 0
    """0 takes the port of the last time if it is free, else any."""
    speed: float = 1.0
    idle_exit_s: float | None = None
    """End after this long without an instance and without a call; None serves forever."""
    orphan_grace_s: float = 10.0


class Marketplace:
    """One running daemon."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._store = Store(settings.state_dir / DATABASE_NAME)
        self._key = account_key(settings.state_dir)
        self._socket = _bind(settings.port, self._store.note("port"))
        port = int(self._socket.getsockname()[1])
        self._store.remember("port", str(port))
        own = ProcessIdentity.of(os.getpid())
        self.whereabouts = Whereabouts(own.pid, own.created_at, port, self._key)
        delays = Delays().at(settings.speed)
        self._fleet = Fleet(self._store, settings.state_dir, self.whereabouts.url, delays, settings.orphan_grace_s)
        self._scenario = Scenario()
        self._called_at = time.monotonic()
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Serve until `end` is called or nobody needs the marketplace any more."""
        application = web.Application(middlewares=[self._admit, self._misbehave])
        application.add_routes(Routes(self._store, self._fleet).table())
        application.add_routes(
            [
                web.get("/_emu/health", self._health),
                web.post("/_emu/scenario", self._add_rule),
                web.delete("/_emu/scenario", self._clear_rules),
                web.post("/_emu/stop", self._stop),
            ]
        )
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await self._fleet.adopt(float(self._store.note("seen_at") or time.time()))
        await web.SockSite(runner, self._socket).start()
        self.whereabouts.write(self._settings.state_dir)
        print(f"serving {self._settings.state_dir} at {self.whereabouts.url} (EMULATED)", flush=True)
        keeping = asyncio.create_task(self._keep_time())
        try:
            await self._ended.wait()
        finally:
            keeping.cancel()
            Whereabouts.forget(self._settings.state_dir)
            await self._fleet.close()
            await runner.cleanup()
            self._store.close()
        print("ended", flush=True)

    def end(self) -> None:
        """End in order: no process stays, instances live again at the next start."""
        self._ended.set()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whoever has the account's key, or an instance's own key for that instance."""
        self._called_at = time.monotonic()
        if request.path.startswith(OPEN_PATHS):
            return await handler(request)
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        shown = shown.strip()
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), self._key.encode()):
            return await handler(request)
        owner = next((each for each in self._store.contracts() if each.api_key == shown), None)
        if owner is None:
            return failure(401, "auth_error", "Invalid user key")
        if _operation(request) in BOX_MAY and request.match_info.get("id") == str(owner.id):
            return await handler(request)
        return failure(403, "forbidden", "this key may only touch its own instance")

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply the scenario's next rule for this operation."""
        do = self._scenario.next(_operation(request))
        if do is None:
            return await handler(request)
        request["do"] = do
        response: web.StreamResponse
        if do.status is None:
            response = await handler(request)
        elif isinstance(do.body, str):
            response = web.Response(status=do.status, text=do.body, headers=do.headers)
        else:
            response = reply(do.body, do.status)
            response.headers.update(do.headers)
        await asyncio.sleep(do.delay_s)
        return response

    async def _health(self, _request: web.Request) -> web.Response:
        return reply({"emulated": True, "pid": os.getpid(), "instances": len(self._store.contracts())})

    async def _add_rule(self, request: web.Request) -> web.Response:
        try:
            rule = Rule.model_validate_json(await request.text())
        except ValidationError as error:
            first = error.errors()[0]
            return failure(400, "invalid_rule", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        self._scenario.add(rule)
        return reply({"success": True, "rules": len(self._scenario.rules)})

    async def _clear_rules(self, _request: web.Request) -> web.Response:
        self._scenario.clear()
        return reply({"success": True})

    async def _stop(self, _request: web.Request) -> web.Response:
        await self._fleet.destroy_all()
        self._ended.set()
        return reply({"success": True})

    async def _keep_time(self) -> None:
        """Note that we live; end when there is no instance and nobody called for a while."""
        while True:
            self._store.remember("seen_at", str(time.time()))
            limit_s = self._settings.idle_exit_s
            if limit_s is not None and not self._store.contracts() and time.monotonic() - self._called_at > limit_s:
                await self._leave_unless_called()
            await asyncio.sleep(min(SEEN_EVERY_S, limit_s or SEEN_EVERY_S))

    async def _leave_unless_called(self) -> None:
        """Take the address down first: whoever read it just before is still answered, and keeps us up."""
        Whereabouts.forget(self._settings.state_dir)
        called_at = self._called_at
        await asyncio.sleep(0.5)
        if called_at == self._called_at:
            self._ended.set()
        else:
            self.whereabouts.write(self._settings.state_dir)


def account_key(state_dir: Path) -> str:
    """The account's key; made once, kept in a file of mode 0600."""
    path = state_dir / KEY_NAME
    if not path.exists():
        write_text(path, secrets.token_hex(32))
    return path.read_text(encoding="utf-8").strip()


def _operation(request: web.Request) -> str:
    return request.match_info.route.name or ""


def _bind(port: int, last_port: str | None) -> socket.socket:
    if port == 0 and last_port is not None:
        try:
            return _bound_to(int(last_port))
        except OSError:
            return _bound_to(0)
    try:
        return _bound_to(port)
    except OSError as error:
        raise PortTaken(
            f"port {port} of 127.0.0.1 cannot be had ({error.strerror}): give another --port, or 0 for any free one"
        ) from error


def _bound_to(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made
