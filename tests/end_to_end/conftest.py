"""A workspace for each test, and the proof that nothing of it is left running."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    root = tmp_path / "рабочая папка"
    someone = Operator(root)
    create_workspace(root)
    try:
        yield someone
    finally:
        for process in someone.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        someone.stop_cloud()
        leftover = someone.processes()
        for process in leftover:
            process.kill()
        assert not leftover, f"left behind: {[process.cmdline() for process in leftover]}"
