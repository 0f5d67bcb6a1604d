"""Small workspaces with runs, for the tests of `index`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import orjson

from index.embed import OFFLINE, embedder
from index.ingest import IngestResult, ingest
from index.layout import Layout
from pipeline.core.records import Record, RecordMeta

RUN_1 = "01k9z0000000000000000000a1"
RUN_2 = "01k9z0000000000000000000b2"
RUN_3 = "01k9z0000000000000000000c3"


def record(record_id: str, text: str, type: str = "NarrativeText", document: str = "guide", **meta: Any) -> Record:  # noqa: A002
    """A record of `data/<document>.pdf`."""
    known = {
        "filename": f"{document}.pdf",
        "source_file": f"data/{document}.pdf",
        "document_id": f"{document}-0a1b2c3d",
    }
    return Record(id=record_id, text=text, meta=RecordMeta(type=type, **{**known, "page": 1, **meta}))


def write_run(
    workspace: Path,
    run_id: str,
    records: Iterable[Record | dict[str, Any]],
    *,
    producer: str = "docparse",
    state: str | None = None,
) -> Path:
    """A run's folder with its records file, and its last state if one is given."""
    folder = workspace / "out" / "runs" / run_id
    (folder / "records").mkdir(parents=True, exist_ok=True)
    lines = [r.to_line() if isinstance(r, Record) else orjson.dumps(r) + b"\n" for r in records]
    (folder / "records" / f"{producer}.ndjson").write_bytes(b"".join(lines))
    if state is not None:
        events = [
            {"ts": 1.0, "seq": 1, "type": "state", "state": "running"},
            {"seq": 2, "type": "state", "state": state},
        ]
        (folder / "events.jsonl").write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return folder


def ingest_runs(workspace: Path, *folders: Path) -> IngestResult:
    """Ingest run folders, or all of them, with the offline embedder."""
    return ingest(folders or (workspace / "out" / "runs",), workspace, embedder(OFFLINE))


def in_chroma(workspace: Path) -> dict[str, tuple[str, dict[str, Any], np.ndarray[Any, Any]]]:
    """Id to (document, metadata, vector), read by Chroma's own client from the collection of the index."""
    current = Layout(workspace).current()
    assert current is not None
    client = chromadb.PersistentClient(path=str(current.chroma))
    try:
        collection = client.get_collection(current.name, embedding_function=None)
        page = collection.get(include=["documents", "metadatas", "embeddings"])
        return {
            record_id: (document, dict(metadata), np.asarray(vector))
            for record_id, document, metadata, vector in zip(
                page["ids"], page["documents"], page["metadatas"], page["embeddings"], strict=True
            )
        }
    finally:
        client.close()


def facts(count: int, about: str, first: int = 0) -> list[Record]:
    """Visual facts of one document, each on its own region."""
    return [
        record(f"fact-{at}", f"{about}, block {at}", "VisualFact", "map", region_id=f"region-{at:04}", page=1 + at % 7)
        for at in range(first, first + count)
    ]


def texts(hits: Sequence[Any]) -> list[str]:
    """The ids of hits, best first."""
    return [hit.id for hit in hits]
