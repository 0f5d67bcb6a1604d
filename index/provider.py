"""One model behind a server that speaks as OpenAI's does: paced, paid for before it is asked, tried again politely.

`provider` makes one from a name such as `openai/text-embedding-3-large` or `local/qwen3`: the server's name in
`[providers]` of spotter.toml, then the model's. Embedders and whoever asks a chat model (`index.chat`) go through it.
The client library is loaded by the first request.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from index.errors import IndexProblem
from index.faults import Fault, fault_of
from index.servers import ChatModel, ProviderMissingKey, Server, read_key, read_servers
from index.spending import CapReached, Purse, Stopped
from pipeline.core.pace import Pace
from pipeline.core.server_faults import ServerFault, one_line

if TYPE_CHECKING:
    import ssl

    import openai

__all__ = [
    "Bound", "CapReached", "InputRefused", "OddAnswer", "Provider", "ProviderBusy", "ProviderMissingKey",
    "ProviderRefused", "Purse", "QuotaExhausted", "Stopped", "UnknownModel", "named_server", "provider",
]  # fmt: skip

FIRST_PAUSE_S = 0.5
WITHOUT_MODEL = 'name a model of a server that wants none ([providers.NAME] with key_env = ""), or no model'
"""How to work without a key for a chat model."""
T = TypeVar("T")


class UnknownModel(IndexProblem):
    """No server of the settings has this name."""


class ProviderRefused(IndexProblem):
    """The server takes no request like this until the operator mends something; the text says what."""


class QuotaExhausted(IndexProblem):
    """The account behind the key has no money left."""


class ProviderBusy(IndexProblem):
    """The server did not answer however often it was asked; the same command later goes on from what is kept."""


class InputRefused(IndexProblem):
    """The server takes requests, but not this one."""


class OddAnswer(Exception):
    """What a reader of answers raises for one that can't be what it says; the request is sent again."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a request can be at most, known before it is sent."""

    input_tokens: int
    """At most; a text never has more tokens than UTF-8 bytes."""
    input_tokens_about: int
    """For pacing."""
    output_tokens: int = 0
    inputs: int = 1
    """How many texts it holds; none of them is less than one token."""


class Provider:
    """Asks one model of one server, from many threads; `ask` raises nothing but the errors of `index`."""

    def __init__(
        self,
        name: str,
        server: Server,
        model: str,
        key: str,
        *,
        usd_per_1m_input: float | None,
        usd_per_1m_output: float | None = 0.0,
        purse: Purse | None = None,
    ) -> None:
        """`provider` is the usual way to get one.

        Raises:
            ProviderRefused: the purse has a cap, but a price is unknown.
        """
        self.name = name
        self.server = server
        self.model = model
        self.purse = purse or Purse()
        self.section = f"providers.{name}"
        self._key = key
        self._usd_per_1m = (usd_per_1m_input, usd_per_1m_output)
        if self.purse.cap_usd is not None and not self.priced:
            raise ProviderRefused(
                f"A cap needs prices to count with: say usd_per_1m_input and usd_per_1m_output of {model} in "
                f"[{self.section}.chat] of spotter.toml, 0 for a server of your own."
            )
        self._pace = Pace(server.requests_per_minute, server.tokens_per_minute)
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None
        self._answered = False

    def __repr__(self) -> str:
        """Never the key."""
        return f"Provider({self.name}/{self.model} at {self.server.base_url})"

    @property
    def priced(self) -> bool:
        """Whether it is known what tokens cost."""
        return None not in self._usd_per_1m

    def usd(self, input_tokens: float, output_tokens: float = 0.0) -> float | None:
        """What so many tokens cost; None when a price is unknown."""
        price_in, price_out = self._usd_per_1m
        if price_in is None or price_out is None:
            return None
        return (input_tokens * price_in + output_tokens * price_out) / 1e6

    def client(self) -> openai.OpenAI:
        """The library's client, made at the first call; it tries nothing again by itself and follows no redirect."""
        with self._lock:
            if self._client is None:
                import openai

                self._client = openai.OpenAI(
                    api_key=self._key,
                    base_url=self.server.base_url,
                    max_retries=0,
                    timeout=self.server.timeout_s,
                    http_client=openai.DefaultHttpxClient(follow_redirects=False, verify=_trusted()),
                )
            return self._client

    def ask(
        self,
        send: Callable[[openai.OpenAI], Any],
        bound: Bound,
        read: Callable[[Any], T],
        stop: threading.Event | None = None,
    ) -> T:
        """Send a request until it is answered, and read the answer.

        Args:
            send: makes the request by the client's `with_raw_response`, and returns that raw response.
            bound: what it can be at most.
            read: the value of an answer's JSON; raises OddAnswer for one that is broken.
            stop: when set, nothing more is sent.

        Raises:
            InputRefused: the server does not take this request; others it may.
            ProviderRefused: it takes none until the operator mends something.
            QuotaExhausted: the account is empty.
            ProviderBusy: it was asked `tries` times in vain.
            CapReached: it might pass the cap.
            Stopped: `stop` was set.
        """
        stop = stop or threading.Event()
        fault = Fault("again", "it was not asked", billed=False)
        for attempt in range(self.server.tries):
            self._wait_for_turn(bound, stop)
            ticket = self.purse.reserve(self.usd(bound.input_tokens, bound.output_tokens) or 0.0)
            try:
                found = self._send(send, bound, read, ticket)
            except BaseException:
                self.purse.lose(ticket)  # whoever waits for what it gives back must not wait for ever
                raise
            if not isinstance(found, ServerFault):
                return found[0]
            fault = found
            if fault.verdict == "refused":
                raise ProviderRefused(f"{fault.message}.")
            if fault.verdict == "quota":
                raise QuotaExhausted(f"{fault.message}.")
            if fault.verdict == "input":
                raise InputRefused(f"{fault.message}.")
            if attempt + 1 < self.server.tries:
                self._pause(attempt, fault, stop)
        if fault.unreached and not self._answered:
            raise ProviderRefused(f"{fault.message} (tried {self.server.tries} times).")
        raise ProviderBusy(
            f"{fault.message} (asked {self.server.tries} times); say the same command later: what was answered is kept."
        )

    def _wait_for_turn(self, bound: Bound, stop: threading.Event) -> None:
        while True:
            if stop.is_set():
                raise Stopped("Stopped before it was asked.")
            wait_s = self._pace.admit(bound.input_tokens_about + bound.output_tokens // 4)
            if wait_s <= 0:
                return
            stop.wait(min(wait_s, 1.0))

    def _send(
        self, send: Callable[[openai.OpenAI], Any], bound: Bound, read: Callable[[Any], T], ticket: int
    ) -> tuple[T] | Fault:
        import openai

        server = self.server
        try:
            # The raw answer: what the library makes of it comes later, and may raise, and would be lost with it.
            response = send(self.client())
            content: bytes = response.http_response.content
            self._pace.learn(response.headers)
        except openai.APIError as error:
            fault = fault_of(error, server.base_url, self.section, server.key_env, server.timeout_s)
            if isinstance(error, openai.APIStatusError):
                self._pace.learn(error.response.headers)
        else:
            return self._read(content, bound, read, ticket)
        if fault.billed:
            self.purse.lose(ticket)
        else:
            self.purse.release(ticket)
        return fault

    def _read(self, content: bytes, bound: Bound, read: Callable[[Any], T], ticket: int) -> tuple[T] | Fault:
        try:
            raw = orjson.loads(content)
            tokens = _counted(raw, bound)
        except orjson.JSONDecodeError:
            self.purse.lose(ticket)
            return Fault("again", f"the answer of {self.server.base_url} is not JSON", billed=True)
        if tokens is None:
            self.purse.lose(ticket)
        else:
            self.purse.settle(ticket, self.usd(*tokens) or 0.0, *tokens)
        try:
            value = read(raw)
        except OddAnswer as error:
            said = one_line(str(error).replace(self._key, "…") if self.server.key_env else error)
            return Fault("again", f"{self.server.base_url} gives an answer that can't be used: {said}", billed=True)
        self._answered = True
        return (value,)

    def _pause(self, attempt: int, fault: Fault, stop: threading.Event) -> None:
        """Wait as long as the server asks, else a random share of a span that doubles ("full jitter")."""
        longest_s = self.server.longest_pause_s
        if fault.pause_s is not None:
            if fault.pause_s > 10 * longest_s:
                raise ProviderBusy(
                    f"{fault.message}; it wants to be left alone for {fault.pause_s:.0f} s: say the same command later."
                )
            self._pace.hold(fault.pause_s)
            stop.wait(fault.pause_s)
            return
        stop.wait(random.uniform(0, min(longest_s, FIRST_PAUSE_S * 2**attempt)))  # noqa: S311 - no secret


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The certificates that the client library trusts, read once: that takes 30 ms."""
    import httpx

    return httpx.create_ssl_context()


def _counted(raw: Any, bound: Bound) -> tuple[int, int] | None:
    """The server's count of tokens in and out; None when it gave none that can be true."""
    usage = raw.get("usage") if isinstance(raw, dict) else None
    if not isinstance(usage, dict):
        return None
    if bound.output_tokens:
        tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    else:  # some servers of embeddings count them as a whole only
        tokens_in, tokens_out = usage.get("prompt_tokens", usage.get("total_tokens")), 0
    if type(tokens_in) is not int or type(tokens_out) is not int or tokens_in < bound.inputs or tokens_out < 0:
        return None
    return tokens_in, tokens_out


def named_server(name: str, workspace: Path | None) -> tuple[str, str, Server] | None:
    """The parts of `server/model`: the server's name, the model's, and the server; None: no server has this name.

    Raises:
        ServersWrong: `[providers]` can't be used.
    """
    server_name, _, model = name.partition("/")
    server = read_servers(workspace).get(server_name)
    return None if server is None else (server_name, model, server)


def provider(
    name: str, workspace: Path | None, purse: Purse | None = None, environment: Mapping[str, str] = os.environ
) -> Provider:
    """The chat model of a name such as `openai/gpt-4.1-mini`; its numbers are `server.chat[model]` (`index.chat`).

    Raises:
        UnknownModel: no server of this name.
        ProviderMissingKey: its key is not here.
        ServersWrong: `[providers]` can't be used.
    """
    found = named_server(name, workspace)
    if found is None or not found[1]:
        known = ", ".join(f"{server}/MODEL" for server in sorted(read_servers(workspace)))
        raise UnknownModel(
            f"There is no model {name!r}; say the server and its model ({known}), and add other servers as "
            "[providers.NAME] to spotter.toml."
        )
    server_name, model, server = found
    chat = server.chat.get(model, ChatModel())
    key = read_key(server_name, server, workspace, environment, WITHOUT_MODEL)
    return Provider(
        server_name, server, model, key,
        usd_per_1m_input=chat.usd_per_1m_input, usd_per_1m_output=chat.usd_per_1m_output, purse=purse,
    )  # fmt: skip
