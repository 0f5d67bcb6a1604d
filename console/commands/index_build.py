"""`spotter index …` about the index's making: build, rebuild, migrate, generations, use, gc, doctor, stats, mirror."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, Yes, ask, fail, print_json, reporting, session, workspace
from console.words import count, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from index.embed import Embedder
    from index.generations import Generation
    from index.rebuild import RebuildResult
    from index.spending import Purse

Embedding = Annotated[
    str | None, typer.Option("--embedder", metavar="NAME", help="Whose vectors; default: [index] embedder.")
]
MaxUsd = Annotated[
    float | None,
    typer.Option("--max-usd", metavar="USD", help="What embedding may cost; default: [index] max_usd."),
]
EstimateOnly = Annotated[bool, typer.Option("--estimate", help="Tell what embedding would cost, and do nothing.")]
KeepRefused = Annotated[bool, typer.Option("--keep-refused", help="Keep a refused index, for a look at it.")]
Gated = Annotated[
    bool, typer.Option("--gate/--no-gate", help="Ask the labelled queries before the new index is taken into use.")
]


def build(
    paths: Annotated[list[Path] | None, typer.Argument(help="Run folders or NDJSON files; default: all runs.")] = None,
    embedder: Embedding = None,
    max_usd: MaxUsd = None,
    estimate: EstimateOnly = False,
    as_json: Json = False,
) -> int:
    """Make the index of a workspace that has none; it appears whole or not at all."""
    from index.layout import Layout

    if Layout(workspace().root).current() is not None:
        fail("there is an index already: bring it up to date with `spotter ingest`, or make it anew with "
             "`spotter index rebuild`", 2)  # fmt: skip
    return _rebuilt(paths or _all_runs(), embedder, max_usd, estimate, False, False, as_json)


def rebuild(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders or NDJSON files that the new index shall hold; default: what the old holds."),
    ] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Whose vectors; default: those of the old index.")
    ] = None,
    gate: Gated = True,
    keep_refused: KeepRefused = False,
    max_usd: MaxUsd = None,
    estimate: EstimateOnly = False,
    as_json: Json = False,
) -> int:
    """Make the index anew beside the old one, judge it, and only then take it into use; the old one is kept."""
    return _rebuilt(paths, embedder, max_usd, estimate, gate, keep_refused, as_json)


def migrate(
    embedder: Annotated[str, typer.Option("--embedder", metavar="NAME", help="Whose vectors from now on.")],
    gate: Gated = True,
    keep_refused: KeepRefused = False,
    max_usd: MaxUsd = None,
    estimate: EstimateOnly = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Embed every record anew with another embedder, beside the old index; both can be used until `gc`."""
    chosen, purse = _embedder(embedder, max_usd)
    words = _words(None, chosen, purse)
    if estimate:
        return _told(words, as_json)
    ask(f"{words}. Embed everything with {embedder}?", yes=yes)
    code = _rebuilt(None, embedder, max_usd, False, gate, keep_refused, as_json)
    if code == 0 and not as_json and session().settings.index.embedder != embedder:
        print(f'next: set embedder = "{embedder}" under [index] in spotter.toml, so that ingests go on in this space')
    return code


def generations(as_json: Json = False) -> int:
    """Every index that lies in this workspace: in use, kept, refused, broken."""
    from index.generations import generations as all_generations

    found = all_generations(workspace().root)
    if as_json:
        print_json([asdict(one) for one in found])
        return 0
    for one in found:
        print(_line(one))
    return 0


def use(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A generation's name or number.")],
    as_json: Json = False,
) -> int:
    """Take another generation into use, such as the one of before a rebuild."""
    from index.generations import use as use_generation

    chosen = use_generation(workspace().root, name)
    if as_json:
        print_json(asdict(chosen))
    else:
        print(f"in use: {_line(chosen)}")
    return 0


def gc(yes: Yes = False, as_json: Json = False) -> int:
    """Delete every generation that is not in use; names what dies, and asks."""
    from index.generations import collect, doomed

    dying = doomed(workspace().root)
    if not dying:
        if as_json:
            print_json({"deleted": [], "freed_bytes": 0})
        else:
            print("nothing to delete: there is only the index in use")
        return 0
    if not as_json:
        for one in dying:
            print(f"dies: {_line(one)}")
    total = sum(one.size_bytes for one in dying)
    ask(f"Delete {count(len(dying), 'generation')}, {size(total)}?", yes=yes)
    freed = collect(workspace().root, dying)
    if as_json:
        print_json({"deleted": [asdict(one) for one in dying], "freed_bytes": freed})
    else:
        print(f"{size(freed)} freed")
    return 0


def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Mend even when records can't be brought back.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Is the index whole, and do its parts agree: pointer, database, words, vectors, Chroma."""
    from console.operations.events import relay
    from index.doctor import doctor as examine

    with reporting(as_json=as_json) as report:
        found = examine(workspace().root, repair=repair, accept_loss=accept_loss, report=relay("doctor", report))
    if as_json:
        print_json(asdict(found) | {"ok": found.ok})
        return 0 if found.ok else 1
    for done in found.repairs:
        print(f"mended: {done}")
    for check in found.checks:
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
        if check.remedy:
            print(f"     to do: {check.remedy}")
    return 0 if found.ok else 1


def stats(as_json: Json = False) -> int:
    """What is in the index, counted."""
    from index.stats import stats as counts

    found = counts(workspace().root)
    if as_json:
        print_json(asdict(found))
        return 0
    print(f"{count(found.records, 'record')}, {found.text_records} of them text ({found.space}, {found.generation})")
    waiting = f"; {found.waiting_for_chroma} wait to be written there: spotter index mirror"
    print(f"Chroma: {found.chroma}, collection {found.collection}" + (waiting if found.waiting_for_chroma else ""))
    for title, counted in (("type", found.by_type), ("document", found.by_document), ("run", found.by_run)):
        print(f"by {title}:")
        for name, many in counted.items():
            print(f"  {many:7}  {name or '(none)'}")
    return 0


def mirror(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="A Chroma server to write to from now on, or `folder`."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Write to Chroma what waits for it, in a process of its own."""
    from console.operations.events import relay
    from index.chroma_place import mirror_to
    from index.layout import Layout
    from index.mirroring import mirror_in_child

    root = workspace().root
    if to is not None:
        mirror_to(Layout(root), None if to == "folder" else to)
    with reporting(as_json=as_json) as report:
        done = mirror_in_child(root, relay("mirror", report))
    if as_json:
        print_json(asdict(done))
    else:
        print(f"{count(done.written, 'record')} written; {done.records} in {done.place}, collection {done.collection}")
    return 0


def _rebuilt(
    paths: Sequence[Path] | None,
    embedder: str | None,
    max_usd: float | None,
    estimate: bool,
    gate: bool,
    keep_refused: bool,
    as_json: bool,
) -> int:
    from console.operations.events import relay
    from index.gating import rebuild_gate
    from index.rebuild import rebuild as rebuild_index
    from index.reports import FOLDER, LATEST, report_event

    root = workspace().root
    chosen, purse = _embedder(embedder if embedder is not None or _has_index() else _configured(), max_usd)
    if estimate:
        return _told(_words(paths, chosen, purse), as_json)
    with reporting(as_json=as_json) as report:
        tell = relay("rebuild", report)
        _check_cap(paths, chosen, purse, tell)
        done = rebuild_index(
            root,
            paths,
            chosen,
            gate=rebuild_gate(root, tell) if gate else None,
            keep_refused=keep_refused,
            report=tell,
        )
    if not gate:
        report_event(root, "rebuild", told={"generation": done.generation, "gate": "not asked"})
    if as_json:
        print_json(asdict(done))
    else:
        for line in (*_result_lines(done), f"report: {root / FOLDER / LATEST}.md"):
            print(line)
    return 0 if done.switched else 1


def _result_lines(done: RebuildResult) -> list[str]:
    made = f"{count(done.records, 'record')} in {done.generation} ({done.space}): {done.reused} vectors taken over, "
    lines = [f"{made}{done.embedded} embedded, {done.seconds:.1f} s"]
    if done.missing_count:
        named = ", ".join(done.missing[:3]) + (", …" if done.missing_count > 3 else "")
        lines.append(f"not in it: {count(done.missing_count, 'record')} of the old index ({named})")
    if done.verdict:
        lines.append(done.verdict)
    if done.switched:
        back = f"; the old one is kept: spotter index use {done.previous}" if done.previous else ""
        lines.append(f"{done.generation} is in use{back}")
    else:
        kept = f"{done.generation} is kept for a look" if done.kept else "the new index was removed"
        lines.append(f"refused: {done.previous} stays in use, {kept}")
    return lines


def _embedder(name: str | None, max_usd: float | None) -> tuple[Embedder, Purse]:
    """The embedder of this name, or the one of the index in use."""
    from index.embed import embedder as embedder_named
    from index.layout import Layout
    from index.reuse import embedder_or_stock
    from index.spending import Purse

    root = workspace().root
    purse = Purse(session().settings.index.max_usd if max_usd is None else max_usd)
    if name is not None:
        return embedder_named(name, root, purse), purse
    current = Layout(root).current()
    assert current is not None, "without an index the settings name the embedder"
    return embedder_or_stock(current.space, root, purse), purse


def _has_index() -> bool:
    from index.layout import Layout

    return Layout(workspace().root).current() is not None


def _configured() -> str:
    return session().settings.index.embedder


def _words(paths: Sequence[Path] | None, chosen: Embedder, purse: Purse) -> str:
    from index.rebuild import estimate_rebuild

    ahead = estimate_rebuild(workspace().root, paths, chosen)
    return "embedding here costs nothing" if ahead is None else ahead.words(purse.cap_usd)


def _check_cap(paths: Sequence[Path] | None, chosen: Embedder, purse: Purse, report: Callable[..., None]) -> None:
    from index.embedders.ahead import check_against_cap
    from index.rebuild import estimate_rebuild

    check_against_cap(estimate_rebuild(workspace().root, paths, chosen), purse, report)


def _told(words: str, as_json: bool) -> int:
    if as_json:
        print_json({"estimate": words})
    else:
        print(words)
    return 0


def _all_runs() -> list[Path]:
    runs = sorted(folder for folder in workspace().runs.glob("*") if any(folder.glob("records/*.ndjson*")))
    if not runs:
        fail("no run has made records yet: `spotter run docparse` parses everything in data/")
    return runs


def _line(one: Generation) -> str:
    state = "in use" if one.in_use else one.state
    records = "unreadable" if one.records is None else count(one.records, "record")
    note = f" ({one.note})" if one.note else ""
    return f"{one.name}: {state}, {records}, {size(one.size_bytes)}{note}"
