"""Chroma brought up to date as a step of its own, in a process of its own.

An import is acknowledged when the snapshot has it: that side is written in batches and its memory does not grow with
the number of records. Chroma's side can't be written so: its HNSW graph lives in memory as a whole while it is written,
however small the batches are, and that memory goes back only when the process ends. Of 3,072 numbers a record,
`benchmarks/index_import.py` sees the import of 4,000 and of 20,000 records peak at 93 and 95 MB, and the writing of
Chroma at 250 and 469 MB: 1.1 times the vectors that are more. Reopening the collection between batches loads the whole
graph again, so it buys nothing. Hence an import leaves its records noted as waiting, and this step writes them: in a
child, so that the graph's memory is never that of a console, can be killed at any time without harm, and can be put off
(`--later`) or moved to the machine of a Chroma server (`--to URL`). Search does not need Chroma and finds the records
at once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.chroma_place import chroma_place
from index.errors import IndexEmpty, IndexProblem
from index.layout import Layout
from index.progress import Progress, Report, silent
from index.store import Store


class MirrorFailed(IndexProblem):
    """The process that writes Chroma ended before it was done; what it wrote stays, run it again."""


@dataclass(frozen=True)
class MirrorResult:
    """What one mirroring did."""

    written: int
    """Records written to or deleted from Chroma."""
    records: int
    """Records of the index, which Chroma holds now."""
    place: str
    """The folder or server."""
    collection: str
    seconds: float


def mirror(workspace: Path, report: Report = silent) -> MirrorResult:
    """Write to Chroma whatever waits for it, here and now.

    Raises:
        IndexEmpty: there is no index.
        IndexLocked: the index is being written.
        ChromaBroken: Chroma failed; what was written stays.
    """
    started = time.monotonic()
    layout = Layout(workspace.absolute())
    current = layout.current()
    if current is None:
        raise IndexEmpty(workspace)
    place = chroma_place(layout, current)
    with Store(workspace, current.space, "writing Chroma") as store:
        written = store.mirror(report)
        return MirrorResult(written, store.snapshot.count, str(place), place.collection, time.monotonic() - started)


def mirror_in_child(workspace: Path, report: Report = silent) -> MirrorResult:
    """As `mirror`, in a process that gives Chroma's memory back. Raises MirrorFailed with the child's own sentence."""
    command = [sys.executable, "-m", "index", "mirror", "--workspace", str(workspace), "--json"]
    last: dict[str, object] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = orjson.loads(line)
                if "phase" in said:
                    report(Progress(**said))
                else:
                    last = said
        except BaseException:
            process.terminate()
            raise
    result = last.get("result")
    if isinstance(result, dict):
        return MirrorResult(**result)
    error = last.get("error")
    reason = error["message"] if isinstance(error, dict) else f"it ended with exit code {process.returncode}"
    raise MirrorFailed(
        f"The index has the records, but Chroma does not have them all yet: {reason}; to go on: spotter index mirror"
    )
