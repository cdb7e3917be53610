"""The configuration of a DeepSeek-V3.2 model, with Hugging Face's keys.

Source: `config.json` of deepseek-ai/DeepSeek-V3.2 (V3.2-Exp report, section 2); transformers 5
writes the same facts with `rope_parameters` for `rope_theta` + `rope_scaling`: both are read.
"""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from speciale.errors import CheckpointError, ConfigError
from speciale.files import write_atomic

Attention = Literal["sparse", "dense", "window"]
"""sparse: the indexer's top-k; dense: all earlier tokens; window: the last k (a baseline)."""

# What is looked into before pydantic checks the rest.
_KINDS = {"rope_parameters": dict, "rope_scaling": dict, "mlp_layer_types": list}


class RopeScaling(BaseModel):
    """YaRN (arXiv 2309.00071) as the released model sets it."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    factor: PositiveFloat
    original_max_position_embeddings: PositiveInt
    beta_fast: PositiveFloat = 32
    beta_slow: PositiveFloat = 1
    mscale: float | None = None
    mscale_all_dim: float | None = None


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as a sentence with its key and value."""
    first = error.errors()[0]
    key, value = ".".join(str(part) for part in first["loc"]), reprlib.repr(first["input"])
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r} (set to {value}): remove it or mend its spelling"
    if first["type"] == "missing":
        return f"{key!r} is missing: add it"
    return f"{key} = {value} is wrong: {message}"


class ModelConfig(BaseModel):
    """Shapes and constants of the model; the defaults are the released 685B model's.

    Keys of a `config.json` that the model does not use (such as `torch_dtype`) are kept and
    written back.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    vocab_size: PositiveInt = 129280
    hidden_size: PositiveInt = 7168
    intermediate_size: PositiveInt = 18432
    moe_intermediate_size: PositiveInt = 2048
    num_hidden_layers: PositiveInt = 61
    first_k_dense_replace: int = 3
    num_nextn_predict_layers: int = 1
    num_attention_heads: PositiveInt = 128
    num_key_value_heads: PositiveInt = 128
    q_lora_rank: PositiveInt = 1536
    kv_lora_rank: PositiveInt = 512
    qk_nope_head_dim: PositiveInt = 128
    qk_rope_head_dim: PositiveInt = 64
    v_head_dim: PositiveInt = 128
    n_routed_experts: PositiveInt = 256
    n_shared_experts: PositiveInt = 1
    num_experts_per_tok: PositiveInt = 8
    n_group: PositiveInt = 8
    topk_group: PositiveInt = 4
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 2.5
    index_n_heads: PositiveInt = 64
    index_head_dim: PositiveInt = 128
    index_topk: PositiveInt = 2048
    max_position_embeddings: PositiveInt = 163840
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: RopeScaling | None = None
    rms_norm_eps: PositiveFloat = 1e-6
    initializer_range: NonNegativeFloat = 0.02
    bos_token_id: int | None = 0
    eos_token_id: int | None = 1
    pad_token_id: int | None = None
    attention: Attention = "sparse"  # ours, to compare; written only where it is another

    @property
    def qk_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    def model_post_init(self, _context: Any) -> None:
        per_group = self.n_routed_experts // self.n_group
        checks = [
            (
                self.num_key_value_heads == self.num_attention_heads,
                f"num_key_value_heads is {self.num_key_value_heads} but MLA has one key and value "
                f"head for each of the {self.num_attention_heads} attention heads: make them equal",
            ),
            (
                self.qk_rope_head_dim % 2 == 0,
                f"qk_rope_head_dim is {self.qk_rope_head_dim}, but rotary pairs need it even",
            ),
            (
                self.index_head_dim >= self.qk_rope_head_dim,
                f"index_head_dim {self.index_head_dim} is smaller than qk_rope_head_dim "
                f"{self.qk_rope_head_dim}, which the indexer rotates: raise it",
            ),
            (
                0 <= self.first_k_dense_replace <= self.num_hidden_layers,
                f"first_k_dense_replace is {self.first_k_dense_replace}, outside 0 to "
                f"num_hidden_layers = {self.num_hidden_layers}",
            ),
            (
                self.num_nextn_predict_layers in (0, 1),
                f"num_nextn_predict_layers is {self.num_nextn_predict_layers}, but DeepSeek-V3.2 "
                "has one MTP layer: use 0 or 1",
            ),
            (
                self.n_routed_experts % self.n_group == 0 and per_group >= min(2, self.n_group),
                f"n_routed_experts {self.n_routed_experts} cannot be cut into n_group "
                f"{self.n_group} equal groups of two or more: change one of them",
            ),
            (
                self.topk_group <= self.n_group,
                f"topk_group {self.topk_group} is more than n_group {self.n_group}: lower it",
            ),
            (
                self.num_experts_per_tok <= per_group * self.topk_group,
                f"num_experts_per_tok is {self.num_experts_per_tok}, but the {self.topk_group} "
                f"chosen groups hold only {per_group * self.topk_group} experts: lower it or raise "
                "n_routed_experts",
            ),
            (
                self.index_topk <= self.max_position_embeddings,
                f"index_topk {self.index_topk} is more than the context max_position_embeddings = "
                f"{self.max_position_embeddings}: the indexer could never leave a token out",
            ),
        ]
        for holds, sentence in checks:
            if not holds:
                raise ConfigError(f"impossible model shape: {sentence}")

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "model configuration") -> ModelConfig:
        """Builds a configuration from HF keys (released or transformers 5 form).

        Raises ConfigError with the key, the value and `where`.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: {reprlib.repr(values)} is no table of keys and values")
        values = dict(values)
        for key, kind in _KINDS.items():
            if not isinstance(values.get(key), kind | None):
                raise ConfigError(
                    f"{where}: {key} = {reprlib.repr(values[key])} is wrong: it must be a "
                    f"{'table' if kind is dict else kind.__name__}"
                )
        rope = values.pop("rope_parameters", None)
        if rope:
            values["rope_theta"] = rope.get("rope_theta", 10000.0)
            values["rope_scaling"] = rope
        scaling = values.get("rope_scaling")
        if scaling:
            untold = "yarn" if "factor" in scaling else "default"
            kind = scaling.get("rope_type", scaling.get("type", untold))
            if kind not in ("default", "yarn"):
                raise ConfigError(f"{where}: rope type {kind!r} is not known; use yarn or default")
            if kind == "default":
                values["rope_scaling"] = None
        layer_types = values.pop("mlp_layer_types", None)
        if layer_types is not None:
            dense = layer_types.count("dense")
            if layer_types != ["dense"] * dense + ["sparse"] * (len(layer_types) - dense):
                raise ConfigError(
                    f"{where}: mlp_layer_types must be dense layers, then sparse ones"
                )
            values["first_k_dense_replace"] = dense
        if values.get("tie_word_embeddings"):
            raise ConfigError(
                f"{where}: tie_word_embeddings is true, DeepSeek-V3.2's head is its own"
            )
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(f"{where}: {first_problem(error)}") from None

    def to_dict(self) -> dict[str, Any]:
        """The keys of a released `config.json`, which transformers reads too."""
        values = self.model_dump(exclude={"attention"} if self.attention == "sparse" else None)
        if self.rope_scaling is not None:
            scaling = {k: v for k, v in values["rope_scaling"].items() if v is not None}
            values["rope_scaling"] = {"type": "yarn", **scaling}
        return {
            "architectures": ["DeepseekV32ForCausalLM"],
            "model_type": "deepseek_v32",
            "hidden_act": "silu",
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "tie_word_embeddings": False,
            "attention_bias": False,
            **values,
        }

    @classmethod
    def read(cls, folder: Path) -> ModelConfig:
        """Reads `config.json` of an HF-layout folder."""
        path = folder / "config.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(f"{folder} holds no config.json: is it a model folder?") from None
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON ({error}): copy it again") from None
        return cls.from_dict(values, where=str(path))

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "config.json", json.dumps(self.to_dict(), indent=2) + "\n")
