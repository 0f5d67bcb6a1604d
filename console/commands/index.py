"""Commands about what was parsed: search, ingest, open."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, fail, print_json, reporting, session, workspace


def search(
    words: Annotated[list[str], typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many hits.", min=1, max=1000)] = 10,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only records of this type.")] = None,
    document: Annotated[list[str] | None, typer.Option("--document", help="Only this document.")] = None,
    as_json: Json = False,
) -> int:
    """Search everything that was parsed."""
    from console.operations.search import search as search_index

    query = " ".join(words)
    result = search_index(workspace(), query, k=k, types=kind or (), documents=document or ())
    if as_json:
        print_json(asdict(result))
        return 0 if result.hits else 1
    from rich.console import Console

    from console.models.hits import head_line, result_note, snippet_line

    console = Console()
    if not result.hits:
        print("nothing found", file=sys.stderr)
    for hit in result.hits:
        console.print(head_line(hit))
        console.print(snippet_line(hit))
    console.print(result_note(result), style="dim", markup=False, highlight=False)
    return 0 if result.hits else 1


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Run folders or NDJSON files; default: all runs.")] = None,
    as_json: Json = False,
) -> int:
    """Bring the index up to date; unchanged records cost nothing."""
    from console.operations.ingest import ingest as ingest_records

    here = session()
    chosen = paths or sorted(folder for folder in here.workspace.runs.glob("*") if any(folder.glob("records/*.ndjson")))
    if not chosen:
        fail("no run has made records yet: `spotter run docparse` parses everything in data/")
    with reporting(as_json=as_json) as report:
        result = ingest_records(here, chosen, report)
    if as_json:
        print_json(result)
    return 0


def open_hit(
    words: Annotated[list[str], typer.Argument(help="A query; its first hit is opened.")],
) -> int:
    """Open the source of the best hit at its page."""
    from console.operations.open import open_at_page
    from console.operations.search import search as search_index

    result = search_index(workspace(), " ".join(words), k=1)
    if not result.hits:
        fail("nothing found")
    hit = result.hits[0]
    print(open_at_page(hit.source_path, hit.page, hit.page_image_path))
    return 0
