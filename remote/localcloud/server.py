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

from remote.localcloud.api.control import SCENARIO_NOTE, ControlRoutes
from remote.localcloud.api.instances import InstanceRoutes
from remote.localcloud.api.keys import KeyRoutes
from remote.localcloud.api.money import MoneyRoutes
from remote.localcloud.api.offers import OfferRoutes
from remote.localcloud.clock import VirtualTime
from remote.localcloud.controls import NOT_MODELLED
from remote.localcloud.files import write_text
from remote.localcloud.fleet import Fleet
from remote.localcloud.limits import Limits
from remote.localcloud.processes import ProcessIdentity
from remote.localcloud.replies import failure, reply
from remote.localcloud.scenario import Scenario
from remote.localcloud.store import Store
from remote.localcloud.timers import Timers
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
    scenario: str | None = None
    """A named scenario to begin with; None keeps what is in force."""
    seed: int = 0
    tells_key: bool = False
    """Whether what is printed goes to somebody's eyes, and not to a log: only then the API key is said."""


HELD_BACK_S = 1.0
"""How long the end waits for answers that a scenario holds back: their virtual time stands still by then."""


class Marketplace:
    """One running daemon."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        state_dir = settings.state_dir
        known = VirtualTime.read(state_dir)
        formula = known.resumed(settings.speed) if known else VirtualTime.starting(time.time(), settings.speed)
        self._timers = Timers(formula, state_dir)
        self._store = Store(state_dir / DATABASE_NAME, clock=self._timers.now)
        self._key = account_key(state_dir)
        self._socket = _bind(settings.port, self._store.note("port"))
        port = int(self._socket.getsockname()[1])
        self._store.remember("port", str(port))
        own = ProcessIdentity.of(os.getpid())
        self.whereabouts = Whereabouts(own.pid, own.created_at, port, self._key)
        self._fleet = Fleet(self._store, self._timers, state_dir, self.whereabouts.url, settings.orphan_grace_s)
        self._scenario = Scenario.load(self._store.note(SCENARIO_NOTE))
        self._limits = Limits(self._store)
        self._called_at = time.monotonic()
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Serve until `end` is called or nobody needs the marketplace any more."""
        application = web.Application(middlewares=[self._admit, self._misbehave])
        offers = OfferRoutes(self._store, self._fleet, self._timers, self._scenario)
        control = ControlRoutes(
            self._store, self._fleet, self._timers, self._scenario, forget=offers.withdraw_nothing, end=self.end
        )
        if self._settings.scenario is not None:
            control.put_in_force(self._settings.scenario, self._settings.seed)
        for routes in (
            offers,
            InstanceRoutes(self._store, self._fleet, self._timers),
            KeyRoutes(self._store, self._fleet),
            MoneyRoutes(self._store, self._fleet, self._timers),
            control,
        ):
            application.add_routes(routes.table())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=HELD_BACK_S)
        await runner.setup()
        ticking = asyncio.create_task(self._timers.run())
        await self._fleet.adopt(float(self._store.note("seen_at") or self._timers.now()))
        await web.SockSite(runner, self._socket).start()
        self.whereabouts.write(self._settings.state_dir)
        self._introduce()
        keeping = asyncio.create_task(self._keep_time())
        try:
            await self._ended.wait()
        finally:
            keeping.cancel()
            Whereabouts.forget(self._settings.state_dir)
            await self._fleet.close()
            ticking.cancel()
            await runner.cleanup()
            self._store.close()
        print("ended", flush=True)

    def _introduce(self) -> None:
        url = self.whereabouts.url
        said = [f"serving {self._settings.state_dir} at {url} (EMULATED)"]
        if self._settings.tells_key:
            in_force = self._scenario.name or ("rules of its own" if self._scenario.rules else "none")
            said += [
                f"  API key     {self._key}",
                f"  for example vastai --url {url} --api-key {self._key} search offers",
                f"  time        {self._timers.formula.speed:g}x as fast as here; scenario: {in_force}",
                *(f"  not modelled: {each}" for each in NOT_MODELLED),
                "Ctrl-C ends it; instances live again at the next start.",
            ]
        print("\n".join(said), flush=True)

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
        if self._fleet.is_offline(owner):
            return _hang_up(request)
        if _operation(request) in BOX_MAY and request.match_info.get("id") == str(owner.id):
            return await handler(request)
        return failure(403, "forbidden", "this key may only touch its own instance")

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply the limits and the scenario's next rule for this operation."""
        operation = _operation(request)
        if not operation or request.path.startswith("/_emu/"):
            return await handler(request)
        refused = self._limits.refusal(operation, self._scenario.world, self._timers.now())
        if refused is not None:
            return refused
        do = self._scenario.next(operation)
        if do is None:
            return await handler(request)
        self._store.remember(SCENARIO_NOTE, self._scenario.dump())
        request["do"] = do
        response: web.StreamResponse
        if do.status is None or do.withdraw:
            response = await handler(request)
        if do.status is not None:
            response = (
                web.Response(status=do.status, text=do.body) if isinstance(do.body, str) else reply(do.body, do.status)
            )
            response.headers.update(do.headers)
        if do.delay_s:
            await self._timers.sleep(do.delay_s)
        return _hang_up(request) if do.lose_answer else response

    async def _keep_time(self) -> None:
        """Note that we live; end when there is no instance and nobody called for a while."""
        while True:
            self._store.remember("seen_at", str(self._timers.now()))
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


def _hang_up(request: web.Request) -> web.Response:
    """Cut the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


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
