"""What a handful of attempts say of a model: pass@k, intervals, and whether two targets differ.

pass@k is unbiased (Chen et al. 2021, arXiv:2107.03374, equation 1). Attempts at one task resemble
each other, so it is tasks that are drawn again: intervals are a bootstrap over tasks (Efron 1979).
Two targets are compared on the same tasks, by which of their differences' signs chance could have
turned (Fisher's permutation test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

LEVEL = 0.95  # of all intervals
_DRAWS = 4000
_EXACT = 14  # differences: 2^14 signs are gone through, of more so many are drawn


def pass_at_k(attempts: int, solved: int, k: int) -> float:
    """The chance that k of the attempts, drawn without putting back, hold one that solved it."""
    assert 0 <= solved <= attempts and 1 <= k <= attempts, (attempts, solved, k)
    return 1.0 - comb(attempts - solved, k) / comb(attempts, k)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The interval of the mean of tasks' values, each from 0 to 1.

    Where all are 0, or all 1, drawing again would pretend to be certain: then the exact bounds of a
    share are told (Clopper and Pearson 1934), which are (0, 1) for no task at all.
    """
    count = len(values)
    edge = ((1 - LEVEL) / 2) ** (1 / count) if count else 0.0
    x = np.asarray(values, float)
    if not count or (x == 1).all():
        return edge, 1.0
    if (x == 0).all():
        return 0.0, 1.0 - edge
    draws = np.random.default_rng(seed).integers(0, count, (_DRAWS, count))
    low, high = np.quantile(x[draws].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """The second target less the first, on the same tasks."""

    difference: float
    low: float
    high: float
    p: float  # of so large a difference, or a larger one, if the targets were alike
    tasks: int

    @property
    def significant(self) -> bool:
        return self.p < 1 - LEVEL


def compare(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Comparison:
    """first and second: of each task the mean of a target's attempts."""
    assert len(first) == len(second) > 0, "the targets must have been asked the same tasks"
    d = np.asarray(second, float) - np.asarray(first, float)
    rng = np.random.default_rng(seed)
    means = d[rng.integers(0, len(d), (_DRAWS, len(d)))].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    moved = d[d != 0]
    if len(moved) <= _EXACT:
        bits = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        p = _as_large(1 - 2 * bits, moved).mean()
    else:
        signs = rng.choice((-1, 1), (_DRAWS, len(moved)))
        p = (_as_large(signs, moved).sum() + 1) / (_DRAWS + 1)  # the one that was seen counts
    return Comparison(float(d.mean()), float(low), float(high), float(p), len(d))


def _as_large(signs: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Which of the rows of signs give a sum as far from 0 as the one that was seen, or further."""
    return np.abs(signs @ moved) >= abs(moved.sum()) - 1e-12
