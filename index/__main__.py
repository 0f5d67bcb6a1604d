"""`python -m index ingest|search|doctor|mirror|stats`: the index by itself, and the child process that writes it.

Writing to Chroma holds the interpreter's lock for up to seconds, so a screen starts `ingest` as a child and reads its
JSON lines. Exit codes: 0 done, 1 failed (the reason is one sentence on stderr), 2 wrong use or unusable input.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.embed import OFFLINE
from index.errors import BadSource, EmbedderUnavailable, IndexEmpty, IndexProblem, UnknownEmbedder

if TYPE_CHECKING:
    from index.progress import Progress, Report

DONE, FAILED, MISUSED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names with stray bytes must not end the command; \\udcXX is how JSON writes them, too.
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    from pipeline.core.records import RecordFormatError

    try:
        return int(arguments.run(arguments))
    except (BadSource, EmbedderUnavailable, IndexEmpty, UnknownEmbedder) as error:
        return _fail(error, MISUSED, as_json=arguments.json)
    except (IndexProblem, RecordFormatError, OSError, sqlite3.Error) as error:
        return _fail(error, FAILED, as_json=arguments.json)
    except KeyboardInterrupt:
        return _fail(InterruptedError("Interrupted; what was written stays, run it again."), FAILED, arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    ingest = _command(commands, "ingest", "bring the index up to date with runs or NDJSON files", _ingest)
    ingest.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="run folder, folder of runs, or NDJSON file"
    )
    ingest.add_argument("--embedder", help=f"by default the index's own; for a new index for example {OFFLINE}")
    ingest.add_argument("--max-usd", type=float, metavar="USD", help="what embedding may cost at most; default: no cap")
    ingest.add_argument("--estimate", action="store_true", help="tell what embedding would cost, and do nothing")

    search = _command(commands, "search", "the best records for a query", _search)
    search.add_argument("query")
    search.add_argument("-k", type=int, default=10, help="how many (10)")
    search.add_argument("--type", action="append", default=[], dest="types", help="only this type; repeatable")
    search.add_argument(
        "--document", action="append", default=[], dest="documents", help="only this document; repeatable"
    )

    doctor = _command(commands, "doctor", "is the index whole, and do its parts agree", _doctor)
    doctor.add_argument("--repair", action="store_true", help="mend what isn't")

    doctor.add_argument("--accept-loss", action="store_true", help="repair even when records can't be brought back")

    _command(commands, "mirror", "write to Chroma what waits for it", _mirror)
    _command(commands, "stats", "what is in the index, counted", _stats)
    return parser


def _command(commands: Any, name: str, about: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR", help="folder that holds .spotter/")
    parser.add_argument("--json", action="store_true", help="machine-readable output, progress as JSON lines")
    parser.set_defaults(run=run)
    return parser


def _ingest(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from index.embed import Priced, embedder, embedder_for_space
    from index.embedders.ahead import ahead_of_ingest, check_against_cap
    from index.ingest import ingest
    from index.layout import Layout
    from index.spending import Purse, dollars
    from index.tags.hook import workspace_hook

    if not arguments.workspace.is_dir():
        raise BadSource(f"The workspace {arguments.workspace} is not a folder.")
    if arguments.max_usd is not None and not arguments.max_usd > 0:
        raise BadSource(f"--max-usd {arguments.max_usd} is no amount of dollars: say for example --max-usd 5")
    purse = Purse(arguments.max_usd)
    if arguments.embedder is not None:
        chosen = embedder(arguments.embedder, arguments.workspace, purse)
    else:
        current = Layout(arguments.workspace.absolute()).current()
        if current is None:
            raise UnknownEmbedder(f"A new index needs an embedder: add --embedder {OFFLINE} (lexical, needs no key).")
        chosen = embedder_for_space(current.space.id, arguments.workspace, purse)
    report = _reporter(as_json=arguments.json)
    ahead = ahead_of_ingest(arguments.paths, arguments.workspace, chosen)
    if arguments.estimate:
        said = None if ahead is None else asdict(ahead) | {"words": ahead.words(purse.cap_usd)}
        if arguments.json:
            _line({"result": {"estimate": said}})
        else:
            print("embedding here costs nothing" if ahead is None else ahead.words(purse.cap_usd))
        return DONE
    check_against_cap(ahead, purse, report)
    tagging = workspace_hook(arguments.workspace)
    result = ingest(arguments.paths, arguments.workspace, chosen, report, tagging)
    spent = asdict(purse.spent) | {"in_pieces": chosen.pieced} if isinstance(chosen, Priced) else None
    if arguments.json:
        _line({"result": asdict(result) | {"spent": spent}})
    else:
        print(
            f"{result.read} records read: {result.added} added, {result.updated} updated, "
            f"{result.unchanged} unchanged, {result.removed} removed; "
            f"{result.records} in the index ({result.space}), {result.seconds:.1f} s"
        )
        if spent is not None:
            pieces = f", {spent['in_pieces']} long texts in pieces" if spent["in_pieces"] else ""
            print(f"embedding: {purse.spent.requests} requests, {dollars(purse.spent.usd)}{pieces}")
        for rejection in result.rejected:
            print(f"not taken: {rejection.record_id or '(no id)'}: {rejection.reason}", file=sys.stderr)
    return DONE


def _search(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from index.search import Searcher

    with Searcher(arguments.workspace) as searcher:
        result = searcher.search(
            arguments.query, max(1, arguments.k), types=arguments.types, documents=arguments.documents
        )
    if arguments.json:
        _line(asdict(result))
        return DONE
    vectors = result.label or "words only"
    print(f"{result.total} of {result.records} records in {result.took_ms:.0f} ms ({vectors}: {result.space})")
    if result.note:
        print(result.note)
    for hit in result.hits:
        place = f"{hit.filename or hit.document_id or '?'}" + (f", page {hit.page}" if hit.page is not None else "")
        print(f"{hit.rank:3}. {hit.score:.3f}  {hit.type}  {place}\n     {hit.snippet.text}")
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from index.doctor import doctor

    report = doctor(
        arguments.workspace,
        repair=arguments.repair,
        accept_loss=arguments.accept_loss,
        report=_reporter(as_json=arguments.json),
    )
    if arguments.json:
        _line({"result": {**asdict(report), "ok": report.ok}})
    else:
        for done in report.repairs:
            print(f"mended: {done}")
        for check in report.checks:
            print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            if check.remedy:
                print(f"     to do: {check.remedy}")
    return DONE if report.ok else FAILED


def _mirror(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from index.mirroring import mirror

    result = mirror(arguments.workspace, _reporter(as_json=arguments.json))
    if arguments.json:
        _line({"result": asdict(result)})
    else:
        print(f"{result.written} records written; {result.records} in {result.place}, collection {result.collection}")
    return DONE


def _stats(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from index.stats import stats

    counted = stats(arguments.workspace)
    if arguments.json:
        _line(asdict(counted))
        return DONE
    print(f"{counted.records} records, {counted.text_records} of them text ({counted.space})")
    if counted.waiting_for_chroma:
        print(f"{counted.waiting_for_chroma} wait to be written to Chroma")
    for title, counts in (("type", counted.by_type), ("document", counted.by_document), ("run", counted.by_run)):
        print(f"by {title}:")
        for name, count in counts.items():
            print(f"  {count:7}  {name or '(none)'}")
    return DONE


def _reporter(*, as_json: bool) -> Report:
    from dataclasses import asdict

    def as_lines(progress: Progress) -> None:
        _line(asdict(progress))

    def as_text(progress: Progress) -> None:
        of = f" {progress.done:.0f}/{progress.total:.0f} {progress.unit}" if progress.total is not None else ""
        print(f"{progress.phase}: {progress.message}{of}", file=sys.stderr)

    return as_lines if as_json else as_text


def _line(value: Any) -> None:
    """One JSON object a line, out at once; paths as strings."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def _fail(error: BaseException, code: int, as_json: bool) -> int:
    if as_json:
        _line({"error": {"type": type(error).__name__, "message": str(error)}})
    print(f"{error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    atexit.register(gc.freeze)  # the end looks through all that was loaded for garbage, a tenth of a second long
    sys.exit(main())
