"""One account of a run that many workers do: their events folded into the run's own `events.jsonl`, gap-free.

Items are told once, whoever did them and however often; stages and progress are counted over all boxes. What a box
said is forwarded with the part and its number there, so that a console that starts anew knows where to go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pipeline.core.manifest import Manifest
    from pipeline.core.progress import StageProgress

FORWARDED = frozenset({"item", "metric", "log"})
_METRIC: tuple[str, ...] = ("ts", "stage", "name", "value", "unit")


class Tail:
    """Whole lines of a growing file of events, each once."""

    def __init__(self, path: Path, after_seq: int) -> None:
        self._path = path
        self._offset = 0
        self._seq = after_seq

    def read(self) -> list[dict[str, Any]]:
        """What was appended since, from beyond the number that it began at; torn lines are passed over."""
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._offset)
                chunk = handle.read()
        except FileNotFoundError:
            return []
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if event.get("seq", 0) > self._seq:
                found.append(event)
        return found


class FleetEvents:
    """Writes the run's events while its boxes work; made by the one process that holds the run."""

    def __init__(self, folder: Path, run_id: str, manifest: Manifest) -> None:
        from pipeline.core.events import EventLog
        from pipeline.core.files import LineFile, read_lines

        self._folder = folder
        self._run_id = run_id
        self._total = len(manifest)
        self._problems = sum(item.problem is not None for item in manifest)
        self._tails: dict[str, Tail] = {}
        self._after: dict[str, int] = {}
        self._ended: dict[str, dict[str, str]] = {}
        self._progress: dict[str, StageProgress] = {}
        self._closed: set[str] = set()
        self._stages: tuple[str, ...] = ()
        for event in read_lines(folder / "events.jsonl"):
            self._remember(event)
        self._log = EventLog(folder / "events.jsonl", run_id)
        self._metrics = LineFile(folder / "metrics.jsonl")

    def _remember(self, event: Mapping[str, Any]) -> None:
        part = event.get("part")
        if part is not None:
            self._after[part] = max(self._after.get(part, 0), event.get("part_seq", 0))
        if event.get("type") == "item":
            self._ended.setdefault(event["stage"], {})[event["item"]] = event["status"]

    def begin(self, message: str) -> None:
        """Tell that work begins, or goes on."""
        from pipeline.core.events import StateEvent

        self._log.emit(StateEvent(state="running", message=message))

    def expect(self, stages: Sequence[str]) -> None:
        """The map stages in their order."""
        self._stages = tuple(stages)

    def note(self, level: str, message: str) -> None:
        """Tell a sentence."""
        from pipeline.core.events import LogEvent

        self._log.emit(LogEvent(level=level, message=message))

    def follow(self, part: str, path: Path) -> None:
        """Take this part's events in from now on."""
        if part not in self._tails:
            self._tails[part] = Tail(path, self._after.get(part, 0))

    def advance(self) -> bool:
        """Take in what the parts said since; whether anything was."""
        news = [(part, event) for part, tail in self._tails.items() for event in tail.read()]
        for part, event in news:
            if event.get("type") in FORWARDED:
                self._forward(part, event)
        for stage in self._stages:
            if stage in self._progress and stage not in self._closed:
                self._tell(stage)
        return bool(news)

    def _forward(self, part: str, event: dict[str, Any]) -> None:
        from pydantic import TypeAdapter, ValidationError

        from pipeline.core.events import Event

        if event["type"] == "item":
            ends = self._ended.setdefault(event["stage"], {})
            before = ends.get(event["item"])
            if before is not None and (before != "failed" or event["status"] == "failed"):
                return
            self._begin_stage(event["stage"])
            ends[event["item"]] = event["status"]
        try:
            parsed: Event = TypeAdapter(Event).validate_python({**event, "part": part, "part_seq": event["seq"]})
        except ValidationError:
            return  # of a newer box
        self._log.emit(parsed)
        if event["type"] == "metric":
            kept: dict[str, Any] = {name: event[name] for name in _METRIC if name in event}
            self._metrics.append([{**kept, "part": part}])
        elif event["type"] == "item":
            self._progress[event["stage"]].count(event["status"])

    def _begin_stage(self, stage: str) -> None:
        from pipeline.core.progress import StageProgress

        if stage not in self._progress:
            counts = Counter(self._ended.get(stage, {}).values())
            self._progress[stage] = StageProgress(stage, self._total, counts, self._log)
            self._progress[stage].started()

    def _tell(self, stage: str) -> None:
        """End a stage whose every item ended, there or in a stage before; otherwise, now and then, a sign of life."""
        progress = self._progress[stage]
        position = self._stages.index(stage)
        stopped = self._problems + sum(
            status != "ok" for name in self._stages[:position] for status in self._ended.get(name, {}).values()
        )
        progress.counts["skipped"] = stopped
        if progress.done >= self._total:
            progress.finished()
            self._closed.add(stage)
        else:
            progress.beat()

    @property
    def failed_share(self) -> float:
        """Share of the run's items that failed so far."""
        failed = {item for ends in self._ended.values() for item, status in ends.items() if status == "failed"}
        return (len(failed) + self._problems) / max(1, self._total)

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        self._metrics.close()
