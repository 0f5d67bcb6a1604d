"""The talk about one question: ask, judge the answer, ask once more when it was cut off or kept to no form.

It is written once, as a generator of requests, for requests sent one by one and for batches of them. The same question
leads to the same requests, so a talk that was broken off goes on from the answers that are kept.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from pydantic import ValidationError

from pipeline.core.errors import ItemError
from pipeline.docparse.vlm.answers import Answer
from pipeline.docparse.vlm.bodies import Ask, Heard, Picture, hear, make_ask
from pipeline.docparse.vlm.form import Said
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.prompt import complaint
from pipeline.docparse.vlm.tokens import fixed_tokens, text_about, text_bound, usd


class AnswerUnusable(ItemError):
    """The model answered twice, and neither answer can be used."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a stage hands it on to where it is asked: all that a request is made of."""

    region_id: str
    holder: int
    """Index of the region that the picture shows."""
    alone: bool
    """Only `parts` are asked about."""
    region_number: int
    part_numbers: tuple[int, ...]
    text: str
    picture: Picture
    words_not_shown: int


@dataclass(slots=True)
class Told:
    """What came of a question."""

    said: Said | None = None
    refusal: str | None = None
    """The model's words, when it does not want to answer."""
    requests: list[str] = field(default_factory=list)
    """Keys of the answers behind it."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    """None when prices, or the server's count, are unknown."""


Talk = Generator[Ask, Answer, Told]


def talk(asked: Asked, params: OpenAiParams) -> Talk:
    """Yields requests and is sent their answers; returns what the model said, or how it refused.

    Raises:
        AnswerUnusable: also the second answer was cut off or kept to no form.
    """
    told = Told()
    ask = _first(asked, params)
    heard = _note(told, (yield ask), params)
    problem = None if heard.status == "refused" else _judge(told, heard, asked)
    if problem is not None:
        ask = _second(asked, params, ask, heard, problem)
        heard = _note(told, (yield ask), params)
        problem = None if heard.status == "refused" else _judge(told, heard, asked)
    if heard.status == "refused":
        told.refusal = " ".join(heard.text.split()) or "no reason given"
    elif problem is not None:
        raise AnswerUnusable(f"{params.model} gave no usable answer about region {asked.region_number}: {problem}")
    return told


def _first(asked: Asked, params: OpenAiParams) -> Ask:
    bound = fixed_tokens(params) + text_bound(asked.text) + asked.picture.tokens
    about = fixed_tokens(params) // 2 + text_about(len(asked.text.encode())) + asked.picture.tokens
    return make_ask(
        params, asked.region_id, asked.text, asked.picture,
        input_bound=bound, input_about=about, output_bound=params.max_output_tokens,
    )  # fmt: skip


def _second(asked: Asked, params: OpenAiParams, first: Ask, heard: Heard, problem: str) -> Ask:
    """More room for an answer that was cut off; a word about the form for one that kept to none."""
    cut = heard.status == "cut"
    longest = params.context_tokens - first.input_bound
    return make_ask(
        params, asked.region_id, asked.text, asked.picture,
        input_bound=first.input_bound, input_about=first.input_about,
        output_bound=min(2 * first.output_bound, longest) if cut else first.output_bound,
        complaint=complaint("it was longer than it may be: say less") if cut else complaint(problem),
    )  # fmt: skip


def _note(told: Told, answer: Answer, params: OpenAiParams) -> Heard:
    """Count what an answer cost."""
    heard = hear(params.api, answer.raw)
    told.requests.append(answer.key)
    usage = heard.usage
    if usage is None:
        told.usd = None
        return heard
    told.input_tokens += usage.input_tokens
    told.cached_tokens += usage.cached_tokens
    told.output_tokens += usage.output_tokens
    price = usd(params, usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    told.usd = None if price is None or told.usd is None else told.usd + price
    return heard


def _judge(told: Told, heard: Heard, asked: Asked) -> str | None:
    """Take an answer that is whole and in the form; else say what is wrong with it."""
    if heard.status == "cut":
        return "the answer was cut off at its longest"
    try:
        said = Said.model_validate_json(heard.text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where + ': ' if where else ''}{first['msg']}"
    if (said.region is None) != asked.alone:
        return "region must be null" if asked.alone else "region must not be null"
    if said.region is not None and said.region.number != asked.region_number:
        return f"region.number must be {asked.region_number}, not {said.region.number}"
    numbers = [part.number for part in said.parts]
    if sorted(numbers) != sorted(asked.part_numbers):
        missing = sorted(set(asked.part_numbers) - set(numbers))
        strange = sorted(set(numbers) - set(asked.part_numbers))
        words = [f"{missing[:8]} are missing"] * bool(missing) + [f"{strange[:8]} were not asked about"] * bool(strange)
        return f"parts: {', '.join(words) or 'each number once'}"
    told.said = said
    return None
