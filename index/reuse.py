"""Vectors that were made before, so that a rebuild embeds only texts that nobody embedded yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from index import vectors
from index.chroma import MAX_BATCH, ChromaRecord, Mirror
from index.embed import Embedder, Space, embedder_for_space
from index.errors import EmbedderUnavailable, TextsRefused, UnknownEmbedder
from index.layout import Current
from index.snapshot import connect, read_meta
from index.spending import Purse
from index.vectors import Matrix

_LENGTH_TOLERANCE = 1e-2


class VectorStock(Protocol):
    """Vectors of one space by text."""

    def find(self, texts: Sequence[str]) -> dict[int, Matrix]:
        """Vectors, (dim,) each, by the text's place in `texts`; those that are not in stock are absent."""
        ...


class Reusing:
    """An embedder that asks stocks of its own space first."""

    def __init__(self, embedder: Embedder, stocks: Sequence[VectorStock]) -> None:
        self._embedder = embedder
        self._stocks = stocks
        self.reused = 0
        self.embedded = 0

    @property
    def space(self) -> Space:
        """Where the vectors live."""
        return self._embedder.space

    @property
    def label(self) -> Literal["lexical", "semantic"]:
        """That of the embedder."""
        return self._embedder.label

    @property
    def network(self) -> bool:
        """Whether embedding leaves this machine."""
        return self._embedder.network

    @property
    def noise_cosine(self) -> float:
        """That of the embedder."""
        return self._embedder.noise_cosine

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Matrix:
        """Vectors in stock as they are, the others from the embedder; raises like it.

        Places in a TextsRefused of the embedder are those in `texts`.
        """
        found: dict[int, Matrix] = {}
        if kind == "doc":
            for stock in self._stocks:
                left = [at for at in range(len(texts)) if at not in found]
                found |= {left[at]: vector for at, vector in stock.find([texts[at] for at in left]).items()}
        missing = [at for at in range(len(texts)) if at not in found]
        matrix = np.empty((len(texts), self.space.dim), dtype=np.float32)
        for at, vector in found.items():
            matrix[at] = vector
        if missing:
            try:
                matrix[missing] = self._embedder.embed([texts[at] for at in missing], kind=kind)
            except TextsRefused as refusal:
                raise TextsRefused({missing[at]: reason for at, reason in refusal.reasons.items()}) from refusal
        self.reused += len(found)
        self.embedded += len(missing)
        return matrix


class OnlyInStock:
    """The embedder of a space whose vectors all come with their records or are there already: it embeds nothing."""

    label: Literal["semantic"] = "semantic"
    network = False
    noise_cosine = 0.0

    def __init__(self, space: Space, reason: str) -> None:
        self.space = space
        self._reason = reason

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Matrix:
        """Refuse. Raises EmbedderUnavailable."""
        raise EmbedderUnavailable(self._reason)


def free_and_exact(embedder: Embedder) -> bool:
    """Whether embedding again costs nothing and gives the very bits that were lost, which Chroma's copies don't."""
    return not embedder.network and not isinstance(embedder, OnlyInStock)


def embedder_or_stock(space: Space, workspace: Path, purse: Purse | None = None) -> Embedder:
    """The embedder of a space, or one that only refuses when it is asked, for work that should need no embedding."""
    try:
        return embedder_for_space(space.id, workspace, purse)
    except (EmbedderUnavailable, UnknownEmbedder) as error:
        return OnlyInStock(space, str(error))


class SnapshotStock:
    """Vectors of texts that a generation embedded itself; those that came with a record are that record's own."""

    def __init__(self, current: Current) -> None:
        """Open a generation. Raises IndexCorrupt."""
        self._db = connect(current.folder, writable=False)
        rows = int(read_meta(self._db, "vector_rows"))
        self._matrix = vectors.mapped(current.folder / vectors.FILE_NAME, rows, current.space.dim)
        self._rows: dict[bytes, tuple[int, int | None]] = {
            _digest(text): (row, crc)
            for row, text, crc in self._db.execute("SELECT row, text, vector_crc FROM record WHERE NOT carried")
        }

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def find(self, texts: Sequence[str]) -> dict[int, Matrix]:
        """Vectors of texts that are in stock and undamaged."""
        found = {}
        for at, text in enumerate(texts):
            row, crc = self._rows.get(_digest(text), (-1, None))
            if row >= 0 and sound(vector := self._matrix[row], crc):
                found[at] = vector
        return found


class ChromaStock:
    """Vectors of texts that Chroma holds; they differ from those that were written by an error near 5e-7."""

    def __init__(self, mirror: Mirror) -> None:
        """Learn which records and texts there are. Raises ChromaBroken."""
        self._mirror = mirror
        self._ids: dict[bytes, str] = {}
        self.hashes: dict[str, str] = {}
        """Record id to the hash of its content."""
        for one in mirror.contents():
            self._ids[_digest(one.text)] = one.id
            self.hashes[one.id] = str(one.metadata.get("content_hash", ""))

    def find(self, texts: Sequence[str]) -> dict[int, Matrix]:
        """Vectors of texts that are in stock."""
        ids = {at: self._ids[digest] for at, text in enumerate(texts) if (digest := _digest(text)) in self._ids}
        wanted = list(dict.fromkeys(ids.values()))
        have: dict[str, Matrix] = {}
        for first in range(0, len(wanted), MAX_BATCH):
            have |= self._mirror.vectors(wanted[first : first + MAX_BATCH])
        return {at: have[record_id] for at, record_id in ids.items() if sound(have.get(record_id), None)}

    def records(self, ids: Sequence[str]) -> dict[str, ChromaRecord]:
        """What Chroma says of at most MAX_BATCH records."""
        return self._mirror.records(ids)

    def of_records(self, ids: Sequence[str], hashes: Sequence[str]) -> dict[int, Matrix]:
        """Vectors of these records, if Chroma holds them with the same content, by their place in `ids`."""
        wanted = [one for one, digest in zip(ids, hashes, strict=True) if self.hashes.get(one) == digest]
        have: dict[str, Matrix] = {}
        for first in range(0, len(wanted), MAX_BATCH):
            have |= self._mirror.vectors(wanted[first : first + MAX_BATCH])
        return {at: have[one] for at, one in enumerate(ids) if sound(have.get(one), None)}


def sound(vector: Matrix | None, crc: int | None) -> bool:
    """Whether a stored vector is what was written: by its checksum, or, without one, by its length of 1."""
    if vector is None:
        return False
    if crc is not None:
        return vectors.crc(vector) == crc
    return bool(abs(float(np.linalg.norm(vector.astype(np.float64))) - 1.0) < _LENGTH_TOLERANCE)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
