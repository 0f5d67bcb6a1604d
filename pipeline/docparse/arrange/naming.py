"""From scores of prompts to labels: the alias table, thresholds, and prompts that name what nobody wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import StageCrash
from pipeline.docparse.arrange.candidates import RANK, Candidate, Drop, Step, in_order
from pipeline.docparse.geometry import ious
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.raw import RawBox

NEGATIVE = "negative prompt"


class UnknownPrompt(StageCrash):
    """Raw boxes speak of a prompt that the parameters give no label."""


LABEL_SCORE = 0.25
"""The least score of a further label, where a detector has no threshold of its own for it."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which phrase means which label, and from which score on it counts."""

    prompts: Mapping[str, Label]
    """Phrase → label; several phrases may share one."""
    negatives: frozenset[str] = frozenset()
    labels: frozenset[Label] = frozenset(LABELS)
    min_score: float = 0.3
    """The best label's least score."""
    label_score: float = LABEL_SCORE
    """The least score of a further label that a region may have."""

    @classmethod
    def of(cls, detector: Any) -> Vocabulary:
        """The vocabulary of a detector's parameters; one without prompts names labels itself."""
        prompts: Mapping[str, Label] = getattr(detector, "prompts", None) or {label: label for label in LABELS}
        return cls(
            {plain(phrase): label for phrase, label in prompts.items()},
            frozenset(plain(phrase) for phrase in getattr(detector, "negative_prompts", ())),
            frozenset(detector.labels),
            detector.min_score,
            getattr(detector, "label_score", LABEL_SCORE),
        )


def plain(phrase: str) -> str:
    """A phrase as tables and raw boxes agree on it: `Text  box.` is `text box`."""
    return " ".join(phrase.lower().split()).strip(" .")


def name_boxes(boxes: Sequence[RawBox], vocabulary: Vocabulary) -> tuple[Step, tuple[Candidate, ...]]:
    """Give every box the label that its prompts score best, and drop what scores too little or means nothing wanted.

    Also returns the boxes that a negative prompt names best, for `suppress_negatives`; their label is without meaning.

    Raises:
        UnknownPrompt: a box has a score for a phrase that is neither a prompt nor a negative one.
    """
    kept: list[Candidate] = []
    negative: list[Candidate] = []
    dropped: list[Drop] = []
    for index, box in enumerate(boxes):
        found, against = _scores(box, vocabulary)
        best = max(found.values(), default=(0.0, ""), key=lambda one: one[0])
        if against is not None and against[0] > best[0]:
            if against[0] >= vocabulary.min_score:
                negative.append(Candidate(LABELS[0], box.box, against[0], against[1], raw=(index,), tile=box.tile))
                dropped.append(Drop((index,), f"{NEGATIVE} {against[1]!r} scores best", value=against[0]))
            else:
                dropped.append(Drop((index,), "below min_score", value=against[0]))
        elif best[0] < vocabulary.min_score or not found:
            dropped.append(Drop((index,), "below min_score", value=best[0]))
        else:
            label = min(found, key=lambda one: (-found[one][0], RANK[one]))
            score, prompt = found[label]
            others = {other: told[0] for other, told in found.items() if other != label}
            if label in vocabulary.labels:
                wanted = {
                    other: others[other]
                    for other in LABELS
                    if other in vocabulary.labels and others.get(other, 0.0) >= vocabulary.label_score
                }
                kept.append(Candidate(label, box.box, score, prompt, wanted, (index,), box.tile))
            else:
                dropped.append(Drop((index,), f"label {label} is not asked for"))
    return Step("names", len(boxes), in_order(kept), tuple(dropped)), in_order(negative)


def suppress_negatives(candidates: Sequence[Candidate], negative: Sequence[Candidate], iou: float) -> Step:
    """Drop boxes that overlap a better scored box of a negative prompt at least by `iou`."""
    if not candidates or not negative:
        return Step("negatives", len(candidates), tuple(candidates))
    shared = ious([one.box for one in candidates], [one.box for one in negative])
    kept, dropped = [], []
    for one, row in zip(candidates, shared, strict=True):
        # Negatives come best first, so the first that is near enough decides.
        by = next((j for j, share in enumerate(row) if share >= iou and negative[j].score > one.score), None)
        if by is None:
            kept.append(one)
        else:
            why = f"{NEGATIVE} {negative[by].prompt!r} is there"
            dropped.append(Drop(one.raw, why, negative[by].raw, float(row[by])))
    return Step("negatives", len(candidates), tuple(kept), tuple(dropped))


def _scores(box: RawBox, vocabulary: Vocabulary) -> tuple[dict[Label, tuple[float, str]], tuple[float, str] | None]:
    """(label → its best (score, phrase), the best (score, phrase) of the negative prompts)."""
    found: dict[Label, tuple[float, str]] = {}
    against: tuple[float, str] | None = None
    for told in sorted(box.scores):
        phrase, score = plain(told), box.scores[told]
        if phrase in vocabulary.negatives:
            if against is None or score > against[0]:
                against = score, phrase
            continue
        label = vocabulary.prompts.get(phrase)
        if label is None:
            raise UnknownPrompt(
                f"raw boxes have scores for the prompt {told!r}, which has no label: add it to detector.prompts"
                " (phrase: label) or to detector.negative_prompts"
            )
        if label not in found or score > found[label][0]:
            found[label] = score, phrase
    return found, against
