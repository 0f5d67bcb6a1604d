"""Small JSON files that appear complete or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write to a temporary file beside `path`, fsync unless it need not survive a power cut, rename."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, mode: int = 0o600, durable: bool = True) -> None:
    """`write_text` of a value as JSON."""
    write_text(path, json.dumps(value, ensure_ascii=False), mode=mode, durable=durable)


def read_json(path: Path) -> Any:
    """The value, or None when the file is not there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
