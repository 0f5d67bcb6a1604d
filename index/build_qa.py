"""Questions drafted from the corpus, for the operator to accept into the labelled queries.

Drafts lie in `eval/drafts.jsonl`, one a line: a labelled query with the words that it was made from, who made it, and
whether it waits, was accepted or was rejected. The operator may edit that file. What was drafted once is not drafted
again; a draft whose records are gone is taken away, and one can't be accepted with an answer that is not in the index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from pydantic import Field, ValidationError

from index.errors import IndexEmpty, IndexProblem
from index.evaluate import DanglingAnswers
from index.gating import QUERIES
from index.layout import Layout
from index.qa_templates import Passage, Question, questions, spread
from index.queries import LabelledQuery
from index.snapshot import connect
from index.view import read_only

DRAFTS = Path("eval") / "drafts.jsonl"
TEMPLATES = "template"
"""Name of who drafts without a model."""
_NAMED = 10

State = Literal["draft", "accepted", "rejected"]


class BadDrafts(IndexProblem):
    """The file of drafts can't be used; the text names file and line."""


class UnknownDraft(IndexProblem):
    """No waiting draft has this id."""


class Draft(LabelledQuery):
    """A question that waits for the operator's word, or has had it."""

    id: str
    """Short, and always the same for the same question."""
    state: State = "draft"
    kind: str = ""
    """`text` or `visual`: what answers it."""
    source: str = ""
    """Document and page."""
    evidence: str = Field(min_length=1)
    """Words of the record that it was made from."""
    drafted_by: str
    """`template`, or the model."""

    def labelled(self) -> dict[str, object]:
        """The line that goes to the labelled queries."""
        kept = {"query", "positive_ids", "lang", "evidence", "drafted_by"}
        return self.model_dump(mode="json", include=kept) | (
            {} if self.group is None else {"group": self.group}
        ) | ({"gains": self.gains} if self.gains else {})  # fmt: skip


@dataclass(frozen=True)
class Drafted:
    """What one drafting did."""

    path: Path
    new: int
    waiting: int
    """Drafts that wait for a word now, the new ones included."""
    removed: int
    """Waiting drafts whose records are gone."""
    by_kind: dict[str, int]
    """Waiting drafts by what answers them."""


def passages(workspace: Path) -> list[Passage]:
    """Every record of the index in use, as questions are made from it. Raises IndexEmpty, IndexCorrupt."""
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            return [
                Passage(*row)
                for row in db.execute(
                    "SELECT id, type, text, coalesce(source_file, document_id, filename, ''), page, region_id "
                    "FROM record ORDER BY 4, page, row"
                )
            ]
    finally:
        db.close()


def draft(workspace: Path, limit: int, made: Iterable[Question] | None = None, by: str = TEMPLATES) -> Drafted:
    """Add up to `limit` questions that were never drafted to the drafts.

    Args:
        workspace: the folder that holds `.spotter/`.
        limit: how many new ones, dealt over documents and kinds.
        made: questions of a model (`index.qa_model`); by default what the templates make of the index.
        by: who made them.

    Raises:
        IndexEmpty, IndexCorrupt: there is no index to draft from.
        BadDrafts: the file of drafts can't be read.
    """
    found = passages(workspace)
    known = {passage.id for passage in found}
    drafts = read_drafts(workspace)
    kept = [one for one in drafts if one.state != "draft" or known.issuperset(one.answers)]
    asked = {one.query for one in drafts} | _labelled_queries(workspace)
    fresh = [question for question in (questions(found) if made is None else made) if question.query not in asked]
    new = [_as_draft(question, by) for question in spread(fresh, limit)]
    if new or len(kept) != len(drafts):
        _write(workspace, [*kept, *new])
    waiting = [one for one in (*kept, *new) if one.state == "draft"]
    by_kind = {kind: sum(one.kind == kind for one in waiting) for kind in ("text", "visual")}
    return Drafted(workspace / DRAFTS, len(new), len(waiting), len(drafts) - len(kept), by_kind)


def read_drafts(workspace: Path) -> list[Draft]:
    """Every draft, in order; none when nothing was drafted yet. Raises BadDrafts."""
    path = workspace / DRAFTS
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(Draft.model_validate(orjson.loads(line)))
        except (orjson.JSONDecodeError, ValidationError) as error:
            reason = str(error).partition("\n")[0]
            raise BadDrafts(f"{path}, line {number}: not a draft ({reason}); mend the line or take it out.") from error
    return found


def accept(workspace: Path, ids: Sequence[str]) -> list[Draft]:
    """Move drafts into the labelled queries, `all` that wait or those of these ids; all of them or, on error, none.

    Raises:
        UnknownDraft: an id names no waiting draft.
        DanglingAnswers: an answer is no longer in the index.
    """
    drafts, chosen = _chosen(workspace, ids)
    known = {passage.id for passage in passages(workspace)}
    lost = [(one, found) for one in chosen for found in one.answers if found not in known]
    if lost:
        named = "; ".join(f"{found} of “{one.query}” ({one.id})" for one, found in lost[:_NAMED])
        raise DanglingAnswers(
            f"{len(lost)} answers of these drafts are not in the index: {named}; draft again, which takes them away: "
            "spotter index build-qa"
        )
    asked = _labelled_queries(workspace)
    path = workspace / QUERIES
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    lines = [orjson.dumps(one.labelled()) + b"\n" for one in chosen if one.query not in asked]
    # The labelled queries first: killed in between, the same command again finds them there and only marks the drafts.
    _replace(path, before + b"".join(lines))
    _mark(workspace, drafts, chosen, "accepted")
    return chosen


def reject(workspace: Path, ids: Sequence[str]) -> list[Draft]:
    """Mark drafts so that they are neither accepted nor drafted again. Raises UnknownDraft."""
    drafts, chosen = _chosen(workspace, ids)
    _mark(workspace, drafts, chosen, "rejected")
    return chosen


def _chosen(workspace: Path, ids: Sequence[str]) -> tuple[list[Draft], list[Draft]]:
    drafts = read_drafts(workspace)
    waiting = {one.id: one for one in drafts if one.state == "draft"}
    if list(ids) == ["all"]:
        return drafts, list(waiting.values())
    unknown = [name for name in ids if name not in waiting]
    if unknown:
        raise UnknownDraft(
            f"No waiting draft has the id {', '.join(unknown[:_NAMED])}; see them with: spotter index build-qa --list"
        )
    return drafts, [waiting[name] for name in dict.fromkeys(ids)]


def _mark(workspace: Path, drafts: Sequence[Draft], chosen: Sequence[Draft], state: State) -> None:
    names = {one.id for one in chosen}
    _write(workspace, [one.model_copy(update={"state": state}) if one.id in names else one for one in drafts])


def _as_draft(question: Question, by: str) -> Draft:
    page = "" if question.page is None else f", page {question.page}"
    return Draft(
        query=question.query,
        positive_ids=question.answers,
        lang=question.language,
        id=hashlib.blake2b(question.query.encode(), digest_size=4).hexdigest(),
        kind=question.kind,
        source=f"{question.document}{page}",
        evidence=question.evidence,
        drafted_by=by,
    )


def _labelled_queries(workspace: Path) -> set[str]:
    """What the labelled queries ask already, whether or not they can be used as they are."""
    path = workspace / QUERIES
    if not path.exists():
        return set()
    asked = set()
    for line in path.read_bytes().split(b"\n"):
        try:
            said = orjson.loads(line) if line.strip() else None
        except orjson.JSONDecodeError:
            continue
        if isinstance(said, dict) and isinstance(said.get("query"), str):
            asked.add(said["query"])
    return asked


def _write(workspace: Path, drafts: Sequence[Draft]) -> None:
    path = workspace / DRAFTS
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, b"".join(orjson.dumps(one.model_dump(mode="json", exclude_none=True)) + b"\n" for one in drafts))


def _replace(path: Path, raw: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(raw)
    temporary.replace(path)
