"""A small HTTP server that behaves as badly as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Any
"""`(status, body)`, `(status, body, headers)`, or "silence" or "hang up"."""


class Scripted:
    """A server that answers with what it was told, or rudely not at all, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.keys: list[str | None] = []
        self.release = threading.Event()
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                script.keys.append(self.headers.get("Authorization"))
                script.asked.append((self.command, self.path, json.loads(body) if body else None))
                answer = script.answers.pop(0) if script.answers else (200, {})
                if answer == "silence":
                    script.release.wait(10)
                    return
                if answer == "hang up":
                    self.close_connection = True
                    return
                assert not isinstance(answer, str)
                payload = answer[1].encode() if isinstance(answer[1], str) else json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                for name, value in (answer[2] if len(answer) > 2 else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def script() -> Iterator[Scripted]:
    made = Scripted()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()
