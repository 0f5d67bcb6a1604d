"""Commands about what was parsed: search, ingest, open, and `spotter index …` about the index as a whole."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.frame import Json, fail, guard, print_json, reporting, session, workspace
from console.words import count, size

index = typer.Typer(no_args_is_help=True, help="The index as a whole: import, export, evaluate.")


class VectorsAs(StrEnum):
    """How `spotter index export` writes vectors."""

    floats = "floats"
    b64 = "b64"
    none = "none"


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


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, gzipped or not.")],
    embedder: Annotated[
        str | None,
        typer.Option("--embedder", metavar="NAME", help="Embed texts whose vectors are missing or of another space."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Take every record of an NDJSON file into the index, or none; vectors are kept to the last bit."""
    from console.operations.events import relay
    from index.embed import embedder as embedder_named
    from index.transfer import import_file

    chosen = None if embedder is None else embedder_named(embedder)
    with reporting(as_json=as_json) as report:
        result = import_file(file, workspace().root, chosen, relay("import", report))
    if as_json:
        print_json(asdict(result))
        return 0
    print(
        f"{count(result.read, 'record')} read: {result.added} added, {result.updated} updated, "
        f"{result.unchanged} unchanged, {result.removed} removed; {result.records} in the index ({result.space})"
    )
    if result.superseded:
        print(f"not taken: {count(result.superseded, 'record')} of documents that a newer import or run has replaced")
    return 0


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; gzipped when it ends with .gz.")],
    vectors: Annotated[VectorsAs, typer.Option("--vectors", help="Numbers, their bytes, or none.")] = VectorsAs.floats,
    as_json: Json = False,
) -> int:
    """Write every record of the index as NDJSON, exact to the last bit."""
    from console.operations.events import relay
    from index.transfer import export_file

    with reporting(as_json=as_json) as report:
        done = export_file(workspace().root, file, vectors.value, relay("export", report))
    if as_json:
        print_json(asdict(done))
    else:
        print(f"{count(done.records, 'record')} in {done.path} ({size(done.bytes)}, {done.space})")
    return 0


def evaluate(
    queries: Annotated[
        Path | None, typer.Argument(metavar="QUERIES", help="Labelled queries; default: eval/queries.jsonl.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="What to compare with; default: eval/baseline.json."),
    ] = None,
    save_baseline: Annotated[
        bool, typer.Option("--save-baseline", help="Make this evaluation the baseline, whatever the gate says.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Ask every labelled query, measure the answers, and fail when text is found less often than in the baseline."""
    from console.operations.events import relay
    from index.comparison import gate
    from index.evaluate import evaluate as evaluate_index
    from index.evaluate import read_evaluation, write_evaluation
    from index.evaluation_report import FOLDER, markdown, summary, write_report
    from index.queries import read_queries

    root = workspace().root
    labelled = read_queries(queries or root / "eval" / "queries.jsonl")
    kept = baseline or root / "eval" / "baseline.json"
    before = read_evaluation(kept) if kept.exists() or (baseline is not None and not save_baseline) else None
    with reporting(as_json=as_json) as report:
        done = evaluate_index(root, labelled, report=relay("evaluate", report))
    verdict = None if before is None else gate(before, done)
    files = write_report(root / FOLDER, done, before, verdict)
    if save_baseline:
        write_evaluation(kept, done)
    if as_json:
        print_json(summary(done, before, verdict) | {"report": files.markdown, "baseline": kept})
    else:
        print(markdown(done, before, verdict))
        print(f"in {files.markdown} and {files.json.name}")
    return 1 if verdict is not None and not verdict.passed else 0


def _command(name: str, call: Callable[..., int]) -> None:
    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    index.command(name)(guarded)


for _name, _call in (("import", import_), ("export", export), ("evaluate", evaluate)):
    _command(_name, _call)
