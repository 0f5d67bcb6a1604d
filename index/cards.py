"""Hits gathered by page: one card a page, with its text and up to three of its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.found import Hit

REGIONS_SHOWN = 3
"""With one region a card, half of the visual answers are hidden; three show nearly all of them."""


@dataclass(frozen=True)
class Card:
    """One page of one document, in the place of its best hit."""

    document: str | None
    page: int | None
    hits: tuple[Hit, ...]
    """The best text and the best hit of each of up to three regions, in the order of the list."""
    more: tuple[Hit, ...]
    """The page's further hits, to be opened on demand; nothing is lost."""

    @property
    def ids(self) -> dict[str, object]:
        """The card by the ids of its hits."""
        return {
            "document": self.document,
            "page": self.page,
            "hits": [hit.id for hit in self.hits],
            "more": [hit.id for hit in self.more],
        }


def cards(hits: Sequence[Hit], regions_shown: int = REGIONS_SHOWN) -> tuple[Card, ...]:
    """Gather hits by page, cards in the order of their best hits; a hit of no page is a card of its own."""
    by_page: dict[object, list[Hit]] = {}
    for hit in hits:
        document = hit.document_id or hit.source_file or hit.filename
        place = hit.id if document is None or hit.page is None else (document, hit.page)
        by_page.setdefault(place, []).append(hit)
    made = []
    for members in by_page.values():
        shown, more = [], []
        has_text, regions = False, set[str]()
        for hit in members:
            region = hit.region_id or hit.id
            if hit.is_text and not has_text:
                has_text = True
                shown.append(hit)
            elif not hit.is_text and region not in regions and len(regions) < regions_shown:
                regions.add(region)
                shown.append(hit)
            else:
                more.append(hit)
        best = members[0]
        made.append(Card(best.filename or best.document_id, best.page, tuple(shown), tuple(more)))
    return tuple(made)
