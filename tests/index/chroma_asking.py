"""The processes that ask Chroma before the doctor does, forked from one that has loaded its library.

Each is a process that may die, as the shipped one is, and does what that does; only the second that the import takes is
spent once, not at each of the hundred times that Chroma is asked here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from index import chroma_probe

FORKING = """
import json, os, runpy, sys, traceback
import chromadb

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            sys.argv = ["-m", *json.loads(line)]
            runpy.run_module("index.chroma_probe", run_name="__main__")
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Asking:
    """Takes the place of `subprocess` in `index.chroma_probe`."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[str] | None = None
        self._closing = ExitStack()

    def instead(self, patch: pytest.MonkeyPatch) -> None:
        """Until the patch is undone."""
        own = SimpleNamespace(run=self.run, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired)
        patch.setattr(chroma_probe, "subprocess", own)

    def run(self, command: Sequence[str], **_options: Any) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run`, of a probe only."""
        assert list(command[:3]) == [sys.executable, "-m", "index.chroma_probe"]
        if self._helper is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self._helper = self._closing.enter_context(subprocess.Popen([sys.executable, "-c", FORKING], **pipes))
            assert self._helper.stdin is not None
            self._closing.callback(self._helper.stdin.close)
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        print(json.dumps(list(command[3:])), file=self._helper.stdin, flush=True)
        return subprocess.CompletedProcess(command, int(self._helper.stdout.readline()), b"", b"")

    def end(self) -> None:
        """End the process that forks."""
        self._closing.close()
