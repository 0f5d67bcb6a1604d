"""What a search answers: hits with all that a screen needs, and why each stands where it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from index.facets import Facets
from index.rank import Fusion
from index.snippet import Snippet

Mode = Literal["balanced", "text", "visual", "raw"]
"""balanced: text keeps two of each five places; text, visual: these first; raw: by score alone, nothing collapsed."""

MODES: tuple[Mode, ...] = ("balanced", "text", "visual", "raw")


@dataclass(frozen=True)
class Why:
    """Each factor of a place: score = fused × type boost × tag boost × zone boost, and the rank after each step."""

    lexical_rank: int | None
    """1-based rank among the lexical hits; None: not found by words."""
    lexical_score: float | None
    """Words' score, higher is better."""
    vector_rank: int | None
    """1-based rank among the vector hits; None: not found by vector."""
    cosine: float | None
    fused: float
    """Words and vector joined, 0..1, before any boost."""
    rank_before_quota: int
    """1-based rank by score, near-duplicates collapsed."""
    lifted: bool
    """Whether the text quota put this hit above its rank by score."""
    type_boost: float = 1.0
    tag: str | None = None
    """The tag whose boost counts, the greatest of the record's; None when no tag of it has one."""
    tag_boost: float = 1.0
    zone: str | None = None
    """The zone tag whose boost counts on top."""
    zone_boost: float = 1.0
    rank_by_relevance: int = 0
    """1-based rank by `fused` alone."""
    rank_by_score: int = 0
    """1-based rank by score, before near-duplicates are collapsed."""


@dataclass(frozen=True)
class Hit:
    """One found record with all that a screen needs to show it and to open its source."""

    rank: int
    id: str
    text: str
    snippet: Snippet
    type: str
    is_text: bool
    filename: str | None
    source_file: str | None
    """Path of the source relative to the workspace, with `/`."""
    source_path: Path | None
    """Absolute path of the source."""
    document_id: str | None
    page: int | None
    region_id: str | None
    label: str | None
    tags: tuple[str, ...]
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height in page pixels, origin top left."""
    page_size_px: tuple[int, int] | None
    crop_path: Path | None
    """Absolute path of the region's PNG."""
    page_image_path: Path | None
    """Absolute path of the page's PNG."""
    run_id: str
    run_folder: Path
    detector: str | None
    analyst: str | None
    score: float
    """fused × boosts; orders the list before the text quota."""
    why: Why
    similar: tuple[str, ...] = ()
    """Ids of near-duplicates on the same page that this hit stands for, best first; `search(mode="raw")` lists them."""


@dataclass(frozen=True)
class SearchResult:
    """What one query found."""

    query: str
    hits: tuple[Hit, ...]
    total: int
    """Records that match by words, and those that only their vectors bring in; `hits` are the best of them."""
    took_ms: float
    space: str
    label: Literal["lexical", "semantic"] | None
    """What the vectors know; None when no vector took part."""
    lexical_only: bool
    """True when no vector took part; `note` says why."""
    note: str
    records: int
    """Records in the index."""
    revision: int
    """Grows with every write to the index."""
    generation: str = ""
    """Name of the generation that was searched."""
    mode: Mode = "balanced"
    fusion: Fusion = "convex"
    vector_pending: bool = False
    """The words' answer is here; `Searcher.query_vector` makes the vector that a second search merges in place."""
    number: int = 0
    """The caller's number of this query; an answer with a lower number than the newest asked is stale."""
    facets: Facets | None = None
    """Counts over everything that matched, when asked for."""
    boosts_note: str = ""
    """Which boosts counted, and whether they were measured for this index; empty when none did."""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Where the time went: words, vector, scan, rank, records, facets."""
