"""Building an index anew, beside the one in use, which answers until the new one has passed its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from index.embed import Embedder
from index.layout import Current
from index.progress import Report, silent


class Verdict(Protocol):
    """What a gate says of a candidate."""

    @property
    def passed(self) -> bool:
        """Whether it may be switched in."""
        ...

    @property
    def reason(self) -> str:
        """One sentence with the figures."""
        ...


Gate = Callable[[Current], Verdict]


@dataclass(frozen=True)
class RebuildResult:
    """What a rebuild did."""

    generation: str
    """Name of the new generation."""
    previous: str | None
    """Name of the one that was in use; it stays until it is collected."""
    space: str
    records_before: int
    records: int
    missing: tuple[str, ...]
    """Ids that the old generation holds and the new one doesn't; the first hundred."""
    missing_count: int
    embedded: int
    reused: int
    """Vectors taken from the old generation."""
    switched: bool
    kept: bool
    """Whether the new generation is still there: always when switched, as told when refused."""
    verdict: str
    """The gate's sentence; empty without a gate."""
    seconds: float


def rebuild(
    workspace: Path,
    sources: Sequence[Path] | None,
    embedder: Embedder | None = None,
    *,
    gate: Gate | None = None,
    keep_refused: bool = False,
    mirror: bool = True,
    report: Report = silent,
) -> RebuildResult:
    """Build the next generation, have it judged, and take it into use.

    Args:
        workspace: the folder that holds `.spotter/`.
        sources: run folders and NDJSON files, which are then all that the new generation holds; None copies every
            record of the generation in use, so that nothing is left out.
        embedder: of the new generation; by default that of the one in use. Texts that the old generation holds in an
            equal space are not embedded again.
        gate: judges the candidate before it is taken into use.
        keep_refused: keep a candidate that was refused, for a look at it (`spotter index generations`).
        mirror: write the candidate to Chroma, too, before it is taken into use.
        report: told how far it is.

    Raises:
        IndexEmpty: there is no index and no source.
        IndexLocked: the index is being written.
        BadSource, RecordFormatError: as `ingest`; the candidate is removed.
    """
    raise NotImplementedError
