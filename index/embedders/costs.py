"""What embedding will cost, told before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from index.spending import dollars

USUAL_REQUEST = 100
"""Texts of a request, as an ingest sends them."""
REQUEST_S = 1.5
"""What such a request is taken to last; for estimates only."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Texts that are not in the cache, counted; `+` joins the counts of different texts."""

    texts: int = 0
    """Texts asked about, each counted once."""
    cached: int = 0
    """Of these, so many need not be asked for."""
    pieces: int = 0
    """What has to be asked for, long texts in pieces."""
    bytes: int = 0
    """Their length in UTF-8: most tokens that they can be."""

    def __add__(self, other: Missing) -> Missing:
        """Both together."""
        return Missing(
            self.texts + other.texts,
            self.cached + other.cached,
            self.pieces + other.pieces,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is ahead of an embedder."""

    embedder: str
    texts: int
    cached: int
    tokens_about: int
    tokens_at_most: int
    usd_about: float
    usd_at_most: float
    """Every byte a token, every request answered at the first try."""
    seconds: float

    def words(self, cap_usd: float | None) -> str:
        """In one line."""
        cap = f", capped at {dollars(cap_usd)}" if cap_usd is not None else ", no cap"
        return (
            f"{self.embedder}: {self.texts - self.cached} of {self.texts} texts to embed ({self.cached} are known), "
            f"about {self.tokens_about / 1e6:.3f} M tokens, about {dollars(self.usd_about)}, at most "
            f"{dollars(self.usd_at_most)}{cap}, about {self.seconds:.0f} s"
        )
