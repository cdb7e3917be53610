"""The sampler against transformers' processors, hand formulas, and the laws of the race."""

import math

import numpy as np
import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from speciale.engine import sampler
from speciale.engine.params import SamplingParams
from speciale.engine.sampler import Draw, Row, sample
from speciale.errors import RequestError

PROMPT, ANSWER = [3, 1, 4, 1, 5], [9, 2, 6, 9, 9, 1]


def row(seed=0, position=11, prompt=PROMPT, generated=ANSWER, allowed=None, ends=(), **params):
    return Row(
        SamplingParams(**params), seed, position, prompt, generated, allowed, frozenset(ends)
    )


def random_logits(n, vocab, seed=0, scale=3.0):
    return torch.randn(n, vocab, generator=torch.Generator().manual_seed(seed)) * scale


def drawn_from(logits, request: Row) -> torch.Tensor:
    """Log-probs [V] of what a row of logits [V] is drawn from, with transformers' processors."""
    p, x = request.params, logits[None].clone()
    ids = torch.tensor([request.prompt + request.generated])
    if request.allowed is not None:
        x[:, ~request.allowed] = -torch.inf
    if len(request.generated) < p.min_tokens:
        x[:, sorted(request.ends)] = -torch.inf
    x = RepetitionPenaltyLogitsProcessor(float(p.repetition_penalty))(ids, x)
    for token in set(request.generated):  # OpenAI's formula
        count = request.generated.count(token)
        x[0, token] -= count * p.frequency_penalty + (count > 0) * p.presence_penalty
    x = x / p.temperature
    if p.top_k:
        x = TopKLogitsWarper(p.top_k)(ids, x)
    if p.top_p < 1:
        x = TopPLogitsWarper(p.top_p)(ids, x)
    if p.min_p:
        x = MinPLogitsWarper(p.min_p)(ids, x)
    return x[0].log_softmax(-1)


def chi_square(counts: np.ndarray, p: np.ndarray) -> float:
    """How many standard deviations the statistic lies above its mean."""
    likely = counts.sum() * p > 5
    assert counts[p == 0].sum() == 0
    expected = np.append(p[likely], p[~likely].sum()) * counts.sum()
    seen = np.append(counts[likely], counts[~likely].sum())
    if expected[-1] < 5:
        expected, seen = expected[:-1], seen[:-1]
    free = len(expected) - 1
    return (((seen - expected) ** 2 / expected).sum() - free) / math.sqrt(2 * free)


SETTINGS = {
    "plain": {},
    "temperature": {"temperature": 0.6},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.1},
    "all of them": {"temperature": 1.4, "top_k": 12, "top_p": 0.9, "min_p": 0.05},
    "repetition": {"repetition_penalty": 1.7},
    "a reward for repetition": {"repetition_penalty": 0.6, "top_p": 0.7},
    "frequency": {"frequency_penalty": 0.8},
    "presence": {"presence_penalty": -1.5, "top_k": 9},
    "min_tokens": {"min_tokens": 7, "ends": (0, 9), "top_p": 0.9},
    "min_tokens reached": {"min_tokens": 6, "ends": (0, 9)},
    "grammar": {"allowed": torch.arange(40) % 3 == 0},
    "grammar, less than top_k": {"allowed": torch.arange(40) % 9 == 0, "top_k": 20},
    "everything": {
        "allowed": torch.arange(40) % 4 != 1,
        "min_tokens": 50,
        "ends": (0, 38),
        "repetition_penalty": 1.2,
        "frequency_penalty": -0.3,
        "presence_penalty": 0.4,
        "temperature": 0.8,
        "top_k": 15,
        "top_p": 0.85,
        "min_p": 0.03,
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_processing_is_that_of_transformers(name):
    logits = random_logits(24, 40)
    settings = SETTINGS[name]
    draws = sample(logits, [row(seed=i, kept_set=True, **settings) for i in range(24)])
    for i, draw in enumerate(draws):
        expected = drawn_from(logits[i], row(**settings))
        support = expected.isfinite().nonzero()[:, 0].tolist()
        if len(support) == 40:
            assert draw.kept is None
        else:
            assert draw.kept.dtype == np.int32 and draw.kept.tolist() == support
        assert draw.logprob == pytest.approx(float(expected[draw.token]), abs=2e-6)
        bare = logits[i].log_softmax(-1)
        assert draw.model_logprob == pytest.approx(float(bare[draw.token]), abs=2e-6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("plain", "everything") else pytest.mark.slow)
        for name in SETTINGS
    ],
)
def test_draws_follow_the_distribution(name):
    """20,000 positions of one request: the chi-square statistic stays within its spread."""
    logits = random_logits(1, 40, seed=1)
    expected = drawn_from(logits[0], row(**SETTINGS[name])).exp().double().numpy()
    counts = np.zeros(40)
    same = logits.expand(1000, 40).contiguous()
    for start in range(0, 20_000, 1000):
        rows = [row(seed=5, position=start + i, **SETTINGS[name]) for i in range(1000)]
        for draw in sample(same, rows):
            counts[draw.token] += 1
    assert chi_square(counts, expected) < 4


def test_draws_over_seeds_follow_it_too():
    logits = random_logits(1, 40, seed=2)
    counts = np.zeros(40)
    rows = [row(seed=seed, position=3) for seed in range(-5000, 5000)]
    for draw in sample(logits.expand(10_000, 40).contiguous(), rows):
        counts[draw.token] += 1
    assert chi_square(counts, logits[0].softmax(-1).double().numpy()) < 4


def test_neighbouring_positions_and_seeds_are_independent():
    """Pairs of successive draws against the product of their distributions."""
    logits = random_logits(1, 6, seed=3, scale=1.0)
    p = logits[0].softmax(-1).double().numpy()
    same = logits.expand(20_000, 6).contiguous()
    for rows in (
        [row(seed=8, position=i) for i in range(20_000)],
        [row(seed=i, position=8) for i in range(20_000)],
    ):
        tokens = np.array([draw.token for draw in sample(same, rows)]).reshape(-1, 2)
        pairs = np.bincount(tokens[:, 0] * 6 + tokens[:, 1], minlength=36)
        assert chi_square(pairs, np.outer(p, p).ravel()) < 4


def test_streams_never_meet():
    """No value of the noise comes twice, over positions and seeds, for the largest vocabularies."""
    values = [
        sampler._noise(seed, position, 50_000)
        for seed, position in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (-1, 0), (2**63 - 1, 1)]
    ]
    assert len(np.unique(np.concatenate(values))) == 350_000
    bits = np.random.Philox(key=0, counter=[0, 7, 0, 0])
    np.random.Generator(bits).standard_exponential(200_000)
    assert bits.state["state"]["counter"][1:].tolist() == [7, 0, 0]  # the first word holds them all


def test_what_is_all_but_impossible_does_not_come():
    """A vocabulary of 129,280 whose tail weighs 1e-12: noise with too few digits lets it through
    once in 65 draws."""
    logits = torch.full((1, 129_280), -40.0)
    logits[0, 77] = 0.0
    tokens = {sample(logits, [row(seed=seed)])[0].token for seed in range(500)}
    assert tokens == {77}


# ---- reproducible --------------------------------------------------------------------------------


def mixed_rows() -> list[Row]:
    kinds = [{}, {"temperature": 0}, {"top_p": 0.7}, {"top_k": 4, "kept_set": True}]
    kinds += [{"frequency_penalty": 1.0}, {"logprobs": 3}, {"allowed": torch.arange(300) % 2 == 0}]
    return [row(seed=i, position=20 + i % 5, **kinds[i % len(kinds)]) for i in range(28)]


def outcome(draw: Draw):
    kept = None if draw.kept is None else draw.kept.tolist()
    return draw.token, kept, draw.top and [token for token, _ in draw.top]


def test_a_draw_does_not_depend_on_the_batch():
    logits, rows = random_logits(28, 300), mixed_rows()
    together = sample(logits, rows)
    order = torch.randperm(28, generator=torch.Generator().manual_seed(1)).tolist()
    shuffled = sample(logits[order], [rows[i] for i in order])
    for place, i in enumerate(order):
        alone = sample(logits[i : i + 1], [rows[i]])[0]
        for other in (alone, shuffled[place]):
            assert outcome(other) == outcome(together[i])
            assert other.logprob == pytest.approx(together[i].logprob, abs=1e-6)
            assert other.model_logprob == pytest.approx(together[i].model_logprob, abs=1e-6)


def test_logits_and_rows_are_left_as_they_were():
    logits, rows = random_logits(28, 300), mixed_rows()
    before = logits.clone()
    sample(logits, rows)
    assert torch.equal(logits, before)
    assert all(r.prompt == [3, 1, 4, 1, 5] and r.generated == [9, 2, 6, 9, 9, 1] for r in rows)


def test_another_seed_or_position_draws_anew():
    logits = torch.zeros(1, 1000)  # all alike
    first = sample(logits, [row(seed=1, position=1)])[0].token
    assert sample(logits, [row(seed=1, position=1)])[0].token == first
    others = {sample(logits, [row(seed=s, position=t)])[0].token for s, t in [(1, 2), (2, 1)]}
    assert first not in others


# ---- greedy -------------------------------------------------------------------------------------


def test_greedy_is_the_argmax_and_ties_go_to_the_lower_id():
    logits = random_logits(16, 200)
    logits[3, [50, 20, 199]] = 100.0
    draws = sample(
        logits, [row(seed=i, temperature=0, top_p=0.5, kept_set=True) for i in range(16)]
    )
    for i, draw in enumerate(draws):
        assert draw.token == int(np.argmax(logits[i].numpy()))
        assert draw.logprob == 0.0 and draw.kept.tolist() == [draw.token]
        bare = logits[i].log_softmax(-1)
        assert draw.model_logprob == pytest.approx(float(bare[draw.token]), abs=2e-6)
    assert draws[3].token == 20


def test_greedy_heeds_penalties_and_grammar():
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0]])
    assert sample(logits, [row(temperature=0, generated=[])])[0].token == 0
    assert sample(logits, [row(temperature=0, generated=[0], presence_penalty=1.5)])[0].token == 1
    allowed = torch.tensor([False, False, True, True])
    assert sample(logits, [row(temperature=0, generated=[], allowed=allowed)])[0].token == 2
    draw = sample(logits, [row(temperature=0, generated=[], min_tokens=2, ends=(0, 1))])[0]
    assert draw.token == 2 and draw.kept is None


def test_a_greedy_batch_without_anything_copies_nothing(monkeypatch):
    def refuse(*_):
        raise AssertionError("a plain greedy batch needs no race and no edits")

    for name in ("_edit", "_race", "_top"):
        monkeypatch.setattr(sampler, name, refuse)
    sample(random_logits(4, 50), [row(temperature=0) for _ in range(4)])


# ---- truncation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{"top_p": 0.3}, {"top_p": 0.9, "temperature": 0.7}])
def test_kept_sets_sum_to_one_and_are_the_smallest(params):
    logits = random_logits(12, 500)
    for i, draw in enumerate(sample(logits, [row(i, kept_set=True, **params) for i in range(12)])):
        p = (logits[i].double() / params.get("temperature", 1)).softmax(-1)
        kept = p[torch.from_numpy(draw.kept).long()]
        assert float(kept.sum()) >= params["top_p"] > float(kept.sum() - kept.min())
        assert draw.token in draw.kept and (np.diff(draw.kept) > 0).all()
        every = [draw_logprob(logits[i], token, draw.kept, params) for token in draw.kept]
        assert sum(map(math.exp, every)) == pytest.approx(1, abs=1e-6)
        assert draw.logprob == pytest.approx(every[draw.kept.tolist().index(draw.token)], abs=2e-6)


def draw_logprob(logits, token, kept, params):
    """As a trainer recomputes it over the kept set (Keep Sampling Mask)."""
    x = logits.double() / params.get("temperature", 1)
    return float(x[int(token)] - x[torch.from_numpy(kept).long()].logsumexp(-1))


CUTS = [
    {"top_p": 0.5},
    {"top_p": 0.999},
    {"top_p": 1 - 1e-9},
    {"top_k": 8},
    {"top_k": 9},
    {"top_k": 60},
    {"top_k": 10**6},
    {"min_p": 0.5},
    {"min_p": 1e-6},
    {"top_k": 7, "top_p": 0.9},
    {"top_k": 40, "top_p": 0.95, "min_p": 0.01},
]


@pytest.mark.parametrize("params", CUTS)
@pytest.mark.parametrize("scale", [0.0, 0.3, 3.0, 60.0])
def test_the_first_candidates_are_as_good_as_all(monkeypatch, params, scale):
    """Few candidates, all candidates: the same sets, among rounded logits full of ties."""
    logits = (random_logits(10, 100, scale=scale) * 4).round() / 4
    logits[9, :97] = -1e4  # all but three are as good as impossible
    rows = [row(seed=i, kept_set=True, **params) for i in range(10)]
    rows[8].allowed = torch.arange(100) < 5
    results = []
    for candidates in (1, 8, 10**6):
        monkeypatch.setattr(sampler, "_CANDIDATES", candidates)
        results.append([(*outcome(draw), draw.logprob) for draw in sample(logits, rows)])
    assert results[0] == results[1] == results[2]


def test_the_whole_is_sorted_only_where_the_candidates_fall_short(monkeypatch):
    sizes, sort = [], np.sort
    monkeypatch.setattr(sampler.np, "sort", lambda x: sizes.append(len(x)) or sort(x))
    peaked, flat = random_logits(1, 5000, scale=6.0), torch.zeros(1, 5000)
    sample(peaked, [row(top_p=0.9)])
    sample(peaked, [row(top_k=200)])
    assert sizes == [256, 256]
    sample(flat, [row(top_p=0.9)])
    assert sizes[2:] == [256, 5000]
    sample(flat, [row(min_p=0.05)])  # needs the largest only
    assert len(sizes) == 4


def test_equals_of_the_last_one_kept_are_kept():
    logits = torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0, 2.0]])
    kept = [
        sample(logits, [row(prompt=[], generated=[], kept_set=True, **params)])[0].kept
        for params in ({"top_k": 1}, {"top_k": 3}, {"top_p": 0.01}, {"top_k": 6})
    ]
    assert [None if k is None else k.tolist() for k in kept] == [
        [1, 3],
        [1, 2, 3, 4, 5],
        [1, 3],
        None,
    ]


def test_equals_of_the_last_candidate_count_for_top_p(monkeypatch):
    """top_k 8 of one likely token and 40 equal ones keeps all 41, e^3 + 40 of mass; top_p 0.4 of it
    is more than the first token has."""
    monkeypatch.setattr(sampler, "_CANDIDATES", 8)
    logits = torch.tensor([[3.0] + [0.0] * 40 + [-2.0]])
    draw = sample(logits, [row(prompt=[], generated=[], top_k=8, top_p=0.4, kept_set=True)])[0]
    assert draw.kept.tolist() == list(range(41))


def test_kept_is_given_only_where_it_is_asked_for():
    logits = random_logits(1, 50)
    assert sample(logits, [row(top_k=3)])[0].kept is None
    assert sample(logits, [row(top_k=3, kept_set=True)])[0].kept.size == 3
    assert sample(logits, [row(kept_set=True)])[0].kept is None  # all


def test_hot_and_cold_extremes_stay_finite():
    logits = random_logits(1, 1000, scale=100.0)
    allowed = torch.arange(1000) != int(logits.argmax())
    for temperature in (1e-5, 100):
        draw = sample(logits, [row(temperature=temperature, top_p=0.9, allowed=allowed)])[0]
        assert math.isfinite(draw.logprob) and allowed[draw.token]


# ---- what is told -------------------------------------------------------------------------------


def test_top_is_of_the_bare_model():
    logits = random_logits(1, 100)
    logits[0, [70, 30]] = 50.0  # equals, the likeliest
    draw = sample(logits, [row(logprobs=5, temperature=0.3, top_k=2, presence_penalty=2)])[0]
    expected = logits[0].log_softmax(-1)
    assert [token for token, _ in draw.top[:2]] == [30, 70]
    assert [token for token, _ in draw.top] == (-logits[0]).argsort(stable=True)[:5].tolist()
    for token, logprob in draw.top:
        assert logprob == pytest.approx(float(expected[token]), abs=1e-5)
    equals = torch.zeros(1, 1000)
    equals[0, 999] = 1.0
    assert [token for token, _ in sample(equals, [row(logprobs=4)])[0].top] == [999, 0, 1, 2]
    assert sample(logits, [row(logprobs=0)])[0].top == []
    assert sample(logits, [row()])[0].top is None
    assert len(sample(logits[:, :3], [row(logprobs=20)])[0].top) == 3


def test_a_row_with_nothing_left_is_an_error_of_its_own():
    logits = random_logits(4, 30)
    nothing = torch.zeros(30, dtype=torch.bool)
    only_the_end = torch.arange(30) == 2
    rows = [
        row(seed=1),
        row(seed=2, allowed=nothing),
        row(seed=3, allowed=only_the_end, ends=(2,), min_tokens=100, temperature=0),
        row(seed=4),
    ]
    draws = sample(logits, rows)
    assert isinstance(draws[1], RequestError) and "constraint allows no token" in str(draws[1])
    assert isinstance(draws[2], RequestError) and "min_tokens is 100" in str(draws[2])
    alone = sample(logits[[0, 3]], [rows[0], rows[3]])
    assert [draws[0].token, draws[3].token] == [draw.token for draw in alone]


def test_ends_outside_the_vocabulary_never_come_and_do_no_harm():
    draw = sample(random_logits(1, 30), [row(min_tokens=100, ends=(5, 30, 10**6))])[0]
    assert isinstance(draw, Draw)


def test_no_rows():
    assert sample(torch.zeros(0, 30), []) == []


# ---- drafts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [0.0, 0.2, 1.0, 4.0])
def test_drafts_are_right_as_often_as_the_coupling_promises(distance):
    """Other logits, the same noise: equal with probability (1 - TV) / (1 + TV) at least."""
    target = random_logits(1, 50, seed=4, scale=1.5)
    guess = target + distance * random_logits(1, 50, seed=5, scale=1.0)
    p, q = target.softmax(-1), guess.softmax(-1)
    tv = float((p - q).abs().sum()) / 2
    rows = [row(seed=3, position=i) for i in range(8000)]
    drafts = sample(guess.expand(8000, 50).contiguous(), rows)
    tokens = sample(target.expand(8000, 50).contiguous(), rows)
    right = np.mean([draft.token == draw.token for draft, draw in zip(drafts, tokens)])
    assert right <= 1 - tv + 4 * math.sqrt(0.25 / 8000)  # no coupling does better
    assert right >= (1 - tv) / (1 + tv) - 4 * math.sqrt(0.25 / 8000)


@pytest.mark.parametrize("params", [{}, {"top_p": 0.8, "frequency_penalty": 0.5}])
def test_drafts_do_not_change_the_answer(params):
    """A toy model whose logits follow from the last token, another that drafts for it."""
    target = random_logits(60, 60, seed=6)
    guess = target + random_logits(60, 60, seed=7, scale=0.7)

    def at(ids):
        return row(seed=9, position=len(ids), prompt=[0], generated=ids[1:], **params)

    plain = [0]
    while len(plain) < 150:
        plain.append(sample(target[plain[-1]][None], [at(plain)])[0].token)
    ids, steps, right = [0], 0, 0
    while len(ids) < 150:
        draft = sample(guess[ids[-1]][None], [at(ids)])[0].token
        both = sample(target[[ids[-1], draft]], [at(ids), at([*ids, draft])])
        ids.append(both[0].token)
        if both[0].token == draft:
            ids.append(both[1].token)
            right += 1
        steps += 1
    assert ids[:150] == plain
    assert right > steps / 3  # else the test shows little
