"""Rotary positions in both layouts of V3.2, with YaRN.

MLA rotates interleaved pairs (x0, x1), (x2, x3), ...; the lightning indexer rotates the two halves
(x0, x_{d/2}), ... (V3.2-Exp release notes: the first inference code mixed them up).
YaRN: arXiv 2309.00071, as in DeepSeek-V3's `precompute_freqs_cis`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from speciale.model.config import ModelConfig


def yarn_mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def softmax_scale(config: ModelConfig) -> float:
    """(nope + rope)^-1/2 x (YaRN mscale)^2."""
    scale = config.qk_head_dim**-0.5
    yarn = config.rope_scaling
    if yarn is not None and yarn.mscale_all_dim:
        scale *= yarn_mscale(yarn.factor, yarn.mscale_all_dim) ** 2
    return scale


def rope_frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Returns the angle per position of each pair, [Dr / 2], and the factor on cos and sin."""
    dim, base, yarn = config.qk_rope_head_dim, config.rope_theta, config.rope_scaling
    # On the CPU always: under torch.device("meta") it would import torch's compiler, 1.5 s.
    pairs = torch.arange(dim // 2, device="cpu")
    plain = 1.0 / base ** (2 * pairs.float() / dim)  # [Dr/2]
    if yarn is None:
        return plain, 1.0

    def pair_with(rotations: float) -> float:
        """The (fractional) pair that turns `rotations` times over the original context."""
        turns = yarn.original_max_position_embeddings / (rotations * 2 * math.pi)
        return dim * math.log(turns) / (2 * math.log(base))

    low = max(math.floor(pair_with(yarn.beta_fast)), 0)
    high = min(math.ceil(pair_with(yarn.beta_slow)), dim - 1)
    ramp = (pairs.float() - low) / max(high - low, 0.001)
    slow = ramp.clamp(0, 1)  # 0: turns fast, kept; 1: turns slowly, stretched by the factor
    if yarn.mscale and yarn.mscale_all_dim:
        factor = yarn_mscale(yarn.factor, yarn.mscale)
        factor /= yarn_mscale(yarn.factor, yarn.mscale_all_dim)
    else:
        factor = yarn_mscale(yarn.factor, 1.0)
    return plain / yarn.factor * slow + plain * (1 - slow), factor


class Rope:
    """cos and sin of `positions` [T] or [B, T], each [(B,) T, Dr / 2]."""

    def __init__(self, frequencies: Tensor, factor: float, positions: Tensor) -> None:
        angles = positions[..., None].float() * frequencies
        self.cos, self.sin = angles.cos() * factor, angles.sin() * factor

    def _tables(self, x: Tensor) -> tuple[Tensor, Tensor]:
        heads = [1] * (x.ndim - 3)  # x is [B, T, Dr] or [B, T, H, Dr]
        shape = (*self.cos.shape[:-1], *heads, self.cos.shape[-1])
        return self.cos.view(shape), self.sin.view(shape)

    def interleaved(self, x: Tensor) -> Tensor:
        """Rotates the pairs (x0, x1), (x2, x3), ... of x [B, T, (H,) Dr]; MLA's form."""
        cos, sin = self._tables(x)
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)

    def half_split(self, x: Tensor) -> Tensor:
        """Rotates the pairs (x_i, x_{i + Dr/2}) of x [B, T, (H,) Dr]; the indexer's form."""
        cos, sin = self._tables(x)
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
