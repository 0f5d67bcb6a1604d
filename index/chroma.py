"""The Chroma side of the index: a mirror of the snapshot that any Chroma client can read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import orjson

from index.chroma_place import Place
from index.errors import IndexProblem

MAX_BATCH = 500
"""Rows per write; Chroma refuses more than 5,461, and a batch holds the interpreter's lock while it is written."""
MAX_PAGE = 10_000
"""Rows per read; Chroma fails with "too many SQL variables" above 32,766."""

HNSW = {"space": "cosine", "max_neighbors": 48, "ef_construction": 200}
"""Chroma can't change these later. Its defaults (16, 100) left one in ten of 10,000 facts that differ little from one
another unreachable by their own vector; these leave one in thirty, for twice the time to write."""

Scalar = str | int | float | bool
Value = Scalar | list[str] | list[int] | list[float] | list[bool]


class ChromaBroken(IndexProblem):
    """Chroma could not do what it was asked; its own error is the cause."""


@dataclass(frozen=True)
class MirrorRow:
    """What Chroma holds of one record."""

    id: str
    text: str
    vector: npt.NDArray[np.float32]
    metadata: dict[str, Value]


@dataclass(frozen=True)
class ChromaRecord:
    """What Chroma says of one record."""

    id: str
    text: str
    metadata: dict[str, Any]


def chroma_metadata(meta: Mapping[str, Any], *, content_hash: str, provider: str, model: str) -> dict[str, Value]:
    """A record's metadata as Chroma accepts it: scalars, and non-empty arrays of one type.

    What Chroma can't hold (nested objects, mixed arrays, integers beyond 64 bits) is kept as JSON text; `None` and
    empty arrays are left out; keys that Chroma reserves get the prefix `x_`.
    """
    flat: dict[str, Value] = {}
    for key, value in meta.items():
        if value is None or value == [] or value == ():
            continue
        safe = f"x_{key}" if not key or key.startswith(("#", "$", "chroma:")) else key
        flat[safe] = _value(value)
    flat["content_hash"] = content_hash
    flat["provider"] = provider
    flat["model"] = model
    return flat


def _value(value: Any) -> Value:
    if isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, list | tuple):
        kinds = {type(part) for part in value}
        if kinds == {int, float}:
            return [float(part) for part in value]
        if len(kinds) == 1 and kinds <= {str, int, float, bool} and all(_value(part) == part for part in value):
            return list(value)
    return orjson.dumps(value, default=str).decode()


@contextmanager
def _chroma_errors(doing: str, place: Place) -> Iterator[None]:
    """Chroma's errors, panics of its Rust core included (they are no `Exception`), as ChromaBroken."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, IndexProblem):
        raise
    except BaseException as error:
        raise ChromaBroken(
            f"Chroma failed while {doing} in {place} ({type(error).__name__}: {str(error)[:300]}); "
            "look at it with: spotter index doctor"
        ) from error


class Mirror:
    """One Chroma collection, in a folder or on a server; the caller holds the writer's lock."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.collection
        self._client: Any = None
        self._collection: Any = None

    def __enter__(self) -> Self:
        """Open Chroma and the collection, made if it isn't there yet. Raises ChromaBroken."""
        with _chroma_errors("opening", self.place):
            import chromadb
            from chromadb.config import Settings

            settings = Settings(anonymized_telemetry=False)
            if self.place.folder is not None:
                self.place.folder.mkdir(parents=True, exist_ok=True)
                self._client = chromadb.PersistentClient(path=str(self.place.folder), settings=settings)
            else:
                address = urlsplit(self.place.url)
                secure = address.scheme == "https"
                port = address.port or (443 if secure else 80)
                self._client = chromadb.HttpClient(address.hostname or "", port, ssl=secure, settings=settings)
            self._collection = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            with _chroma_errors("closing", self.place):
                self._client.close()
            self._client = self._collection = None

    def _open(self) -> Any:
        return self._client.get_or_create_collection(self.name, embedding_function=None, configuration={"hnsw": HNSW})

    def clear(self) -> None:
        """Begin with an empty collection."""
        with _chroma_errors("clearing the collection", self.place):
            if self.name in {collection.name for collection in self._client.list_collections()}:
                self._client.delete_collection(self.name)
            self._collection = self._open()

    def drop(self) -> None:
        """Delete the collection; the mirror can't be used any more."""
        with _chroma_errors("deleting the collection", self.place):
            self._client.delete_collection(self.name)

    def upsert(self, rows: Sequence[MirrorRow]) -> None:
        """Write at most MAX_BATCH rows; metadata keys that a row no longer has are really dropped."""
        with _chroma_errors(f"writing {len(rows)} records", self.place):
            ids = [row.id for row in rows]
            present = self._collection.get(ids=ids, include=["metadatas"])
            before = {
                record_id: set(metadata or ())
                for record_id, metadata in zip(present["ids"], present["metadatas"], strict=True)
            }
            # An upsert merges metadata: a key that is merely absent would survive, only an explicit None drops it.
            metadatas = [
                {**dict.fromkeys(before.get(row.id, set()) - row.metadata.keys()), **row.metadata} for row in rows
            ]
            self._collection.upsert(
                ids=ids,
                embeddings=np.stack([row.vector for row in rows]),
                documents=[row.text for row in rows],
                metadatas=metadatas,
            )

    def set_tags(self, tags: Mapping[str, Sequence[str]]) -> None:
        """Change only the tags of at most MAX_BATCH records; ids that are not there are passed over by Chroma."""
        if not tags:
            return
        with _chroma_errors(f"changing the tags of {len(tags)} records", self.place):
            # An update merges: no other key is touched, and only an explicit None drops the last tag.
            self._collection.update(ids=list(tags), metadatas=[{"tags": list(own) or None} for own in tags.values()])

    def delete(self, ids: Sequence[str]) -> None:
        """Delete at most MAX_BATCH records, those that are there."""
        with _chroma_errors(f"deleting {len(ids)} records", self.place):
            present = self._collection.get(ids=list(ids), include=[])["ids"]
            if present:
                self._collection.delete(ids=present)

    def count(self) -> int:
        """Records in the collection."""
        with _chroma_errors("counting", self.place):
            return int(self._collection.count())

    def hashes(self) -> dict[str, str]:
        """Id to content hash of every record."""
        found: dict[str, str] = {}
        with _chroma_errors("reading ids", self.place):
            for offset in range(0, self._collection.count(), MAX_PAGE):
                page = self._collection.get(include=["metadatas"], limit=MAX_PAGE, offset=offset)
                for record_id, metadata in zip(page["ids"], page["metadatas"], strict=True):
                    found[record_id] = str((metadata or {}).get("content_hash", ""))
        return found

    def contents(self) -> Iterator[ChromaRecord]:
        """Id, text and metadata of every record, page by page."""
        for page in self._pages(["documents", "metadatas"]):
            for record_id, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
                yield ChromaRecord(record_id, str(text or ""), dict(metadata or {}))

    def records(self, ids: Sequence[str]) -> dict[str, ChromaRecord]:
        """What Chroma says of at most MAX_BATCH records; those that are not there are absent."""
        with _chroma_errors("reading records", self.place):
            page = self._collection.get(ids=list(ids), include=["documents", "metadatas"])
        found = zip(page["ids"], page["documents"], page["metadatas"], strict=True)
        return {one: ChromaRecord(one, str(text or ""), dict(metadata or {})) for one, text, metadata in found}

    def _pages(self, include: list[str]) -> Iterator[Any]:
        with _chroma_errors("reading records", self.place):
            total = self._collection.count()
        for offset in range(0, total, MAX_PAGE):
            with _chroma_errors("reading records", self.place):
                page = self._collection.get(include=include, limit=MAX_PAGE, offset=offset)
            yield page

    def vectors(self, ids: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The stored vectors of at most MAX_BATCH records."""
        with _chroma_errors("reading vectors", self.place):
            page = self._collection.get(ids=list(ids), include=["embeddings"])
            return {
                record_id: np.asarray(vector, dtype=np.float32)
                for record_id, vector in zip(page["ids"], page["embeddings"], strict=True)
            }

    def nearest(self, vectors: npt.NDArray[np.float32], k: int) -> list[list[tuple[str, float]]]:
        """Ids and cosine distances of the `k` nearest records of each vector, by Chroma's own index."""
        with _chroma_errors("querying", self.place):
            found = self._collection.query(query_embeddings=vectors, n_results=k, include=["distances"])
            return [
                list(zip(ids, map(float, distances), strict=True))
                for ids, distances in zip(found["ids"], found["distances"], strict=True)
            ]
