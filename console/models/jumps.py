"""From something found to the second in which it was made: the run's own events tell when each page was worked on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import orjson

EVENTS = "events.jsonl"
_STAGES: dict[str, tuple[str, ...]] = {
    "VisualCaption": ("analyze", "regions"),
    "VisualFact": ("analyze", "regions"),
    "Table": ("analyze", "regions"),
    "Image": ("regions", "detect"),
}
"""Record's type → stages that made it, the one that said it first; other types come from reading the page."""
_READING = ("ocr", "render")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a stage was done with a page."""

    run_id: str
    stage: str
    at: float
    """Unix seconds."""

    @property
    def argument(self) -> str:
        """What the log and the replay are opened with: `RUN@2026-11-21T12:00:03`, by this machine's clock."""
        return f"{self.run_id}@{time.strftime('%Y-%m-%dT%H:%M:%S', time.localtime(self.at))}"


def moment_of(run_folder: Path, document: str | None, page: int | None, kind: str) -> Moment | None:
    """When the stage that made a record of type `kind` ended on its page; without one, the page's last stage.

    None: the events are not here, or tell nothing of the page. It reads a file: call it from a worker.
    """
    ended: dict[str, float] = {}
    last = ""
    try:
        with (run_folder / EVENTS).open("rb") as lines:
            for line in lines:
                if b'"item"' not in line:
                    continue
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue  # the line that a crash tore
                if not isinstance(event, dict) or event.get("type") != "item":
                    continue
                if event.get("group") == document and event.get("page") == page:
                    last = str(event.get("stage", ""))
                    ended[last] = float(event.get("ts", 0.0))
    except OSError:
        return None
    for stage in (*_STAGES.get(kind, _READING), last):
        if stage in ended:
            return Moment(run_folder.name, stage, ended[stage])
    return None
