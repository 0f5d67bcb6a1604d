from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.driving import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty workspace for the toy pipeline."""
    return Bench(tmp_path)
