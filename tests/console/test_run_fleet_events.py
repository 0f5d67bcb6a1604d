"""One story of a run that several workers do: numbered without a gap, each item once, over any restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from console.models.run_view import EventFile
from console.operations.fleet_events import FleetEvents
from pipeline.core.manifest import Item, Manifest, Problem, Source, item_id

SHA = "a" * 64


def manifest(pages: int) -> Manifest:
    source = Source(path="a.pdf", sha256=SHA, bytes=1, media_type="application/pdf")
    good = [Item(item_id=item_id(SHA, "a.pdf", page), group="a", source=source, page=page) for page in range(pages)]
    problem = Problem(type="damaged", message="it is damaged")
    return Manifest([*good, Item(item_id=item_id(SHA, "b.pdf", None), group="b", source=source, problem=problem)])


class Part:
    """A worker's event file, as it grows here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seq = 0

    def say(self, **event: Any) -> None:
        self._seq += 1
        with self.path.open("a") as file:
            file.write(json.dumps({"ts": 1.0, "seq": self._seq, "run": "part", **event}) + "\n")

    def done(self, stage: str, item: Item, status: str = "ok") -> None:
        error = {"type": "X", "message": "bad", "retryable": False} if status == "failed" else None
        values = {"group": item.group, "page": item.page, "status": status, "attempt": 1, "elapsed_s": 0.1}
        self.say(type="item", stage=stage, item=item.item_id, error=error, **values)


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_two_workers_become_one_story_also_when_its_teller_starts_anew(tmp_path: Path) -> None:
    items = manifest(4)
    parts = {"b1.0": Part(tmp_path / "one"), "b2.0": Part(tmp_path / "two")}

    def teller() -> FleetEvents:
        events = FleetEvents(tmp_path, "run", items)
        events.expect(["render", "detect"])
        for name, part in parts.items():
            events.follow(name, part.path)
        return events

    first = teller()
    first.begin("2 boxes")
    parts["b1.0"].done("render", items.items[0])
    parts["b2.0"].done("render", items.items[1], "failed")
    parts["b2.0"].say(type="metric", name="words", value=7.0, stage="render")
    parts["b1.0"].say(type="state", state="running")
    first.advance()
    first.close()

    second = teller()
    parts["b1.0"].done("render", items.items[2])
    parts["b2.0"].done("render", items.items[2])
    parts["b2.0"].done("render", items.items[3])
    for item in (items.items[0], items.items[2], items.items[3]):
        parts["b1.0"].done("detect", item)
    second.advance()
    second.close()

    events = told(tmp_path)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["run"] for event in events} == {"run"}
    done = [(event["stage"], event["item"]) for event in events if event["type"] == "item"]
    assert len(done) == len(set(done)) == 7
    assert [event["value"] for event in events if event["type"] == "metric"] == [7.0]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    reader = EventFile(tmp_path / "events.jsonl")
    view = reader.catch_up()
    assert (view.stages["render"].state, view.stages["render"].done, view.stages["render"].failed) == ("finished", 5, 1)
    assert (view.stages["detect"].state, view.stages["detect"].ok, view.stages["detect"].skipped) == ("finished", 3, 2)
    assert list(reader.failures) == [items.items[1].item_id]


def test_an_item_that_another_worker_mends_is_told_again(tmp_path: Path) -> None:
    items = manifest(1)
    part = Part(tmp_path / "part")
    events = FleetEvents(tmp_path, "run", items)
    events.expect(["render"])
    events.follow("b1.0", part.path)
    part.done("render", items.items[0], "failed")
    part.done("render", items.items[0], "failed")
    part.done("render", items.items[0])
    part.done("render", items.items[0], "failed")
    events.advance()
    assert events.failed_share == 0.5
    events.close()
    assert [event["status"] for event in told(tmp_path) if event["type"] == "item"] == ["failed", "ok"]
