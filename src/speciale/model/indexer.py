"""The lightning indexer of DeepSeek Sparse Attention.

I[t,s] = sum_j w[t,j] ReLU(q_j[t] . k[s]) (V3.2-Exp report, section 2.1, equation 1): a few small
heads score every earlier token; the top-k of I[t, :t+1] are all that attention then reads. The
released code also rotates q and k by a Hadamard matrix for FP8, which changes no dot product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speciale.model.config import ModelConfig
from speciale.model.rope import Rope


class Indexer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.dim = config.index_n_heads, config.index_head_dim
        self.rope_dim = config.qk_rope_head_dim
        self.wq_b = nn.Linear(config.q_lora_rank, self.heads * self.dim, bias=False)
        self.wk = nn.Linear(config.hidden_size, self.dim, bias=False)
        self.k_norm = nn.LayerNorm(self.dim, eps=1e-6)  # a real LayerNorm, with bias
        self.weights_proj = nn.Linear(config.hidden_size, self.heads, bias=False)

    def keys(self, h: Tensor, rope: Rope) -> Tensor:
        """h [B, T, hidden] -> the one key head, [B, T, Di], which is cached."""
        return self._rotate(self.k_norm(self.wk(h)), rope)

    def queries(self, h: Tensor, q_latent: Tensor, rope: Rope) -> tuple[Tensor, Tensor]:
        """Returns the index queries [B, T, Hi, Di] and head weights [B, T, Hi].

        The weights carry both scales, Hi^-1/2 and Di^-1/2 (which may leave the ReLU).
        """
        q = self._rotate(self.wq_b(q_latent).unflatten(-1, (self.heads, self.dim)), rope)
        w = self.weights_proj(h).float() * (self.heads**-0.5 * self.dim**-0.5)
        return q, w

    def _rotate(self, x: Tensor, rope: Rope) -> Tensor:
        rotated = rope.half_split(x[..., : self.rope_dim])
        return torch.cat((rotated, x[..., self.rope_dim :]), -1)
