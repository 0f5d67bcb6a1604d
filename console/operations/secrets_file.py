"""Writing a secret into the workspace's `.env`: whole or not at all, and readable by its owner only."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from console.models.api_key import checked_key
from console.workspace import Workspace

VAST_API_KEY = "VAST_API_KEY"


def put_secret(workspace: Workspace, name: str, value: str) -> Path:
    """Write `NAME=value` into `.env`, in place of the line that was there; other lines stay. Returns the file.

    A `.env` that is a link stays one: what it leads to, also where nothing is yet, is written.

    Raises:
        SecretWrong: the value cannot be a key.
        OSError: the file cannot be written.
    """
    value = checked_key(value)
    path = Path(os.path.realpath(workspace.env_file))
    before = path.read_text("utf-8").splitlines() if path.exists() else []
    kept = [line for line in before if not re.match(rf"\s*(export\s+)?{re.escape(name)}\s*=", line)]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # 0600 from its first moment
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write("\n".join([*kept, f"{name}={value}"]) + "\n")
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return workspace.env_file
