"""vast.ai's published limits on calls: a least interval per endpoint, and the day's searches. In virtual time."""

from __future__ import annotations

from aiohttp import web

from remote.localcloud.catalogue import DAY_S
from remote.localcloud.replies import reply
from remote.localcloud.scenario import World
from remote.localcloud.store import Store

SEARCHES = frozenset({"search", "search_asks"})
INTERVAL_S: dict[str, float] = {
    "search": 6.0, "search_asks": 6.0, "create": 4.5, "show": 2.0, "list": 1.0, "list_all": 2.0, "change": 1.0,
    "reboot": 1.0, "recycle": 1.0, "destroy": 3.0, "attach": 1.0, "add_account_key": 1.0, "detach": 2.0,
    "execute": 1.5, "charges": 1.0,
}  # fmt: skip
"""Least seconds between two calls of an operation."""


class Limits:
    """Refuses calls that come too soon or too often, where the scenario asks for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._called_at: dict[str, float] = {}

    def refusal(self, operation: str, world: World, now: float) -> web.Response | None:
        """The 429 that a call at `now` gets, or None; an admitted call is counted."""
        interval_s = INTERVAL_S.get(operation, 0.0) if world.min_intervals else 0.0
        last = self._called_at.get(operation)
        if last is not None and now - last < interval_s:
            return web.Response(status=429, text=f"API requests too frequent: endpoint threshold={interval_s}")
        self._called_at[operation] = now
        if operation in SEARCHES and world.searches_per_day is not None:
            return self._count_search(world.searches_per_day, now)
        return None

    def _count_search(self, most: int, now: float) -> web.Response | None:
        today = int(now // DAY_S)
        day, _, count = (self._store.note("searches") or "0 0").partition(" ")
        searched = int(count) if int(day) == today else 0
        if searched >= most:
            reset_s = (today + 1) * DAY_S - now
            refused = reply({"success": False, "error": "search_quota_exceeded", "msg": "search quota exceeded"}, 429)
            refused.headers["X-RateLimit-Reset"] = str(int(reset_s) + 1)
            return refused
        self._store.remember("searches", f"{today} {searched + 1}")
        return None
