"""Labelled queries: `eval/queries.jsonl`, one question a line with the records that answer it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from index.errors import IndexProblem


class BadQueries(IndexProblem):
    """The file of labelled queries can't be used; the text names file and line."""


class LabelledQuery(BaseModel):
    """One question and what answers it; unknown keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    query: str = Field(min_length=1)
    positive_ids: tuple[str, ...] = ()
    """Ids of records that answer it, each with gain 1 unless `gains` says otherwise."""
    gains: dict[str, float] = Field(default_factory=dict)
    """How well a record answers, by id; 0 is "looked at, does not answer"."""
    lang: str | None = None
    group: str | None = None
    """What the question is about; questions of one group never part when queries are split."""

    @model_validator(mode="after")
    def _has_an_answer(self) -> LabelledQuery:
        if any(not 0 <= gain < float("inf") for gain in self.gains.values()):
            raise ValueError("a gain is a number from 0 up")
        if not any(gain > 0 for gain in self.gain_by_id.values()):
            raise ValueError("no record answers it: positive_ids is empty and no gain is above 0")
        return self

    @property
    def gain_by_id(self) -> dict[str, float]:
        """Gain of every labelled record."""
        return {**dict.fromkeys(self.positive_ids, 1.0), **self.gains}

    @property
    def answers(self) -> tuple[str, ...]:
        """Ids with a gain above 0."""
        return tuple(found for found, gain in self.gain_by_id.items() if gain > 0)

    @property
    def language(self) -> str:
        """`lang`, or what the letters say: `ru` when there is a Cyrillic one, else `en`."""
        if self.lang:
            return self.lang
        return "ru" if any("\u0400" <= letter <= "\u04ff" for letter in self.query) else "en"


def read_queries(path: Path) -> list[LabelledQuery]:
    """The labelled queries of a file, in order.

    Raises:
        BadQueries: naming the first line that is none, or one that asks the same again.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise BadQueries(
            f'{path} does not exist; write one question a line: {{"query": "…", "positive_ids": ["…"]}}.'
        ) from None
    found: list[LabelledQuery] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            query = LabelledQuery.model_validate(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise BadQueries(f"{path}, line {number}: not JSON ({error}).") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "query"
            raise BadQueries(f"{path}, line {number}: {where}: {first['msg']}.") from error
        earlier = first_line.setdefault(query.query, number)
        if earlier != number:
            raise BadQueries(f"{path}, line {number}: asks the same as line {earlier}; put their answers in one line.")
        found.append(query)
    if not found:
        raise BadQueries(f"{path} holds no queries.")
    return found


def split_by_subject(
    queries: Sequence[LabelledQuery], document_of: Mapping[str, str], folds: int, seed: int = 0
) -> list[list[LabelledQuery]]:
    """Deal queries into folds so that no subject is in two: a group, a document, and all that they connect, stay whole.

    Large subjects are dealt first, each to the smallest fold; equal ones by a hash of `seed` and their first question,
    so that the same queries always part the same way.

    Args:
        queries: what to deal.
        document_of: the document of every record that answers.
        folds: how many; some stay empty when there are fewer subjects.
        seed: another seed is another deal.
    """
    subjects = _subjects(queries, document_of)
    subjects.sort(key=lambda own: (-len(own), hashlib.blake2b(f"{seed}\0{own[0].query}".encode()).digest()))
    dealt: list[list[LabelledQuery]] = [[] for _ in range(folds)]
    for own in subjects:
        min(dealt, key=len).extend(own)
    return dealt


def _subjects(queries: Iterable[LabelledQuery], document_of: Mapping[str, str]) -> list[list[LabelledQuery]]:
    members: dict[str, list[LabelledQuery]] = {}
    subject_of: dict[str, str] = {}
    for query in queries:
        names = [f"document:{document_of.get(found, found)}" for found in query.answers]
        if query.group is not None:
            names.append(f"group:{query.group}")
        joined = list(dict.fromkeys(subject_of[name] for name in names if name in subject_of))
        subject = names[0] if not joined else joined[0]
        for other in joined[1:]:
            members[subject] += members.pop(other)
            subject_of = {name: subject if own == other else own for name, own in subject_of.items()}
        subject_of |= dict.fromkeys(names, subject)
        members.setdefault(subject, []).append(query)
    return list(members.values())
