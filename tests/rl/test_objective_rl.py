"""Every formula of the objective, summed exactly over all sequences of a policy that is a table."""

import pytest
import torch
from enumerable import (
    LENGTH,
    SEQUENCES,
    chances,
    gradient,
    kl_by_prefix,
    logps,
    prefix_chances,
    slope,
    table,
)

from speciale.rl.objective import (
    Objective,
    group_advantages,
    grpo_loss,
    k3,
    off_policy_mask,
    unbiased_kl,
)

COUNT = len(SEQUENCES)
ALL = torch.ones(COUNT, LENGTH, dtype=torch.bool)
REWARDS = torch.tensor([float(s[0] == 1) + 0.5 * (s[2] == s[1]) for s in SEQUENCES]).double()
FREE = Objective(clip_low=0.999, clip_high=1e9, off_policy_delta=None)


def expected(old, per_token):
    """The expectation over pi_old of the sum over a sequence's tokens."""
    return (chances(old) * per_token.sum(-1)).sum()


def test_on_policy_the_gradient_is_that_of_the_expected_reward():
    theta = table(0)
    old = logps(theta)
    baseline = (chances(theta) * REWARDS).sum()

    def loss(logits):
        weights = chances(theta) * COUNT  # each sequence once, so weighted by how likely it is
        return grpo_loss(
            logps(logits), old, (REWARDS - baseline) * weights, ALL, objective=FREE, tokens=COUNT
        ).loss

    exact = slope(lambda logits: (chances(logits) * REWARDS).sum(), theta)
    torch.testing.assert_close(-gradient(loss, theta), exact, rtol=1e-6, atol=1e-8)


def test_the_unbiased_kl_is_exact_in_value_and_gradient_off_policy():
    theta, old, ref = table(1), table(2), table(3)
    reached = prefix_chances(old)

    def exact(logits):
        return kl_by_prefix(logits, ref, reached)

    def ours(logits):
        return expected(old, unbiased_kl(logps(logits), logps(old), logps(ref)))

    torch.testing.assert_close(ours(theta), exact(theta), rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient(ours, theta), slope(exact, theta), rtol=1e-6, atol=1e-8)


def test_k3_is_biased_off_policy_and_its_gradient_even_on_policy():
    theta, ref = table(1), table(3)

    def exact(old):
        return lambda logits: kl_by_prefix(logits, ref, prefix_chances(old))

    def biased(old):
        return lambda logits: expected(old, k3(logps(logits), logps(ref)))

    torch.testing.assert_close(biased(theta)(theta), exact(theta)(theta), rtol=1e-10, atol=0)
    off = gradient(biased(theta), theta) - slope(exact(theta), theta)
    assert off.norm() > 0.2 * slope(exact(theta), theta).norm()
    old = table(2)
    assert abs(biased(old)(theta) - exact(old)(theta)) > 0.1 * exact(old)(theta)


def test_where_pi_is_far_below_the_reference_only_k3_blows_up():
    logp = torch.tensor([[-60.0]], requires_grad=True)
    old, ref = torch.tensor([[-1.0]]), torch.tensor([[-0.5]])
    unbiased_kl(logp, old, ref).sum().backward()
    assert logp.grad.abs().max() < 1e-6
    logp.grad = None
    k3(logp, ref).sum().backward()
    assert logp.grad.abs().max() > 1e20
    far = unbiased_kl(torch.tensor([-2000.0]), torch.tensor([-1.0]), torch.tensor([-0.5]))
    assert far.isfinite().all()


@pytest.mark.parametrize("advantage", [1.0, -1.0])
@pytest.mark.parametrize(
    "ratio, moves", [(0.7, {1.0}), (0.9, {1.0, -1.0}), (1.2, {1.0, -1.0}), (1.4, {-1.0})]
)
def test_the_clip_stops_what_has_gone_far_enough(ratio, moves, advantage):
    """Above 1.28 a success moves no further, below 0.8 a failure; back they always may."""
    old = torch.tensor([[-1.0]])
    logp = (old + torch.tensor(ratio).log()).requires_grad_()
    settings = Objective(off_policy_delta=None)
    out = grpo_loss(
        logp, old, torch.tensor([advantage]), torch.ones(1, 1).bool(), objective=settings
    )
    out.loss.backward()
    wanted = -advantage * ratio if advantage in moves else 0.0
    assert logp.grad.item() == pytest.approx(wanted, rel=1e-5)
    assert out.clipped.item() == (advantage not in moves)


def test_the_mask_drops_stale_failures_and_nothing_else():
    mask = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()
    old = torch.full((5, 3), -1.0)
    drift = torch.tensor([0.3, 0.3, 0.1, 0.3, 9.0])[:, None]  # log pi_old / pi
    logp = (old - drift).where(mask, torch.nan)
    advantages = torch.tensor([-1.0, 1.0, -1.0, -1.0, -1.0])
    found = off_policy_mask(logp, old, advantages, mask, delta=0.2)
    assert found.tolist() == [False, True, True, False, True]
    assert off_policy_mask(logp, old, 0 * advantages, mask, delta=0.2).all()
    # A failure that pi likes better than pi_old did is learnt from: that is the other sign.
    assert off_policy_mask(old + 0.3, old, advantages, mask.bool(), delta=0.2).all()
    # It is the mean over the sample's own tokens, whatever their number.
    uneven = torch.tensor([[-1.0, -1.0, -1.5]])
    failure = torch.tensor([-1.0])
    for delta, kept in ((0.16, False), (0.17, True)):
        assert off_policy_mask(uneven, old[:1], failure, mask[:1], delta).tolist() == [kept]


def test_a_masked_sample_has_no_gradient_and_counts_in_the_mean():
    old = torch.full((2, 2), -1.0)
    logp = torch.full((2, 2), -2.0, requires_grad=True)
    out = grpo_loss(logp, old, torch.tensor([-1.0, 1.0]), torch.ones(2, 2).bool())
    out.loss.backward()
    assert logp.grad[0].tolist() == [0, 0] and (logp.grad[1] != 0).all()
    assert out.masked == 0.5
    assert out.loss.item() == pytest.approx(-2 * torch.tensor(-1.0).exp().item() / 4)


def test_on_policy_nothing_is_masked_or_clipped():
    old = logps(table(4))
    advantages = REWARDS - REWARDS.mean()
    switched = grpo_loss(old.clone().requires_grad_(), old, advantages, ALL)
    bare = grpo_loss(old, old, advantages, ALL, objective=FREE)
    assert switched.masked == 0 and switched.clipped == 0
    torch.testing.assert_close(switched.loss, bare.loss)


def test_the_whole_loss_off_policy_is_the_formula_by_hand():
    theta, old, ref = (logps(table(n, 0.5)) for n in (5, 6, 7))
    advantages = group_advantages(REWARDS, torch.arange(COUNT) % 3)
    mask = torch.rand(COUNT, LENGTH, generator=torch.Generator().manual_seed(0)) < 0.8
    settings = Objective(kl_weight=0.3, off_policy_delta=0.05)
    total, dropped, tokens = 0.0, 0, int(mask.sum())
    for i in range(COUNT):
        places = [t for t in range(LENGTH) if mask[i, t]]
        a = advantages[i].item()
        gap = sum((old[i, t] - theta[i, t]).item() for t in places) / max(1, len(places))
        dropped += (keep := not (a < 0 and gap > 0.05)) is False
        for t in places:
            r = (theta[i, t] - old[i, t]).exp().item()
            rho = (ref[i, t] - theta[i, t]).exp()
            gain = min(r * a, min(max(r, 0.8), 1.28) * a) * keep
            total += (-gain + 0.3 * r * (rho - rho.log() - 1).item()) / tokens
    out = grpo_loss(theta, old, advantages, mask, ref, objective=settings)
    assert dropped and out.masked == pytest.approx(dropped / COUNT)
    assert out.loss.item() == pytest.approx(total, rel=1e-10)


def test_parts_with_the_tokens_of_all_add_up():
    theta, old = logps(table(8)), logps(table(9))
    advantages = group_advantages(REWARDS, torch.zeros(COUNT).long())
    whole = grpo_loss(theta, old, advantages, ALL).loss
    halves = [
        grpo_loss(theta[p], old[p], advantages[p], ALL[p], tokens=ALL.sum()).loss
        for p in (slice(0, 10), slice(10, None))
    ]
    torch.testing.assert_close(sum(halves), whole)


def test_truncated_importance_weights():
    """The clip is around the trainer's own policy; the sampler's gap is a capped factor."""
    old = torch.tensor([[-1.0, -1.0]])
    proximal = torch.tensor([[-1.0 + 0.5, -1.0 + 2.0]])
    logp = (proximal + 0.1).requires_grad_()
    settings = Objective(off_policy_delta=None, importance_cap=2.0)
    mask, up = torch.ones(1, 2).bool(), torch.tensor([1.0])
    out = grpo_loss(logp, old, up, mask, proximal=proximal, objective=settings)
    out.loss.backward()
    r = torch.tensor(0.1).exp().item()
    gap = torch.tensor(0.5).exp().item()
    assert logp.grad[0].tolist() == pytest.approx([-r * gap / 2, -r * 2.0 / 2])
    free = Objective(off_policy_delta=None)  # without a cap the gap is whole, but no overflow
    out = grpo_loss(logp, old - 200, up, mask, proximal=proximal, objective=free)
    assert out.loss.isfinite()


def test_advantages_are_those_of_each_group():
    rewards = torch.tensor([1.0, 0.0, 5.0, 1.0, 5.0])
    groups = torch.tensor([7, 7, 2, 7, 2])
    thirds = [1 / 3, -2 / 3, 0.0, 1 / 3, 0.0]
    assert group_advantages(rewards, groups).tolist() == pytest.approx(thirds)
    std = (2 / 9) ** 0.5
    normal = group_advantages(rewards, groups, normalise=True).tolist()
    assert normal == pytest.approx([v / std for v in thirds], rel=1e-5)


def test_what_lies_outside_of_the_mask_counts_for_nothing():
    old, mask = torch.full((2, 3), -1.0), torch.tensor([[1, 1, 0], [0, 0, 0]]).bool()
    logp = torch.full((2, 3), -1.1).where(mask, torch.nan).requires_grad_()
    wild = old.where(mask, torch.inf)
    out = grpo_loss(
        logp, wild, torch.tensor([1.0, -1.0]), mask, wild, wild, Objective(kl_weight=1.0)
    )
    out.loss.backward()
    assert out.loss.isfinite() and logp.grad.isfinite().all()
    with pytest.raises(ValueError, match=r"kl_weight is 0\.5"):
        grpo_loss(logp, old, torch.zeros(2), mask, objective=Objective(kl_weight=0.5))
