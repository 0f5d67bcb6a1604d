"""What can go wrong with an index, each with the way out in its text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path


class IndexProblem(Exception):
    """Base of every error that `index` raises on purpose; its text is one sentence for the operator."""


class IndexLocked(IndexProblem):
    """Another process writes this index; the text names it."""

    def __init__(self, lock: Path, *, pid: int | None, host: str, purpose: str) -> None:
        self.lock = lock
        self.pid = pid
        self.host = host
        self.purpose = purpose
        who = f"process {pid} on {host} ({purpose})" if pid is not None else "another process"
        super().__init__(
            f"The index is being written by {who}; wait until it ends, or stop it, and try again ({lock})."
        )


class IndexNotWritable(IndexProblem):
    """The workspace's index folder can't be written."""


class IndexEmpty(IndexProblem):
    """There is no index in this workspace yet, or it holds no record."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        folder = shlex.quote(str(workspace))
        super().__init__(
            f"The index of {workspace} holds no records yet; fill it with: "
            f"python -m index ingest --workspace {folder} --embedder offline/hash3072-stem-char4 out/runs"
        )


class IndexCorrupt(IndexProblem):
    """A file of the index can't be read as what it should be."""


class UnknownGeneration(IndexProblem):
    """No generation of this index has that name or number."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(
            f"There is no generation {name!r} of this index; there are: {', '.join(known) or 'none'} "
            "(spotter index generations)."
        )


class RebuildRefused(IndexProblem):
    """A rebuilt index was not taken into use; the text says why, with the figures."""


class WouldLose(IndexProblem):
    """A repair can't bring back every record, and nobody said that this is accepted."""


class SpaceMismatch(IndexProblem):
    """Vectors of one space were about to meet an index of another."""

    def __init__(self, *, index_space: str, other_space: str) -> None:
        self.index_space = index_space
        self.other_space = other_space
        super().__init__(
            f"The index holds vectors of the space {index_space}, but {other_space} was asked for; use the embedder of "
            f"{index_space}, or build the index anew in the other space beside this one: "
            "spotter index migrate --embedder NAME"
        )


class UnknownEmbedder(IndexProblem):
    """No embedder has this name."""


class EmbedderUnavailable(IndexProblem):
    """The embedder is known by name, but can't run here; the text says what it needs."""


class BadVector(IndexProblem):
    """A vector is zero, not finite, or of the wrong length."""


class BadSource(IndexProblem):
    """A path given to ingest holds no records."""


class BoostsInvalid(IndexProblem):
    """A ranking weight, or a file or list of them, is not what it should be."""


class TextsRefused(IndexProblem):
    """A server does not take some of the texts that were to be embedded; the others are embedded and kept."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        """`reasons`: a text's place among those asked for → why it is not taken."""
        self.reasons = reasons
        place, reason = min(reasons.items())
        super().__init__(f"{len(reasons)} texts are not taken by the server; number {place + 1}: {reason}")
