"""What is in an index, counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index.chroma_place import chroma_place
from index.errors import IndexEmpty
from index.layout import Layout
from index.rank import is_text
from index.snapshot import connect, read_meta
from index.vectors import file_bytes
from index.view import read_only


@dataclass(frozen=True)
class IndexStats:
    """Counts of one index."""

    space: str
    records: int
    text_records: int
    by_type: dict[str, int]
    by_document: dict[str, int]
    """By source file, or what else names the document."""
    by_run: dict[str, int]
    """Records per run that last delivered them."""
    waiting_for_chroma: int
    """Records that the snapshot holds and Chroma doesn't yet; 0 unless an ingest runs or was killed."""
    revision: int
    generation: str
    """Name of the generation in use."""
    chroma: str
    """The folder or server that it is mirrored to."""
    collection: str
    vector_bytes: int
    unused_vector_bytes: int


def stats(workspace: Path) -> IndexStats:
    """Count the index of a workspace; needs no lock. Raises IndexEmpty when there is none."""
    layout = Layout(workspace.absolute())
    current = layout.current()
    if current is None:
        raise IndexEmpty(workspace)
    place = chroma_place(layout, current)
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            by_type = dict(db.execute("SELECT type, count(*) FROM record GROUP BY type ORDER BY 2 DESC, 1"))
            records = sum(by_type.values())
            rows = int(read_meta(db, "vector_rows"))
            return IndexStats(
                space=current.space.id,
                records=records,
                text_records=sum(count for kind, count in by_type.items() if is_text(kind)),
                by_type=by_type,
                by_document=dict(
                    db.execute(
                        "SELECT coalesce(source_file, document_id, filename, ''), count(*) FROM record "
                        "GROUP BY 1 ORDER BY 1"
                    )
                ),
                by_run=dict(
                    db.execute("SELECT run_id, count(*) FROM record JOIN run USING (run_key) GROUP BY 1 ORDER BY 1")
                ),
                waiting_for_chroma=int(db.execute("SELECT count(*) FROM chroma_pending").fetchone()[0]),
                revision=int(read_meta(db, "revision")),
                generation=current.name,
                chroma=str(place),
                collection=place.collection,
                vector_bytes=file_bytes(rows, current.space.dim),
                unused_vector_bytes=file_bytes(rows - records, current.space.dim),
            )
    finally:
        db.close()
