"""The trainer's log-probs: a forest against sequences one by one, and against the sampler's own."""

import numpy as np
import pytest
import torch

from model.configs import random_model, tiny_config
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.rl.forest import ROW, plant
from speciale.rl.policy import Conditions, evaluate, routing_agreement, token_logprobs
from speciale.rl.sequences import Sequence


@pytest.fixture(scope="module")
def model():
    return random_model(tiny_config(index_topk=8))


def sequence(ids, sampled, routing=None, kept=None):
    count = len(ids)
    return Sequence(
        list(ids), list(sampled), [0.0] * count, [0] * count, kept or [None] * count, routing
    )


def drawn(seed, groups=3, samples=4, vocab=64):
    """Groups that share a prompt, whose samples begin alike now and then, some with two turns."""
    draw = np.random.default_rng(seed)
    found = []
    for group in range(groups):
        prompt = draw.integers(0, vocab, draw.integers(3, 30)).tolist()
        members = []
        for member in range(samples):
            ids, sampled = list(prompt), [False] * len(prompt)
            for _ in range(draw.integers(1, 3)):
                said = draw.integers(0, 3, draw.integers(1, 12)).tolist()
                told = draw.integers(0, vocab, draw.integers(0, 6)).tolist()
                ids += said + told
                sampled += [True] * len(said) + [False] * len(told)
            members.append((group * samples + member, sequence(ids, sampled)))
        found.append(members)
    return found


def alone(model, one):
    """The log-probs of a sequence's sampled tokens by a plain pass over it."""
    logits = model(torch.tensor([one.ids[:-1]]))[0]
    logp = logits.log_softmax(-1)
    return torch.stack([logp[t - 1, one.ids[t]] for t, s in enumerate(one.sampled) if s])


@pytest.mark.parametrize("row_tokens", [1, 40, 10_000])
def test_a_forest_is_its_sequences(model, row_tokens):
    groups = drawn(1)
    forests = plant(groups, row_tokens)
    members = {number: one for group in groups for number, one in group}
    assert sorted(n for forest in forests for n in forest.members) == sorted(members)
    for forest in forests:
        logp = evaluate(model, forest, Conditions()).logp
        for row, number in enumerate(forest.members):
            wanted = alone(model, members[number])
            assert forest.mask[row].sum() == len(wanted)
            torch.testing.assert_close(logp[row, : len(wanted)], wanted, rtol=1e-4, atol=2e-5)


def test_gradients_are_those_of_the_sequences(model):
    groups = drawn(2)
    model.zero_grad()
    for forest in plant(groups, 200):
        (evaluate(model, forest, Conditions()).logp * forest.mask).sum().backward()
    packed = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for group in groups:
        for _, one in group:
            alone(model, one).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(packed[name], parameter.grad, rtol=1e-3, atol=1e-4)
    model.zero_grad()


def test_shared_beginnings_stand_once():
    group = [(n, sequence([1, 2, 3, 4, n, 9], [False] * 4 + [True] * 2)) for n in (5, 6, 7)]
    [forest] = plant([group], 100)
    assert forest.ids.tolist() == [[1, 2, 3, 4, 7, 6, 5]]
    assert forest.tree.positions.tolist() == [[0, 1, 2, 3, 4, 4, 4]]


def test_a_row_ends_with_a_group_once_it_is_long_and_never_within_one():
    groups, members = drawn(4, groups=40), {}
    for place, group in enumerate(groups):
        members |= {number: place for number, _ in group}
    forests = plant(groups, 10_000)
    held = [{members[number] for number in forest.members} for forest in forests]
    assert sum(map(len, held)) == 40 and len(forests) > 2  # no group in two rows
    longest = max(forest.size for forest in plant_each(groups))
    assert all(ROW <= forest.size < ROW + longest for forest in forests[:-1])


def plant_each(groups):
    return [forest for group in groups for forest in plant([group], 10_000)]


def test_a_mask_that_sees_a_sibling_is_found(model):
    """The check above can fail: with all branches visible the log-probs are others."""
    groups = drawn(3)
    [forest] = plant(groups, 10_000)
    right = evaluate(model, forest, Conditions()).logp
    forest.tree.above.fill_(True)
    wrong = evaluate(model, forest, Conditions()).logp
    assert (right - wrong).abs().max() > 1e-3


def test_token_logprobs_over_kept_sets_sum_to_one():
    logits = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    kept = [np.array([1, 4, 7]), None, np.array([2]), np.arange(16), np.array([0, 15])]
    for row, ids in enumerate(kept):
        ids = np.arange(16) if ids is None else ids
        total = sum(
            token_logprobs(logits, torch.full((5,), int(i)), kept)[row].exp().item() for i in ids
        )
        assert total == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def samples(model):
    """Samples with top-p 0.6 at temperature 0.7 out of the engine."""
    params = SamplingParams(
        max_tokens=24, temperature=0.7, top_p=0.6, seed=3, n=4, kept_set=True, routing=True
    )
    prompts = [[5, 9, 2, 44, 17], list(range(20)), [7] * 9]
    outputs = LLM(model).generate(prompts, params)
    groups = []
    for place, (prompt, output) in enumerate(zip(prompts, outputs)):
        members = []
        for done in output.completions:
            ids = prompt + done.ids
            one = sequence(
                ids,
                [False] * len(prompt) + [True] * len(done.ids),
                done.routing.numpy(),
                [None] * len(prompt) + list(done.kept),
            )
            one.logprobs = [0.0] * len(prompt) + done.logprobs
            members.append((place * 4 + done.index, one))
        groups.append(members)
    return groups


def gap(model, groups, **switches):
    differences = []
    for forest in plant(groups, 10_000):
        logp = evaluate(model, forest, Conditions(temperature=0.7, **switches)).logp
        differences.append((logp - forest.old_logp)[forest.mask].abs())
    return torch.cat(differences)


def test_the_sampling_mask_puts_both_on_one_support(model, samples):
    assert gap(model, samples).max() < 1e-3
    assert gap(model, samples, keep_sampling_mask=False).mean() > 0.05


def test_keep_routing_replays_the_experts(model, samples):
    """A router that has moved since the samples were drawn picks others; the replay does not."""
    [forest] = plant(samples, 10_000)
    free = evaluate(model, forest, Conditions(keep_routing=False))
    assert routing_agreement(free.trace, forest) > 0.99
    gates = [layer.mlp.gate for layer in model.main_layers if hasattr(layer.mlp, "gate")]
    before = [gate.e_score_correction_bias.clone() for gate in gates]
    try:
        for gate in gates:  # chosen by other biases, but of the same scores
            gate.e_score_correction_bias.copy_(torch.randn_like(gate.e_score_correction_bias))
        moved = evaluate(model, forest, Conditions(keep_routing=False))
        assert routing_agreement(moved.trace, forest) < 0.9
        with_replay = gap(model, samples).max()
        without = gap(model, samples, keep_routing=False).max()
        assert with_replay < 1e-3 < without
    finally:
        for gate, bias in zip(gates, before):
            gate.e_score_correction_bias.copy_(bias)
