"""A model's layers over the tokens of one step: fused in the CPU kernels, one call a layer, or from
the model's own parts, where a span takes the MHA way and wherever the kernels cannot run.

Both give the same numbers, up to rounding.
"""

from __future__ import annotations

from torch import Tensor

from speciale import ops
from speciale.engine.attention import StepRows, attend
from speciale.engine.store import Store
from speciale.model import Transformer
from speciale.model.block import Block
from speciale.model.moe import Mlp, Moe
from speciale.model.rope import Rope
from speciale.ops.cpu_layer import CpuLayer, LayerRows


class Layers:
    """topk: tokens that attention selects, where there are more."""

    def __init__(self, model: Transformer, topk: int) -> None:
        self._blocks: list[Block] = list(model.layers)
        self._fused: list[CpuLayer] | None = None
        if ops.kernels_serve(model.embed_tokens.weight, model.config.kv_lora_rank):
            self._fused = [_fused(block, topk) for block in self._blocks]

    def run(
        self, layer: int, h: Tensor, rope: Rope, store: Store, step: StepRows
    ) -> tuple[Tensor, Tensor | None]:
        """h [N, hidden] -> [N, hidden] and the expert ids [N, K] if any; keeps the step's keys."""
        plain = not (step.masked or step.window)
        if self._fused is not None and plain and len(h) <= ops.FEW_ROWS:
            rows = LayerRows(rope.cos, rope.sin, step.slots, step.tables, step.rows, step.lengths)
            return self._fused[layer].run(h, store.latents(layer), store.index(layer), rows)
        block = self._blocks[layer]
        h = h + attend(block.self_attn, block.input_layernorm(h), rope, store, layer, step)
        h, ids = block.feed_forward(h[None])
        return h[0], None if ids is None else ids[0]


def _fused(block: Block, topk: int) -> CpuLayer:
    attn, mlp, c = block.self_attn, block.mlp, block.self_attn.config
    moe = isinstance(mlp, Moe)
    shared: Mlp = mlp.shared_experts if moe else mlp
    sizes = dict(
        hidden=c.hidden_size, heads=c.num_attention_heads, nope=c.qk_nope_head_dim,
        rope=c.qk_rope_head_dim, value=c.v_head_dim, rank=c.kv_lora_rank, q_rank=c.q_lora_rank,
        index_heads=c.index_n_heads, index_dim=c.index_head_dim, topk=topk,
        experts=c.n_routed_experts, groups=c.n_group, kept_groups=c.topk_group,
        chosen=c.num_experts_per_tok, inner=c.moe_intermediate_size,
        shared_inner=shared.gate_proj.out_features, normalise=c.norm_topk_prob,
        eps=c.rms_norm_eps, scale=attn.scale, routed_scale=c.routed_scaling_factor,
    )  # fmt: skip
    indexer = attn.indexer
    weights = dict(
        input_norm=block.input_layernorm.weight, post_norm=block.post_attention_layernorm.weight,
        q_a=attn.q_a_proj.weight, q_norm=attn.q_a_layernorm.weight, q_b=attn.q_b_proj.weight,
        kv_a=attn.kv_a_proj_with_mqa.weight, kv_norm=attn.kv_a_layernorm.weight,
        kv_b=attn.kv_b_proj.weight, o=attn.o_proj.weight, index_q=indexer.wq_b.weight,
        index_k=indexer.wk.weight, index_k_norm=indexer.k_norm.weight,
        index_k_bias=indexer.k_norm.bias, index_w=indexer.weights_proj.weight,
        router=mlp.gate.weight if moe else None,
        router_bias=mlp.gate.e_score_correction_bias if moe else None,
        gate_up=mlp.experts.gate_up_proj if moe else None,
        down=mlp.experts.down_proj if moe else None, shared_gate=shared.gate_proj.weight,
        shared_up=shared.up_proj.weight, shared_down=shared.down_proj.weight,
    )  # fmt: skip
    return CpuLayer(sizes, weights)
