"""Counts of what a query matched, by document, type, tag and run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Facets:
    """Name to records matched, most first. A facet ignores the query's own filter on it: choices stay in sight."""

    documents: dict[str, int]
    types: dict[str, int]
    tags: dict[str, int]
    runs: dict[str, int]
