"""Runs to review, written by the pipeline's own models and writers, of as many regions as are wanted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import orjson
from PIL import Image, ImageDraw

from index.review.build import Look, ReviewResult, build
from index.review.regions import ended_runs, open_run
from pipeline.core.manifest import Item, Manifest, Source, item_id
from pipeline.core.records import Record, RecordMeta
from pipeline.core.rundir import RunFolder, RunInfo
from pipeline.docparse.analysis import Fact, Struct
from pipeline.docparse.colours import COLOURS
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.page_files import regions_to_lines
from pipeline.docparse.regions import (
    Detection,
    DetectorName,
    Region,
    RegionMask,
    SegmenterName,
    make_regions,
    to_file,
)
from pipeline.docparse.run_lengths import rle_of
from pipeline.docparse.words import PageText, Word

CHROMIUM = "/usr/bin/chromium"
RUN = "01k9z0000000000000000000a1"
WIDTH, HEIGHT = 595, 842
COLUMNS = 5
SOURCE = "data/Схемы & plans.pdf"
DOCUMENT = "Схемы-plans-a1a1a1a1"
BY = DetectorName(name="grounding-dino", version="1")
CUT = SegmenterName(name="sam2", version="1")


def reviewed_run(root: Path, pages: int, regions_a_page: int, run_id: str = RUN) -> Path:
    """A run over one document in the workspace `root`; every region has a mask, a caption and a record."""
    run_dir = root / "out" / "runs" / run_id
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / SOURCE).write_bytes(b"%PDF-1.4 drawn")
    source = Source(path=SOURCE, sha256="a1" * 32, bytes=14, media_type="application/pdf")
    items = [
        Item(item_id=item_id(source.sha256, SOURCE, page), group=DOCUMENT, source=source, page=page)
        for page in range(1, pages + 1)
    ]
    manifest = Manifest(items)
    run_dir.mkdir(parents=True)
    manifest.write(run_dir / "manifest.jsonl")
    info = RunInfo(
        run_id=run_id, pipeline="docparse", version="2", created_at=1.0, params_digest="", plan_key="",
        manifest_digest=manifest.digest, items=pages, groups=manifest.groups, state="succeeded",
    )  # fmt: skip
    RunFolder(run_dir).write_info(info)
    records = b"".join(line for item in items for line in _page(run_dir, item, regions_a_page))
    (run_dir / "records").mkdir()
    (run_dir / "records" / "docparse.ndjson").write_bytes(records)
    return run_dir


def _page(run_dir: Path, item: Item, count: int) -> list[bytes]:
    """Write a page's files; returns the lines of its records."""
    assert item.page is not None
    rows = -(-count // COLUMNS)
    found = [_detection(at, rows) for at in range(count)]
    texts = [f"Block {item.page}-{at + 1}" for at in range(count)]
    words = [Word(text, one.box, 0, 0) for one, text in zip(found, texts, strict=True)]
    text = PageText(WIDTH, HEIGHT, 72, words)
    regions = make_regions(
        found, texts, document=item.group, page=item.page, page_size_px=(WIDTH, HEIGHT), text_source=text.source,
        detector=BY, folder=item.folder, segmenter=CUT,
        crops=[(int(x), int(y), int(right), int(bottom)) for x, y, right, bottom in (one.box for one in found)],
    )  # fmt: skip
    folder = run_dir / item.folder
    (folder / "regions").mkdir(parents=True)
    _draw(folder / "page.png", found, texts)
    (folder / "words.json").write_bytes(text.to_json())
    (folder / "regions.jsonl").write_bytes(regions_to_lines(regions))
    for region in regions:
        _describe(folder / "regions" / f"region-{region.number:04d}", region)
    return [_record(item, region).to_line() for region in regions]


def _detection(at: int, rows: int) -> Detection:
    step = 790 / rows
    left, top = 20 + 112.0 * (at % COLUMNS), 30 + round(step * (at // COLUMNS), 1)
    box = (left, top, left + 100.0, round(top + step * 0.8, 1))
    label: Label = "node" if at % 4 else "legend"
    return Detection(
        label, box, 0.5 + (at % 50) / 100, prompt=label, mask=_mask(int(left), int(top), 100, int(step * 0.8))
    )


@cache
def _mask(left: int, top: int, width: int, height: int) -> RegionMask:
    """A disc, as a segmenter would cut it; every seventh is said to be odd."""
    y, x = np.ogrid[:height, :width]
    disc = ((x - width / 2 + 0.5) / (width / 2)) ** 2 + ((y - height / 2 + 0.5) / (height / 2)) ** 2 <= 1
    flags = ("fragmented",) if (left + top) % 7 == 0 else ()
    return RegionMask(rle_of(left, top, disc, WIDTH, HEIGHT), int(disc.sum()), 0.91, 0.88, flags, CUT)


def _draw(path: Path, found: list[Detection], texts: list[str]) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for one, text in zip(found, texts, strict=True):
        draw.rectangle(one.box, fill=(232, 245, 242), outline=(25, 115, 107))
        draw.text((one.box[0] + 3, one.box[1] + 1), text, fill=(30, 30, 30))
    image.save(path)


def _describe(stem: Path, region: Region) -> None:
    said = f"{region.label} «{region.text}»: шаг и решение"
    struct = Struct(
        kind=region.label, title=region.text, headings=(), rows=(("Роль", "Decides"), ("Owner", region.text)),
        labels=(), edges=(), sections=(), lines=(region.text,), text_source="pdf", analyst="text-layer",
    )  # fmt: skip
    fact = Fact(
        subject=region.text, predicate="is", object=region.label, text=f"{region.text} is a {region.label}",
        evidence=(region.number - 1,), analyst="text-layer",
    )  # fmt: skip
    stem.with_suffix(".json").write_bytes(to_file(region))
    stem.with_suffix(".caption.txt").write_text(said + "\n")
    stem.with_suffix(".struct.json").write_bytes(to_file(struct))
    stem.with_suffix(".facts.jsonl").write_bytes(orjson.dumps(fact.model_dump(mode="json")) + b"\n")


def _record(item: Item, region: Region) -> Record:
    meta = RecordMeta(
        type="VisualCaption", filename=Path(SOURCE).name, source_file=SOURCE, document_id=item.group, page=item.page,
        region_id=region.id, label=region.label, bbox_px=region.bbox_px, page_size_px=region.page_size_px,
        crop=region.crop, page_image=f"{item.folder}/page.png", tags=[region.label], detector=region.detector.name,
        analyst="text-layer",
    )  # fmt: skip
    return Record(id=f"about-{region.id}", text=f"{region.label} «{region.text}»: шаг и решение", meta=meta)


def write_page(root: Path, name: str = "review.html", *, folder: bool = False) -> ReviewResult:
    """The review page of every run of a workspace, in its folder."""
    runs = [open_run(path) for path in ended_runs(root / "out" / "runs")]
    look = Look(LABELS, {str(label): colour for label, colour in COLOURS.items()})
    return build(runs, root, root / name, look, folder=folder)
