"""One JSON line per call to the cloud: what was asked, what came back, how long it took. Neither key nor body.

A file that is full becomes `….1.jsonl`, in place of the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remote.line_file import append_line
from remote.vast.redaction import redacted

LOG = logging.getLogger(__name__)
FILE_BYTES = 16 * 1024 * 1024
"""Some 60,000 calls; the file before is kept too."""


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
            append_line(self._path, f"{line}\n".encode(errors="replace"), FILE_BYTES)
        except OSError as error:
            if not self._told:
                self._told = True
                LOG.warning("calls to the cloud cannot be noted in %s (%s): make room, they go on", self._path, error)


def _digest(body: Any) -> str | None:
    if not body:
        return None
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
