"""Commands about what was parsed: ingest, and `spotter index …` about the index as a whole."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands import index_build, index_quality
from console.commands.frame import Json, fail, guard, print_json, reporting, session, workspace
from console.words import count, size

index = typer.Typer(no_args_is_help=True, help="The index as a whole: build, rebuild, mend, import, export, evaluate.")


class VectorsAs(StrEnum):
    """How `spotter index export` writes vectors."""

    floats = "floats"
    b64 = "b64"
    none = "none"


def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Run folders or NDJSON files; default: all runs.")] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Default: [index] embedder of spotter.toml.")
    ] = None,
    max_usd: Annotated[
        float | None,
        typer.Option("--max-usd", metavar="USD", help="What embedding may cost; default: [index] max_usd."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell what embedding would cost, and do nothing.")
    ] = False,
    no_evaluation: Annotated[
        bool, typer.Option("--no-evaluation", help="Do not ask the labelled queries afterwards.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Bring the index up to date; unchanged records cost nothing. Ends with 1 when text is found less often."""
    from console.operations.ingest import ingest as ingest_records

    here = session()
    chosen = paths or sorted(folder for folder in here.workspace.runs.glob("*") if any(folder.glob("records/*.ndjson")))
    if not chosen:
        fail("no run has made records yet: `spotter run docparse` parses everything in data/")
    with reporting(as_json=as_json) as report:
        result = ingest_records(
            here, chosen, report, embedder=embedder, max_usd=max_usd, estimate_only=estimate, ask=not no_evaluation
        )
    if as_json:
        print_json(result)
    elif estimate:
        print("embedding here costs nothing" if result["estimate"] is None else result["estimate"]["words"])
    verdict = None if estimate else result["quality"]["gate"]
    return 1 if verdict is not None and not verdict["passed"] else 0


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NDJSON, gzipped or not.")],
    embedder: Annotated[
        str | None,
        typer.Option("--embedder", metavar="NAME", help="Embed texts whose vectors are missing or of another space."),
    ] = None,
    later: Annotated[
        bool, typer.Option("--later", help="Leave the writing of Chroma to `spotter index mirror` or the next ingest.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Take every record of an NDJSON file into the index, or none; vectors are kept to the last bit."""
    from console.operations.events import relay
    from console.operations.index_quality import after_ingest
    from index.embed import embedder as embedder_named
    from index.mirroring import mirror_in_child
    from index.spending import Purse
    from index.transfer import import_file

    here = session()
    root, purse = here.workspace.root, Purse(here.settings.index.max_usd)
    chosen = None if embedder is None else embedder_named(embedder, root, purse)
    with reporting(as_json=as_json) as report:
        result = import_file(file, root, chosen, relay("import", report), mirror=False)
        if not later:
            result = replace(result, mirrored=mirror_in_child(root, relay("mirror", report)).written)
        quality = after_ingest(root, asdict(result), report)
    passed = quality["gate"] is None or quality["gate"]["passed"]
    if as_json:
        print_json(asdict(result) | {"quality": quality})
        return 0 if passed else 1
    print(
        f"{count(result.read, 'record')} read: {result.added} added, {result.updated} updated, "
        f"{result.unchanged} unchanged, {result.removed} removed; {result.records} in the index ({result.space})"
    )
    if result.superseded:
        print(f"not taken: {count(result.superseded, 'record')} of documents that a newer import or run has replaced")
    return 0 if passed else 1


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


def _command(name: str, call: Callable[..., int]) -> None:
    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    index.command(name)(guarded)


for _name, _call in (
    ("build", index_build.build),
    ("rebuild", index_build.rebuild),
    ("migrate", index_build.migrate),
    ("ingest", ingest),
    ("generations", index_build.generations),
    ("use", index_build.use),
    ("gc", index_build.gc),
    ("doctor", index_build.doctor),
    ("stats", index_build.stats),
    ("mirror", index_build.mirror),
    ("import", import_),
    ("export", export),
    ("evaluate", index_quality.evaluate),
    ("report", index_quality.report),
    ("build-qa", index_quality.build_qa),
    ("learn", index_quality.learn),
):
    _command(_name, _call)
