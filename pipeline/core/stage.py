"""What a pipeline is made of: stages that map items, and stages that reduce all of them to one result.

A map stage splits its work so that a device never waits for a processor: `prepare` and `finish` run in worker
processes, item by item, while `process` takes batches where the device is. A stage without a device runs all three in
a worker. Stage objects are made anew in every process from the same parameters, so they hold settings only until
`setup` is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pipeline.core.artifacts import ArtifactWriter
from pipeline.core.files import digest
from pipeline.core.manifest import Item
from pipeline.core.sources import Sources


@dataclass(frozen=True, slots=True)
class Site:
    """Where a stage works."""

    run_dir: Path
    sources: Sources


@dataclass(frozen=True, slots=True)
class Task:
    """One item that a map stage works on."""

    item: Item
    inputs: Mapping[str, Mapping[str, Any]]
    """Output of every stage that this one requires, by the stage's name."""
    site: Site
    writer: ArtifactWriter
    """Writes into the item's folder; everything written is listed when the item is done."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a stage hands on about an item: small JSON data for later stages, and numbers worth keeping."""

    data: dict[str, Any] = field(default_factory=dict)
    status: Literal["ok", "rejected"] = "ok"
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Name → value; summed over the stage's items into `metrics.jsonl`."""


Place = Literal["box", "laptop"]
"""A rented machine, or the one that the operator sits at, where keys are and waiting costs nothing."""


class Stage(ABC):
    """What both kinds of stage share."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Raised whenever the stage's code changes what it writes; part of the cache key."""
    kind: ClassVar[Literal["map", "reduce"]]
    requires: tuple[str, ...] = ()
    """Stages whose output it works on; a stage may say so by its parameters, in `__init__`."""
    done_word: ClassVar[str] = "done"
    """How a report calls an item that is through: `rendered`, `detected` …"""

    place: Place = "box"
    """Where it works when a run uses a rented machine; from the first stage of the laptop on, all are the laptop's."""
    secrets: tuple[str, ...] = ()
    """Variables of the environment that it wants where it works, and that no box is given."""

    def key_parts(self) -> Mapping[str, Any]:
        """JSON values that change this stage's output, beyond its version, its libraries and what comes from upstream.

        They are known wherever the run is planned, also where the stage itself could not work.
        """
        return {}

    def libraries(self) -> Mapping[str, str]:
        """What this machine brings that changes the output, with its version.

        Raises:
            PipelineError: something is not installed; the sentence names the command that mends it.
        """
        return {}

    def teardown(self) -> None:
        """Let go of what `setup` took; called in the process that called `setup`."""
        return


class MapStage(Stage):
    """A stage that works on items one by one or in batches."""

    kind = "map"
    device: bool = False
    """Whether `process` needs the one device: then it runs in one place, a batch at a time, beside the workers.

    A stage may say so of itself by its parameters: set it in `__init__`, never later.
    """
    batch_size: int = 1
    """Most items that `process` takes at once, on a device."""
    reads_sources: bool = False
    """Whether it opens source files; they are then looked for before the run begins."""

    retries_itself: ClassVar[bool] = False
    """Whether it tries again by itself what may be tried again: what it gives up is left to a later session."""
    own_batches: ClassVar[bool] = False
    """Whether a run's `batch_size`, which is about a device's memory, does not concern it."""
    live_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics whose sums so far are told as events while the stage works, not only at its end."""

    def forecast(self, items: Sequence[Item], run_dir: Path) -> str | None:
        """What working on these items will take, in one line, or None where that is nothing but time.

        Files of earlier stages may lie in `run_dir` for some of them; for the others it can only be guessed.
        """
        return None

    def interrupt(self) -> None:
        """The run was asked to stop: begin nothing new. Called from another thread than `process` runs in.

        What `process` then leaves undone it answers with, or raises, `errors.Interrupted`.
        """
        return

    def setup(self) -> None:
        """Load what `process` needs; called once where `process` runs.

        Raises:
            StageCrash: something is missing that no item can do without.
        """
        return

    def setup_worker(self) -> None:
        """Load what `prepare` and `finish` need; called once in every worker process."""
        return

    def prepare(self, task: Task) -> Any:
        """Turn a task into what `process` takes; must be picklable when the stage has a device."""
        return task

    @abstractmethod
    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Work on a batch; returns one result per entry, in order.

        Raises:
            ItemError, RetryableError: about an item; a batch that raises is halved until the item is found.
        """

    def finish(self, task: Task, result: Any) -> Output:
        """Write what `process` found about the task's item; by default `result` is the output."""
        assert isinstance(result, Output), f"{self.name}.process must return Output or {self.name}.finish make it"
        return result


@dataclass(frozen=True, slots=True)
class Reduction:
    """Everything that a reduce stage works on."""

    items: Sequence[Item]
    """The run's items that passed every required stage, in the manifest's order."""
    outputs: Mapping[str, Callable[[str], Mapping[str, Any]]]
    """Stage name → (item id → output); read one by one, for there may be thousands."""
    site: Site
    writer: ArtifactWriter
    """Writes relative to the run folder."""

    def rows(self) -> Iterator[tuple[Item, dict[str, Mapping[str, Any]]]]:
        """Every item with the outputs of the required stages."""
        for item in self.items:
            yield item, {stage: output(item.item_id) for stage, output in self.outputs.items()}


class ReduceStage(Stage):
    """A stage that makes one result of all items; runs once, when every item is through."""

    kind = "reduce"

    @abstractmethod
    def reduce(self, reduction: Reduction) -> Output:
        """Write the result; the same items and outputs must give the same bytes."""


def stages_at(place: Place | None, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages that work at a place, in order; all of them for None."""
    first = next((index for index, stage in enumerate(stages) if stage.place == "laptop"), len(stages))
    return {None: tuple(stages), "box": tuple(stages[:first]), "laptop": tuple(stages[first:])}[place]


def asked_keys(pipeline: str, stages: Sequence[Stage], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every stage is asked for: its cache key without the libraries, so it is told also where those are missing.

    Two runs that ask the same of a stage differ at most by the machines that answered. What is `known`, from where the
    results were made, is not asked anew.
    """
    asked: dict[str, str] = dict(known or {})
    for stage in stages:
        if stage.name not in asked:
            asked[stage.name] = digest(_parts(pipeline, stage, asked))[:32]
    return asked


def cache_keys(pipeline: str, stages: Sequence[Stage], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every stage's cache key: a digest of all that shapes its output, the keys of what it requires included.

    A stage whose key is `known`, from where its results were made, is not asked: its libraries need not be here.
    """
    keys: dict[str, str] = dict(known or {})
    for stage in stages:
        if stage.name in keys:
            continue
        keys[stage.name] = digest({**_parts(pipeline, stage, keys), "libraries": dict(stage.libraries())})[:32]
    return keys


def _parts(pipeline: str, stage: Stage, upstream: Mapping[str, str]) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "stage": stage.name,
        "version": stage.version,
        "kind": stage.kind,
        "parts": dict(stage.key_parts()),
        "upstream": {name: upstream[name] for name in stage.requires},
    }
