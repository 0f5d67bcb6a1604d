"""All that is known of one hit, for the pane beside the list, the copy menu and exports."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from console.language import _
from console.models.hits import place
from console.words import visible

if TYPE_CHECKING:
    from index.found import Hit

SHOWN_CHARACTERS = 6_000
"""Of a record's text beside the list; the copy menu and exports have all of it."""
COLUMNS = (
    "rank", "score", "id", "type", "document", "page", "label", "region", "run", "bbox_px", "tags", "source", "text",
)  # fmt: skip
"""Of an export, in their order."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what it says, one line of the pane."""

    name: str
    value: str


def bounded(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Text from the world for a pane of many lines: no control character but the line's end, and not without end."""
    shown = "\n".join(visible(line) for line in text[:most].splitlines())
    if len(text) <= most:
        return shown
    return shown + "\n" + _("… {n} characters more; y copies all of it").format(n=len(text) - most)


def box_words(box: tuple[float, float, float, float]) -> str:
    """A box as people write it: its size, and where its left upper corner lies."""
    x, y, width, height = (round(side) for side in box)
    return f"{width}×{height} px @ {x},{y}"


def citation(hit: Hit) -> str:
    """Where a hit stands, as it is cited: file, page, box."""
    page = f", p. {hit.page}" if hit.page else ""
    box = f" [{', '.join(f'{side:.0f}' for side in hit.bbox_px)}] px" if hit.bbox_px else ""
    return f"{hit.source_file or hit.filename or hit.document_id or '?'}{page}{box}"


def search_command(query: str, mode: str = "balanced", way: str = "hybrid") -> str:
    """The headless twin of what is on screen."""
    options = [] if mode == "balanced" else ["--mode", mode]
    options += {"words": ["--words-only"], "vectors": ["--vectors-only"]}.get(way, [])
    return shlex.join(["spotter", "search", *options, "--", query])


def facts(hit: Hit) -> list[Fact]:
    """What is known beside the text; what is unknown is left out."""
    size = f" / {hit.page_size_px[0]}×{hit.page_size_px[1]}" if hit.page_size_px else ""
    told = (
        (_("region"), hit.region_id),
        (_("bbox"), box_words(hit.bbox_px) + size if hit.bbox_px else None),
        (_("tags"), ", ".join(hit.tags)),
        (_("detector"), hit.detector),
        (_("analyst"), hit.analyst),
        (_("run"), hit.run_id),
        (_("source"), hit.source_file),
        (_("record"), hit.id),
    )
    return [Fact(name, visible(value)) for name, value in told if value]


def head(hit: Hit) -> Text:
    """Where it stands, what it is and how it scores."""
    return Text.assemble((place(hit), "bold"), "\n", (f"{visible(hit.type)} {hit.score:.3f}", "dim"))


def facts_text(told: Sequence[Fact]) -> Text:
    """Lines of names and values."""
    width = max((len(fact.name) for fact in told), default=0)
    text = Text()
    for fact in told:
        text.append(f"{fact.name:>{width}}  ", style="dim")
        text.append(f"{fact.value}\n")
    return text


def row(hit: Hit) -> tuple[str | float | int | None, ...]:
    """A hit as a line of an export, by `COLUMNS`."""
    box = " ".join(f"{side:g}" for side in hit.bbox_px) if hit.bbox_px else None
    return (
        hit.rank, round(hit.score, 6), hit.id, hit.type, hit.filename or hit.document_id, hit.page, hit.label,
        hit.region_id, hit.run_id, box, ", ".join(hit.tags), hit.source_file, hit.text,
    )  # fmt: skip
