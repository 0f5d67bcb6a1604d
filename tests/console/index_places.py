"""A small workspace with a real offline index: two pages with pictures, regions, events, and captions that bite."""

from __future__ import annotations

from pathlib import Path

import orjson
from PIL import Image, ImageDraw

from console.operations.runbook import Phase, Runbook, RunEntry
from console.workspace import Workspace, create_workspace
from pipeline.core.records import Record, RecordMeta

RUN = "01jtestrun0000000000000000"
ANALYZED_AT = 1_790_000_003.0
BITING = "Канвас [/x] [red]\x1b[2J\x07 \u202eназад \u05e9\u05dc\u05d5\u05dd " + "длинно " * 3_000
TEXTS = (
    ("r0", 1, "Слои платформы: данные"),
    ("r1", 1, BITING),
    ("r2", 2, "governance board approves changes"),
    ("r3", 2, "governance of the value stack"),
    ("r4", 2, "approval matrix of the governance board"),
    ("r5", 2, "risk register of the governance board"),
    ("r6", 2, "budget plan of the governance board"),
)
PAGE = (400, 600)


def indexed(root: Path) -> Workspace:
    """A workspace in `root` whose index was filled by a real ingest."""
    from index.embed import embedder
    from index.ingest import ingest

    place, _fresh = create_workspace(root)
    folder = place.run_folder(RUN)
    (folder / "records").mkdir(parents=True)
    for page in (1, 2):
        _draw(folder / "artifacts" / "doc" / f"p{page:04d}", page)
    with (folder / "records" / "docparse.ndjson").open("wb") as out:
        for number, (name, page, text) in enumerate(TEXTS):
            out.write(_record(name, page, text, number).to_line())
    (folder / "events.jsonl").write_bytes(b"".join(_events()))
    ingest([folder], place.root, embedder("offline/hash3072-stem-char4"))
    Runbook(place).write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="succeeded", created_at=1.0)
    )
    return place


def _draw(folder: Path, page: int) -> None:
    (folder / "regions").mkdir(parents=True)
    image = Image.new("RGB", PAGE, "white")
    ImageDraw.Draw(image).rectangle((50, 60, 250, 160), fill="navy" if page == 1 else "green")
    image.save(folder / "page.png")
    image.crop((50, 60, 250, 160)).save(folder / "regions" / "region-0001.png")


def _record(name: str, page: int, text: str, number: int) -> Record:
    folder = f"artifacts/doc/p{page:04d}"
    meta = RecordMeta(
        type="VisualCaption", filename="книга.pdf", source_file="data/книга.pdf", document_id="doc", page=page,
        bbox_px=(50 + number, 60, 200, 100), page_size_px=PAGE, region_id=f"region{number}",
        crop=f"{folder}/regions/region-0001.png", page_image=f"{folder}/page.png", tags=["Board"] if page == 2 else [],
    )  # fmt: skip
    return Record(id=name, text=text, meta=meta)


def _events() -> list[bytes]:
    stages = (("render", ANALYZED_AT - 3), ("detect", ANALYZED_AT - 2), ("analyze", ANALYZED_AT))
    lines = [
        {"type": "item", "stage": stage, "item": f"i{page}", "group": "doc", "page": page, "status": "ok",
         "attempt": 1, "elapsed_s": 0.1, "ts": at + 10 * page, "seq": 1}
        for page in (1, 2)
        for stage, at in stages
    ]  # fmt: skip
    return [orjson.dumps(line) + b"\n" for line in lines] + [b'{"type":"item","torn']
