"""A hub of models on loopback: `/<repository>/resolve/<revision>/<path>` from folders, honest or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml

from tests.serving import served

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is served and what was asked for; `broken` paths are answered otherwise than asked."""

    folder: Path
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    broken: dict[str, str] = field(default_factory=dict)
    """File name → `login`, `lies`, `short` (a wrong size) or `cut` (the first half, once)."""

    def environment(self, root: Path, registry: Path) -> dict[str, str]:
        return {"HF_ENDPOINT": self.url, "MODEL_DIR": str(root), "MODEL_REGISTRY": str(registry)}

    def entry(self, repository: str, *, unpinned: Sequence[str] = ()) -> dict[str, Any]:
        """The registry's entry of a repository in the hub's folder, which knows no sha256 of the `unpinned` files."""
        files: list[dict[str, Any]] = []
        for path in sorted((self.folder / repository).rglob("*")):
            if not path.is_file():
                continue
            name = path.relative_to(self.folder / repository).as_posix()
            data = path.read_bytes()
            pin = {} if name in unpinned else {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            files.append({"path": name, **pin})
        return {"hub": repository, "revision": REVISION, "licence": "none", "what": "random weights", "files": files}

    def write_registry(self, path: Path, entries: dict[str, dict[str, Any]]) -> Path:
        path.write_text(yaml.safe_dump(entries, sort_keys=False))
        return path


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            hub.asked.append((self.path, wanted))
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            path = folder / repository / rest.partition("/")[2]
            manner = hub.broken.get(path.name)
            if manner == "login":
                return self.send_error(401)
            if not path.is_file() or not rest.startswith(f"{REVISION}/"):
                return self.send_error(404)
            data = path.read_bytes()
            if manner == "lies":
                data = bytes(len(data))
            if manner == "short":
                data = data[:-1]
            start = int(wanted[len("bytes=") : -1]) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if manner == "cut":
                del hub.broken[path.name]
                data = data[: start + (len(data) - start) // 2]
                self.close_connection = True
            self.wfile.write(data[start:])
            return None

        def log_message(self, *_arguments: object) -> None:
            return

    with served(Handler) as address:
        hub.url = address
        yield hub
