"""The engine's answers are the plain forward pass's, whatever the batch around them."""

import pytest

from engine.exactness import check
from model.configs import random_model, tiny_config
from speciale import ops
from speciale.ops import paged_torch


@pytest.fixture(scope="module")
def model():
    return random_model(tiny_config(index_topk=20))


@pytest.mark.parametrize("speculate", [False, True])
def test_greedy_answers_equal_the_plain_pass(model, speculate):
    counts = check(model, 60, seed=1, speculate=speculate)
    assert counts["ties"] <= 1 and counts["exact"] >= 55, counts
    assert min(counts[key] for key in ("hits", "preempted", "cancelled")) > 0, counts


def test_pytorch_operations_give_the_same(model, monkeypatch):
    monkeypatch.setattr(ops, "paged", lambda x, rank: paged_torch)
    monkeypatch.setattr(ops, "_kernels", lambda x: False)
    counts = check(model, 30, seed=2, speculate=False)
    assert counts["ties"] <= 1, counts


def test_masked_prefill_gives_the_same(model, monkeypatch):
    monkeypatch.setattr("speciale.engine.paths.PathChoice.masked", lambda self, piece, total: True)
    counts = check(model, 30, seed=3, speculate=False)
    assert counts["ties"] <= 1, counts


@pytest.mark.parametrize("attention", ["dense", "window"])
@pytest.mark.parametrize("masked", [False, True])
def test_what_sparse_attention_is_compared_with(model, monkeypatch, attention, masked):
    """All tokens, or the last k, in place of the indexer's choice; also with drafts."""
    if masked:
        always = lambda self, piece, total: True  # noqa: E731
        monkeypatch.setattr("speciale.engine.paths.PathChoice.masked", always)
    counts = check(model, 30, seed=5, attention=attention)
    assert counts["exact"] >= 28, counts


@pytest.mark.slow
def test_a_thousand_requests(model):
    counts = check(model, 1000, seed=4)
    assert counts["ties"] <= 10, counts
