"""Whether Chroma survives being asked in a folder: its library, written in Rust and C++, may be killed by a bad graph.

A graph whose links lead out of it, as a build that was killed may leave one, is no error that could be caught: the
process dies. So a child asks first.

    python -m index.chroma_probe FOLDER COLLECTION
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress

from index.chroma_place import Place

ASKED = 16
"""Records that are looked for by their own vectors."""
NEIGHBOURS = 8
PATIENCE_S = 120.0
GRAPH = "*/data_level0.bin"
"""Where a graph lies; a collection of less than a thousand records has none on disk, and is searched one by one."""


def crash_of(place: Place) -> str:
    """How Chroma dies when it is asked there, as a sentence; empty when it lives, whatever it answers."""
    if place.folder is None or not any(place.folder.glob(GRAPH)):
        return ""
    command = [sys.executable, "-m", "index.chroma_probe", str(place.folder), place.collection]
    try:
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"Chroma does not answer within {PATIENCE_S:.0f} s in {place}"
    if child.returncode >= 0:
        return ""
    return f"Chroma's library dies of {signal.Signals(-child.returncode).name} when it is asked in {place}"


def _ask(folder: str, collection: str) -> None:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(path=folder, settings=Settings(anonymized_telemetry=False))
    found = client.get_collection(collection, embedding_function=None)
    vectors = found.get(limit=ASKED, include=["embeddings"])["embeddings"]
    found.query(query_embeddings=vectors, n_results=min(NEIGHBOURS, found.count()), include=["distances"])


if __name__ == "__main__":
    with suppress(Exception):  # what is an error is told by whoever asks next, in the process where it can be told
        _ask(*sys.argv[1:])
