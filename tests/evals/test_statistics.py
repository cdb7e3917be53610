"""pass@k, intervals and comparisons against going through all cases."""

from itertools import combinations, product

import numpy as np
import pytest

from speciale.evals.statistics import compare, interval, pass_at_k


@pytest.mark.parametrize("attempts", [1, 4, 7])
def test_pass_at_k_is_the_share_of_all_choices(attempts):
    for solved in range(attempts + 1):
        outcomes = [True] * solved + [False] * (attempts - solved)
        for k in range(1, attempts + 1):
            choices = list(combinations(outcomes, k))
            share = sum(map(any, choices)) / len(choices)
            assert pass_at_k(attempts, solved, k) == pytest.approx(share)


def test_the_interval_is_that_of_all_draws():
    values = [0.0, 0.25, 0.25, 1.0, 0.5]
    every = [sum(draw) / 5 for draw in product(values, repeat=5)]
    low, high = np.quantile(every, [0.025, 0.975])
    assert interval(values) == pytest.approx((low, high), abs=0.03)
    assert interval(values) == interval(values)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(share):
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(300):
        low, high = interval((rng.random(60) < share).astype(float), seed)
        held += low <= share <= high
    assert 0.90 <= held / 300 <= 0.99


def test_certainty_is_not_pretended():
    low, high = interval([1.0] * 10)
    assert high == 1.0 and low == pytest.approx(0.025**0.1)  # a share of 0.69 solves ten so often
    assert interval([0.0] * 10) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert interval([]) == (0.0, 1.0)


def test_the_comparison_is_that_of_all_signs():
    first, second = [0.0, 0.5, 0.25, 1.0, 0.0, 0.5], [0.5, 1.0, 0.25, 0.75, 0.75, 1.0]
    found = compare(first, second)
    d = np.subtract(second, first)
    sums = [abs(np.dot(signs, d)) for signs in product((1, -1), repeat=6)]
    assert found.p == pytest.approx(np.mean(np.array(sums) >= abs(d.sum()) - 1e-12))
    assert found.difference == pytest.approx(d.mean())
    assert found.low <= found.difference <= found.high


def test_alike_is_not_significant_and_better_is():
    rng = np.random.default_rng(0)
    found = sum(compare(rng.random(40), rng.random(40), seed).significant for seed in range(200))
    assert found <= 22  # one in twenty by chance
    assert compare([0.5] * 30, [0.5] * 30).p == 1.0
    assert compare([0.2] * 30, [0.4] * 30).p < 0.001
