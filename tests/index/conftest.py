from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.index.chroma_asking import Asking


@pytest.fixture(scope="session")
def asking() -> Iterator[Asking]:
    asking = Asking()
    yield asking
    asking.end()


@pytest.fixture
def as_shipped() -> None:
    """Chroma is asked by the very command that operators have."""


@pytest.fixture(autouse=True)
def _asked_by_forks(asking: Asking, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "as_shipped" not in request.fixturenames:
        asking.instead(monkeypatch)
