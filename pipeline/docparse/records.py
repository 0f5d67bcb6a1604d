"""Records: everything searchable about the documents as NDJSON, and the regions as a COCO file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import orjson

from pipeline.core.manifest import Item
from pipeline.core.records import Record, RecordMeta
from pipeline.core.stage import Output, ReduceStage, Reduction
from pipeline.docparse.chunks import box_of, chunks, flow, spans_inside
from pipeline.docparse.elements import read_elements
from pipeline.docparse.elements_records import ElementText, element_texts
from pipeline.docparse.exports.coco import coco_chunks
from pipeline.docparse.exports.pages import described
from pipeline.docparse.headings import headings, outside
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import Region
from pipeline.docparse.render import read_text
from pipeline.docparse.words import Box, PageText

CAPTIONED = frozenset({"diagram", "canvas", "legend"})
"""Labels whose caption is worth a record of its own; a table's text is its record, a node's is in its diagram's."""


def _is_table(region: Region, said: Mapping[str, Any]) -> bool:
    """Whether a region's text is told as a table's rows."""
    return region.label == "table" and bool(said["rows"])


class RecordsStage(ReduceStage):
    """Writes `records/docparse.ndjson` and `coco.json` from all pages that came through, in the manifest's order."""

    name = "records"
    version = "3"
    requires = ("render", "regions", "analyze")
    done_word = "recorded"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params

    def key_parts(self) -> Mapping[str, Any]:
        """The analyst's name, which records carry."""
        return self._params.stage_values("analyst")

    def reduce(self, reduction: Reduction) -> Output:
        """Write the records; the same pages give the same bytes."""
        counts: dict[str, float] = {}
        reduction.writer.write_chunks("records/docparse.ndjson", self._lines(reduction, counts), "records")
        # Read again, so that a run of thousands of pages need not hold all of their regions.
        pages = (described(reduction.site.run_dir, item) for item in reduction.items)
        reduction.writer.write_chunks("coco.json", coco_chunks(pages, reduction.site.run_dir), "coco")
        records = sum(count for name, count in counts.items() if name.startswith("records_"))
        return Output({"records": int(records)}, metrics=counts)

    def _lines(self, reduction: Reduction, counts: dict[str, float]) -> Iterator[bytes]:
        """Every record as a line; counted by type in `counts`."""
        for item, outputs in reduction.rows():
            regions = read_regions(reduction.site.run_dir, item.folder)
            text = read_text(reduction.site.run_dir, item.folder)
            elements, dropped = element_texts(read_elements(reduction.site.run_dir, item.folder) or ())
            for name, count in dropped.items():
                counts[name] = counts.get(name, 0.0) + count
            page = _PageRecords(item, text, elements, self._params.analyst.name)
            seen: set[str] = set()  # an id holds document and page: only within a page can it come twice
            for record in page.records(regions, outputs["analyze"]["regions"]):
                if record.id in seen:
                    continue
                seen.add(record.id)
                yield record.to_line()
                counts[f"records_{record.meta.type}"] = counts.get(f"records_{record.meta.type}", 0.0) + 1


class _PageRecords:
    """Makes the records of one page."""

    def __init__(self, item: Item, text: PageText, elements: Sequence[ElementText], analyst: str) -> None:
        assert item.page is not None
        self._item = item
        self._page = item.page
        self._text = text
        self._elements = elements
        self._analyst = analyst

    def records(self, regions: Sequence[Region], told: Sequence[Mapping[str, Any]]) -> Iterator[Record]:
        """Titles, text, tables, captions, facts."""
        if self._elements:
            for element in self._elements:
                yield self._record(element.type, element.text, element.box, element.span, element_id=element.element)
        else:
            tables = [region.box for region, said in zip(regions, told, strict=True) if _is_table(region, said)]
            yield from self._from_words(regions, tables)
        for region, said in zip(regions, told, strict=True):
            if _is_table(region, said):
                text = "\n".join(" | ".join(row) for row in said["rows"])
                yield self._about("Table", text, region)
            elif said["caption"] and (region.label in CAPTIONED or (region.label == "table" and not region.text)):
                yield self._about("VisualCaption", said["caption"], region)
        for region, said in zip(regions, told, strict=True):
            for fact in said["facts"]:
                yield self._about("VisualFact", fact["text"], region)

    def _from_words(self, regions: Sequence[Region], tables: Sequence[Box]) -> Iterator[Record]:
        """Titles and text of a page that no other tool partitioned; what stands in `tables` is their own record's."""
        drawn = [region.box for region in regions if region.label in ("node", "table", "legend")]
        titles = outside(headings(self._text), drawn)
        for heading in titles:
            yield self._record("Title", heading.text, box=heading.box)
        page = flow(self._text)
        begins = [page.starts[heading.words[0]] for heading in titles]
        for chunk in chunks(page, headings=begins, apart=spans_inside(self._text, page, tables)):
            box = box_of(self._text, page, chunk)
            yield self._record("NarrativeText", chunk.text, box=box, span=(chunk.start, chunk.end))

    def _about(self, kind: str, text: str, region: Region) -> Record:
        return self._record(
            kind, text, box=region.box, region_id=region.id, label=region.label, crop=region.crop, tags=[region.label],
            detector=region.detector.name, analyst=self._analyst,
        )  # fmt: skip

    def _record(
        self, kind: str, text: str, box: Box | None, span: tuple[int, int] | None = None, **region: Any
    ) -> Record:
        source = self._item.source.path
        place = [self._item.group, self._page, kind, region.get("region_id") or (list(span) if span else None), text]
        bbox = None if box is None else tuple(round(v, 1) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1]))
        meta = RecordMeta(
            type=kind, filename=PurePosixPath(source).name, source_file=source, document_id=self._item.group,
            page=self._page, span=span, bbox_px=bbox, page_size_px=(self._text.width, self._text.height),
            page_image=f"{self._item.folder}/page.png", unit=self._item.unit, **region,
        )  # fmt: skip
        return Record(id=hashlib.sha256(orjson.dumps(place)).hexdigest()[:24], text=text, meta=meta)
