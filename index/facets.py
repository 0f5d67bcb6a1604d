"""Counts of what a query matched, by document, type, tag and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from index.filters import Filters
    from index.view import View

_SHOWN = 50
"""Names of a facet that are told; a corpus can have thousands of documents."""


@dataclass(frozen=True)
class Facets:
    """Name to records matched, most first. A facet ignores the query's own filter on it: choices stay in sight."""

    documents: dict[str, int]
    types: dict[str, int]
    tags: dict[str, int]
    runs: dict[str, int]


def facets(view: View, matched: npt.NDArray[np.bool_], filters: Filters) -> Facets:
    """Count the rows that words or vectors found, under the query's filters."""
    import numpy as np

    def rows(own: Any) -> npt.NDArray[np.int64]:
        return np.flatnonzero(matched & filters.mask(without=own))

    documents = [next((name for name in reversed(place) if name), "?") for place in view.documents]
    tagged = rows("tag")
    lengths = np.diff(view.tag_offsets)[tagged]
    firsts = np.repeat(view.tag_offsets[tagged] - np.cumsum(lengths) + lengths, lengths)
    tag_codes = view.tag_codes[firsts + np.arange(len(firsts))]
    runs = view.run_ids()
    keys = sorted(runs)
    return Facets(
        documents=_counted(view.document_codes[rows("doc")], documents),
        types=_counted(view.type_codes[rows("type")], view.type_names),
        tags=_counted(tag_codes, view.tag_names),
        runs=_counted(np.searchsorted(keys, view.run_keys[rows("run")]), [runs[key] for key in keys]),
    )


def _counted(codes: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(codes, minlength=len(names)) if len(codes) else np.zeros(len(names), dtype=np.int64)
    by_name: dict[str, int] = {}
    for code in np.flatnonzero(counts).tolist():
        by_name[names[code]] = by_name.get(names[code], 0) + int(counts[code])
    return dict(sorted(by_name.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN])
