"""One server, asked politely: paced, paid for before it is sent, tried again when that may help, heard once."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.core.errors import Interrupted, ItemError, RetryableError, StageCrash
from pipeline.core.pace import Pace
from pipeline.docparse.vlm.answers import Answer, AnswerFolder
from pipeline.docparse.vlm.bodies import Ask, hear
from pipeline.docparse.vlm.faults import Fault, fault_of
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.spending import Purse

if TYPE_CHECKING:
    import openai

FIRST_PAUSE_S = 0.5
REFUSED_IN_A_ROW = 5
"""So many questions refused by the server as wrong, and none answered: it is not the questions."""
NO_KEY = "none"
"""What is sent to a server that wants no key; the library insists on one."""


class QuestionRefused(ItemError):
    """The server does not take this question, now or later."""


class ServerBusy(RetryableError):
    """The server did not answer however often it was asked; a later session asks again."""


def connect(params: OpenAiParams, environment: Mapping[str, str]) -> openai.OpenAI:
    """The library's client, which tries nothing again by itself.

    Raises:
        StageCrash: the library or the key is missing.
    """
    try:
        import openai
    except ImportError as error:
        raise StageCrash(
            "the analyst openai needs the package openai, which is not installed here: uv pip install 'openai>=3', or "
            "let the analyst work on the laptop (analyst.place=laptop)"
        ) from error
    key = NO_KEY
    if params.api_key_env is not None:
        key = environment.get(params.api_key_env, "").strip()
        if not key:
            raise StageCrash(
                f"there is no {params.api_key_env} for the analyst openai: put it in the workspace's .env (chmod 600) "
                f"or export it; a server that wants no key takes analyst.api_key_env=null"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:  # the library would say it whole in its complaint
            raise StageCrash(
                f"what {params.api_key_env} holds is no key: there is a space, a line's end or a foreign letter in it; "
                "put it into the workspace's .env anew, as one word"
            )
    return openai.OpenAI(
        api_key=key, base_url=params.base_url or "https://api.openai.com/v1", max_retries=0, timeout=params.timeout_s
    )


class Client:
    """Asks questions one at a time from many threads; every answer is on disk before it is looked at."""

    def __init__(
        self,
        params: OpenAiParams,
        library: openai.OpenAI,
        answers: AnswerFolder,
        purse: Purse,
        stop: threading.Event,
    ) -> None:
        """`stop`: send nothing more; what is under way is heard, because it is paid for."""
        self._params = params
        self._library = library
        self._answers = answers
        self._purse = purse
        self._stop = stop
        self._pace = Pace(params.requests_per_minute, params.tokens_per_minute)
        self._lock = threading.Lock()
        self._asked: dict[str, threading.Lock] = {}
        self._answered = 0
        self._refused = 0

    def ask(self, ask: Ask) -> Answer:
        """The answer to a question, from disk if it came before.

        Raises:
            QuestionRefused: the server does not take it.
            ServerBusy: it was asked `tries` times in vain.
            StageCrash: no question can be answered until the operator mends something, or the cap is reached.
            Interrupted: the run was asked to stop.
        """
        with self._lock:
            alone = self._asked.setdefault(ask.key, threading.Lock())
        with alone:  # two regions may be the same to the last pixel: that is one question
            return self._answers.find(ask.key) or self._ask(ask)

    def _ask(self, ask: Ask) -> Answer:
        fault = Fault("again", "it was not asked", False)
        for attempt in range(self._params.tries):
            self._wait_for_turn(ask)
            ticket = self._purse.reserve(ask.key, ask.input_bound, ask.output_bound)
            try:
                found = self._send(ask, ticket)
            except BaseException:
                self._purse.lose(ticket)  # whoever waits for what it gives back must not wait for ever
                raise
            if isinstance(found, Answer):
                return found
            fault = found
            if fault.verdict == "stage":
                raise StageCrash(fault.message)
            if fault.verdict == "question":
                self._note_refusal(fault)
                raise QuestionRefused(fault.message)
            if attempt + 1 < self._params.tries:
                self._pause(attempt, fault)
        words = f"{fault.message} (asked {self._params.tries} times)"
        if fault.unreached and not self._answered:
            raise StageCrash(words)  # it never was there: no other question will fare better
        raise ServerBusy(words)

    def _wait_for_turn(self, ask: Ask) -> None:
        about = ask.input_about + ask.output_bound // 4
        while True:
            if self._stop.is_set():
                raise Interrupted("stopped before it was asked")
            wait_s = self._pace.admit(about)
            if wait_s <= 0:
                return
            self._stop.wait(min(wait_s, 1.0))

    def _send(self, ask: Ask, ticket: int) -> Answer | Fault:
        import openai

        create = self._library.responses if self._params.api == "responses" else self._library.chat.completions
        try:
            # The raw answer: what the library makes of it comes later, and may raise, and would be lost with it.
            response = create.with_raw_response.create(**ask.full())
            content = response.http_response.content
            self._pace.learn(response.headers)
        except openai.APIError as error:
            fault = fault_of(error, self._params)
            if isinstance(error, openai.APIStatusError):
                self._pace.learn(error.response.headers)
        else:
            return self._keep(ask, ticket, content)
        if fault.billed:
            self._purse.lose(ticket)
        else:
            self._purse.release(ticket)
        return fault

    def _keep(self, ask: Ask, ticket: int, content: bytes) -> Answer | Fault:
        try:
            raw: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            self._purse.lose(ticket)
            return Fault("again", f"the answer is not JSON ({error}): {content[:80]!r}", billed=True)
        heard = hear(self._params.api, raw)
        if heard.status in ("failed", "odd"):
            if heard.usage is None:
                self._purse.lose(ticket)
            else:
                self._purse.settle(ticket, self._purse.price_of(raw))
            return Fault("again", heard.text, billed=True)
        answer = self._answers.keep(ask.key, ticket, raw)
        self._purse.settle(ticket, self._purse.price_of(raw))
        if heard.usage is not None:
            self._purse.note_count(ask.input_bound, heard.usage.input_tokens)
        with self._lock:
            self._answered += 1
        return answer

    def _note_refusal(self, fault: Fault) -> None:
        with self._lock:
            self._refused += 1
            hopeless = not self._answered and self._refused >= REFUSED_IN_A_ROW
        if hopeless:
            raise StageCrash(f"the server refuses every question: {fault.message}")

    def _pause(self, attempt: int, fault: Fault) -> None:
        """Wait as long as the server asks, else a random share of a span that doubles ("full jitter")."""
        longest = self._params.longest_pause_s
        if fault.pause_s is not None:
            if fault.pause_s > 10 * longest:
                raise ServerBusy(f"{fault.message}; it wants to be left alone for {fault.pause_s:.0f} s: resume later")
            self._pace.hold(fault.pause_s)
            self._stop.wait(fault.pause_s)
            return
        self._stop.wait(random.uniform(0, min(longest, FIRST_PAUSE_S * 2**attempt)))  # noqa: S311 - no secret
