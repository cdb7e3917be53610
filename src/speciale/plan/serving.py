"""What serving keeps: a latent, a rotary key and an index key a token and layer, and so how many
contexts a node carries beside the weights (V3 report, 2.1.1; V3.2-Exp report, 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from speciale.model.checkpoint.fp8 import FP8
from speciale.model.checkpoint.saving import groups_of
from speciale.model.config import ModelConfig
from speciale.plan.hardware import GB, Hardware

_SCALE = 4  # bytes


@dataclass(frozen=True)
class CacheForm:
    """Bytes of a token in a layer."""

    latent: float
    index: float

    @property
    def total(self) -> float:
        return self.latent + self.index


def cache_form(config: ModelConfig, precision: str) -> CacheForm:
    """precision: float32 (our engine), bfloat16, or fp8 as in DeepSeek's kernels: c in FP8 with a
    scale of 128 values, the rotary key in bfloat16, the index key in FP8 with one scale."""
    r, dr, di = config.kv_lora_rank, config.qk_rope_head_dim, config.index_head_dim
    if precision == "fp8":
        return CacheForm(r + _SCALE * -(-r // 128) + 2 * dr, di + _SCALE * -(-di // 128))
    size = {"float32": 4, "bfloat16": 2}[precision]
    return CacheForm(size * (r + dr), size * di)


def weight_bytes(config: ModelConfig) -> int:
    """Of the released form: FP8 with scales, the rest in bfloat16."""
    return sum(group.nbytes for group in groups_of(config, "released", FP8))


def contexts_of_node(
    config: ModelConfig, hardware: Hardware, context: int, precision: str, usable: float = 0.9
) -> int:
    """How many requests of `context` tokens a node holds beside one copy of the weights.

    Each GPU holds another part of the cache; engines that copy the latent to every GPU of a tensor
    parallel group hold that many times fewer.
    """
    free = hardware.gpus_per_node * hardware.memory_gb * GB * usable - weight_bytes(config)
    layers = config.num_hidden_layers + config.num_nextn_predict_layers
    one = context * layers * cache_form(config, precision).total
    return max(0, int(free // one))
