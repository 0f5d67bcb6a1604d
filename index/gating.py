"""The gate at work: what an ingest, a rebuild and `spotter index evaluate` share of labelled queries and baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from index.evaluate import Verdict
from index.layout import Current
from index.progress import Report, silent

QUERIES = Path("eval") / "queries.jsonl"
"""Labelled queries of a workspace."""
BASELINE = Path("eval") / "baseline.json"
"""The evaluation that later ones are held against."""


def rebuild_gate(workspace: Path, report: Report = silent) -> Callable[[Current], Verdict]:
    """What a rebuilt generation must pass to be switched in: the labelled queries, asked of the candidate.

    The gate compares with the saved baseline, or, where none is saved, with the generation in use, asked now. Without
    labelled queries there is nothing to ask, and the verdict says so. A candidate that lacks a labelled record fails.
    """
    raise NotImplementedError
