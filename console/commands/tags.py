"""`spotter tags …`: the catalog, what is tagged with it, what is mined for it, and how far tags move a ranking."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.frame import Json, fail, guard, print_json, reporting, workspace
from console.words import count

if TYPE_CHECKING:
    from index.tags.apply import ApplyResult
    from index.tags.mining.run import MiningResult

tags = typer.Typer(no_args_is_help=True, help="Tags: catalog, tagging, mining, boosts.")

SHOWN = 25
"""So many lines of a long list are printed; --json has all."""


def list_(
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Only this group.")] = None,
    as_json: Json = False,
) -> int:
    """Show the catalog's tags with their boosts, and how many records have each when there is an index."""
    from index.errors import IndexEmpty
    from index.tags.catalog_file import workspace_catalog
    from index.tags.corpus import opened, tagged
    from index.tags.policy import explain
    from index.tags.policy_file import workspace_policy

    root = workspace().root
    catalog, policy = workspace_catalog(root), workspace_policy(root)
    if group is not None and group not in catalog.group_by_id:
        fail(f"there is no group {group!r}; the groups are: {', '.join(catalog.group_by_id)}", 2)
    try:
        with opened(root) as db:
            counts = dict(tagged(db).by_tag)
    except IndexEmpty:
        counts = {}
    chosen = [tag for tag in catalog.active if group in (None, tag.group)]
    lines = [
        asdict(tag) | {"boost": explain(policy, catalog, tag.id).boost, "records": counts.get(tag.id, 0)}
        for tag in chosen
    ]
    if as_json:
        print_json({"catalog": catalog.origin, "version": catalog.version, "tags": lines})
        return 0
    for line in lines:
        names = " · ".join(line["label"].values())
        print(f"{line['id']:34} ×{line['boost']:<7g} {line['records']:>7}  {names}")
    print(f"{count(len(lines), 'tag')} of the catalog ({catalog.origin}, version {catalog.version})")
    return 0


def lint(
    catalog: Annotated[Path | None, typer.Argument(metavar="FILE", help="A catalog; default: the workspace's.")] = None,
    as_json: Json = False,
) -> int:
    """Tell what is wrong with a catalog, alone and against the index; ends with 1 when there are errors."""
    from index.errors import IndexEmpty
    from index.tags.catalog_file import read_catalog, workspace_catalog
    from index.tags.corpus import opened, tagged
    from index.tags.lint import lint as look

    root = workspace().root
    chosen = workspace_catalog(root) if catalog is None else read_catalog(catalog)
    try:
        with opened(root) as db:
            findings = look(chosen, tagged(db))
    except IndexEmpty:
        findings = look(chosen)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.severity}: {finding.text}")
        print(f"{count(len(findings), 'finding')} in {count(len(chosen.active), 'active tag')} ({chosen.origin})")
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def docs(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: docs/TAGS.md.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; end with 1 when the file is stale.")] = False,
    as_json: Json = False,
) -> int:
    """Make the page about the catalog and its boosts."""
    from index.tags.catalog_file import workspace_catalog
    from index.tags.docs_page import tags_page
    from index.tags.policy_file import workspace_policy

    root = workspace().root
    path = out or root / "docs" / "TAGS.md"
    page = tags_page(workspace_catalog(root), workspace_policy(root))
    fresh = path.is_file() and path.read_text("utf-8") == page
    if not fresh and check:
        fail(f"{path} does not say what the catalog says: make it anew with `spotter tags docs`")
    if not fresh:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
    if as_json:
        print_json({"path": path, "changed": not fresh})
    else:
        print(f"{path} {'is up to date' if fresh else 'is written'}")
    return 0


def infer(
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="A text to find tags in.")] = None,
    record: Annotated[str | None, typer.Option("--record", metavar="ID", help="A record of the index instead.")] = None,
    as_json: Json = False,
) -> int:
    """Show which tags a text or a record gets, and by which words."""
    from index.tags.catalog_file import workspace_catalog
    from index.tags.corpus import find_record
    from index.tags.infer import Tagger, read_struct
    from pipeline.core.records import Record, RecordMeta

    if bool(words) == bool(record):
        fail("name either a text or --record ID", 2)
    root = workspace().root
    tagger = Tagger(workspace_catalog(root))
    if record is not None:
        found = find_record(root, record)
        told = tagger.tags_of(found.record, read_struct(found.record, found.folder))
    else:
        told = tagger.tags_of(Record(id="-", text=" ".join(words or ()), meta=RecordMeta(type="NarrativeText")))
    if as_json:
        print_json(asdict(told))
        return 0
    for one in told.assigned:
        print(f"{one.tag:34} {one.score:<6g} {one.source:8} {one.evidence}")
    for raw in told.raw_tags:
        print(f"{raw:34} is no tag of the catalog and stays as it is")
    if not told.assigned and not told.raw_tags:
        print("no tags", file=sys.stderr)
    return 0


def apply(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would change.")] = False,
    as_json: Json = False,
) -> int:
    """Tag every record of the index anew by the catalog; nothing is embedded."""
    from console.operations.events import relay
    from index.tags.apply import apply_tags
    from index.tags.catalog_file import workspace_catalog

    root = workspace().root
    with reporting(as_json=as_json) as report:
        done = apply_tags(root, workspace_catalog(root), dry_run=dry_run, report=relay("tags", report))
    if as_json:
        print_json(asdict(done) | {"by_tag": done.by_tag})
    else:
        _tell_applied(done)
    return 0


def _tell_applied(done: ApplyResult) -> None:
    for tag, (before, after) in list(done.by_tag.items())[:SHOWN]:
        print(f"{tag:34} {before:>7} → {after}")
    if len(done.by_tag) > SHOWN:
        print(f"… and {count(len(done.by_tag) - SHOWN, 'more tag')}")
    for tag, records in list(done.unknown.items())[:SHOWN]:
        print(f"{tag:34} {records:>7}   is no tag of the catalog and stays as it is")
    would = "would change" if done.dry_run else "changed"
    print(f"{count(done.changed, 'record')} of {done.records} {would}")


def mine(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The review file; default: tags/candidates.jsonl.")
    ] = None,
    min_documents: Annotated[int, typer.Option(help="In so many documents at least, or …", min=1)] = 3,
    min_records: Annotated[int, typer.Option(help="… in so many records.", min=1)] = 5,
    max_share: Annotated[float, typer.Option(help="In no greater share of all records.", min=0, max=1)] = 0.30,
    limit: Annotated[int, typer.Option(help="How many candidates at most.", min=1, max=5000)] = 400,
    embedder: Annotated[
        str | None, typer.Option("--embedder", metavar="NAME", help="Propose merges by its vectors, too.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="SERVER/MODEL", help="Ask this chat model about every page, too.")
    ] = None,
    max_usd: Annotated[
        float, typer.Option("--max-usd", metavar="USD", help="What model and embedder may cost.", min=0)
    ] = 0.5,
    as_json: Json = False,
) -> int:
    """Propose new tags from what is in the index, for you to decide; decisions of before are kept."""
    from console.operations.events import relay
    from index.spending import Purse
    from index.tags.catalog_file import workspace_catalog
    from index.tags.mining.candidates import Limits
    from index.tags.mining.review_file import FILE
    from index.tags.mining.run import mine_index

    root = workspace().root
    limits = replace(
        Limits(), min_documents=min_documents, min_records=min_records, max_share=max_share, limit=limit
    )  # fmt: skip
    chosen = asker = None
    purse = Purse(max_usd)
    if embedder is not None:
        from index.embed import embedder as embedder_named

        chosen = embedder_named(embedder, root, purse)
    if model is not None:
        from index.chat import chat_model
        from index.tags.mining.asking import Asker

        asker = Asker(chat_model(model, root, purse))
    with reporting(as_json=as_json) as report:
        done = mine_index(
            root, workspace_catalog(root), out or root / FILE, limits, chosen, asker, relay("mining", report)
        )
    if as_json:
        print_json(asdict(done) | {"lines": len(done.lines), "by_decision": done.by_decision})
    else:
        _tell_mined(done)
    return 0


def _tell_mined(done: MiningResult) -> None:
    for line in [one for one in done.lines if one.decision == "open"][:SHOWN]:
        merge = f"  (perhaps {line.proposals[0].into}: {line.proposals[0].why})" if line.proposals else ""
        print(f"{line.id:40} {line.records:>5} records  z {line.z:<6g} {line.name}{merge}")
    decisions = ", ".join(f"{number} {decision}" for decision, number in sorted(done.by_decision.items()))
    print(f"{count(len(done.lines), 'candidate')} ({decisions or 'none'}), {done.new} new, from {done.records} records")
    for reason, number in {**done.left_out, **done.dropped_by_model}.items():
        print(f"left out: {number:>6}  {reason}")
    print(f"in {done.path}: set `decision` of each line to accept, merge, rename or reject, then `spotter tags accept`")


def accept(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A review file (.jsonl), or groups and tags as Markdown; default: tags/candidates.jsonl.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Fold your decisions into the workspace's catalog."""
    from index.tags.mining.accepting import accept as fold
    from index.tags.mining.review_file import FILE

    root = workspace().root
    done = fold(root, file or root / FILE)
    if as_json:
        print_json(asdict(done))
        return 0
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(
        f"{count(len(done.added), 'tag')} added, {count(len(done.merged), 'name')} merged, {done.already} there "
        f"already, {done.rejected} rejected, {done.open} open; {done.path} is at version {done.version}"
    )
    if done.added or done.merged:
        print("`spotter tags apply` gives them to what is in the index already")
    return 0


def boosts(
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="TAG", help="Show how this tag comes to its boost.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="A policy (.md, .yaml); default: the workspace's.")
    ] = None,
    phase: Annotated[
        str | None, typer.Option("--phase", metavar="PHASE", help="The double loop's phase in force.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Let these boosts count: tags/boosts.json.")] = False,
    replace_fitted: Annotated[
        bool, typer.Option("--replace-fitted", help="Even if those that count were fitted to queries.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show the boost that the policy gives every tag, or one tag's with the whole calculation."""
    from index.tags.boosting import boosts_by_policy, policy_of, write_policy_boosts
    from index.tags.catalog_file import workspace_catalog
    from index.tags.policy import check
    from index.tags.policy import explain as explained

    root = workspace().root
    catalog, chosen = workspace_catalog(root), policy_of(root, policy, phase)
    if explain is not None:
        check(chosen, catalog)
        told = explained(chosen, catalog, explain)
        if as_json:
            print_json(asdict(told))
        else:
            print(f"{told.name}: {told.formula}")
        return 0
    result = boosts_by_policy(root, catalog, chosen)
    path = write_policy_boosts(root, result, replace_fitted=replace_fitted) if write else None
    if as_json:
        print_json(
            {"policy": chosen.origin, "phase": chosen.phase, "not_read": chosen.unread, "tags": result.wanted.tags}
            | {"groups": result.wanted.groups, "zones": result.wanted.zones, "changed": result.changed, "written": path}
        )
        return 0
    for name, (before, after) in list(result.changed.items())[:SHOWN]:
        print(f"{name:34} ×{before:g} → ×{after:g}")
    if len(result.changed) > SHOWN:
        print(f"… and {count(len(result.changed) - SHOWN, 'more change')}")
    for section in chosen.unread:
        print(f"not read: the section {section}")
    said = f"boosts by the policy ({chosen.origin}, phase {chosen.phase or 'none'}): {len(result.changed)} differ"
    print(f"{said}; written to {path}" if path else f"{said} from those that count; --write lets them count")
    return 0


def report(
    queries: Annotated[
        Path | None,
        typer.Option("--queries", metavar="FILE", help="Labelled queries to rank; default: the tags' own names."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, too.")] = None,
    as_json: Json = False,
) -> int:
    """Tell how well the index is tagged, and what the boosts do to rankings, before and after."""
    from index.boosts import read_boosts
    from index.queries import read_queries
    from index.tags.boosting import FILE
    from index.tags.catalog_file import workspace_catalog
    from index.tags.coverage import coverage, influence, markdown

    root = workspace().root
    catalog, counted = workspace_catalog(root), read_boosts(root / FILE)
    asked = [] if queries is None else [query.query for query in read_queries(queries)]
    told = coverage(root, catalog)
    moved = influence(root, catalog, counted, asked, "" if queries is None else str(queries))
    page = markdown(told, counted, moved)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, "utf-8")
    if as_json:
        print_json({"coverage": asdict(told), "influence": asdict(moved), "report": out})
    else:
        print(page)
    return 0


def _command(name: str, call: Callable[..., int]) -> None:
    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    tags.command(name)(guarded)


for _name, _call in (
    ("list", list_),
    ("lint", lint),
    ("docs", docs),
    ("infer", infer),
    ("apply", apply),
    ("mine", mine),
    ("accept", accept),
    ("boosts", boosts),
    ("report", report),
):
    _command(_name, _call)
