"""Multi-token prediction: one more decoder block that predicts token t+2.

`h'_t = M [RMSNorm(Emb(x_{t+1})); RMSNorm(h_t)]` with h_t behind the main model's final norm;
embedding and head are shared (V3 report, 2.2). The report writes the two halves the other way
round; the released weights have the embedding first (so vLLM, SGLang, TensorRT-LLM): as here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speciale.model.block import Block
from speciale.model.config import Attention, ModelConfig
from speciale.model.context import Measure, Seen, Visibility
from speciale.model.rope import Rope


class SharedHead(nn.Module):
    """Holds the norm before the shared output head, under the released files' name."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


class MtpBlock(Block):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, layer=config.num_hidden_layers)
        self.enorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.hnorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.eh_proj = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.shared_head = SharedHead(config)

    def predict(
        self,
        hidden: Tensor,
        next_embedding: Tensor,
        rope: Rope,
        visible: Visibility,
        attention: Attention = "sparse",
        measure: Measure | None = None,
    ) -> tuple[Tensor, Seen]:
        """hidden of t, embedding of t+1 [B, T, hidden] -> what the head reads for t+2."""
        h = self.join(hidden, next_embedding)
        h, seen = super().forward(h, rope, visible, attention, None, measure)
        return self.shared_head.norm(h), seen

    def join(self, hidden: Tensor, next_embedding: Tensor) -> Tensor:
        """The block's input: both normalised, side by side, projected to [B, T, hidden]."""
        joined = torch.cat((self.enorm(next_embedding), self.hnorm(hidden)), -1)  # [B, T, 2d]
        return self.eh_proj(joined)
