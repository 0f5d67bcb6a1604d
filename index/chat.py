"""A chat model asked for one object of a given form: strict JSON schema, checked here, one more try, honest ends.

chat = chat_model("local/qwen3", workspace, Purse(0.5))
told = chat.ask(INSTRUCTIONS, question_json, Said, name="answer")   # told.said is a Said
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from index.embedders.pieces import tokens_about, tokens_at_most
from index.errors import IndexProblem
from index.provider import Bound, OddAnswer, Provider, Purse, provider
from index.servers import ChatModel
from pipeline.core.server_faults import one_line

if TYPE_CHECKING:
    import openai

FRAME_TOKENS = 200
"""Roles, separators, names of fields, and a complaint about a first answer."""
M = TypeVar("M", bound=BaseModel)


class ModelDeclined(IndexProblem):
    """The model does not want to answer; the text gives its words."""


class AnswerUnusable(IndexProblem):
    """The model answered twice, and neither answer kept to the form or came to its end."""


class TooLongToAsk(IndexProblem):
    """What was to be asked may not fit in the model's window; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Told(Generic[M]):
    """What a model said, and what that took."""

    said: M
    requests: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    """None when prices are unknown."""


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    refusal: str | None
    cut_off: bool


class Chat:
    """One chat model; may be asked from many threads."""

    def __init__(self, provider: Provider, model: ChatModel) -> None:
        self.provider = provider
        self.model = model

    @property
    def name(self) -> str:
        """Server and model."""
        return f"{self.provider.name}/{self.provider.model}"

    def room(self, instructions: str, form: type[BaseModel]) -> int:
        """Tokens, and so bytes of UTF-8, that a question may have beside the instructions and the longest answer."""
        return max(0, self.model.context_tokens - self.model.max_output_tokens - self._fixed(instructions, form))

    def _fixed(self, instructions: str, form: type[BaseModel]) -> int:
        return tokens_at_most(instructions) + tokens_at_most(json.dumps(strict_schema(form))) + FRAME_TOKENS

    def ask(self, instructions: str, question: str, form: type[M], *, name: str) -> Told[M]:
        """What the model says to a question, as an object of `form`.

        An answer that was cut off, or kept to no form, is asked for once more.

        Args:
            instructions: what the model is to do.
            question: what it is to do it with; bounded by `room`.
            form: fields without defaults; sent as a strict JSON schema, and the answer is checked by it.
            name: of the form, letters and `_`.

        Raises:
            TooLongToAsk: the question might not fit; nothing was sent.
            ModelDeclined: the model refuses to answer.
            AnswerUnusable: also the second answer can't be used.
            IndexProblem: as `Provider.ask`.
        """
        if tokens_at_most(question) > self.room(instructions, form):
            raise TooLongToAsk(
                f"The question has {tokens_at_most(question)} bytes, and {self.name} has room for "
                f"{self.room(instructions, form)}: shorten it, or say context_tokens of the model in "
                f"[{self.provider.section}.chat] of spotter.toml if its window is larger."
            )
        problem, tokens_in, tokens_out = "", 0, 0
        longest = self.model.max_output_tokens
        for attempt in (1, 2):
            complaint = f"\n\nYour last answer could not be used: {problem}. Answer again." if problem else ""
            heard, used = self._hear(instructions, question + complaint, form, name, longest)
            tokens_in, tokens_out = tokens_in + used[0], tokens_out + used[1]
            if heard.refusal is not None:
                raise ModelDeclined(f"{self.name} declines to answer: {one_line(heard.refusal) or 'no reason given'}.")
            if heard.cut_off:
                problem = f"it was cut off at {longest} tokens: say less (or raise max_output_tokens of the model)"
                room = self.model.context_tokens - self._fixed(instructions, form) - tokens_at_most(question)
                longest = max(longest, min(2 * longest, room))
                continue
            try:
                said = form.model_validate_json(heard.text)
            except ValidationError as error:
                first = error.errors()[0]
                problem = one_line(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".lstrip(": "))
                continue
            return Told(said, attempt, tokens_in, tokens_out, self.provider.usd(tokens_in, tokens_out))
        raise AnswerUnusable(f"{self.name} gave no usable answer: {problem}.")

    def _hear(
        self, instructions: str, question: str, form: type[BaseModel], name: str, longest: int
    ) -> tuple[_Heard, tuple[int, int]]:
        model, schema = self.model, strict_schema(form)
        if model.json_mode == "object":
            instructions += f"\n\nAnswer with one JSON object of this schema:\n{json.dumps(schema)}"
        size = tokens_at_most(instructions) + tokens_at_most(question) + tokens_at_most(json.dumps(schema))
        body: dict[str, Any] = {
            "model": self.provider.model,
            "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": question}],
            "response_format": {"type": "json_object"}
            if model.json_mode == "object"
            else {
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema, "strict": model.json_mode == "strict"},
            },
            model.max_tokens_name: longest,
        }
        if model.temperature is not None:
            body["temperature"] = model.temperature

        def send(client: openai.OpenAI) -> Any:
            return client.chat.completions.with_raw_response.create(**body)

        bound = Bound(size + FRAME_TOKENS, tokens_about(size), longest)
        return self.provider.ask(send, bound, _heard)


def _heard(raw: Any) -> tuple[_Heard, tuple[int, int]]:
    """The first choice of an answer, and the server's count. Raises OddAnswer."""
    try:
        choice = raw["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise OddAnswer("no choice with a message") from error
    if choice.get("finish_reason") == "content_filter":
        refusal = refusal or "its filter cut the answer off"
    if not isinstance(text, str) and not isinstance(refusal, str):
        raise OddAnswer("a message without content")
    usage = raw.get("usage")
    counted = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (count if type(count) is int and count >= 0 else 0 for count in counted)
    heard = _Heard(text or "", refusal if isinstance(refusal, str) else None, choice.get("finish_reason") == "length")
    return heard, (tokens_in, tokens_out)


def strict_schema(form: type[BaseModel]) -> dict[str, Any]:
    """The form as OpenAI's strict mode takes it: every field required, no other field, nothing beside a `$ref`."""
    schema: dict[str, Any] = form.model_json_schema()
    open_nodes: list[Any] = [schema]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, dict):
            for word in ("title", "default"):
                if not isinstance(node.get(word), dict):
                    node.pop(word, None)
            if node.get("type") == "object":
                node["required"] = list(node.get("properties", {}))
                node["additionalProperties"] = False
            if "$ref" in node:
                for word in set(node) - {"$ref"}:
                    del node[word]
            open_nodes += node.values()
        elif isinstance(node, list):
            open_nodes += node
    return schema


def chat_model(name: str, workspace: Path | None, purse: Purse | None = None) -> Chat:
    """The chat model of a name such as `local/qwen3`; nothing is asked of a network yet.

    Raises:
        UnknownModel, ProviderMissingKey, ServersWrong, ProviderRefused: as `index.provider.provider`.
    """
    asked = provider(name, workspace, purse)
    return Chat(asked, asked.server.chat.get(asked.model, ChatModel()))
