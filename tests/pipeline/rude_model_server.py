"""A model server on loopback that speaks OpenAI's HTTP and misbehaves on request: real sockets, a bill of its own.

It answers from the question alone, so that a test knows what must come out: a caption made of the region's number and
words, one fact whose quote stands in the region, and one whose quote stands nowhere.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BILLED = frozenset({"ok", "half", "hang", "bad-json", "refusal", "cut", "wrong-schema", "wrong-parts", "odd"})
"""What a rude server charges for: everything that its model worked on, whether or not the answer arrives."""
INVENTED = "these words stand in no document at all"


@dataclass(frozen=True)
class Bill:
    """What one request was charged."""

    input_tokens: int
    output_tokens: int
    usd: float


@dataclass
class RudeServer:
    """Scripted faults are used up in order, one a request; then `always`, then good manners."""

    script: list[str] = field(default_factory=list)
    always: str | None = None
    for_region: dict[int, str] = field(default_factory=dict)
    """Region number → the fault that every request about it meets."""
    usd_per_1m_input: float = 2.5
    usd_per_1m_output: float = 10.0
    context_tokens: int = 128_000
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: str = "0.1"
    on_request: Callable[[], None] = lambda: None
    batch_polls: int = 2
    """So often a batch is still at work when it is asked for."""
    lose_next_batch_answer: bool = False
    """Make the next batch, and cut the line instead of saying so."""

    def __post_init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.outcomes: list[str] = []
        self.bills: list[Bill] = []
        self.times: list[float] = []
        self.keys: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.url = ""

    @property
    def billed_usd(self) -> float:
        return sum(bill.usd for bill in self.bills)

    def questions(self) -> list[dict[str, Any]]:
        """The question of every request that came, in order."""
        return [question_of(body) for body in self.requests]

    def next_fault(self, question: Mapping[str, Any]) -> str:
        with self.lock:
            if self.script:
                return self.script.pop(0)
        number = question["region"]["number"] if question["region"] else question["parts_of"]
        return self.for_region.get(number) or self.always or "ok"

    def charge(self, body: Mapping[str, Any], answer: str, factor: float = 1.0) -> Bill:
        counted = input_tokens(body)
        out = min(math.ceil(len(answer.encode()) / 3), longest_answer(body))
        usd = (counted * self.usd_per_1m_input + out * self.usd_per_1m_output) / 1e6 * factor
        bill = Bill(counted, out, usd)
        with self.lock:
            self.bills.append(bill)
        return bill


def texts_of(body: Mapping[str, Any]) -> list[str]:
    messages = body.get("input") or body["messages"]
    return [part["text"] for part in messages[-1]["content"] if part["type"] in ("input_text", "text")]


def question_of(body: Mapping[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = json.loads(texts_of(body)[0])
    return question


def png_of(body: Mapping[str, Any]) -> bytes:
    """The picture, which must come last."""
    last = (body.get("input") or body["messages"])[-1]["content"][-1]
    url = last["image_url"] if isinstance(last["image_url"], str) else last["image_url"]["url"]
    return base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True)


def longest_answer(body: Mapping[str, Any]) -> int:
    names = ("max_output_tokens", "max_completion_tokens", "max_tokens")
    return int(next(body[name] for name in names if name in body))


def input_tokens(body: Mapping[str, Any]) -> int:
    """As gpt-4o counts: about a token for three bytes of text, and a picture by its tiles."""
    width, height = struct.unpack(">II", png_of(body)[16:24])
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    rest = {name: value for name, value in body.items() if name not in ("input", "messages")}
    system = (body.get("messages") or [{"content": ""}])[0]["content"]
    text = json.dumps(rest) + system + "".join(texts_of(body))
    return math.ceil(len(text.encode()) / 3) + 85 + 170 * tiles


def complaint_about(body: Mapping[str, Any]) -> str | None:
    """Why a strict server would refuse this request as malformed."""
    if "input" in body and body.get("store") is not False:
        return "store must be false"
    form = (body.get("text") or {}).get("format") or (body.get("response_format") or {}).get("json_schema") or {}
    if not form.get("strict"):
        return None
    open_nodes = [form["schema"]]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, dict):
            if node.get("type") == "object":
                fields = set(node.get("properties", {}))
                if set(node.get("required", [])) != fields or node.get("additionalProperties") is not False:
                    return f"schema is not strict: {sorted(fields)}"
            if "$ref" in node and len(node) > 1:
                return "schema is not strict: $ref with neighbours"
            open_nodes += node.values()
        elif isinstance(node, list):
            open_nodes += node
    return None


def answer_to(question: Mapping[str, Any]) -> dict[str, Any]:
    """What a good model would say."""
    region, text = question["region"], ""
    if region is not None:
        texts = [region["text"], *(part["text"] for part in question["parts"])]
        text = next((each for each in texts if each), "")
    words = text.split()
    facts = [
        {"subject": words[0], "predicate": "begins", "object": "the region", "text": f"{words[0]} begins it",
         "evidence": [" ".join(words[:2]).upper()]},
        {"subject": "Mars", "predicate": "is", "object": "red", "text": "Mars is red", "evidence": [INVENTED]},
    ] if words else []  # fmt: skip
    said = region and {
        "number": region["number"], "kind": region["label"],
        "caption": f"seen {region['number']}: {' '.join(words[:6])}",
        "title": None, "headings": [], "rows": [["head", "cell"]] if region["label"] == "table" else [],
        "labels": [], "edges": [], "sections": [], "facts": facts,
    }  # fmt: skip
    parts = [
        {"number": part["number"], "caption": f"part {part['number']}: {part['text']}"} for part in question["parts"]
    ]
    return {"region": said, "parts": parts}


def answer_text(question: Mapping[str, Any], outcome: str) -> str:
    said = answer_to(question)
    if outcome == "wrong-schema":
        said["surprise"] = 1
    if outcome == "wrong-parts":
        said["parts"] = [*said["parts"], {"number": 999, "caption": "nobody asked"}]
    text = json.dumps(said, ensure_ascii=False)
    return text[: len(text) // 2] if outcome == "cut" else text


def envelope(body: Mapping[str, Any], outcome: str, text: str, bill: Bill) -> dict[str, Any]:
    """An answer as the API wraps it."""
    if outcome == "odd":
        return {"object": "something.else", "usage": None}
    if "input" in body:
        part = {"type": "output_text", "text": text, "annotations": []}
        if outcome == "refusal":
            part = {"type": "refusal", "refusal": "I will not describe this."}
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "model": body["model"],
            "status": "incomplete" if outcome == "cut" else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if outcome == "cut" else None, "error": None,
            "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}],
            "usage": {"input_tokens": bill.input_tokens, "input_tokens_details": {"cached_tokens": 0},
                      "output_tokens": bill.output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
                      "total_tokens": bill.input_tokens + bill.output_tokens},
        }  # fmt: skip
    refusal = "I will not describe this." if outcome == "refusal" else None
    return {
        "id": "chat_1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "length" if outcome == "cut" else "stop",
                     "message": {"role": "assistant", "content": None if refusal else text, "refusal": refusal}}],
        "usage": {"prompt_tokens": bill.input_tokens, "completion_tokens": bill.output_tokens,
                  "total_tokens": bill.input_tokens + bill.output_tokens},
    }  # fmt: skip


ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "429": (429, {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}),
    "429-after": (429, {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}),
    "500": (500, {"message": "The server had an error", "type": "server_error", "code": None}),
    "quota": (429, {"message": "You exceeded your current quota", "type": "insufficient_quota",
                    "code": "insufficient_quota"}),
    "401": (401, {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}),
    "404": (404, {"message": "The model does not exist", "type": "invalid_request_error", "code": "model_not_found"}),
    "400": (400, {"message": "Invalid image", "type": "invalid_request_error", "code": "invalid_image"}),
    "unknown-parameter": (400, {"message": "Unknown parameter: 'prompt_cache_key'.", "type": "invalid_request_error",
                                "param": "prompt_cache_key", "code": "unknown_parameter"}),
    "long-complaint": (400, {"message": "1 error in body. " + "input: " * 80 + "Extra inputs are not permitted.",
                             "type": "invalid_request_error"}),
    "too-long": (400, {"message": "maximum context length exceeded", "type": "invalid_request_error",
                       "code": "context_length_exceeded"}),
}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        return

    def do_POST(self) -> None:
        rude = self.server.rude
        data = self.rfile.read(int(self.headers["content-length"]))
        rude.keys.add(self.headers.get("authorization", ""))
        if self.path.endswith("/files"):
            self._file(data)
        elif self.path.endswith("/batches"):
            self._batch(json.loads(data))
        else:
            self._answer(json.loads(data))

    def do_GET(self) -> None:
        rude, parts = self.server.rude, self.path.partition("?")[0].strip("/").split("/")
        if parts[-1] == "content":
            self._send(200, rude.files[parts[-2]])
        elif parts[-1] == "batches":
            listed = sorted(rude.batches.values(), key=lambda batch: -batch["created_at"])
            self._json(200, {"object": "list", "data": [shown(each) for each in listed], "has_more": False})
        elif parts[-1] not in rude.batches:
            self._json(404, {"error": {"message": f"No batch found with id '{parts[-1]}'.", "code": None}})
        else:
            batch = rude.batches[parts[-1]]
            batch["polls"] -= 1
            if batch["polls"] <= 0 and batch["status"] == "in_progress":
                finish_batch(rude, batch)
            self._json(200, shown(batch))

    def _answer(self, body: dict[str, Any]) -> None:
        rude = self.server.rude
        with rude.lock:
            rude.at_once += 1
            rude.most_at_once = max(rude.most_at_once, rude.at_once)
        try:
            self._answer_counted(body)
        finally:
            with rude.lock:
                rude.at_once -= 1

    def _answer_counted(self, body: dict[str, Any]) -> None:
        rude = self.server.rude
        rude.on_request()
        question = question_of(body)
        problem = complaint_about(body)
        outcome = rude.next_fault(question)
        with rude.lock:
            rude.requests.append(body)
            rude.outcomes.append(outcome)
            rude.times.append(time.time())
        if problem is not None:
            self._json(400, {"error": {"message": problem, "type": "invalid_request_error", "code": "malformed"}})
            return
        if input_tokens(body) + longest_answer(body) > rude.context_tokens:
            self._json(400, {"error": ERRORS["too-long"][1]})
            return
        if outcome in ERRORS:
            status, error = ERRORS[outcome]
            if outcome == "401":
                key = self.headers.get("authorization", "").removeprefix("Bearer ")
                error = {**error, "message": f"{error['message']}: {key}"}
            self._json(status, {"error": error}, {"retry-after": rude.retry_after} if outcome == "429-after" else {})
            return
        text = answer_text(question, outcome)
        bill = rude.charge(body, text)
        data = json.dumps(envelope(body, outcome, text, bill)).encode()
        if outcome == "hang":
            rude.closing.wait(60)
            self.close_connection = True
        elif outcome == "half":
            self._head(200, len(data), {})
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self._send(200, b"<html>Bad gateway" if outcome == "bad-json" else data)

    def _file(self, data: bytes) -> None:
        rude = self.server.rude
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        part = next(each for each in data.split(b"--" + boundary) if b'name="file"' in each)
        file_id = f"file-{len(rude.files) + 1}"
        rude.files[file_id] = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        self._json(200, {"id": file_id, "object": "file", "bytes": len(data), "created_at": 1, "filename": "b.jsonl",
                         "purpose": "batch", "status": "processed"})  # fmt: skip

    def _batch(self, body: dict[str, Any]) -> None:
        rude = self.server.rude
        batch = {
            "id": f"batch_{len(rude.batches) + 1}", "object": "batch", "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"], "completion_window": "24h", "status": "in_progress",
            "created_at": int(time.time()), "metadata": body.get("metadata"), "output_file_id": None,
            "error_file_id": None, "polls": rude.batch_polls,
        }  # fmt: skip
        rude.batches[batch["id"]] = batch
        if rude.lose_next_batch_answer:
            rude.lose_next_batch_answer = False
            self.close_connection = True
            return
        self._json(200, shown(batch))

    def _json(self, status: int, value: Any, headers: Mapping[str, str] = {}) -> None:
        self._send(status, json.dumps(value).encode(), headers)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str] = {}) -> None:
        self._head(status, len(data), headers)
        self.wfile.write(data)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**self.server.rude.headers, **headers}.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()


def shown(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name != "polls"}


def finish_batch(rude: RudeServer, batch: dict[str, Any]) -> None:
    """Answer every line of a batch, at half the price; faults become lines of its files."""
    good, bad = [], []
    for line in rude.files[batch["input_file_id"]].splitlines():
        request = json.loads(line)
        body = request["body"]
        question = question_of(body)
        outcome = rude.next_fault(question)
        rude.requests.append(body)
        rude.outcomes.append(outcome)
        result = {"id": "b", "custom_id": request["custom_id"], "error": None}
        if outcome in ERRORS:
            status, error = ERRORS[outcome]
            bad.append({**result, "response": {"status_code": status, "request_id": "r", "body": {"error": error}}})
        elif outcome == "expired":
            bad.append({**result, "response": None, "error": {"code": "batch_expired", "message": "too late"}})
        else:
            text = answer_text(question, outcome)
            said = envelope(body, outcome, text, rude.charge(body, text, 0.5))
            good.append({**result, "response": {"status_code": 200, "request_id": "r", "body": said}})
    for name, lines in (("output_file_id", good), ("error_file_id", bad)):
        if lines:
            batch[name] = f"file-{len(rude.files) + 1}"
            rude.files[batch[name]] = "".join(json.dumps(each) + "\n" for each in lines).encode()
    batch["status"] = "completed"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    rude: RudeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that went away is what these tests are about


@contextmanager
def serving(**settings: Any) -> Iterator[RudeServer]:
    """A rude server on a port of its own, until the test is over."""
    rude = RudeServer(**settings)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.rude = rude
    rude.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield rude
    finally:
        rude.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
