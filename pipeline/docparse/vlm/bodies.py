"""Requests and answers as the two APIs have them: `responses`, and `chat` for servers that speak only that."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.core.files import digest
from pipeline.docparse.vlm.form import FORM_NAME, schema_digest, strict_schema
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.prompt import instructions


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, in memory or in a file; told apart by its content."""

    sha256: str
    data: bytes | Path
    tokens: int

    def url(self) -> str:
        """As a data URL."""
        png = self.data.read_bytes() if isinstance(self.data, Path) else self.data
        return "data:image/png;base64," + base64.b64encode(png).decode()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its body with the picture named by its digest, and what it can cost."""

    region_id: str
    body: Mapping[str, Any]
    picture: Picture
    input_bound: int
    """Most tokens that the question can be."""
    input_about: int
    output_bound: int
    key: str
    """Digest of all that is sent: the same question has the same answer, which is paid once."""

    def full(self) -> dict[str, Any]:
        """The body as it is sent."""
        full = _with_picture(self.body, self.picture)
        assert isinstance(full, dict)
        return full


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the server counted."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, whatever it is worth."""

    status: Literal["whole", "cut", "refused", "failed", "odd"]
    """`cut`: the bound of the answer was reached. `failed`: the server says that it could not. `odd`: no known form."""
    text: str
    """The answer; for a refusal its words; for `failed` and `odd` what is wrong."""
    usage: Usage | None
    """None when the server did not count."""


def make_ask(
    params: OpenAiParams,
    region_id: str,
    question: str,
    picture: Picture,
    *,
    input_bound: int,
    input_about: int,
    output_bound: int,
    complaint: str | None = None,
) -> Ask:
    """A request for one question; `complaint` says what was wrong with the answer before."""
    texts = [question] if complaint is None else [question, complaint]
    body = _responses(params, texts, picture, output_bound) if params.api == "responses" else None
    if body is None:
        body = _chat(params, texts, picture, output_bound)
    return Ask(region_id, body, picture, input_bound, input_about, output_bound, digest(body))


def _placeholder(picture: Picture) -> str:
    return f"sha256:{picture.sha256}"


def _with_picture(node: Any, picture: Picture) -> Any:
    if isinstance(node, Mapping):
        return {key: _with_picture(value, picture) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_picture(entry, picture) for entry in node]
    return picture.url() if node == _placeholder(picture) else node


def _common(params: OpenAiParams) -> dict[str, Any]:
    body: dict[str, Any] = {"model": params.model}
    if params.store:
        body["store"] = False
    if params.prompt_cache_key:
        body["prompt_cache_key"] = f"docparse-{schema_digest()[:16]}"
    if params.temperature is not None:
        body["temperature"] = params.temperature
    if params.service_tier is not None:
        body["service_tier"] = params.service_tier
    return body


def _form(params: OpenAiParams) -> dict[str, Any] | None:
    if params.json_mode == "object":
        return None
    return {"name": FORM_NAME, "strict": params.json_mode == "strict", "schema": strict_schema()}


def _responses(params: OpenAiParams, texts: list[str], picture: Picture, output_bound: int) -> dict[str, Any]:
    form = _form(params)
    image = {"type": "input_image", "image_url": _placeholder(picture)}
    if params.detail is not None:
        image["detail"] = params.detail
    body = {
        **_common(params),
        "instructions": instructions(params.json_mode),
        "text": {"format": {"type": "json_object"} if form is None else {"type": "json_schema", **form}},
        "max_output_tokens": output_bound,
        "input": [{"role": "user", "content": [*({"type": "input_text", "text": text} for text in texts), image]}],
    }
    if params.reasoning is not None:
        body["reasoning"] = {"effort": params.reasoning}
    return body


def _chat(params: OpenAiParams, texts: list[str], picture: Picture, output_bound: int) -> dict[str, Any]:
    form = _form(params)
    image = {"url": _placeholder(picture)}
    if params.detail is not None:
        image["detail"] = params.detail
    content = [*({"type": "text", "text": text} for text in texts), {"type": "image_url", "image_url": image}]
    body = {
        **_common(params),
        "messages": [
            {"role": "system", "content": instructions(params.json_mode)},
            {"role": "user", "content": content},
        ],
        "response_format": {"type": "json_object"} if form is None else {"type": "json_schema", "json_schema": form},
        params.max_tokens_name: output_bound,
    }
    if params.reasoning is not None:
        body["reasoning_effort"] = params.reasoning
    return body


def endpoint(params: OpenAiParams) -> Literal["/v1/responses", "/v1/chat/completions"]:
    """Where a batch's requests go."""
    return "/v1/responses" if params.api == "responses" else "/v1/chat/completions"


def hear(api: str, raw: Any) -> Heard:
    """What the server's JSON says; never raises, whatever it is."""
    try:
        return _hear_response(raw) if api == "responses" else _hear_chat(raw)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return Heard("odd", f"the server's answer has no known form ({type(error).__name__}: {error})", None)


def _hear_response(raw: Mapping[str, Any]) -> Heard:
    counted = raw.get("usage")
    usage = counted and Usage(
        int(counted["input_tokens"]),
        int((counted.get("input_tokens_details") or {}).get("cached_tokens") or 0),
        int(counted["output_tokens"]),
    )
    contents = [part for entry in raw["output"] if entry["type"] == "message" for part in entry["content"]]
    refusals = [str(part["refusal"]) for part in contents if part["type"] == "refusal"]
    text = "".join(str(part["text"]) for part in contents if part["type"] == "output_text")
    if refusals:
        return Heard("refused", " ".join(refusals), usage)
    match raw["status"]:
        case "completed":
            return Heard("whole", text, usage)
        case "incomplete":
            reason = str((raw.get("incomplete_details") or {}).get("reason"))
            return Heard("refused", reason, usage) if reason == "content_filter" else Heard("cut", text, usage)
        case status:
            message = (raw.get("error") or {}).get("message") or f"status {status}"
            return Heard("failed", str(message), usage)


def _hear_chat(raw: Mapping[str, Any]) -> Heard:
    counted = raw.get("usage")
    usage = counted and Usage(
        int(counted["prompt_tokens"]),
        int((counted.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        int(counted["completion_tokens"]),
    )
    choice = raw["choices"][0]
    message = choice["message"]
    if message.get("refusal"):
        return Heard("refused", str(message["refusal"]), usage)
    match choice["finish_reason"]:
        case "length":
            return Heard("cut", str(message.get("content") or ""), usage)
        case "content_filter":
            return Heard("refused", "content_filter", usage)
        case _:
            return Heard("whole", str(message["content"]), usage)
