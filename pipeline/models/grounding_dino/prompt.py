"""What the model reads: all phrases in one caption, and which of its tokens belong to which phrase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import StageCrash, UsageError
from pipeline.models.grounding_dino.params import plain_phrase

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 256
"""Width of the model's scores: a token beyond it has none."""

DELIMITERS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Tokens that part phrases, with their ids in bert-base-uncased's vocabulary; both implementations rely on them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption and where its phrases lie among its tokens."""

    caption: str
    phrases: tuple[str, ...]
    """As they were given, in the caption's order."""
    spans: tuple[tuple[int, int], ...]
    """For every phrase: its first token, and the one after its last."""
    token_ids: tuple[int, ...]

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """How well every query fits every phrase: the best of the phrase's own tokens.

        Args:
            logits: (batch, queries, MAX_TOKENS), -inf where there is no token.

        Returns:
            (batch, queries, phrases), 0 to 1.
        """
        import torch

        return torch.stack([logits[..., first:end].amax(-1) for first, end in self.spans], -1).float().sigmoid()


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer that lies beside a checkpoint; never fetched from anywhere.

    Raises:
        StageCrash: there is none, or it is not that of bert-base-uncased.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise StageCrash(f"{folder} has no tokenizer that can be read: {_first_line(error)}") from error
    ids = dict(zip(DELIMITERS, tokenizer.convert_tokens_to_ids(list(DELIMITERS)), strict=True))
    if ids != DELIMITERS:
        raise StageCrash(f"the tokenizer in {folder} is not that of bert-base-uncased, which Grounding DINO needs")
    return tokenizer


def make_prompt(phrases: Sequence[str], tokenizer: Any) -> Prompt:
    """Join phrases to a caption and find each one's tokens by where they lie in it.

    Raises:
        UsageError: the caption has too many tokens, or a phrase none of its own.
    """
    caption, places = _caption(phrases)
    encoded = tokenizer(caption, return_offsets_mapping=True)
    token_ids = tuple(encoded["input_ids"])
    if len(token_ids) > MAX_TOKENS:
        raise UsageError(
            f"the {len(phrases)} prompts make {len(token_ids)} tokens and the model reads {MAX_TOKENS}: "
            "use fewer or shorter phrases"
        )
    spans = tuple(_span(encoded["offset_mapping"], place) for place in places)
    _check(phrases, spans, token_ids, tokenizer)
    return Prompt(caption, tuple(phrases), spans, token_ids)


def _caption(phrases: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """`diagram . text box .` and where in it each phrase lies, in characters."""
    caption = ""
    places = []
    for phrase in phrases:
        plain = plain_phrase(phrase)
        places.append((len(caption), len(caption) + len(plain)))
        caption += f"{plain} . "
    return caption.rstrip(), places


def _span(offsets: Sequence[tuple[int, int]], place: tuple[int, int]) -> tuple[int, int]:
    """The tokens whose characters lie in `place`; special tokens have none."""
    inside = [index for index, (start, end) in enumerate(offsets) if start < end and place[0] <= start < place[1]]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _check(phrases: Sequence[str], spans: Sequence[tuple[int, int]], token_ids: Sequence[int], tokenizer: Any) -> None:
    seen: dict[tuple[int, ...], str] = {}
    for phrase, (first, end) in zip(phrases, spans, strict=True):
        tokens = tuple(token_ids[first:end])
        if not tokens or tokenizer.unk_token_id in tokens:
            raise UsageError(f"prompt {phrase!r} has a word or sign that the model's vocabulary lacks: use other words")
        if set(tokens) & set(DELIMITERS.values()):
            raise UsageError(f"prompt {phrase!r} has a sign that ends a phrase: leave it out")
        if tokens in seen:
            raise UsageError(f"the model reads prompts {seen[tokens]!r} and {phrase!r} as the same: name one of them")
        seen[tokens] = phrase


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
