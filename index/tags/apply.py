"""Tagging anew what is in the index already, after the catalog changed: no text is embedded, no vector touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from index.errors import IndexEmpty
from index.layout import Layout
from index.progress import Progress, Report, silent
from index.snapshot import TagClaim
from index.store import Store
from index.tags.catalog import Catalog
from index.tags.corpus import OWN_SOURCES, IndexedRecord, frequencies, opened, read_corpus
from index.tags.hook import TagHook, TagRow, hook_of
from index.tags.infer import Tagger

BATCH = 1_000


@dataclass(frozen=True)
class ApplyResult:
    """What tagging anew changes, or would change."""

    records: int
    changed: int
    """Records whose tags become others."""
    before: Mapping[str, int]
    """Records by tag, most frequent first."""
    after: Mapping[str, int]
    unknown: Mapping[str, int]
    """Tags that records came with and the catalog doesn't know, by how many have them; they are kept."""
    dry_run: bool
    mirrored: int = 0
    """Records whose tags were written to Chroma."""

    @property
    def by_tag(self) -> dict[str, tuple[int, int]]:
        """Tags whose count changes: before, after; the greatest change first."""
        both = {tag: (self.before.get(tag, 0), self.after.get(tag, 0)) for tag in {**self.before, **self.after}}
        changed = {tag: counts for tag, counts in both.items() if counts[0] != counts[1]}
        return dict(sorted(changed.items(), key=lambda pair: (-abs(pair[1][1] - pair[1][0]), pair[0])))


def apply_tags(workspace: Path, catalog: Catalog, *, dry_run: bool = False, report: Report = silent) -> ApplyResult:
    """Give every record of the index the tags of this catalog, through the store's `retag`.

    Killed in the middle, some records have the new tags and some the old; the next one completes it.

    Raises:
        IndexEmpty: there is no index.
        IndexLocked: another process writes it (a dry run needs no lock).
        BadStruct: a region's struct can't be read.
    """
    hook = hook_of(Tagger(catalog))
    if dry_run:
        return _Application(workspace, catalog, hook, None, report).run()
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
    with Store(workspace, current.space, "tagging anew") as store:
        return _Application(workspace, catalog, hook, store, report).run()


class _Application:
    """One pass over all records."""

    def __init__(self, workspace: Path, catalog: Catalog, hook: TagHook, store: Store | None, report: Report) -> None:
        self._workspace = workspace
        self._catalog = catalog
        self._hook = hook
        self._store = store
        self._report = report
        self._before: Counter[str] = Counter()
        self._after: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._records = self._changed = 0

    def run(self) -> ApplyResult:
        """Read, compare and, with a store, write."""
        with opened(self._workspace) as db:
            (total,) = db.execute("SELECT count(*) FROM record").fetchone()
            for batch in _batches(read_corpus(db, self._workspace)):
                self._take(batch)
                self._report(Progress("tags", "Tagging records", self._records, total, "records"))
        mirrored = 0 if self._store is None else self._store.mirror(self._report)
        return ApplyResult(
            records=self._records,
            changed=self._changed,
            before=frequencies(self._before),
            after=frequencies(self._after),
            unknown=frequencies(self._unknown),
            dry_run=self._store is None,
            mirrored=mirrored,
        )

    def _take(self, batch: Sequence[IndexedRecord]) -> None:
        claims: dict[str, dict[str, list[TagClaim]]] = {source: {} for source in OWN_SOURCES}
        for one in batch:
            wanted = frozenset(self._hook(one.record, one.folder))
            kept = frozenset(row for row in one.rows if row[1] not in OWN_SOURCES)
            self._before.update(one.tags)
            self._after.update({tag for tag, _, _ in wanted | kept})
            self._unknown.update(
                tag for tag, source, _ in wanted if source == "record" and tag not in self._catalog.tag_by_id
            )
            self._records += 1
            if wanted != one.rows - kept:
                self._changed += 1
                for source in OWN_SOURCES:
                    claims[source][one.record.id] = _claims(wanted, source)
        if self._store is not None:
            for source in OWN_SOURCES:
                if claims[source]:
                    self._store.retag(claims[source], source)


def _claims(rows: frozenset[TagRow], source: str) -> list[TagClaim]:
    return sorted((TagClaim(tag, score) for tag, whose, score in rows if whose == source), key=lambda one: one.tag)


def _batches(records: Iterator[IndexedRecord]) -> Iterator[list[IndexedRecord]]:
    while batch := list(islice(records, BATCH)):
        yield batch
