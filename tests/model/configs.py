"""Random tiny configurations for the parity and shape tests."""

import torch

from speciale.model import ModelConfig, Transformer

_BASE = dict(
    vocab_size=97,
    hidden_size=48,
    intermediate_size=64,
    moe_intermediate_size=24,
    num_hidden_layers=3,
    first_k_dense_replace=1,
    num_attention_heads=3,
    num_key_value_heads=3,
    q_lora_rank=20,
    kv_lora_rank=16,
    qk_nope_head_dim=12,
    qk_rope_head_dim=8,
    v_head_dim=10,
    n_routed_experts=8,
    num_experts_per_tok=2,
    n_group=4,
    topk_group=2,
    index_n_heads=16,  # few heads would often tie at exactly 0 (every ReLU closed)
    index_head_dim=16,
    index_topk=8,
    max_position_embeddings=256,
)
_YARN = dict(
    type="yarn",
    factor=8.0,
    original_max_position_embeddings=32,
    beta_fast=32,
    beta_slow=1,
    mscale=1.0,
    mscale_all_dim=1.0,
)

PARITY = {
    "sparse_k8": {},
    "k_above_length": dict(index_topk=64),
    "no_dense_layer": dict(first_k_dense_replace=0, num_hidden_layers=2),
    "two_dense_layers": dict(first_k_dense_replace=2, index_topk=5),
    "yarn": dict(rope_scaling=_YARN),
    "yarn_k_above_length": dict(rope_scaling=_YARN, index_topk=100, first_k_dense_replace=0),
    "yarn_other_mscale": dict(rope_scaling={**_YARN, "mscale": 0.7}),
    "one_group": dict(n_group=1, topk_group=1, num_experts_per_tok=3),
    "all_groups": dict(n_group=2, topk_group=2, n_routed_experts=6, num_experts_per_tok=4),
    "two_shared_experts": dict(n_shared_experts=2, routed_scaling_factor=1.0),
    "unnormalised": dict(norm_topk_prob=False, index_n_heads=12, index_topk=1),
    "wide_values": dict(v_head_dim=24, qk_nope_head_dim=16, index_head_dim=8),
}


def tiny_config(**changes) -> ModelConfig:
    return ModelConfig.from_dict({**_BASE, **changes})


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """Weights large enough that every part matters: also biases and norms are random."""
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            spread = 0.2 if tensor.ndim > 1 else 0.1
            tensor.normal_(0, spread, generator=generator)
            if "norm" in name and name.endswith("weight"):
                tensor.add_(1)
    return model.eval()
