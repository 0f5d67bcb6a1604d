"""What is in an index and how well it answers, written after every ingest, evaluation and rebuild.

One pair of files an event, `out/reports/<time>-<event>.md` and `.json`, and the same again as `latest`. A report counts
what is there by type and document, with zeros in sight: a document that a run parsed and that has no record in the
index is the first thing to see. It never fails the event that it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from index.evaluate import Evaluation, Verdict

FOLDER = Path("out") / "reports"
Event = Literal["ingest", "evaluation", "rebuild", "learning"]


@dataclass(frozen=True)
class Written:
    """Where a report lies; None and a reason where it could not be written."""

    markdown: Path | None
    json: Path | None
    problem: str = ""


def report_event(
    workspace: Path,
    event: Event,
    *,
    told: Mapping[str, Any] | None = None,
    evaluation: Evaluation | None = None,
    before: Evaluation | None = None,
    verdict: Verdict | None = None,
) -> Written:
    """Write the report of one event; `told` is what the event itself has to say, such as an ingest's counts."""
    raise NotImplementedError
