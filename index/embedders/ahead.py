"""What an ingest will have to embed, counted before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TypeVar

from index.embed import Embedder, Priced
from index.embedders.costs import Estimate, Missing
from index.interchange import Line, read_lines
from index.layout import Layout
from index.progress import Progress, Report, silent
from index.sources import find_sources
from index.spending import CapReached, Purse, dollars

_AT_ONCE = 500
T = TypeVar("T")


def ahead_of_ingest(
    paths: Sequence[Path], workspace: Path, embedder: Embedder, *, anew: bool = False
) -> Estimate | None:
    """What an ingest of these paths would cost; None for an embedder that costs nothing.

    Records that the index holds unchanged, vectors that come with their records, and texts whose vectors are in the
    cache cost nothing. What a newer run has replaced already is counted, and not embedded: the truth is at most this.

    Args:
        paths: as `index.ingest.ingest`.
        workspace: the folder that holds `.spotter/`.
        embedder: the one that would be used.
        anew: count as for an empty index, as a rebuild does.

    Raises:
        BadSource: a path holds no records.
        pipeline.core.records.RecordFormatError: a line is not a record.
    """
    if not isinstance(embedder, Priced):
        return None
    known = {} if anew else _hashes(workspace)
    counted: set[bytes] = set()
    missing = Missing()
    for source in find_sources(paths, workspace):
        for file in source.files:
            for lines in _batches(read_lines(file.path)):
                texts = [line.record.text for line in lines if _wanted(line, embedder, known)]
                fresh = []
                for text in texts:
                    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                    if digest not in counted:
                        counted.add(digest)
                        fresh.append(text)
                missing += embedder.missing(fresh, kind="doc")
    return embedder.estimate(missing)


def check_against_cap(estimate: Estimate | None, purse: Purse, report: Report = silent) -> None:
    """Tell what is ahead, and refuse what would likely pass the cap before a cent is spent.

    Raises:
        CapReached: the estimate is above the cap.
    """
    if estimate is None:
        return
    report(Progress("estimate", estimate.words(purse.cap_usd), 0, estimate.texts - estimate.cached, "texts"))
    if purse.cap_usd is not None and estimate.usd_about > purse.cap_usd:
        raise CapReached(
            f"Embedding would cost about {dollars(estimate.usd_about)}, more than the cap of {dollars(purse.cap_usd)}; "
            "nothing was sent: say a higher --max-usd, or ingest fewer runs."
        )


def _wanted(line: Line, embedder: Embedder, known: dict[str, str]) -> bool:
    record, space = line.record, embedder.space
    if not record.id or not record.text.strip() or known.get(record.id) == line.digest:
        return False
    carried = line.vector is not None and len(line.vector) == space.dim
    return not (carried and (record.provider, record.model) == (space.provider, space.model))


def _hashes(workspace: Path) -> dict[str, str]:
    """Id → digest of every record of the index in use."""
    from index.snapshot import connect

    current = Layout(workspace.absolute()).current()
    if current is None:
        return {}
    db = connect(current.folder, writable=False)
    try:
        return dict(db.execute("SELECT id, hash FROM record"))
    finally:
        db.close()


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(items, _AT_ONCE)):
        yield batch
