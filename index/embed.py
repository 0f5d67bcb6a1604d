"""Embedders by name, and the spaces their vectors live in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from index.errors import UnknownEmbedder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from index.embedders.costs import Estimate, Missing
    from index.spending import Purse

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


@runtime_checkable
class Priced(Protocol):
    """An embedder whose work costs money, or at least requests; it keeps what it made."""

    @property
    def purse(self) -> Purse:
        """What was spent."""
        ...

    @property
    def pieced(self) -> int:
        """Texts so far that were too long for the model, and were embedded in pieces."""
        ...

    def missing(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> Missing:
        """What of these texts would have to be asked for."""
        ...

    def estimate(self, missing: Missing) -> Estimate:
        """What that costs and how long it takes."""
        ...


def _offline(name: str, workspace: Path | None, purse: Purse | None) -> Embedder:
    from index.hashing import HashEmbedder

    return HashEmbedder()


_BUILT_IN: dict[str, Callable[[str, Path | None, Purse | None], Embedder]] = {OFFLINE: _offline}


def available_embedders(workspace: Path | None = None) -> tuple[str, ...]:
    """Names that `embedder` knows: the offline one, OpenAI's, and those of the workspace's `[providers]`.

    Raises:
        ServersWrong: `[providers]` can't be used.
    """
    from index.servers import read_servers

    served = (f"{name}/{model}" for name, server in read_servers(workspace).items() for model in server.embeddings)
    return (*sorted(_BUILT_IN), *sorted(served))


def embedder(name: str, workspace: Path | None = None, purse: Purse | None = None) -> Embedder:
    """The embedder of this name; nothing is asked of a network yet.

    Args:
        name: `offline/hash3072-stem-char4`, or a server and its model, such as `openai/text-embedding-3-large`.
        workspace: where `[providers]`, `.env` and the cache of vectors are; None: OpenAI's server, the environment
            and no cache.
        purse: counts, and may cap, what is spent.

    Raises:
        UnknownEmbedder: no such name; the text lists the choices.
        EmbedderUnavailable: a known name whose needs are not met.
        ServersWrong: `[providers]` can't be used.
    """
    make = _BUILT_IN.get(name)
    if make is not None:
        return make(name, workspace, purse)
    from index.embedders.served import served_embedder

    found = served_embedder(name, workspace, purse)
    if found is None:
        choices = ", ".join(available_embedders(workspace))
        raise UnknownEmbedder(f"There is no embedder named {name!r}; choose one of: {choices}.")
    return found


def embedder_for_space(space_id: str, workspace: Path | None = None, purse: Purse | None = None) -> Embedder:
    """The embedder that makes vectors of this space; raises like `embedder`."""
    try:
        space = parse_space(space_id)
    except ValueError:
        raise UnknownEmbedder(f"{space_id!r} is not the id of a vector space (provider/model/dim/prep).") from None
    found = embedder(f"{space.provider}/{space.model}", workspace, purse)
    if found.space.id != space_id:
        raise UnknownEmbedder(
            f"The embedder {space.provider}/{space.model} makes vectors of the space {found.space.id}, not of "
            f"{space_id}; a query must not meet an index of another space: spotter index rebuild."
        )
    return found
