"""A server of embeddings and chat on loopback that speaks OpenAI's HTTP, misbehaves on request and keeps a bill."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipeline.rude_model_server import ERRORS
from tests.serving import served

DIM = 16
KEY = "sk-never-to-be-seen-anywhere"
PRICE = 0.13


@dataclass
class ModelServer:
    """Scripted faults are used up in order, one a request; then `always`, then good manners."""

    script: list[str] = field(default_factory=list)
    always: str | None = None
    usd_per_1m: float = PRICE
    max_inputs: int = 2048
    max_input_tokens: int = 8192
    max_request_tokens: int = 300_000
    refuses: str = "\0"
    """A text with this in it is not taken."""
    timeout_s: float = 60.0
    """How long its client waits; a busy machine must not be taken for a silent server."""
    tries: int = 4
    delay_s: float = 0.0
    retry_after: str = "0.2"
    headers: dict[str, str] = field(default_factory=dict)
    answer: Callable[[Mapping[str, Any]], Any] = lambda body: {}
    """What the chat model says to a request: an object that becomes JSON, or a text."""
    on_answered: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.outcomes: list[str] = []
        self.times: list[float] = []
        self.billed_usd = 0.0
        self.keys: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.free = threading.Event()
        """Cleared, it keeps every answer back."""
        self.free.set()
        self.url = ""

    def asked(self) -> list[str]:
        """Every text that came for embedding, in order."""
        return [text for body in self.requests for text in body.get("input", [])]

    def workspace(self, folder: Path, more: str = "") -> Path:
        """Make `folder` a workspace whose server `there` is this one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spotter.toml").write_text(
            f'[providers.there]\nbase_url = "{self.url}"\nkey_env = "THERE_API_KEY"\ntries = {self.tries}\n'
            f"longest_pause_s = 0.05\ntimeout_s = {self.timeout_s}\n{more}\n"
            f'[providers.there.embeddings.tiny]\ndim = {DIM}\nusd_per_1m_tokens = {self.usd_per_1m}\n'
            'max_input_tokens = 8192\n'
            '[providers.there.chat.talker]\nusd_per_1m_input = 1.0\nusd_per_1m_output = 2.0\n',
            "utf-8",
        )  # fmt: skip
        (folder / ".env").write_text(f"THERE_API_KEY={KEY}\n", "utf-8")
        (folder / ".env").chmod(0o600)
        return folder


def vector_of(text: str) -> np.ndarray[Any, Any]:
    """The model's vector of a text: words that are shared make texts near."""
    total = np.full(DIM, 1e-3)
    for word in re.findall(r"\w+", text.lower()):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        total += np.random.default_rng(seed).standard_normal(DIM)
    return (total / np.linalg.norm(total)).astype(np.float32)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    there: ModelServer

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        return

    def do_POST(self) -> None:
        there, body = self.there, json.loads(self.rfile.read(int(self.headers["content-length"])))
        with there.lock:
            there.keys.add(self.headers.get("authorization", ""))
            there.requests.append(body)
            there.times.append(time.monotonic())
            there.at_once += 1
            there.most_at_once = max(there.most_at_once, there.at_once)
            outcome = there.script.pop(0) if there.script else there.always or "ok"
            there.outcomes.append(outcome)
        try:
            there.closing.wait(there.delay_s)
            there.free.wait(120)
            self._answer(body, outcome)
        finally:
            with there.lock:
                there.at_once -= 1

    def _answer(self, body: dict[str, Any], outcome: str) -> None:
        there = self.there
        if outcome in ERRORS:
            status, error = ERRORS[outcome]
            if outcome == "401":
                error = {**error, "message": f"{error['message']}: {self.headers['authorization'].split()[-1]}"}
            headers = {"retry-after": there.retry_after} if outcome == "429-after" else {}
            self._send(status, {"error": error}, headers)
            return
        if outcome == "moved":
            self._send(307, {}, {"location": "http://127.0.0.1:9/elsewhere"})
            return
        said = self._embeddings(body) if self.path.endswith("/embeddings") else self._chat(body)
        if "error" in said:
            self._send(400, said)
            return
        with there.lock:
            there.billed_usd += said["usage"]["total_tokens"] * there.usd_per_1m / 1e6
        if outcome == "hang":
            there.closing.wait(60)
            self.close_connection = True
            return
        self._send(200, spoilt(said, outcome), there.headers, half=outcome == "half")
        there.on_answered()

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        there, texts = self.there, body["input"]
        tokens = [math.ceil(len(text.encode()) / 3) for text in texts]
        too_much = len(texts) > there.max_inputs or sum(tokens) > there.max_request_tokens
        if too_much or max(tokens) > there.max_input_tokens or any(not text for text in texts):
            return {"error": ERRORS["too-long"][1]}
        if any(there.refuses in text for text in texts):
            return {"error": {"message": "this input is against our rules", "code": "content_policy"}}
        vectors = [vector_of(text) for text in texts]
        as_text = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": at,
             "embedding": base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()}
            for at, vector in enumerate(vectors)
        ]  # fmt: skip
        return {
            "object": "list", "model": body["model"], "data": data,
            "usage": {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)},
        }  # fmt: skip

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        said = self.there.answer(body)
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        asked = math.ceil(len(json.dumps(body, ensure_ascii=False).encode()) / 3)
        told = math.ceil(len(text.encode()) / 3)
        return {
            "id": "chat_1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text, "refusal": None}}],
            "usage": {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told},
        }  # fmt: skip

    def _send(self, status: int, said: Any, headers: Mapping[str, str] | None = None, *, half: bool = False) -> None:
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        if half:
            self.close_connection = True


def spoilt(said: dict[str, Any], outcome: str) -> Any:
    """An answer, made wrong as the outcome says."""
    if outcome == "bad-json":
        return b"<html>Bad gateway"
    if outcome == "no-usage":
        said["usage"] = None
    elif outcome == "cut-off":
        said["choices"][0]["finish_reason"] = "length"
    elif outcome == "declines":
        said["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I would rather not."}
    elif "data" in said:
        data = said["data"]
        if outcome == "shuffled":
            data.reverse()
        elif outcome == "short":
            data.pop()
        elif outcome == "twice":
            data[0]["index"] = data[-1]["index"]
        elif outcome == "wrong-dim":
            data[0]["embedding"] = [1.0, 0.0]
        elif outcome == "nan":
            data[0]["embedding"][0] = float("nan")
        elif outcome == "zero":
            data[0]["embedding"] = [0.0] * DIM
        elif outcome == "words":
            data[0]["embedding"] = ["a"] * DIM
    return said


@contextmanager
def serving(**settings: Any) -> Iterator[ModelServer]:
    """A server on a port of its own, until the test is over."""
    there = ModelServer(**settings)
    with served(type("Handler", (_Handler,), {"there": there})) as url:
        there.url = f"{url}/v1"
        try:
            yield there
        finally:
            there.closing.set()
            there.free.set()
