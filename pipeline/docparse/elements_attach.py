"""Which file of elements belongs to which document: settled at planning, so that nothing is lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline.core.manifest import Source
from pipeline.docparse.elements import Partition, same_name


@dataclass(frozen=True, slots=True)
class PartitionFile:
    """A file of elements that a scan found."""

    source: Source
    partition: Partition


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file of elements, or its share that names one document, without that document."""

    source: Source
    message: str


@dataclass(slots=True)
class Attachments:
    """What goes with which document."""

    by_document: dict[str, Source] = field(default_factory=dict)
    """Path of a document → its file of elements."""
    orphans: list[Orphan] = field(default_factory=list)
    passed_over: list[tuple[Source, str]] = field(default_factory=list)
    """Files that tell of a document which has another one, and why they are left out."""
    warnings: list[str] = field(default_factory=list)


def attach(files: Sequence[PartitionFile], documents: Mapping[str, int]) -> Attachments:
    """Find the document of every file among `documents` (path → pages, 0 when it cannot be opened), in this order:

    1. the one that lies beside it and is called like it without `.json`;
    2. the one called as its elements' `metadata.filename` says, in whatever folder;
    3. the one called like the file without `.json`, with or without its own ending, in whatever folder.

    Of several with that name the one in the most similar folder is taken; a tie makes the file an orphan. A file that
    tells of several documents is attached to each.
    """
    made = Attachments()
    index = _Index(documents)
    # What lies beside its document comes first: it wins over a copy elsewhere.
    for one in sorted(files, key=lambda one: (_bare(one.source.path) not in documents, one.source.path)):
        names = one.partition.filenames
        for name in names.values() if len(names) > 1 else [next(iter(names.values()), "")]:
            several = len(names) > 1
            found = index.by_name(one.source.path, name) if several else index.document(one.source.path, name)
            if len(found) != 1:
                made.orphans.append(Orphan(one.source, _unmatched(one.source.path, name, found)))
                continue
            (document,) = found
            if document in made.by_document:
                other = made.by_document[document].path
                made.passed_over.append((one.source, f"the elements of {document!r} are taken from {other!r}"))
                made.warnings.append(f"{one.source.path!r} is left out: the elements of {document!r} are in {other!r}")
                continue
            made.by_document[document] = one.source
            made.warnings += _misplaced(one, document, documents[document])
    return made


class _Index:
    def __init__(self, documents: Mapping[str, int]) -> None:
        self._documents = documents
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in documents:
            self._by_name.setdefault(same_name(path), []).append(path)
            self._by_stem.setdefault(same_name(PurePosixPath(path).stem), []).append(path)

    def document(self, path: str, filename: str) -> list[str]:
        """Candidates for a file that tells of one document."""
        bare = _bare(path)
        if bare in self._documents:
            return [bare]
        return (
            self.by_name(path, filename)
            or self.by_name(path, bare)
            or _nearest(path, self._by_stem.get(same_name(bare), []))
        )

    def by_name(self, path: str, filename: str) -> list[str]:
        """Candidates called `filename`, those in the most similar folder."""
        return _nearest(path, self._by_name.get(same_name(filename), [])) if filename else []


def _bare(path: str) -> str:
    return path[: -len(".json")]


def _nearest(path: str, candidates: Sequence[str]) -> list[str]:
    """Those whose folder shares the most names with the file's, read from the end: `x/playbooks` and `y/playbooks`."""

    def shared(candidate: str) -> int:
        ours, theirs = PurePosixPath(path).parts[-2::-1], PurePosixPath(candidate).parts[-2::-1]
        return sum(1 for _ in _while_equal(ours, theirs))

    best = max(map(shared, candidates), default=0)
    return [candidate for candidate in candidates if shared(candidate) == best]


def _while_equal(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return
        yield one


def _unmatched(path: str, name: str, found: Sequence[str]) -> str:
    called = name or PurePosixPath(_bare(path)).name
    if found:
        return (
            f"it holds elements of {called!r}, which {len(found)} documents are called ({', '.join(found)}): "
            "put it beside the one that it was made from"
        )
    return f"it holds elements of {called!r}, which is not among the sources: add that document, or take this file out"


def _misplaced(one: PartitionFile, document: str, pages: int) -> Iterator[str]:
    if pages == 0:
        return  # it cannot be opened, and that is told of the document itself
    counts = one.partition.pages(document)
    beyond = {page: count for page, count in counts.items() if page is not None and page > pages}
    if beyond:
        yield (
            f"{one.source.path!r} has {_counted(sum(beyond.values()))} on pages up to {max(beyond)}, but {document!r} "
            f"has {pages}: left out"
        )
    if pages > 1 and counts[None]:
        yield f"{one.source.path!r} has {_counted(counts[None])} without a page of {document!r}: left out"
    if not counts:
        yield f"{one.source.path!r} holds no element"


def _counted(elements: int) -> str:
    return "1 element" if elements == 1 else f"{elements} elements"
