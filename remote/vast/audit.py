"""One JSON line per call to the cloud: what was asked, what came back, how long it took. Neither key nor body."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remote.vast.redaction import redacted

LOG = logging.getLogger(__name__)


class AuditLog:
    """An append-only file of mode 0600; each row is one write, so several processes may share it.

    A row that cannot be written is told once and left out: on a full disk an answer of the cloud is worth more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = False

    def write(
        self,
        method: str,
        url: str,
        body: Any,
        status: int | str,
        *,
        elapsed_s: float,
        waited_s: float,
        attempt: int,
        secret: str,
        ours: bool,
    ) -> None:
        """Append the row of one attempt.

        Args:
            method: HTTP method.
            url: what was asked.
            body: what was sent; only its digest is kept.
            status: the HTTP status, or the name of what went wrong.
            elapsed_s: from sending to the answer.
            waited_s: before sending, for the endpoint's turn.
            attempt: 1 for the first.
            secret: the API key, which is taken out.
            ours: whether `url` is the API's; elsewhere the query is a signature, and left out.
        """
        parts = urlsplit(url)
        row = {
            "at": round(time.time(), 3),
            "method": method,
            "host": parts.netloc,
            "path": parts.path,
            "query": parts.query if ours else "",
            "body_sha256": _digest(body),
            "status": status,
            "ms": round(elapsed_s * 1000),
            "waited_ms": round(waited_s * 1000),
            "attempt": attempt,
        }
        line = redacted(json.dumps(row, ensure_ascii=False), secret)
        try:
            self._append(f"{line}\n".encode(errors="replace"))
        except OSError as error:
            if not self._told:
                self._told = True
                LOG.warning("calls to the cloud cannot be noted in %s (%s): make room, they go on", self._path, error)

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def _digest(body: Any) -> str | None:
    if not body:
        return None
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
