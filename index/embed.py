"""Embedders by name, and the spaces their vectors live in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from index.errors import EmbedderUnavailable, UnknownEmbedder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

OFFLINE = "offline/hash3072-stem-char4"
"""Name of the embedder that needs no key, no network and no model."""


@dataclass(frozen=True)
class Space:
    """Where vectors can be compared: only with vectors of an equal space."""

    provider: str
    model: str
    dim: int
    prep: str

    @property
    def id(self) -> str:
        """For example `offline/hash3072-stem-char4/3072/v1`."""
        return f"{self.provider}/{self.model}/{self.dim}/{self.prep}"

    @property
    def slug(self) -> str:
        """The id as a folder's and a Chroma collection's name."""
        return re.sub(r"[^a-zA-Z0-9._-]+", "-", self.id).strip("-._")


def parse_space(space_id: str) -> Space:
    """The space of an id; the model's name may itself hold slashes. Raises ValueError."""
    provider, rest = space_id.split("/", 1)
    model, dim, prep = rest.rsplit("/", 2)
    return Space(provider, model, int(dim), prep)


class Embedder(Protocol):
    """Turns texts into vectors of one space."""

    @property
    def space(self) -> Space:
        """Where the vectors live."""
        ...

    @property
    def label(self) -> Literal["lexical", "semantic"]:
        """Shown wherever results are: a lexical embedder knows spelling, not meaning."""
        ...

    @property
    def network(self) -> bool:
        """Whether embedding leaves this machine."""
        ...

    @property
    def noise_cosine(self) -> float:
        """A cosine up to this says nothing: such pairs are not shown as found by vector."""
        ...

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Matrix:
        """Embed texts that hold more than white space: (len(texts), space.dim) float32, every row of length 1."""
        ...


def _offline() -> Embedder:
    from index.hashing import HashEmbedder

    return HashEmbedder()


_AVAILABLE: dict[str, Callable[[], Embedder]] = {OFFLINE: _offline}


def available_embedders() -> tuple[str, ...]:
    """Names that `embedder` accepts here and now."""
    return tuple(sorted(_AVAILABLE))


def embedder(name: str) -> Embedder:
    """The embedder of this name.

    Raises:
        UnknownEmbedder: no such name; the text lists the choices.
        EmbedderUnavailable: a known name whose needs are not met.
    """
    make = _AVAILABLE.get(name)
    if make is not None:
        return make()
    choices = ", ".join(available_embedders())
    if name.partition("/")[0].partition(":")[0] == "openai":
        raise EmbedderUnavailable(
            f"The embedder {name} needs OPENAI_API_KEY and is not available here yet (available: {choices}); "
            f'without a key set embedder = "{OFFLINE}" in spotter.toml (lexical vectors: spelling, no meaning).'
        )
    raise UnknownEmbedder(f"There is no embedder named {name!r}; choose one of: {choices}.")


def embedder_for_space(space_id: str) -> Embedder:
    """The embedder that makes vectors of this space; raises like `embedder`."""
    for make in _AVAILABLE.values():
        candidate = make()
        if candidate.space.id == space_id:
            return candidate
    try:
        space = parse_space(space_id)
    except ValueError:
        raise UnknownEmbedder(f"{space_id!r} is not the id of a vector space (provider/model/dim/prep).") from None
    name = f"{space.provider}/{space.model}"
    if name in _AVAILABLE:
        raise UnknownEmbedder(
            f"The embedder {name} makes no vectors of the space {space_id} any more; "
            "move .spotter/index and .spotter/chroma away and ingest again."
        )
    return embedder(name)
