"""How good the index is: labelled queries asked, and every answer list measured.

Strict metrics count a record only when its id is labelled. Group-level metrics count places instead, regions or, for
text, pages, each once, because several records of one place answer alike and seldom are all labelled. Both are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import IndexEmpty, IndexProblem
from index.found import Hit, Mode
from index.layout import Current, Layout
from index.metrics import all_metrics, grouped
from index.progress import Progress, Report, silent
from index.queries import LabelledQuery
from index.rank import Fusion, is_text
from index.snapshot import connect
from index.view import read_only

if TYPE_CHECKING:
    from index.boosts import Boosts
    from index.embed import Matrix
    from index.search import Searcher

CUTOFFS = (1, 3, 5, 10)
_RECORDS_A_PLACE = 3
"""Hits asked for per place that is wanted, since several may stand on one."""
_PAGE = 500
_NAMED = 10
_SHOWN = 5
_SHOWN_LETTERS = 90

Kind = Literal["text", "visual", "mixed"]
Level = Literal["strict", "group"]


class DanglingAnswers(IndexProblem):
    """Labelled records are not in the index, so that every metric would lie; the text names them."""


class BadEvaluation(IndexProblem):
    """A file is not a saved evaluation."""


class WordsOnly(IndexProblem):
    """The queries' vectors can't be made here, so that the evaluation would measure another search than asked for."""


@dataclass(frozen=True)
class About:
    """What an evaluation must know of one record."""

    type: str
    document: str
    group: str
    """Document, page and region; the record's own id when it has neither page nor region."""


@dataclass(frozen=True)
class Asking:
    """How the labelled queries are asked; by default as `spotter search` asks."""

    mode: Mode = "balanced"
    fusion: Fusion | None = None
    """None: the search's own."""
    boosts: Boosts | None = None
    """None: the workspace's."""
    generation: str | None = None
    """None: the one in use."""
    words_only: bool = False
    """Without vectors, by the operator's word."""


class Shown(BaseModel):
    """One of the first hits of an answer list, as a report shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    type: str
    document: str
    page: int | None
    text: str
    """How it begins."""
    answers: bool
    """Whether it is labelled as an answer."""


class Asked(BaseModel):
    """One labelled query with what came back and how good it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    language: str
    kind: Kind
    """Whether its answers are text of the document, speak of regions, or both."""
    types: tuple[str, ...]
    """Types of its answers."""
    documents: tuple[str, ...]
    """Documents of its answers."""
    hits: tuple[str, ...]
    """Ids, best first; a near-duplicate that is labelled stands where the hit that it is shown under does."""
    text_share_at_5: float
    """Share of text among the first five hits."""
    strict: dict[str, float]
    """Metric to value, such as `R@5`."""
    group: dict[str, float]
    first: tuple[Shown, ...] = ()
    """The first five hits."""


class Evaluation(BaseModel):
    """All labelled queries asked of one state of an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str
    records_by_type: dict[str, int]
    asked: tuple[Asked, ...]
    mode: Mode = "balanced"
    fusion: Fusion | None = None
    boosts: str = ""
    """What the search said of the boosts that counted; empty when none did."""
    generation: str = ""
    """Folder of the generation that was asked."""
    words_only: bool = False
    """Whether the vectors were left out by the operator's word."""

    def of(self, wanted: Callable[[Asked], bool]) -> tuple[Asked, ...]:
        """The queries for which `wanted` holds."""
        return tuple(asked for asked in self.asked if wanted(asked))

    @property
    def text_records(self) -> int:
        """Records that are text of a document."""
        return sum(count for name, count in self.records_by_type.items() if is_text(name))

    @property
    def visual_records(self) -> int:
        """Records that speak of a region."""
        return sum(count for name, count in self.records_by_type.items() if not is_text(name))


def evaluate(
    workspace: Path,
    queries: Sequence[LabelledQuery],
    cutoffs: Sequence[int] = CUTOFFS,
    report: Report = silent,
    asking: Asking | None = None,
) -> Evaluation:
    """Ask the index every labelled query and measure the answers.

    Raises:
        DanglingAnswers: labelled records are not in the index.
        WordsOnly: the index has vectors, and the embedder that could make the queries' can't run here.
        IndexEmpty, IndexCorrupt, UnknownGeneration: as `Searcher`.
    """
    from index.search import Searcher  # every ingest loads this module, and few of them ask

    how = asking or Asking()
    current = asked_generation(workspace, how.generation)
    deepest = max(cutoffs) * _RECORDS_A_PLACE
    labelled = sorted({found for query in queries for found in query.gain_by_id})
    known, by_type = about(current, labelled)
    refuse_dangling(queries, known)
    lists: dict[str, list[str]] = {}
    first: dict[str, tuple[Shown, ...]] = {}
    with Searcher(workspace, boosts=how.boosts, generation=how.generation) as searcher:
        if not how.words_only:
            _make_vectors(searcher, queries)
        for at, query in enumerate(queries, start=1):
            vector = None if how.words_only else _vector(searcher, query.query)
            found = searcher.search(query.query, deepest, mode=how.mode, fusion=how.fusion, vector=vector)
            lists[query.query] = stood_for(found.hits, query.gain_by_id)
            first[query.query] = tuple(_shown(hit, query.answers) for hit in found.hits[:_SHOWN])
            report(Progress("evaluate", query.query, at, len(queries), "queries"))
        space = searcher.space
    known |= about(current, sorted({found for hits in lists.values() for found in hits} - known.keys()))[0]
    return Evaluation(
        space=space,
        records_by_type=by_type,
        asked=tuple(measure(query, lists[query.query], known, cutoffs, first[query.query]) for query in queries),
        mode=how.mode,
        fusion=found.fusion,
        boosts=found.boosts_note,
        generation=current.name,
        words_only=how.words_only,
    )


def stood_for(hits: Sequence[Hit], gains: Mapping[str, float]) -> list[str]:
    """Ids of an answer list, where a hit that is no answer counts as the labelled near-duplicate that it stands for."""
    ids = []
    for hit in hits:
        labelled = [found for found in (hit.id, *hit.similar) if gains.get(found, 0.0) > 0]
        ids += labelled or [hit.id]
    return ids


def measure(
    query: LabelledQuery,
    hits: Sequence[str],
    known: Mapping[str, About],
    cutoffs: Sequence[int] = CUTOFFS,
    first: tuple[Shown, ...] = (),
) -> Asked:
    """Measure one answer list against the labels; `known` holds every record of both."""
    gains = query.gain_by_id
    types = sorted({known[found].type for found in query.answers})
    texts = [is_text(name) for name in types]
    groups = {found: about.group for found, about in known.items()}
    # The places that hold an answer, in the order in which the list reaches them.
    places, place_gains = grouped(hits, gains, groups)
    return Asked(
        query=query.query,
        language=query.language,
        kind="text" if all(texts) else "mixed" if any(texts) else "visual",
        types=tuple(types),
        documents=tuple(sorted({known[found].document for found in query.answers})),
        hits=tuple(hits),
        text_share_at_5=sum(is_text(known[found].type) for found in hits[:5]) / min(5, len(hits)) if hits else 0.0,
        strict=all_metrics(hits, gains, cutoffs),
        group=all_metrics(places, place_gains, cutoffs),
        first=first,
    )


def refuse_dangling(queries: Iterable[LabelledQuery], known: Mapping[str, About]) -> None:
    """Raise DanglingAnswers, naming query and id, when labels speak of records that are not there."""
    lost = [(query.query, found) for query in queries for found in query.gain_by_id if found not in known]
    if lost:
        named = "; ".join(f"{found} (of “{query}”)" for query, found in lost[:_NAMED])
        more = f"; and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise DanglingAnswers(
            f"{len(lost)} labelled records are not in the index: {named}{more}; "
            "ingest their documents, or take the ids out of the queries."
        )


def mean(asked: Sequence[Asked], metric: str, level: Level = "strict") -> float | None:
    """Mean of a metric over queries; None when there are none."""
    values = values_of(asked, metric, level)
    return sum(values) / len(values) if values else None


def values_of(asked: Iterable[Asked], metric: str, level: Level = "strict") -> list[float]:
    """A metric of each query, in order."""
    return [(one.strict if level == "strict" else one.group)[metric] for one in asked]


def read_evaluation(path: Path) -> Evaluation:
    """An evaluation saved by `write_evaluation`. Raises BadEvaluation."""
    try:
        return Evaluation.model_validate(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise BadEvaluation(
            f"{path} is not a saved evaluation ({reason}); make one with: spotter index evaluate --save-baseline"
        ) from error


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Save an evaluation; the same one always gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(orjson.dumps(evaluation.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n")
    temporary.replace(path)


def asked_generation(workspace: Path, generation: str | None) -> Current:
    """The generation of this name, or the one in use. Raises IndexEmpty, UnknownGeneration."""
    layout = Layout(workspace.absolute())
    current = layout.current() if generation is None else layout.generation(generation)
    if current is None:
        raise IndexEmpty(workspace)
    return current


def _make_vectors(searcher: Searcher, queries: Sequence[LabelledQuery]) -> None:
    """Of all queries in few requests; each is at hand when it is asked."""
    try:
        searcher.warm([query.query for query in queries])
    except IndexProblem as error:
        raise WordsOnly(f"{error} Without vectors only the words can be measured: --words-only.") from error


def _vector(searcher: Searcher, query: str) -> Matrix | None:
    try:
        return searcher.query_vector(query)
    except IndexProblem as error:
        raise WordsOnly(f"{error} Without vectors only the words can be measured: --words-only.") from error


def _shown(hit: Hit, answers: Sequence[str]) -> Shown:
    document = hit.source_file or hit.document_id or hit.filename or ""
    text = " ".join(hit.text.split())
    text = text if len(text) <= _SHOWN_LETTERS else f"{text[: _SHOWN_LETTERS - 1]}…"
    answering = any(found in answers for found in (hit.id, *hit.similar))
    return Shown(id=hit.id, type=hit.type, document=document, page=hit.page, text=text, answers=answering)


def about(current: Current, ids: Sequence[str]) -> tuple[dict[str, About], dict[str, int]]:
    """Those of these records that are in the index, and how many records there are of each type."""
    found: dict[str, About] = {}
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            for first in range(0, len(ids), _PAGE):
                page = ids[first : first + _PAGE]
                rows = db.execute(
                    "SELECT id, type, coalesce(source_file, document_id, filename, ''), page, meta FROM record "  # noqa: S608
                    f"WHERE id IN ({','.join('?' * len(page))})",
                    list(page),
                )
                for record_id, kind, document, number, meta in rows:
                    region = orjson.loads(meta).get("region_id")
                    place = record_id if number is None and region is None else f"{document}#{number}#{region or ''}"
                    found[record_id] = About(kind, document, place)
            by_type = dict(db.execute("SELECT type, count(*) FROM record GROUP BY type ORDER BY 2 DESC, 1"))
    finally:
        db.close()
    return found, by_type
