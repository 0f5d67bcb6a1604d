"""Decisions of people, as ingest applies them to the records of every run.

Applied patches lie in `reviews/` of the workspace, numbered in the order in which they were applied; a later one has
the last word on a region. They are read at the beginning of each ingest, so a decision holds for runs that come after
it too, as far as these find the same region again (its id is made of document, page, label and box), and a rebuild from
the runs gives the same index. Without its file a decision is as if it had never been.

A record of a rejected region is not taken. One of an accepted or corrected region is taken with the label and the box
as they were decided, and says so in its metadata: `review`, and `review_label_was`, `review_bbox_was_px` where they
differ. Its text and id stay as the run has them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from index.interchange import Line
from index.review.patch import Decision, PatchFile, read_patch

FOLDER = "reviews"
NAME = re.compile(r"^(\d{4,})-([0-9a-f]{12})\.json$")


@dataclass(frozen=True)
class Applied:
    """One patch that was applied."""

    number: int
    path: Path
    digest: str


@dataclass(frozen=True)
class Corrections:
    """What people decided, by (document, page, region)."""

    by_region: Mapping[tuple[str, int, str], Decision]

    def corrected(self, line: Line) -> Line | None:
        """A record's line as it is to be taken; None for one of a rejected region."""
        meta = line.record.meta
        if not self.by_region or meta.region_id is None or meta.document_id is None or meta.page is None:
            return line
        decision = self.by_region.get((meta.document_id, meta.page, meta.region_id))
        if decision is None or decision.status == "open":
            return line
        return None if decision.status == "rejected" else _decided(line, decision)


def applied(workspace: Path) -> list[Applied]:
    """The patches in use, in the order in which they were applied."""
    found = []
    for path in (workspace / FOLDER).glob("*.json"):
        named = NAME.match(path.name)
        if named:
            found.append(Applied(int(named[1]), path, named[2]))
    return sorted(found, key=lambda each: each.number)


def read_corrections(workspace: Path) -> Corrections:
    """Every decision that is in use in a workspace.

    Raises:
        index.review.patch.BadPatch: a file in `reviews/` was damaged.
    """
    return folded([read_patch(each.path) for each in applied(workspace)])


def folded(patches: list[PatchFile]) -> Corrections:
    """Patches as one: the last that names a region decides; one that says `open` leaves it undecided."""
    decisions: dict[tuple[str, int, str], Decision] = {}
    for file in patches:
        decisions |= {decision.key: decision for decision in file.patch.regions}
    return Corrections({key: each for key, each in decisions.items() if each.status != "open"})


def _decided(line: Line, decision: Decision) -> Line:
    said: dict[str, Any] = {"review": decision.status}
    changed: dict[str, Any] = {}
    if decision.relabelled:
        said["review_label_was"] = line.meta.get("label")
        tags = line.meta.get("tags") or []
        changed = {
            "label": decision.label,
            "tags": list(dict.fromkeys(decision.label if tag == decision.was.label else tag for tag in tags)),
        }
    if decision.moved:
        said["review_bbox_was_px"] = line.meta.get("bbox_px")
        changed["bbox_px"] = list(decision.bbox_px)
    meta = {**line.meta, **changed, **said}
    digest = hashlib.blake2b(
        line.digest.encode() + orjson.dumps([changed, said], option=orjson.OPT_SORT_KEYS), digest_size=16
    ).hexdigest()
    record = line.record.model_copy(update={"meta": type(line.record.meta).model_validate(meta)})
    return replace(line, record=record, meta=meta, digest=digest)
