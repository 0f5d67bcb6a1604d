"""Opening documents where they can do no harm: in a process that may crash, or hang, and take only itself along."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.core.child import die_with
from pipeline.core.errors import UsageError
from pipeline.docparse import mupdf
from pipeline.docparse.documents import count_pages
from pipeline.docparse.pages.source import DocumentProblem, Renderer

LIMIT_S = 120.0
"""A document that takes longer to open and count would hold up a plan of thousands for good."""
START_S = 60.0
"""How long the process may take to load its libraries."""
READY = "ready"

Count = Callable[[Path, str], int]
Load = Callable[[], object]
"""Imports the library that counts, so that its start is not the first document's time."""

_SPAWN = multiprocessing.get_context("spawn")
"""MuPDF does not survive a fork."""


class Opener:
    """Counts pages in one process for many documents; after a crash the next document gets a new one."""

    def __init__(self, count: Count = count_pages, limit_s: float = LIMIT_S, load: Load = mupdf.load) -> None:
        self._count = count
        self._load = load
        self._limit_s = limit_s
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def pages(self, path: Path, media_type: str) -> int:
        """Pages of a PDF, frames of an image.

        Raises:
            DocumentProblem: it cannot be opened, `crashed` the library that tried, or `hung` it.
            UsageError: the process itself does not start; that is no document's fault.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send((path, media_type))
            if not pipe.poll(self._limit_s):
                self.close()
                raise DocumentProblem(
                    "hung", f"opening it takes longer than {self._limit_s:.0f} s: export it again, or split it"
                )
            answer: int | DocumentProblem | str = pipe.recv()
        except (EOFError, OSError):
            how = self._cause_of_death()
            raise DocumentProblem(
                "crashed", f"the library that opens it {how}: export it again, or print it to a new file"
            ) from None
        if isinstance(answer, int):
            return answer
        raise answer if isinstance(answer, DocumentProblem) else DocumentProblem("damaged", answer)

    def _start(self) -> Connection:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._count, self._load, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(START_S):
            self._process.kill()
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            how = self._cause_of_death()
            raise UsageError(
                f"the process that opens documents does not start (it {how}): see what it printed, and whether "
                "the pipeline's packages are whole"
            ) from None
        return self._pipe

    def _cause_of_death(self) -> str:
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self.close()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended by itself with exit code {code}"

    def close(self) -> None:
        """End the process; the next document starts another."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def opener_for(renderer: Renderer) -> Opener:
    """An opener that counts with the library that will draw."""
    from pipeline.docparse.pages import pdfium_source

    load: Load = pdfium_source.load if renderer == "pdfium" else mupdf.load
    return Opener(partial(count_pages, renderer=renderer), load=load)


def _serve(pipe: Connection, count: Count, load: Load, parent: int) -> None:
    die_with(parent)
    try:
        load()
        pipe.send(READY)
        while True:
            path, media_type = pipe.recv()
            pipe.send(_counted(count, path, media_type))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return


def _counted(count: Count, path: Path, media_type: str) -> int | DocumentProblem | str:
    try:
        return count(path, media_type)
    except DocumentProblem as problem:
        return problem
    except Exception as error:  # noqa: BLE001 - whatever a document does is that document's problem
        return f"it cannot be opened ({type(error).__name__}: {error}): export it again"
