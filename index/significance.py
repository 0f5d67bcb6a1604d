"""How sure a mean over queries is, and whether two systems really differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DRAWS = 2_000
PERMUTATIONS = 10_000
_EXACT_UP_TO = 13
_SEED = 20_260_101
_CHUNK = 500


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    queries: int


@dataclass(frozen=True)
class Difference:
    """After minus before, over the same queries."""

    mean: float
    low: float
    high: float
    p_value: float
    """How often chance alone gives a difference at least as large."""
    queries: int

    @property
    def significant(self) -> bool:
        """Whether chance explains it in fewer than one of twenty cases."""
        return self.p_value < 0.05


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and percentile bootstrap interval (Efron 1979); the same values always give the same interval.

    Raises:
        ValueError: there are no values.
    """
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        raise ValueError("a mean needs at least one query")
    low, high = np.percentile(_resampled_means(data), [2.5, 97.5])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def difference(before: Sequence[float], after: Sequence[float]) -> Difference:
    """Paired difference with bootstrap interval and a two-sided randomisation test.

    Under the null hypothesis each query's difference could as well have the other sign (Fisher's test; Smucker, Allan
    and Carterette, "A Comparison of Statistical Significance Tests for IR Evaluation", CIKM 2007). Few differing
    queries are enumerated, many are drawn.

    Raises:
        ValueError: there are no values, or not as many before as after.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError("a paired test needs the same queries, at least one, before and after")
    deltas = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    low, high = np.percentile(_resampled_means(deltas), [2.5, 97.5])
    return Difference(float(deltas.mean()), float(low), float(high), _p_value(deltas[deltas != 0]), len(deltas))


def _resampled_means(data: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    draw = np.random.default_rng(_SEED)
    chunks = [data[draw.integers(0, len(data), (_CHUNK, len(data)))].mean(axis=1) for _ in range(DRAWS // _CHUNK)]
    return np.concatenate(chunks)


def _p_value(deltas: npt.NDArray[np.float64]) -> float:
    if not len(deltas):
        return 1.0
    seen = abs(float(deltas.sum())) - 1e-12
    if len(deltas) <= _EXACT_UP_TO:
        bits = (np.arange(2 ** len(deltas))[:, None] >> np.arange(len(deltas))) & 1
        return float(np.mean(np.abs((2 * bits - 1) @ deltas) >= seen))
    draw = np.random.default_rng(_SEED)
    reached = 0
    for _ in range(PERMUTATIONS // _CHUNK):
        signs = draw.integers(0, 2, (_CHUNK, len(deltas))) * 2 - 1
        reached += int(np.count_nonzero(np.abs(signs @ deltas) >= seen))
    return (reached + 1) / (PERMUTATIONS + 1)
