"""What can go wrong between here and a server, and who can mend it: nobody needs to, nobody can, or the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pipeline.core.pace import retry_after_s
from pipeline.core.server_faults import (
    GATEWAY_GAVE_UP,
    NO_MONEY,
    RETRIED,
    UNKNOWN_PARAMETER,
    UNKNOWN_WORDS,
    ServerFault,
    message_of,
    never_sent,
    one_line,
)
from pipeline.docparse.vlm.params import OpenAiParams

if TYPE_CHECKING:
    import openai

Verdict = Literal["again", "question", "stage"]
"""Try again · this question cannot be answered · no question can be until the operator mends something."""

TOO_LONG = frozenset({"context_length_exceeded", "string_above_max_length"})
_LINES: Mapping[str, str] = {
    "text.format": "json_mode: schema, or object",
    "response_format": "json_mode: schema, or object",
    "strict": "json_mode: schema",
    "json_schema": "json_mode: object",
    "detail": "detail: null",
    "prompt_cache_key": "prompt_cache_key: false",
    "store": "store: false",
    "max_completion_tokens": "max_tokens_name: max_tokens",
    "max_tokens": "max_tokens_name: max_completion_tokens",
    "temperature": "temperature: null",
    "reasoning": "reasoning: null",
    "service_tier": "service_tier: null",
}
"""A part of a parameter's name as the server tells it → the line of the analyst's parameters that leaves it out."""

Fault = ServerFault[Verdict]


def fault_of(error: Exception, params: OpenAiParams) -> Fault:
    """What an error of the client library means."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return Fault("again", f"no answer within {params.timeout_s:g} s", billed=not never_sent(error))
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        where = params.base_url or "OpenAI's server"
        if never_sent(error):
            said = f"no connection to {where} ({cause}): see that it runs, and analyst.base_url"
            return Fault("again", said, billed=False, unreached=True)
        return Fault("again", f"the connection to {where} broke ({cause or type(cause).__name__})", billed=True)
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, params)
    return Fault("again", f"{type(error).__name__}: {one_line(error)}", billed=True)


def _of_status(error: openai.APIStatusError, params: OpenAiParams) -> Fault:
    status, code, kind = error.status_code, error.code or "", error.type or ""
    said = f"{_where(params)} answers {status}: {message_of(error)}"
    if {code, kind} & NO_MONEY or status == 402:
        return Fault("stage", f"{said}. Add credit to the account, then go on with --resume: nothing is lost", False)
    if status == 401 or status == 403:
        named = params.api_key_env or "no key, as api_key_env is null"
        return Fault("stage", f"{said}. Check the key in {named} and what it may do", False)
    if status == 404:
        return Fault("stage", f"{said}. Check analyst.model={params.model} and analyst.base_url", False)
    if status in RETRIED or status >= 500:
        return Fault("again", said, status in GATEWAY_GAVE_UP, retry_after_s(error.response.headers))
    if status in (400, 422):
        line = _line_for(error)
        if line is not None:
            return Fault("stage", f"{said}. The server does not take this: set analyst.{line}", False)
        if code in TOO_LONG or "context length" in error.message.lower():
            hint = f"lower analyst.context_tokens (now {params.context_tokens}) to the model's own window"
            return Fault("question", f"{said}. The question is too long for this model: {hint}", False)
    return Fault("question", said, False)


def _line_for(error: openai.APIStatusError) -> str | None:
    """The line that leaves out what the server does not know, if that is what it complains about."""
    message = error.message.lower()
    if (error.code or "") not in UNKNOWN_PARAMETER and not any(words in message for words in UNKNOWN_WORDS):
        return None
    named = (error.param or "").lower()
    for text in (named, message):
        for part, line in _LINES.items():
            if part in text:
                return line
    return f"server to what it is, or leave out {error.param}" if error.param else None


def _where(params: OpenAiParams) -> str:
    return params.base_url or "OpenAI"
