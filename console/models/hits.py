"""A hit of the index as lines of text: pure functions, the same for the app and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from console.words import visible

if TYPE_CHECKING:
    from index.search import Hit, SearchResult

MARKED = "bold reverse"

_SIGNS = {"VisualCaption": "▣", "VisualFact": "◆", "Table": "▤", "Image": "▨", "Title": "¶"}


def place(hit: Hit) -> str:
    """Where a hit stands: file, page, region."""
    page = f" p{hit.page}" if hit.page else ""
    label = f" · {hit.label}" if hit.label else ""
    return f"{visible(hit.filename or hit.document_id or '?')}{page}{label}"


def head_line(hit: Hit) -> Text:
    """First line of a hit in a list."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{hit.rank:>2} ", style="dim")
    text.append(f"{_SIGNS.get(hit.type, '·')} ", style="cyan")
    text.append(place(hit), style="bold")
    text.append(f"  {hit.type} {hit.score:.2f}", style="dim")
    return text


def snippet_line(hit: Hit, indent: str = "     ") -> Text:
    """Second line: why it was found, the matches marked."""
    text = Text(indent + hit.snippet.text, no_wrap=True, overflow="ellipsis")
    for start, end in hit.snippet.matches:
        text.stylize(MARKED, start + len(indent), end + len(indent))
    return text


def why_lines(hit: Hit) -> Text:
    """Each factor of the hit's place."""
    why = hit.why
    words = f"words: rank {why.lexical_rank}, BM25 {why.lexical_score:.2f}" if why.lexical_rank else "words: not found"
    vector = f"vector: rank {why.vector_rank}, cosine {why.cosine:.2f}" if why.vector_rank else "vector: not found"
    quota = f" · lifted from {why.rank_before_quota} so that text is not drowned" if why.lifted else ""
    return Text(f"{words} · {vector} · joined {why.fused:.3f}{quota}", style="dim")


def result_note(result: SearchResult) -> str:
    """The line under the list: how many, how fast, what the vectors know."""
    kind = f"{result.label} vectors" if result.label else "words only"
    note = f" · {result.note}" if result.note else ""
    return f"{len(result.hits)} of {result.total} · {result.took_ms:.0f} ms · {result.records} records · {kind}{note}"
