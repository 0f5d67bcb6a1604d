"""Hits gathered by page: one card a page, with its text and up to three of its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.found import Hit

REGIONS_SHOWN = 3
"""With one region a card, half of the visual answers are hidden (research, two-sided test); with three, hardly any."""


@dataclass(frozen=True)
class Card:
    """One page of one document, in the place of its best hit."""

    document: str
    page: int | None
    hits: tuple[Hit, ...]
    """The best text and the best hit of each of up to three regions, in the order of the list."""
    more: tuple[Hit, ...]
    """The page's further hits, to be opened on demand; nothing is lost."""


def cards(hits: Sequence[Hit]) -> tuple[Card, ...]:
    """Gather hits by page, cards in the order of their best hits."""
    raise NotImplementedError
