"""The offline embedder: Snowball stems and character 4-grams, hashed into 3072 signed buckets.

Feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009). The hash is
BLAKE2b, so the same text gives the same vector in every process and on every machine.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from index.embed import Space
from index.words import char_grams, folded_words, stem

_FULL_WEIGHT_LETTERS = 6
"""Shorter words weigh less: without corpus statistics, length is the best sign of a word that carries content."""

Features = tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]


class HashEmbedder:
    """Lexical vectors without key, network or model: they know spelling and inflection, not meaning."""

    space = Space("offline", "hash3072-stem-char4", 3072, "v1")
    label: Literal["lexical"] = "lexical"
    network = False
    noise_cosine = 0.15

    def embed(self, texts: Sequence[str], *, kind: Literal["doc", "query"]) -> npt.NDArray[np.float32]:
        """Embed texts; documents and queries are treated alike.

        A text without a single word is hashed as a whole, so that only white space has no vector.

        Raises:
            ValueError: a text is empty or only white space.
        """
        vectors = np.empty((len(texts), self.space.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _vector(text, self.space.dim)
        return vectors


def _vector(text: str, dim: int) -> npt.NDArray[np.float32]:
    counts = Counter(folded_words(text))
    if not counts:
        if not text.strip():
            raise ValueError("a text of white space has no vector")
        parts = [(_hashes(["t:" + text.strip()]), np.ones(1))]
        repeats = np.ones(1)
    else:
        parts = [_word_features(word) for word in counts]
        repeats = np.repeat(np.fromiter(counts.values(), np.float64), [len(hashes) for hashes, _ in parts])
    hashes, feature = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    frequency = np.bincount(feature, weights=repeats)
    weight = np.bincount(feature, weights=repeats * np.concatenate([part[1] for part in parts])) / frequency
    sign = np.where(hashes & np.uint64(1), 1.0, -1.0)
    bucket = (hashes >> np.uint64(1)) % np.uint64(dim)
    dense = np.bincount(bucket.astype(np.int64), weights=sign * weight * (1.0 + np.log(frequency)), minlength=dim)
    length = math.sqrt(float(dense @ dense))
    if length < 1e-9:
        dense[int(bucket[0])] = length = 1.0
    return (dense / length).astype(np.float32)


@lru_cache(maxsize=100_000)
def _word_features(word: str) -> Features:
    """A word's stem at the word's weight, its 4-grams together at the same."""
    grams = char_grams(word)
    weight = min(1.0, len(word) / _FULL_WEIGHT_LETTERS)
    weights = np.full(1 + len(grams), weight / math.sqrt(len(grams)))
    weights[0] = weight
    return _hashes(["s:" + stem(word), *("g:" + gram for gram in grams)]), weights


def _hashes(features: Sequence[str]) -> npt.NDArray[np.uint64]:
    digests = (
        hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest() for feature in features
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
