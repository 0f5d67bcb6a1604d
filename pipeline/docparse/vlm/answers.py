"""Answers as they came, one file each, written before anything else is done with them: what is paid for is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.core.files import write_atomic

FOLDER = "answers"
"""Beside `artifacts/` in the run's folder. It is part of no artifact list: what was made of it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a request."""

    key: str
    ticket: int
    """Number of the reservation that paid for it."""
    raw: Any
    """The server's JSON."""


class AnswerFolder:
    """The answers of one run, by the digest of what was asked."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / FOLDER
        self.path.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        return self.path / f"{key}.json"

    def find(self, key: str) -> Answer | None:
        """The answer to a request, if it came."""
        try:
            kept = orjson.loads(self._file(key).read_bytes())
        except FileNotFoundError:
            return None
        return Answer(key, int(kept["ticket"]), kept["raw"])

    def keep(self, key: str, ticket: int, raw: Any) -> Answer:
        """Keep an answer; it survives `kill -9` from here on."""
        write_atomic(self._file(key), orjson.dumps({"ticket": ticket, "raw": raw}, option=orjson.OPT_INDENT_2) + b"\n")
        return Answer(key, ticket, raw)
