"""Where an index is mirrored to: a folder of its own for every generation, or a collection of a Chroma server."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.errors import IndexCorrupt, IndexProblem
from index.layout import Current, Layout, write_atomically

_URL = re.compile(r"https?://[^@\s/?#]+/?")
_LONGEST_COLLECTION = 200


class BadChromaServer(IndexProblem):
    """What was given is no address of a Chroma server."""


@dataclass(frozen=True)
class Place:
    """A Chroma collection, and what it lies in."""

    folder: Path | None
    """None when it is on a server."""
    url: str
    """Empty when it is in a folder."""
    collection: str

    def __str__(self) -> str:
        return self.url or str(self.folder)

    @property
    def begun(self) -> bool:
        """Whether there may be something; a folder without Chroma's database surely holds nothing."""
        return self.folder is None or (self.folder / "chroma.sqlite3").exists()


def chroma_place(layout: Layout, current: Current) -> Place:
    """Where a generation is mirrored to. Raises IndexCorrupt when the note of a server can't be read."""
    if not layout.server.exists():
        return Place(current.chroma, "", current.name)
    url, prefix = _noted(layout)
    return Place(None, url, f"{prefix}.{current.name}"[:_LONGEST_COLLECTION].rstrip("._-"))


def mirror_to(layout: Layout, url: str | None) -> None:
    """Note the Chroma server that every generation is mirrored to from now on; None: folders again.

    A server may serve many workspaces, so the collections' names begin with the workspace's name and a random part.
    Raises BadChromaServer.
    """
    if url is None:
        layout.server.unlink(missing_ok=True)
        return
    if not _URL.fullmatch(url):
        raise BadChromaServer(f"{url} is no address of a Chroma server; one looks like http://chroma.example:8000.")
    if layout.server.exists() and _noted(layout)[0] == url.rstrip("/"):
        return
    name = re.sub(r"[^a-zA-Z0-9]+", "-", layout.workspace.name).strip("-")[:40] or "spotter"
    layout.root.mkdir(parents=True, exist_ok=True)
    prefix = f"{name}-{secrets.token_hex(4)}"
    write_atomically(layout.server, orjson.dumps({"url": url.rstrip("/"), "prefix": prefix}) + b"\n")


def _noted(layout: Layout) -> tuple[str, str]:
    """The server's address, and how the names of this workspace's collections begin there."""
    try:
        said = orjson.loads(layout.server.read_bytes())
        return str(said["url"]), str(said["prefix"])
    except (ValueError, KeyError, TypeError) as error:
        raise IndexCorrupt(
            f"{layout.server} does not name a Chroma server ({error}); take it away, and name the server again: "
            "spotter index mirror --to URL"
        ) from error
