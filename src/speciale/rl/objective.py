"""GRPO at token level with V3.2's stabilisers: unbiased KL and off-policy sequence masking.

L = -mean over tokens of M min(r A, clip(r, 1 - eps, 1 + eps') A) + beta KL, with r = pi / pi_old,
pi_old being what the sampler drew from (V3.2 report, arXiv 2512.02556, section 3.1; GRPO: arXiv
2402.03300; asymmetric clip: DAPO, arXiv 2503.14476). Keep Routing and Keep Sampling Mask change pi
itself, before any of this.

Shapes: N samples of up to T tokens each; `mask` [N, T] marks the tokens that were sampled, and
what stands elsewhere counts for nothing. Log-probs are in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """The switches. The defaults are the report's form, with DAPO's clip."""

    clip_low: float = 0.2  # epsilon: r is held above 1 - clip_low
    clip_high: float = 0.28  # epsilon': and below 1 + clip_high
    kl_weight: float = 0.0  # beta
    kl_unbiased: bool = True  # False: K3, as GRPO had it
    off_policy_delta: float | None = 0.1  # delta, nats a token; None: no sequence is masked
    importance_cap: float | None = None  # of pi_proximal / pi_old, where `proximal` is given


@dataclass(frozen=True)
class Outcome:
    """A loss to descend, and what to watch. Of several parts all add up but `masked`."""

    loss: Tensor  # scalar
    clipped: Tensor  # scalar: share of tokens whose gradient the clip took
    masked: Tensor  # scalar: share of this part's samples that off-policy masking dropped
    kl: Tensor  # scalar: the unbiased estimate, a mean over tokens
    k3: Tensor  # scalar: the estimate without its correction, likewise


def group_advantages(rewards: Tensor, groups: Tensor, normalise: bool = False) -> Tensor:
    """Rewards [N] and the group of each sample [N] (whole numbers) -> advantages [N].

    A reward less the mean of its group; `normalise` divides by the group's standard deviation
    (GRPO's form, off in V3.2), which is 0 only where the advantages are.
    """
    _, place = groups.unique(return_inverse=True)  # [N]
    count = place.bincount().to(rewards.dtype)  # [G]
    mean = torch.zeros_like(count).index_add(0, place, rewards) / count
    advantages = rewards - mean[place]
    if not normalise:
        return advantages
    variance = torch.zeros_like(count).index_add(0, place, advantages.square()) / count
    return advantages / variance.sqrt().clamp_min(1e-6)[place]


def unbiased_kl(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    """KL(pi || pi_ref), estimated at each sampled token: r (rho - log rho - 1), rho = pi_ref / pi.

    All of one shape, which the result has. Tokens come from pi_old, so K3 alone, rho - log rho - 1,
    estimates another quantity, and its gradient has no bound where pi is far below pi_ref. With
    r = pi / pi_old, which has a gradient too, value and gradient are unbiased. r rho is written as
    pi_ref / pi_old: rho alone may overflow where their product does not.
    """
    ratio = _bounded(logp - old_logp).exp()
    return (ref_logp - old_logp).exp() - ratio * (ref_logp - logp + 1)


def k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """rho - log rho - 1 (J. Schulman, 2020); unbiased only on samples of pi itself, in value."""
    log_rho = ref_logp - logp
    return log_rho.expm1() - log_rho


def off_policy_mask(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, delta: float
) -> Tensor:
    """Which samples to learn from, bool [N]: all but failures that pi no longer makes.

    False where the advantage [N] is negative and the mean over the sample's tokens of
    log(pi_old / pi), logp and old_logp [N, T], is above `delta` (nats).
    """
    drift = _masked_mean((old_logp - logp).detach(), mask)  # [N]
    return ~((advantages < 0) & (drift > delta))


def grpo_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    ref_logp: Tensor | None = None,
    proximal: Tensor | None = None,
    objective: Objective | None = None,
    tokens: Tensor | float | None = None,
) -> Outcome:
    """The objective of a batch.

    logp: of pi, [N, T], with its gradient. old_logp: of the sampler, [N, T]. advantages: [N].
    ref_logp: of the reference, [N, T]; None where the KL's weight is 0.
    proximal: log-probs of the trainer's policy before this batch's updates, [N, T]: the clip is
    then around it and pi_proximal / pi_old a weight of its own, at most `importance_cap`
    (truncated importance weights). None: the clip is around pi_old, as in the report.
    tokens: what the sums are divided by; None: the tokens of this batch. Who adds up gradients
    of several parts gives the tokens of all.
    ValueError where the KL has a weight, but no reference.
    """
    settings = objective or Objective()
    learnt = mask.to(logp.dtype)  # [N, T]
    total = learnt.sum().clamp_min(1) if tokens is None else tokens
    logp, old_logp = logp.where(mask, 0.0), old_logp.where(mask, 0.0)
    weight = learnt
    centre = old_logp
    if proximal is not None:
        centre = proximal.where(mask, 0.0)
        gap = _bounded(centre - old_logp).exp()
        if settings.importance_cap is not None:
            gap = gap.clamp_max(settings.importance_cap)
        weight = weight * gap.detach()
    keep = torch.ones_like(advantages, dtype=torch.bool)  # [N]
    if settings.off_policy_delta is not None:
        keep = off_policy_mask(logp, old_logp, advantages, mask, settings.off_policy_delta)
    ratio = _bounded(logp - centre).exp()  # [N, T]
    advantage = advantages[:, None]  # [N, 1]
    free = ratio * advantage
    held = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high) * advantage
    gain = torch.minimum(free, held) * weight * keep[:, None]
    loss = -gain.sum() / total
    zero = logp.new_zeros(())
    kl = biased = zero
    if ref_logp is not None:
        ref_logp = ref_logp.where(mask, 0.0)
        kl = (unbiased_kl(logp, old_logp, ref_logp) * learnt).sum() / total
        biased = (k3(logp, ref_logp) * learnt).sum() / total
        loss = loss + settings.kl_weight * (kl if settings.kl_unbiased else biased)
    elif settings.kl_weight:
        raise ValueError(f"kl_weight is {settings.kl_weight}, but there is no ref_logp: give both")
    clipped = ((held < free) & mask & keep[:, None]).sum() / total
    masked = 1 - keep.to(logp.dtype).mean() if len(keep) else zero
    return Outcome(loss, clipped.detach(), masked, kl.detach(), biased.detach())


def _bounded(log_ratio: Tensor) -> Tensor:
    """Within e^-20 and e^20: far outside of any clip, inside of float32."""
    return log_ratio.clamp(-20, 20)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of [N, T] over the marked tokens of each row, [N]; 0 where none is marked."""
    weight = mask.to(values.dtype)
    return values.where(mask, 0.0).sum(-1) / weight.sum(-1).clamp_min(1)
