"""Typing over an index whose queries cost a request: words answer at once, the vector joins when typing rests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from console.app import SpotterApp
from console.operations import live_search
from console.screens.index import Index
from console.workspace import Workspace, create_workspace
from index.embed import embedder
from index.ingest import ingest
from tests.console.piloting import note, until
from tests.index.index_world import RUN_1, record, write_run
from tests.index.model_server import ModelServer, serving


@pytest.fixture
def there() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def workspace(there: ModelServer, tmp_path: Path) -> Workspace:
    place, _fresh = create_workspace(tmp_path)
    write_run(there.workspace(place.root), RUN_1, [record(f"r{at}", f"Layer {at} of the stack") for at in range(5)])
    ingest([place.runs], place.root, embedder("there/tiny", place.root))
    there.requests.clear()
    return place


async def test_words_answer_while_the_vector_is_under_way_and_it_joins_them(
    workspace: Workspace, there: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_search, "VECTOR_REST_S", 600.0)
    app = SpotterApp(workspace, "index")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.query_one("#query").has_focus, "the query line")
        view = app.view
        assert isinstance(view, Index)
        for end in range(1, len("layer 3") + 1):
            app.query_one("#query", Input).value = "layer 3"[:end]
            await pilot.pause(0.01)
        await until(pilot, lambda: "words so far, vector under way" in note(app), "the words' answer")
        assert app.query_one("#hits", OptionList).option_count > 0
        assert there.requests == []
        monkeypatch.setattr(live_search, "VECTOR_REST_S", 0.0)
        view.find()
        await until(pilot, lambda: "semantic vectors" in note(app), "the vector's answer")
        assert there.asked() == ["layer 3"]
        there.always = "404"
        app.query_one("#query", Input).value = "layer 4"
        await until(pilot, lambda: "answers 404" in note(app), "why there is no vector")
        assert app.query_one("#hits", OptionList).option_count > 0
        assert view.result is not None
        assert view.result.query == "layer 4"
