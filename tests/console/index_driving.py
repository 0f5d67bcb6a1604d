"""Driving the index view in tests: its view, its hits, and waiting for its answers."""

from __future__ import annotations

from textual.pilot import Pilot

from console.app import SpotterApp
from console.screens.index import Index
from console.screens.index_list import HitList
from tests.console.piloting import until


def view_of(app: SpotterApp) -> Index:
    view = app.view_called("index")
    assert isinstance(view, Index)
    return view


def found(app: SpotterApp) -> list[str]:
    result = view_of(app).result
    return [hit.id for hit in result.hits] if result is not None else []


async def answered(pilot: Pilot[None], app: SpotterApp, query: str, mode: str = "balanced") -> None:
    """Wait until the list on screen answers this query."""

    def there() -> bool:
        view = view_of(app)
        return view.news is not None and view.news.asked.query == query and view.news.asked.mode == mode

    await until(pilot, there, f"the answer to {query!r}")


async def at_the_hits(pilot: Pilot[None], app: SpotterApp, query: str) -> HitList:
    await answered(pilot, app, query)
    await pilot.press("enter")
    await until(pilot, lambda: app.query_one(HitList).has_focus, "the mark in the list")
    return app.query_one(HitList)
