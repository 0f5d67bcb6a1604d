"""The tags that the workspace's index gives to regions: the records' own, and those of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from index.layout import Layout
from index.snapshot import connect


def tags_in_index(workspace: Path) -> Mapping[str, tuple[str, ...]]:
    """Region id → its tags, each once, in the alphabet's order; nothing when there is no index yet.

    Raises:
        IndexCorrupt: there is one, and it cannot be read.
    """
    current = Layout(workspace.absolute()).current()
    if current is None:
        return {}
    found: dict[str, list[str]] = {}
    db = connect(current.folder, writable=False)
    try:
        rows = db.execute(
            "SELECT DISTINCT record.region_id, record_tag.tag FROM record JOIN record_tag USING (row) "
            "WHERE record.region_id IS NOT NULL ORDER BY 1, 2"
        )
        for region, tag in rows:
            found.setdefault(region, []).append(tag)
    finally:
        db.close()
    return {region: tuple(tags) for region, tags in found.items()}
