"""Looking around on a box: a connection that nobody needs any more is let go, whatever came of the last look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from console.operations.files import RemoteFiles
from console.operations.session import Session


def test_a_look_that_fails_after_the_view_was_left_lets_the_connection_go(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Box:
        def folder(self, path: str, *, limit: int) -> Any:
            files.close()
            raise OSError(f"there is no {path}")

    @contextmanager
    def agent_of(*_session: object) -> Iterator[Box]:
        yield Box()
        events.append("closed")

    monkeypatch.setattr("console.operations.services.agent_of", agent_of)
    files = RemoteFiles(cast(Session, None), 7)
    with pytest.raises(OSError, match="there is no out"):
        files.folder("out")
    assert events == ["closed"]
