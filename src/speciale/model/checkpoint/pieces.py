"""Every weight by the name that the released files give it, and where it lies in our modules.

A released file holds each matrix of each expert by itself; our modules, like transformers 5, hold
the experts of a layer packed: `gate_up_proj` [E, 2m, d] and `down_proj` [E, d, m]. The released
names are the finest cut, so every layout is told in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from speciale.model.config import ModelConfig
from speciale.model.transformer import Transformer

Part = Literal["gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Piece:
    """One weight of the released files."""

    name: str  # such as model.layers.3.mlp.experts.7.up_proj.weight
    parameter: str  # the name in our modules: layers.3.mlp.experts.gate_up_proj
    shape: tuple[int, ...]
    expert: int | None = None
    part: Part | None = None
    copy: bool = False  # the MTP layer's copy of embedding or head: written, never read

    @property
    def layer(self) -> int | None:
        """The decoder layer that it belongs to; None for embedding, final norm and head."""
        words = self.name.split(".")
        return int(words[2]) if words[1] == "layers" else None

    @property
    def origin(self) -> str:
        """The name under which to read it: a copy's original."""
        if not self.copy:
            return self.name
        return "lm_head.weight" if self.parameter == "lm_head.weight" else f"model.{self.parameter}"

    def within(self, packed: Tensor) -> Tensor:
        """Its place in our module's tensor."""
        if self.expert is None:
            return packed
        own = packed[self.expert]
        if self.part == "down_proj":
            return own
        gate, up = own.chunk(2)  # [m, d] each
        return gate if self.part == "gate_proj" else up

    @property
    def quantised(self) -> bool:
        """Whether the released checkpoint holds it in FP8: the matrices of attention and experts.

        Embedding, head, router, norms, the MTP projection and the indexer's head weights stay in
        bfloat16 or float32 (V3's README_WEIGHTS; NVIDIA NeMo's adapter of V3.2 lists the same).
        """
        wide = (".self_attn.", ".mlp.")
        kept = (".mlp.gate.", ".indexer.weights_proj.")
        return (
            len(self.shape) == 2
            and any(word in self.name for word in wide)
            and not any(word in self.name for word in kept)
        )


def pieces_of(config: ModelConfig) -> dict[str, Piece]:
    """All weights of a model by their released names, in the order of its layers."""
    with torch.device("meta"):
        state = Transformer(config).state_dict()
    pieces: list[Piece] = []
    for parameter, tensor in state.items():
        name = parameter if parameter.startswith("lm_head") else f"model.{parameter}"
        if not parameter.endswith(("experts.gate_up_proj", "experts.down_proj")):
            pieces.append(Piece(name, parameter, tuple(tensor.shape)))
            continue
        experts, _, packed = name.rpartition(".")
        parts: tuple[Part, ...] = ("down_proj",)
        if packed == "gate_up_proj":
            parts = ("gate_proj", "up_proj")
        shape = (tensor.shape[1] // len(parts), tensor.shape[2])
        pieces += [
            Piece(f"{experts}.{e}.{part}.weight", parameter, shape, e, part)
            for e in range(len(tensor))
            for part in parts
        ]
    if config.num_nextn_predict_layers:
        layer = f"model.layers.{config.num_hidden_layers}"
        shape = (config.vocab_size, config.hidden_size)
        pieces += [
            Piece(f"{layer}.embed_tokens.weight", "embed_tokens.weight", shape, copy=True),
            Piece(f"{layer}.shared_head.head.weight", "lm_head.weight", shape, copy=True),
        ]
    return {piece.name: piece for piece in pieces}
