"""One question, answered from the index: found, packed, asked, checked; or not answered, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from index.answers.checks import Claim, check
from index.answers.evidence import MIN_COSINE_ABOVE_NOISE, MIN_COVERAGE, best_cosine, best_coverage
from index.answers.form import INSTRUCTIONS, Said, question_text
from index.answers.packing import Packed, Passage, pack
from index.embed import embedder_for_space
from index.embedders.pieces import tokens_at_most
from index.query import parse_query

if TYPE_CHECKING:
    from pathlib import Path

    from index.chat import Chat
    from index.found import Hit, SearchResult
    from index.search import Searcher

Verdict = Literal["answered", "passages", "abstained"]
"""Claims that passed every check · no model is named, so the best passages · nothing here supports an answer."""


@dataclass(frozen=True, slots=True)
class ShownPassage:
    """A passage that could be cited."""

    number: int
    record_id: str
    document: str | None
    page: int | None
    bbox_px: tuple[float, float, float, float] | None
    type: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. Only `claims` are the answer."""

    question: str
    verdict: Verdict
    claims: tuple[Claim, ...]
    """Each passed every check."""
    dropped: tuple[Claim, ...]
    """What the model said beside them, with what is wrong with it."""
    missing: str
    """What the passages don't tell, in the model's words, which nobody checked."""
    passages: tuple[ShownPassage, ...]
    note: str
    """What happened, in a sentence or two."""
    model: str | None
    coverage: float
    """The largest share of the question's words that one passage holds."""
    cosine: float | None
    """The nearest vector's cosine."""
    space: str
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None
    """None: no model was asked, or its prices are unknown."""


def answer(
    question: str,
    searcher: Searcher,
    workspace: Path,
    chat: Chat | None,
    *,
    passages: int = 24,
    context_tokens: int = 24_000,
    types: Sequence[str] = (),
    documents: Sequence[str] = (),
) -> Answer:
    """Answer a question from the index.

    Args:
        question: in the language of searches: its words are the question, its filters narrow where to look.
        searcher: of the workspace's index.
        workspace: the folder that holds `.spotter/`.
        chat: who answers; None: nobody, the best passages are given as they are.
        passages: records that are looked through.
        context_tokens: most tokens of passages that a model is shown, bounded by their bytes.
        types: only records of these types.
        documents: only records of these documents.

    Raises:
        IndexProblem: the index can't be read, or the model can't be asked (`index.provider`, `index.chat`).
    """
    found = searcher.search(question, passages, types=types, documents=documents)
    words = " ".join(parse_query(question).words.split())
    room = context_tokens
    if chat is not None:
        room = min(room, chat.room(INSTRUCTIONS, Said) - tokens_at_most(question_text(words, ())))
    packed = pack(found.hits, room)
    desk = _Desk(words, found, packed, chat.name if chat is not None else None)
    if not found.hits:
        return desk.abstain("Nothing was found for this question.")
    if not _enough(desk, found, workspace):
        return desk.abstain(
            f"Nothing in the index is about this: the best passage holds {desk.coverage:.0%} of the question's words, "
            f"and {MIN_COVERAGE:.0%} is the least that is asked about."
        )
    if chat is None:
        return desk.close(
            "passages",
            note="No model is named ([answers] model in spotter.toml), so these are the best passages, not an answer.",
        )
    if not packed.passages:
        return desk.abstain(f"No passage fits in {room} bytes: raise context_tokens of [answers] in spotter.toml.")
    told = chat.ask(INSTRUCTIONS, question_text(words, packed.passages), Said, name="answer")
    desk.spent = (told.input_tokens, told.output_tokens, told.usd)
    claims = [check(claim, packed.passages) for claim in told.said.claims]
    supported = tuple(claim for claim in claims if claim.supported)
    dropped = tuple(claim for claim in claims if not claim.supported)
    missing = " ".join(told.said.missing.split())
    if not claims:
        return desk.abstain(f"{chat.name} finds no answer in the passages.", missing=missing)
    if not supported:
        note = f"None of the {len(claims)} claims of {chat.name} passed the checks, so there is no answer."
        return desk.abstain(note, dropped=dropped, missing=missing)
    note = f"{len(supported)} of {len(claims)} claims of {chat.name} passed the checks: citation, quote, page, number."
    if dropped:
        note += f" {len(dropped)} did not, and are no part of the answer."
    return desk.close("answered", supported, dropped, missing, note)


class _Desk:
    """What is known of one question on its way to an answer."""

    def __init__(self, words: str, found: SearchResult, packed: Packed, model: str | None) -> None:
        self.found = found
        self.packed = packed
        self.model = model
        self.coverage = best_coverage(words, found.hits)
        self.cosine = best_cosine(found.hits)
        self.spent: tuple[int, int, float | None] = (0, 0, None)

    def abstain(self, note: str, dropped: tuple[Claim, ...] = (), missing: str = "") -> Answer:
        """No answer, and why."""
        return self.close("abstained", (), dropped, missing, note)

    def close(
        self,
        verdict: Verdict,
        claims: tuple[Claim, ...] = (),
        dropped: tuple[Claim, ...] = (),
        missing: str = "",
        note: str = "",
    ) -> Answer:
        """The answer as it stands."""
        if self.found.note:
            note = f"{note} {self.found.note}"
        return Answer(
            self.found.query, verdict, claims, dropped, missing, tuple(_shown(each) for each in self.packed.passages),
            note, self.model, self.coverage, self.cosine, self.found.space, *self.spent,
        )  # fmt: skip


def _enough(desk: _Desk, found: SearchResult, workspace: Path) -> bool:
    """Whether a passage holds enough of the question's words, or lies near enough to what it means."""
    if desk.coverage >= MIN_COVERAGE:
        return True
    if found.label != "semantic" or desk.cosine is None:
        return False
    noise = embedder_for_space(found.space, workspace).noise_cosine
    return desk.cosine >= noise + MIN_COSINE_ABOVE_NOISE


def _shown(passage: Passage) -> ShownPassage:
    hit: Hit = passage.hit
    document = hit.source_file or hit.filename or hit.document_id
    return ShownPassage(
        passage.number, hit.id, document, hit.page, hit.bbox_px, hit.type, hit.text, hit.score
    )  # fmt: skip
