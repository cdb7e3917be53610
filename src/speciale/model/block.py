"""A decoder block: norm, attention, norm, experts (V3 report, figure 2)."""

from __future__ import annotations

from torch import Tensor, nn

from speciale.model.attention import Mla
from speciale.model.cache import LayerCache
from speciale.model.config import Attention, ModelConfig
from speciale.model.context import Measure, Seen, Visibility
from speciale.model.moe import Mlp, Moe
from speciale.model.rope import Rope


class Block(nn.Module):
    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Mla(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        dense = layer < config.first_k_dense_replace
        self.mlp = Mlp(config.hidden_size, config.intermediate_size) if dense else Moe(config)

    def forward(
        self,
        h: Tensor,
        rope: Rope,
        visible: Visibility,
        attention: Attention = "sparse",
        cache: LayerCache | None = None,
        measure: Measure | None = None,
        replay: Tensor | None = None,
    ) -> tuple[Tensor, Seen]:
        """h [B, T, hidden] -> [B, T, hidden]; `replay` [B, T, K]: expert ids to use."""
        x = self.input_layernorm(h)
        out, seen = self.self_attn(x, rope, visible, attention, cache, measure)
        h, ids = self.feed_forward(h + out, replay)
        return h, seen._replace(routing=ids)

    def feed_forward(self, h: Tensor, replay: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The second half of the block, and the expert ids [B, T, K] that it used, if any."""
        x = self.post_attention_layernorm(h)
        if isinstance(self.mlp, Mlp):
            return h + self.mlp(x), None
        out, ids = self.mlp(x, replay)
        return h + out, ids
