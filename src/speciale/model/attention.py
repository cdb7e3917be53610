"""Multi-head latent attention with DeepSeek Sparse Attention, in both of its forms.

MHA mode expands the latent c to keys and values per head (training, short prefill); MQA mode folds
W_UK into the query and W_UV behind it, so that all heads share the cached [c; k_rope] (sparse,
decode): V3 report, 2.1.1, and V3.2-Exp report, 2.1 and figure 2. Both give the same output.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from speciale import ops
from speciale.model.cache import LayerCache
from speciale.model.config import Attention, ModelConfig
from speciale.model.context import AttentionRecord, Measure, Seen, Visibility
from speciale.model.indexer import Indexer
from speciale.model.rope import Rope, softmax_scale


class Projections(NamedTuple):
    """What a token's hidden state becomes before attention, rotated."""

    q_nope: Tensor  # [B, T, H, Dn]
    q_rope: Tensor  # [B, T, H, Dr]
    latent: Tensor  # [B, T, R + Dr]: [c; k_rope], what the cache keeps
    q_latent: Tensor  # [B, T, Rq], which the indexer reads too


class Mla(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, h = config.hidden_size, config.num_attention_heads
        r, dr, dn, dv = (
            config.kv_lora_rank,
            config.qk_rope_head_dim,
            config.qk_nope_head_dim,
            config.v_head_dim,
        )
        self.scale = softmax_scale(config)
        self.q_a_proj = nn.Linear(d, config.q_lora_rank, bias=False)
        self.q_a_layernorm = nn.RMSNorm(config.q_lora_rank, eps=config.rms_norm_eps)
        self.q_b_proj = nn.Linear(config.q_lora_rank, h * (dn + dr), bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(d, r + dr, bias=False)
        self.kv_a_layernorm = nn.RMSNorm(r, eps=config.rms_norm_eps)
        self.kv_b_proj = nn.Linear(r, h * (dn + dv), bias=False)
        self.o_proj = nn.Linear(h * dv, d, bias=False)
        self.indexer = Indexer(config)

    def forward(
        self,
        h: Tensor,
        rope: Rope,
        visible: Visibility,
        attention: Attention = "sparse",
        cache: LayerCache | None = None,
        measure: Measure | None = None,
    ) -> tuple[Tensor, Seen]:
        """h [B, T, hidden] -> [B, T, hidden]; `visible` covers the cached past too.

        measure: is shown the attention, as training has it (no cache).
        """
        q_nope, q_rope, latents, q_latent = self.project(h, rope)
        selecting = attention == "sparse" and visible.total > self.config.index_topk
        index_k = ids = None
        # Detached: the indexer learns from its KL loss alone (V3.2-Exp report, 2.1.1)
        h_index, q_index = h.detach(), q_latent.detach()
        if cache is not None or selecting or measure is not None:
            index_k = self.indexer.keys(h_index, rope)
        if cache is not None:
            latents, index_k = cache.append(latents, index_k)
        if visible.chunk is not None:
            latents = visible.chunk.gather(latents)
            index_k = None if index_k is None else visible.chunk.gather(index_k)
        if selecting or measure is not None:
            index_q, index_w = self.indexer.queries(h_index, q_index, rope)
        if selecting:
            with torch.no_grad():
                ids = ops.select_topk(
                    index_q, index_k, index_w, self.config.index_topk, visible.rows
                )

        if cache is not None and self._absorb(visible, selecting):
            return self._mqa(self.absorb(q_nope, q_rope), latents, ids, visible), Seen(ids)
        mask = None if visible.plain_causal else visible.all
        if ids is not None:
            mask = self._selection_mask(ids, visible)
        q = torch.cat((q_nope, q_rope), -1).transpose(1, 2)  # [B, H, T, Dn+Dr]
        k, v = self.expand(latents)
        measured = None
        if measure is not None:
            assert cache is None, "attention is measured in training, which has no cache"
            selected = mask if ids is not None else None
            measured = measure(
                AttentionRecord(
                    q.detach(), k.detach(), self.scale, index_q, index_k, index_w, visible, selected
                )
            )
        out = ops.full_attention(q, k, v, self.scale, mask)  # [B, H, T, Dv]
        return self.o_proj(out.transpose(1, 2).flatten(2)), Seen(ids, measured)

    def project(self, h: Tensor, rope: Rope) -> Projections:
        """h [B, T, hidden] and the rotary tables of its positions -> what attention reads."""
        cfg = self.config
        q_latent = self.q_a_layernorm(self.q_a_proj(h))  # [B, T, Rq]
        q = self.q_b_proj(q_latent).unflatten(-1, (cfg.num_attention_heads, -1))
        q_nope, q_rope = q.split([cfg.qk_nope_head_dim, cfg.qk_rope_head_dim], -1)
        c, k_rope = self.kv_a_proj_with_mqa(h).split([cfg.kv_lora_rank, cfg.qk_rope_head_dim], -1)
        latent = torch.cat((self.kv_a_layernorm(c), rope.interleaved(k_rope)), -1)
        return Projections(q_nope, rope.interleaved(q_rope), latent, q_latent)

    def expand(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """MHA mode: latents [B, S, R + Dr] -> k [B, H, S, Dn + Dr] and v [B, H, S, Dv]."""
        cfg = self.config
        heads = cfg.num_attention_heads
        c, k_rope = latents.split([cfg.kv_lora_rank, cfg.qk_rope_head_dim], -1)
        kv = self.kv_b_proj(c).unflatten(-1, (heads, -1))  # [B, S, H, Dn+Dv]
        k_nope, v = kv.split([cfg.qk_nope_head_dim, cfg.v_head_dim], -1)
        k = torch.cat((k_nope, k_rope.unsqueeze(2).expand(-1, -1, heads, -1)), -1)
        return k.transpose(1, 2), v.transpose(1, 2)

    def absorb(self, q_nope: Tensor, q_rope: Tensor) -> Tensor:
        """MQA mode: the query against latents, [B, T, H, R + Dr]."""
        w_uk, _ = self._kv_weights()
        return torch.cat((torch.einsum("bthn,hnr->bthr", q_nope, w_uk), q_rope), -1)

    def unabsorb(self, out: Tensor) -> Tensor:
        """MQA mode: attended latents [B, T, H, R] -> what o_proj reads, [B, T, H, Dv]."""
        _, w_uv = self._kv_weights()
        return torch.einsum("bthr,hvr->bthv", out, w_uv)

    def _kv_weights(self) -> tuple[Tensor, Tensor]:
        """W_UK [H, Dn, R] and W_UV [H, Dv, R]."""
        cfg = self.config
        w = self.kv_b_proj.weight.unflatten(0, (cfg.num_attention_heads, -1))  # [H, Dn+Dv, R]
        return w.split([cfg.qk_nope_head_dim, cfg.v_head_dim], 1)

    def _absorb(self, visible: Visibility, selecting: bool) -> bool:
        """MQA mode pays for few queries, or where much more than the top-k would be masked away."""
        return visible.queries <= 4 or (selecting and visible.total > 4 * self.config.index_topk)

    def _mqa(self, q: Tensor, latents: Tensor, ids: Tensor | None, visible: Visibility) -> Tensor:
        """q [B, T, H, R + Dr] over latents [B, S, R + Dr]; ids [B, T, k], or None: all visible."""
        rank = self.config.kv_lora_rank
        if ids is not None:
            out = ops.gathered_attention(q, latents, ids, self.scale, rank)
        else:
            keys = latents.unsqueeze(1)  # [B, 1, S, R+Dr]
            scores = (q @ keys.transpose(2, 3)) * self.scale  # [B, T, H, S]
            scores = scores.masked_fill(~visible.all.unsqueeze(2), float("-inf"))
            probs = scores.softmax(-1, dtype=torch.float32).to(keys.dtype)
            out = probs @ keys[..., :rank]  # [B, T, H, R]
        return self.o_proj(self.unabsorb(out).flatten(2))

    @staticmethod
    def _selection_mask(ids: Tensor, visible: Visibility) -> Tensor:
        """The selected ids [B, T, k] as a mask [B, T, S]; -1 selects nothing."""
        shape = (*ids.shape[:2], visible.total + 1)  # one spare column takes the -1s
        mask = torch.zeros(shape, dtype=torch.bool, device=ids.device)
        return mask.scatter_(-1, torch.where(ids < 0, visible.total, ids), True)[..., :-1]
