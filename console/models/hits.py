"""A hit of the index as lines of text: pure functions, the same for the app and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from console.language import N_, _, ngettext
from console.words import visible

if TYPE_CHECKING:
    from index.cards import Card
    from index.search import Hit, SearchResult

MARKED = "bold reverse"
NAME_CHARACTERS = 200
LABELS = {"lexical": N_("lexical vectors"), "semantic": N_("semantic vectors")}
MODES = {"balanced": N_("balanced"), "text": N_("text"), "visual": N_("visual"), "raw": N_("raw")}

_SIGNS = {"VisualCaption": "▣", "VisualFact": "◆", "Table": "▤", "Image": "▨", "Title": "¶"}


def short(name: str) -> str:
    """A name from the world for one line of a list: no control characters, and not without end."""
    return visible(name[:NAME_CHARACTERS])


def place(hit: Hit) -> str:
    """Where a hit stands: file, page, region."""
    page = f" p{hit.page}" if hit.page else ""
    label = f" · {short(hit.label)}" if hit.label else ""
    return f"{short(hit.filename or hit.document_id or '?')}{page}{label}"


def head_line(hit: Hit, *, in_page: bool = False) -> Text:
    """First line of a hit in a list; under its page's own line, `in_page`, without the page's name."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{hit.rank:>2} ", style="dim")
    text.append(f"{_SIGNS.get(hit.type, '·')} ")
    text.append(short(hit.label or hit.type) if in_page else place(hit), style="bold")
    text.append(f"  {short(hit.type)} {hit.score:.2f}", style="dim")
    if hit.similar:
        n = len(hit.similar)
        text.append(ngettext("  +{n} similar", "  +{n} similar", n).format(n=n), style="dim")
    return text


def snippet_line(hit: Hit, indent: str = "     ") -> Text:
    """Second line: why it was found, the matches marked."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in hit.snippet.text)  # matches keep their places
    text = Text(indent + shown, no_wrap=True, overflow="ellipsis")
    for start, end in hit.snippet.matches:
        text.stylize(MARKED, start + len(indent), end + len(indent))
    return text


def why_lines(hit: Hit) -> Text:
    """Each factor of the hit's place, and its rank after each step."""
    why = hit.why
    words, vector = _("words: not found"), _("vector: not found")
    if why.lexical_rank:
        words = _("words: rank {rank}, BM25 {score}").format(rank=why.lexical_rank, score=f"{why.lexical_score:.2f}")
    if why.vector_rank:
        vector = _("vector: rank {rank}, cosine {score}").format(rank=why.vector_rank, score=f"{why.cosine:.2f}")
    scored = _("score {product}").format(product=_product(hit))
    joined = _("joined {score}").format(score=f"{why.fused:.3f}")
    lines = [f"{words} · {vector} · {joined}", f"{scored} · {_ranks(hit)}"]
    return Text("\n".join(lines), style="dim")


def _product(hit: Hit) -> str:
    """The score as the product that it is; boosts of 1 are left out."""
    why = hit.why
    factors = (
        (_("type {name}").format(name=hit.type), why.type_boost),
        (_("tag {name}").format(name=why.tag), why.tag_boost),
        (_("zone {name}").format(name=why.zone), why.zone_boost),
    )
    boosts = "".join(f" × {boost:g} ({visible(name)})" for name, boost in factors if boost != 1.0)
    return (
        f"{hit.score:.3f} = {why.fused:.3f}{boosts}"
        if boosts
        else _("{score}, no boost").format(score=f"{hit.score:.3f}")
    )


def _ranks(hit: Hit) -> str:
    """The rank after each step that changed it."""
    why = hit.why
    steps = [_("rank {rank} by relevance").format(rank=why.rank_by_relevance)]
    at = why.rank_by_relevance
    collapsed = _("repeats collapsed") if why.rank_before_quota < why.rank_by_score else _("by score")
    last = _("after what was lifted")
    if why.lifted:
        last = _("lifted to keep text in sight") if hit.is_text else _("lifted by the list's mode")
    for rank, step in ((why.rank_by_score, _("boosted")), (why.rank_before_quota, collapsed), (hit.rank, last)):
        if rank != at:
            steps.append(f"{rank} {step}")
        at = rank
    return " → ".join(steps)


def card_line(card: Card) -> Text:
    """The head of a page's hits: where, and how many more there are."""
    page = f" p{card.page}" if card.page else ""
    more = _("  +{n} more").format(n=len(card.more)) if card.more else ""
    return Text.assemble((f"{short(card.document or '?')}{page}", "bold underline"), (more, "cyan"))


def facet_lines(result: SearchResult) -> list[Text]:
    """What matched, counted; a line a facet."""
    if result.facets is None:
        return []
    facets = result.facets
    lines = []
    for name, counts in (
        ("document", facets.documents), ("type", facets.types), ("tag", facets.tags), ("run", facets.runs)
    ):  # fmt: skip
        named = "  ".join(f"{visible(value)} {count}" for value, count in counts.items()) or "none"
        lines.append(Text.assemble((f"{name:>8}  ", "bold"), named))
    return lines


def result_note(result: SearchResult) -> str:
    """The line under the list: how many, how fast, what the vectors know, what weighs; without words, what there is."""
    if not result.query.strip():
        n = result.records
        return ngettext("{n} record · type to search", "{n} records · type to search", n).format(n=f"{n:,}")
    kind = _(LABELS[result.label]) if result.label else _("words only")
    if result.vector_pending:
        kind = _("words so far, vector under way")
    notes = "".join(f" · {note}" for note in (result.boosts_note, result.note) if note)
    shown = _("{shown} of {total} · {took} ms · {records} records").format(
        shown=len(result.hits), total=result.total, took=f"{result.took_ms:.0f}", records=result.records
    )
    return f"{shown} · {kind} · {_(MODES[result.mode])}{notes}"
