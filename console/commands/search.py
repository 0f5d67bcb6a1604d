"""Commands that look things up: search, open."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, fail, print_json, workspace

if TYPE_CHECKING:
    from index.found import Hit


class ListAs(StrEnum):
    """How text and visual records share the list."""

    balanced = "balanced"
    text = "text"
    visual = "visual"
    raw = "raw"


class JoinedBy(StrEnum):
    """How words and vectors are joined."""

    convex = "convex"
    rrf = "rrf"


def search(
    words: Annotated[
        list[str],
        typer.Argument(help='What to look for: words, "a phrase", -not, type:… tag:Layer/* doc:… page:3-7 run:…'),
    ],
    k: Annotated[int, typer.Option("-k", help="How many hits.", min=1, max=1000)] = 10,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only records of this type.")] = None,
    document: Annotated[list[str] | None, typer.Option("--document", help="Only this document.")] = None,
    page: Annotated[list[int] | None, typer.Option("--page", help="Only this page.", min=1)] = None,
    mode: Annotated[
        ListAs, typer.Option(help="balanced keeps two text of five; text or visual first; raw: by score alone.")
    ] = ListAs.balanced,
    fusion: Annotated[JoinedBy | None, typer.Option(help="How words and vectors are joined.")] = None,
    boosts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Boosts to rank with; default: tags/boosts.json.")
    ] = None,
    prefer_visual: Annotated[
        bool, typer.Option("--prefer-visual", help="Boost captions × 1.1 and visual facts × 1.05.")
    ] = False,
    type_weights: Annotated[
        str,
        typer.Option("--type-weights", metavar="BOOSTS", help="Boosts of types, as Text=1,VisualFact=1.05."),
    ] = "",
    words_only: Annotated[bool, typer.Option("--words-only", help="Without vectors.")] = False,
    vectors_only: Annotated[bool, typer.Option("--vectors-only", help="By vectors alone.")] = False,
    generation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ask this generation; default: the one in use.")
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Each factor of every hit's place.")] = False,
    by_page: Annotated[
        bool, typer.Option("--cards", help="Gather the hits by page, up to three regions each.")
    ] = False,
    facets: Annotated[
        bool, typer.Option("--facets", help="Count what matched by document, type, tag and run.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Search everything that was parsed."""
    from console.operations.search import SearchRequest
    from console.operations.search import search as search_index

    request = SearchRequest(
        query=" ".join(words),
        k=k,
        mode=mode.value,
        types=kind or (),
        documents=document or (),
        pages=page or (),
        boosts=boosts,
        prefer_visual=prefer_visual,
        type_weights=type_weights,
        fusion=None if fusion is None else fusion.value,
        words_only=words_only,
        vectors_only=vectors_only,
        generation=generation,
        facets=facets,
    )
    result = search_index(workspace(), request)
    from index.cards import cards

    gathered = cards(result.hits) if by_page else ()
    if as_json:
        print_json(asdict(result) | ({"cards": [card.ids for card in gathered]} if by_page else {}))
        return 0 if result.hits else 1
    from rich.console import Console

    from console.models.hits import card_line, facet_lines, head_line, result_note, snippet_line, why_lines

    def show(hit: Hit) -> None:
        console.print(head_line(hit))
        console.print(snippet_line(hit))
        if why:
            for line in why_lines(hit).split():
                console.print("     ", line, sep="")

    console = Console()
    if not result.hits:
        print("nothing found", file=sys.stderr)
    for card in gathered:
        console.print(card_line(card))
        for hit in card.hits:
            show(hit)
    for hit in () if by_page else result.hits:
        show(hit)
    for line in facet_lines(result):
        console.print(line)
    console.print(result_note(result), style="dim", markup=False, highlight=False)
    return 0 if result.hits else 1


def open_hit(
    words: Annotated[list[str], typer.Argument(help="A query; its first hit is opened.")],
) -> int:
    """Open the source of the best hit at its page."""
    from console.operations.open import open_at_page
    from console.operations.search import SearchRequest
    from console.operations.search import search as search_index

    result = search_index(workspace(), SearchRequest(" ".join(words), k=1))
    if not result.hits:
        fail("nothing found")
    hit = result.hits[0]
    print(open_at_page(hit.source_path, hit.page, hit.page_image_path))
    return 0
