"""A toy pipeline whose items say themselves how they fare, so that the runner's every path can be driven.

A source is a text file with one word: `ok`, `bad` (fails for good), `flaky N` (fails N times, may be retried), `die`
(takes its worker down), `die N` (N times), `reject`, `full` (no space left on the device), `slow S`.
Stages: first (workers) → batch (on a device) → last (workers) → sum (reduce).
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import ItemError, RetryableError, StageCrash
from pipeline.core.files import sha256_file
from pipeline.core.manifest import Item, Source, item_id
from pipeline.core.pipeline import Pipeline, RunParams, Scan
from pipeline.core.stage import MapStage, Output, ReduceStage, Reduction, Task


class ToyParams(RunParams):
    """Where the toy's behaviour is set."""

    sources: tuple[str, ...] = ("data",)
    pace_s: float = 0.0
    """Every item takes so long in every stage."""
    needs: str | None = None
    """A file that must exist for `first` to start."""
    salt: str = ""
    """Goes into what `first` writes."""
    pepper: str = ""
    """Goes into what `last` hashes."""


class First(MapStage):
    """Obeys the word in the source."""

    name = "first"
    version = "1"
    reads_sources = True
    done_word = "begun"

    def __init__(self, params: ToyParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """The salt."""
        return {"salt": self._params.salt}

    def setup(self) -> None:
        """Fail when something that no item can do without is missing."""
        if self._params.needs and not Path(self._params.needs).exists():
            raise StageCrash(f"{self._params.needs} is missing")

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Obey."""
        return [self._obey(task) for task in batch]

    def _obey(self, task: Task) -> Output:
        time.sleep(self._params.pace_s)
        word, _, number = task.site.sources.path(task.item.source).read_text().partition(" ")
        match word:
            case "bad":
                raise ItemError("this item is bad")
            case "bug":
                raise ValueError("a defect")
            case "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            case "flaky" if _times(task) <= int(number):
                raise RetryableError("not this time")
            case "die" if not number or _times(task) <= int(number):
                os.kill(os.getpid(), 9)
            case "reject":
                return Output(status="rejected")
            case "slow":
                time.sleep(float(number))
        task.writer.write("first.txt", f"{task.item.source.path}{self._params.salt}".encode(), "text")
        return Output({"letters": len(task.item.source.path)})


def _times(task: Task) -> int:
    """How often this item was tried, counted in a file beside the run."""
    counter = task.site.run_dir.parent / f"tries-{task.item.item_id}"
    with counter.open("a") as handle:
        handle.write("x")
    return counter.stat().st_size


class Batch(MapStage):
    """On the device; refuses a batch that holds an item whose path has `cursed` in it."""

    name = "batch"
    version = "1"
    requires = ("first",)
    device = True
    batch_size = 4
    done_word = "processed"

    def __init__(self, params: ToyParams) -> None:
        self._params = params

    def prepare(self, task: Task) -> Any:
        """Read what `first` wrote."""
        return (task.site.run_dir / task.item.folder / "first.txt").read_text(), os.getpid()

    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Shout, all at once."""
        time.sleep(self._params.pace_s * len(batch))
        if any("cursed" in text for text, _ in batch):
            raise ItemError("the batch is cursed")
        return [(text.upper(), len(batch), os.getpid() != prepared_by) for text, prepared_by in batch]

    def finish(self, task: Task, result: Any) -> Output:
        """Write it."""
        text, size, elsewhere = result
        task.writer.write("batch.txt", text.encode(), "text")
        return Output({"text": text}, metrics={"shared": float(size > 1), "beside": float(elsewhere)})


class Last(MapStage):
    """Hashes what it got."""

    name = "last"
    version = "1"
    requires = ("first", "batch")
    done_word = "hashed"

    def __init__(self, params: ToyParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """The pepper."""
        return {"pepper": self._params.pepper}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Hash."""
        time.sleep(self._params.pace_s)
        texts = [task.inputs["batch"]["text"] + self._params.pepper for task in batch]
        return [Output({"hash": hashlib.sha256(text.encode()).hexdigest()}) for text in texts]


class Sum(ReduceStage):
    """Writes one line per item."""

    name = "sum"
    version = "1"
    requires = ("first", "last")
    done_word = "summed"

    def __init__(self, params: ToyParams) -> None:
        self._params = params

    def reduce(self, reduction: Reduction) -> Output:
        """Write the lines, slowly enough to be interrupted."""
        time.sleep(4 * self._params.pace_s)
        lines = [f"{item.source.path} {outputs['last']['hash']}\n" for item, outputs in reduction.rows()]
        reduction.writer.write("records/toy.ndjson", "".join(lines).encode(), "records")
        return Output({"lines": len(lines)})


def scan(params: ToyParams, workspace: Path) -> Scan:
    """Every file under the sources is one item."""
    items = []
    for name in params.sources:
        for path in sorted((workspace / name).iterdir()):
            source = Source(
                path=path.relative_to(workspace).as_posix(),
                sha256=sha256_file(path),
                bytes=path.stat().st_size,
                media_type="text/plain",
            )
            items.append(Item(item_id=item_id(source.sha256, source.path, 1), group=path.stem, source=source, page=1))
    return Scan(items)


PIPELINE = Pipeline(
    "toy", "1", ToyParams, scan, lambda params: (First(params), Batch(params), Last(params), Sum(params))
)
