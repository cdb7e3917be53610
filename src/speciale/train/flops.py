"""How many floating-point operations a training step needs: the numerator of MFU.

Only work that the mathematics asks for counts: active experts, visible (or selected) tokens;
2 per multiply-add forward, twice that backward where a gradient is needed.
"""

from __future__ import annotations

import torch

from speciale.model import ModelConfig, Transformer
from speciale.train.recipe import StageName


def total_parameters(config: ModelConfig) -> int:
    """All weights, the MTP layer's among them."""
    with torch.device("meta"):
        return sum(p.numel() for p in Transformer(config).parameters())


def active_parameters(config: ModelConfig, mtp: bool = True) -> int:
    """Weights that take part in matmuls for one token, embedding look-up apart."""
    blocks = config.num_hidden_layers + (1 if mtp and config.num_nextn_predict_layers else 0)
    moe_blocks = blocks - config.first_k_dense_replace
    d = config.hidden_size
    total = blocks * _attention_weights(config)
    total += config.first_k_dense_replace * 3 * d * config.intermediate_size
    experts = config.num_experts_per_tok + config.n_shared_experts
    total += moe_blocks * (
        3 * d * config.moe_intermediate_size * experts + d * config.n_routed_experts
    )
    total += d * config.vocab_size
    if blocks > config.num_hidden_layers:
        total += 2 * d * d + d * config.vocab_size  # eh_proj, and the shared head once more
    return total


def _attention_weights(config: ModelConfig) -> int:
    d, heads = config.hidden_size, config.num_attention_heads
    return (
        d * config.q_lora_rank
        + config.q_lora_rank * heads * config.qk_head_dim
        + d * (config.kv_lora_rank + config.qk_rope_head_dim)
        + config.kv_lora_rank * heads * (config.qk_nope_head_dim + config.v_head_dim)
        + heads * config.v_head_dim * d
    )


def _indexer_weights(config: ModelConfig) -> int:
    index = config.index_n_heads * config.index_head_dim
    d = config.hidden_size
    return config.q_lora_rank * index + d * config.index_head_dim + d * config.index_n_heads


def training_flops(config: ModelConfig, stage: StageName, context: int, mtp: bool) -> float:
    """FLOPs to train one token at sequences of `context` tokens, mean over positions."""
    blocks = config.num_hidden_layers + (1 if mtp and config.num_nextn_predict_layers else 0)
    seen = (context + 1) / 2  # tokens that a query sees, mean
    k = min(config.index_topk, context)
    selected = (k * (k + 1) / 2 + (context - k) * k) / context
    heads, dqk, dv = config.num_attention_heads, config.qk_head_dim, config.v_head_dim
    index_score = 2 * config.index_n_heads * (config.index_head_dim + 1) * seen
    weights = active_parameters(config, mtp)
    if stage == "pretrain":
        return 6 * weights + 3 * blocks * 2 * heads * (dqk + dv) * seen
    indexer = blocks * (6 * _indexer_weights(config) + 3 * index_score)
    if stage == "warmup":
        forward = 2 * (weights - config.hidden_size * config.vocab_size * (2 if mtp else 1))
        # the attention once forward; its probabilities once more as the target of the KL
        return forward + blocks * 2 * heads * (2 * dqk + dv) * seen + indexer
    main = 6 * weights + 3 * blocks * 2 * heads * (dqk + dv) * selected
    target = blocks * 2 * heads * dqk * selected
    # the sparse stages also score once without gradient, to select
    return main + target + indexer + blocks * index_score
