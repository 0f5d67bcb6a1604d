"""How good the index is: labelled queries asked, every answer list measured, and the gate that a change must pass.

Strict metrics count a record only when its id is labelled. Group-level metrics count places instead, regions or, for
text, pages, each once, because several records of one place answer alike and seldom are all labelled. Both are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import IndexEmpty, IndexProblem
from index.layout import Layout
from index.metrics import all_metrics, grouped
from index.progress import Progress, Report, silent
from index.queries import LabelledQuery
from index.rank import is_text
from index.search import Searcher
from index.significance import Difference, Estimate, difference, estimate
from index.snapshot import connect
from index.view import read_only

CUTOFFS = (1, 3, 5, 10)
GATE_MARGIN = 0.02
"""How much text R@5 may fall below the baseline's."""
GATE_METRIC = "R@5"
_RECORDS_A_PLACE = 3
"""Hits asked for per place that is wanted, since several may stand on one."""
_PAGE = 500
_NAMED = 10

Kind = Literal["text", "visual", "mixed"]
Level = Literal["strict", "group"]


class DanglingAnswers(IndexProblem):
    """Labelled records are not in the index, so that every metric would lie; the text names them."""


class BadEvaluation(IndexProblem):
    """A file is not a saved evaluation."""


@dataclass(frozen=True)
class About:
    """What an evaluation must know of one record."""

    type: str
    document: str
    group: str
    """Document, page and region; the record's own id when it has neither page nor region."""


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
    """Ids, best first."""
    text_share_at_5: float
    """Share of text among the first five hits."""
    strict: dict[str, float]
    """Metric to value, such as `R@5`."""
    group: dict[str, float]


class Evaluation(BaseModel):
    """All labelled queries asked of one state of an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str
    records_by_type: dict[str, int]
    asked: tuple[Asked, ...]

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


@dataclass(frozen=True)
class Verdict:
    """What the gate says."""

    passed: bool
    reason: str
    """One sentence with the figures."""
    before: float | None = None
    """The baseline's text R@5 over the questions asked both times."""
    after: float | None = None


def evaluate(
    workspace: Path, queries: Sequence[LabelledQuery], cutoffs: Sequence[int] = CUTOFFS, report: Report = silent
) -> Evaluation:
    """Ask the index every labelled query and measure the answers.

    Raises:
        DanglingAnswers: labelled records are not in the index.
        IndexEmpty, IndexCorrupt: as `Searcher`.
    """
    deepest = max(cutoffs) * _RECORDS_A_PLACE
    labelled = sorted({found for query in queries for found in query.gain_by_id})
    known, by_type = _about(workspace, labelled)
    refuse_dangling(queries, known)
    lists: dict[str, list[str]] = {}
    with Searcher(workspace) as searcher:
        for at, query in enumerate(queries, start=1):
            lists[query.query] = [hit.id for hit in searcher.search(query.query, deepest).hits]
            report(Progress("evaluate", query.query, at, len(queries), "queries"))
        space = searcher.space
    known |= _about(workspace, sorted({found for hits in lists.values() for found in hits} - known.keys()))[0]
    return Evaluation(
        space=space,
        records_by_type=by_type,
        asked=tuple(measure(query, lists[query.query], known, cutoffs) for query in queries),
    )


def measure(
    query: LabelledQuery, hits: Sequence[str], known: Mapping[str, About], cutoffs: Sequence[int] = CUTOFFS
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


def breakdown(evaluation: Evaluation, metric: str, level: Level = "strict") -> dict[str, Estimate]:
    """A metric over all queries and per kind, type, language and document, by names such as `language ru`."""
    slices: dict[str, list[Asked]] = {"all": list(evaluation.asked)}
    for title, names in (
        ("kind", lambda one: (one.kind,)),
        ("type", lambda one: one.types),
        ("language", lambda one: (one.language,)),
        ("document", lambda one: one.documents),
    ):
        own: dict[str, list[Asked]] = {}
        for one in evaluation.asked:
            for name in names(one):
                own.setdefault(f"{title} {name}", []).append(one)
        slices |= dict(sorted(own.items()))
    return {name: estimate(values_of(asked, metric, level)) for name, asked in slices.items()}


def compare(
    before: Evaluation, after: Evaluation, metrics: Sequence[str], level: Level = "strict"
) -> dict[str, Difference]:
    """What changed in each metric, over the queries asked both times; empty when there are none."""
    pairs = common(before, after)
    if not pairs:
        return {}
    earlier, later = [one for one, _ in pairs], [other for _, other in pairs]
    return {
        metric: difference(values_of(earlier, metric, level), values_of(later, metric, level)) for metric in metrics
    }


def common(before: Evaluation, after: Evaluation) -> list[tuple[Asked, Asked]]:
    """The queries asked both times."""
    now = {one.query: one for one in after.asked}
    return [(one, now[one.query]) for one in before.asked if one.query in now]


def gate(before: Evaluation, after: Evaluation, margin: float = GATE_MARGIN) -> Verdict:
    """Whether text is still found: text R@5 ≥ the baseline's − margin, over the text questions asked both times.

    A question's kind is the one it had in the baseline, so that new labels can't hide a fall.
    """
    pairs = [(one, other) for one, other in common(before, after) if one.kind == "text"]
    if not pairs:
        return Verdict(False, "No text question of the baseline was asked again, so nothing shows that text is found.")
    earlier, later = [one for one, _ in pairs], [other for _, other in pairs]
    was, now = mean(earlier, GATE_METRIC), mean(later, GATE_METRIC)
    assert was is not None, "there are pairs"
    assert now is not None, "there are pairs"
    figures = f"text {GATE_METRIC} {was:.3f} → {now:.3f} over {len(pairs)} text questions, {-margin:+.2f} allowed"
    if now >= was - margin - 1e-12:
        return Verdict(True, f"{figures}.", was, now)
    share_was, share_now = (sum(one.text_share_at_5 for one in side) / len(pairs) for side in (earlier, later))
    return Verdict(
        False,
        f"{figures}: text held {share_was:.0%} of the first five places and now holds {share_now:.0%}; the index had "
        f"{before.text_records} text and {before.visual_records} visual records, now {after.text_records} and "
        f"{after.visual_records}.",
        was,
        now,
    )


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


def _about(workspace: Path, ids: Sequence[str]) -> tuple[dict[str, About], dict[str, int]]:
    """Those of these records that are in the index, and how many records there are of each type."""
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
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
