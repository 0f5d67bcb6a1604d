"""The list of hits as it is drawn: one entry a hit, or gathered by page under each page's name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import ngettext
from console.models.hits import card_line, head_line, snippet_line, why_lines

if TYPE_CHECKING:
    from index.found import Hit

COLLECTED = "✚"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the list."""

    key: str
    """Stays with it when the list is drawn anew: `hit r7`, `page doc 3`, `more doc 3`."""
    lines: tuple[Text, ...]
    hit: Hit | None = None
    opens: str = ""
    """A page's key, where choosing the entry shows the rest of that page."""


def entries(
    hits: Sequence[Hit],
    *,
    by_page: bool = False,
    opened: Collection[str] = (),
    collected: Collection[str] = (),
    why: bool = False,
) -> list[Entry]:
    """The entries of a list.

    Args:
        hits: in their order.
        by_page: gather them under their pages.
        opened: keys of pages of which everything is shown.
        collected: ids of hits that are marked.
        why: show under each hit how it got its place.
    """
    if not by_page:
        return [_hit(hit, collected, why) for hit in hits]
    from index.cards import cards

    made: list[Entry] = []
    for card in cards(hits):
        page = f"{card.document} {card.page}"
        all_of_it = page in opened
        shown = sorted((*card.hits, *card.more), key=lambda hit: hit.rank) if all_of_it else card.hits
        made.append(Entry(f"page {page}", (card_line(card),)))
        made += [_hit(hit, collected, why, in_page=True) for hit in shown]
        if card.more:
            n = len(card.more)
            words = ngettext("{n} more of this page", "{n} more of this page", n).format(n=n)
            sign = "▴" if all_of_it else "▾"
            made.append(Entry(f"more {page}", (Text(f"     {sign} {words}", style="dim"),), opens=page))
    return made


def _hit(hit: Hit, collected: Collection[str], why: bool, *, in_page: bool = False) -> Entry:
    head = head_line(hit, in_page=in_page and hit.page is not None)
    if hit.id in collected:
        head = Text.assemble((f"{COLLECTED} ", "bold green"), head, no_wrap=True, overflow="ellipsis")
    lines = [head, snippet_line(hit)]
    if why:
        for line in why_lines(hit).split():
            lines.append(Text.assemble("     ", line, no_wrap=True, overflow="ellipsis"))
    return Entry(f"hit {hit.id}", tuple(lines), hit)
