"""A synthetic checkpoint in the released form: names, FP8 blocks, shards, index; written by hand.

Nothing of speciale's own code writes it, so that reading it proves something. Names: the index of
deepseek-ai/DeepSeek-V3.2; the dequantised values are an independent loop over blocks.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

BLOCK = 128


def config_values(**changes) -> dict:
    """`config.json` with sides that are no multiples of 128, and some that are several."""
    return {
        "architectures": ["DeepseekV32ForCausalLM"],
        "model_type": "deepseek_v32",
        "vocab_size": 300,
        "hidden_size": 160,
        "intermediate_size": 200,
        "moe_intermediate_size": 144,
        "num_hidden_layers": 3,
        "first_k_dense_replace": 1,
        "num_nextn_predict_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": 96,
        "kv_lora_rank": 130,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 40,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 4,
        "topk_group": 2,
        "index_n_heads": 4,
        "index_head_dim": 32,
        "index_topk": 16,
        "max_position_embeddings": 512,
        "torch_dtype": "bfloat16",
        "quantization_config": {
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "quant_method": "fp8",
            "scale_fmt": "ue8m0",
            "weight_block_size": [128, 128],
        },
        **changes,
    }


def shapes(c: dict, indexers: bool = True) -> dict[str, tuple[int, ...]]:
    """Every tensor of the released files but the scales."""
    d, m, h = c["hidden_size"], c["moe_intermediate_size"], c["num_attention_heads"]
    nope, rope, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    q, kv, vocab = c["q_lora_rank"], c["kv_lora_rank"], c["vocab_size"]
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, d)}

    def mlp(prefix: str, width: int) -> None:
        found[f"{prefix}.gate_proj.weight"] = (width, d)
        found[f"{prefix}.up_proj.weight"] = (width, d)
        found[f"{prefix}.down_proj.weight"] = (d, width)

    for n in range(c["num_hidden_layers"] + c["num_nextn_predict_layers"]):
        layer = f"model.layers.{n}"
        attention = f"{layer}.self_attn"
        found[f"{layer}.input_layernorm.weight"] = (d,)
        found[f"{layer}.post_attention_layernorm.weight"] = (d,)
        found[f"{attention}.q_a_proj.weight"] = (q, d)
        found[f"{attention}.q_a_layernorm.weight"] = (q,)
        found[f"{attention}.q_b_proj.weight"] = (h * (nope + rope), q)
        found[f"{attention}.kv_a_proj_with_mqa.weight"] = (kv + rope, d)
        found[f"{attention}.kv_a_layernorm.weight"] = (kv,)
        found[f"{attention}.kv_b_proj.weight"] = (h * (nope + v), kv)
        found[f"{attention}.o_proj.weight"] = (d, h * v)
        if indexers:
            heads, dim = c["index_n_heads"], c["index_head_dim"]
            found[f"{attention}.indexer.wq_b.weight"] = (heads * dim, q)
            found[f"{attention}.indexer.wk.weight"] = (dim, d)
            found[f"{attention}.indexer.k_norm.weight"] = (dim,)
            found[f"{attention}.indexer.k_norm.bias"] = (dim,)
            found[f"{attention}.indexer.weights_proj.weight"] = (heads, d)
        if n < c["first_k_dense_replace"]:
            mlp(f"{layer}.mlp", c["intermediate_size"])
        else:
            found[f"{layer}.mlp.gate.weight"] = (c["n_routed_experts"], d)
            found[f"{layer}.mlp.gate.e_score_correction_bias"] = (c["n_routed_experts"],)
            for e in range(c["n_routed_experts"]):
                mlp(f"{layer}.mlp.experts.{e}", m)
            mlp(f"{layer}.mlp.shared_experts", m * c["n_shared_experts"])
        if n == c["num_hidden_layers"]:
            found[f"{layer}.enorm.weight"] = found[f"{layer}.hnorm.weight"] = (d,)
            found[f"{layer}.eh_proj.weight"] = (d, 2 * d)
            found[f"{layer}.shared_head.norm.weight"] = (d,)
            found[f"{layer}.embed_tokens.weight"] = (vocab, d)
            found[f"{layer}.shared_head.head.weight"] = (vocab, d)
    found["model.norm.weight"] = (d,)
    found["lm_head.weight"] = (vocab, d)
    return found


def is_fp8(name: str) -> bool:
    kept = ("norm", "embed_tokens", "head.weight", "eh_proj", "mlp.gate.", "weights_proj")
    return not any(word in name for word in kept)


def by_blocks(weight: Tensor, scale: Tensor) -> Tensor:
    """The reference dequantisation: each element by its block's scale, one at a time."""
    out = torch.empty(weight.shape)
    values = weight.float()
    for row in range(scale.shape[0]):
        for column in range(scale.shape[1]):
            rows = slice(row * BLOCK, (row + 1) * BLOCK)
            columns = slice(column * BLOCK, (column + 1) * BLOCK)
            out[rows, columns] = values[rows, columns] * scale[row, column]
    return out


def fp8_of(shape: tuple[int, ...], generator: torch.Generator, exact: bool = True):
    """FP8 values with a full range in every block, and scales: powers of two, or any (V3)."""
    values = torch.randn(shape, generator=generator) * 60
    for row in range(0, shape[0], BLOCK):
        for column in range(0, shape[1], BLOCK):
            values[row, column] = 448.0 if (row + column) % 3 else -416.0
    high, wide = -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)
    scale = 2.0 ** torch.randint(-13, -10, (high, wide), generator=generator)
    if not exact:
        scale = scale * (1 + torch.rand((high, wide), generator=generator))
    return values.clamp(-448, 448).to(torch.float8_e4m3fn), scale


def write(
    folder: Path, values: dict, files: int = 4, indexers: bool = True, seed: int = 0
) -> dict[str, Tensor]:
    """Writes the checkpoint; its weights as float32, scales applied, by released name."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    truth: dict[str, Tensor] = {}
    last = f"model.layers.{values['num_hidden_layers']}"
    copies = {
        f"{last}.embed_tokens.weight": "model.embed_tokens.weight",
        f"{last}.shared_head.head.weight": "lm_head.weight",
    }
    for name, shape in shapes(values, indexers).items():
        if name in copies:
            continue
        if is_fp8(name):
            exact = values["quantization_config"].get("scale_fmt") == "ue8m0"
            tensors[name], tensors[f"{name}_scale_inv"] = fp8_of(shape, generator, exact)
            truth[name] = by_blocks(tensors[name], tensors[f"{name}_scale_inv"])
            continue
        drawn = torch.randn(shape, generator=generator) * 0.1 + (name.endswith("norm.weight"))
        bias = name.endswith("e_score_correction_bias")
        tensors[name] = drawn if bias else drawn.to(torch.bfloat16)
        truth[name] = tensors[name].float()
    for copy, original in copies.items():
        if f"{last}.eh_proj.weight" in tensors:
            tensors[copy] = tensors[original].clone()
    weight_map = {}
    names = list(tensors)
    size = -(-len(names) // files)
    for n in range(files):
        own = names[n * size : (n + 1) * size]
        file = f"model-{n + 1:05d}-of-{files:06d}.safetensors"  # six digits, as released
        save_file({name: tensors[name] for name in own}, folder / file)
        weight_map |= dict.fromkeys(own, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(values))
    return truth
