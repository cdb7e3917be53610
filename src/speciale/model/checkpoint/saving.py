"""Writing an HF-layout folder: shards, their index, `config.json`; each file whole or absent.

released: every expert's matrices one by one, layer `num_hidden_layers` is the MTP layer with copies
of embedding and head (as in deepseek-ai/DeepSeek-V3.2); packed: as transformers 5 holds them,
without the MTP layer, which it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from speciale.files import atomic, make_folder, write_atomic
from speciale.model.checkpoint.fp8 import FP8, scale_shape
from speciale.model.checkpoint.pieces import Piece, pieces_of
from speciale.model.checkpoint.shards import INDEX, SINGLE
from speciale.model.checkpoint.weights import SCALE
from speciale.model.config import ModelConfig
from speciale.model.transformer import Transformer

Layout = Literal["released", "packed"]

SHARD_BYTES = 4 << 30


@dataclass(frozen=True)
class Group:
    """Tensors that are made together and lie in one file: a weight and, in FP8, its scales."""

    name: str  # of the weight
    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: tuple[Piece, ...]  # what it is made of; several where experts are packed

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.name + SCALE) if self.dtype == FP8 else (self.name,)

    @property
    def nbytes(self) -> int:
        count = torch.Size(self.shape).numel() * self.dtype.itemsize
        if self.dtype == FP8:
            count += 4 * torch.Size(scale_shape(self.shape)).numel()
        return count


def groups_of(config: ModelConfig, layout: Layout, dtype: torch.dtype) -> list[Group]:
    """All that a checkpoint of the layout holds. `dtype` FP8: the rest in bfloat16."""
    groups: list[Group] = []
    packed: dict[str, list[Piece]] = {}
    for piece in pieces_of(config).values():
        if layout == "packed" and piece.layer == config.num_hidden_layers:
            continue
        if layout == "packed" and piece.expert is not None:
            packed.setdefault(piece.parameter, []).append(piece)
            continue
        groups.append(Group(piece.name, piece.shape, stored_type(piece, dtype), (piece,)))
    for parameter, pieces in packed.items():
        rows = pieces[0].shape[0] * (1 if pieces[0].part == "down_proj" else 2)
        shape = (config.n_routed_experts, rows, pieces[0].shape[1])
        groups.append(Group(f"model.{parameter}", shape, dtype, tuple(pieces)))
    if layout == "packed":  # experts behind the rest of their layer, not of the model
        groups.sort(key=lambda group: _place(group.pieces[0], config.num_hidden_layers))
    return groups


def _place(piece: Piece, layers: int) -> int:
    if piece.layer is not None:
        return piece.layer
    return -1 if piece.parameter.startswith("embed_tokens") else layers


def stored_type(piece: Piece, dtype: torch.dtype) -> torch.dtype:
    """The type in which a checkpoint of `dtype` holds a piece."""
    if piece.name.endswith("e_score_correction_bias"):
        return torch.float32  # a running sum of small steps; float32 in the released files too
    if dtype == FP8:
        return FP8 if piece.quantised else torch.bfloat16
    return dtype


def plan_shards(groups: list[Group], shard_bytes: int | None = None) -> dict[str, list[Group]]:
    """Cuts groups, in their order, into files of at most `shard_bytes`; file name -> groups."""
    limit = SHARD_BYTES if shard_bytes is None else shard_bytes
    shards: list[list[Group]] = [[]]
    size = 0
    for group in groups:
        if size + group.nbytes > limit and shards[-1]:
            shards.append([])
            size = 0
        shards[-1].append(group)
        size += group.nbytes
    if len(shards) == 1:
        return {SINGLE: shards[0]}
    total = len(shards)
    return {f"model-{n:05d}-of-{total:05d}.safetensors": s for n, s in enumerate(shards, 1)}


def save_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def write_index(folder: Path, shards: dict[str, list[Group]]) -> None:
    """The index of the files, if there are several."""
    if list(shards) == [SINGLE]:
        return
    weight_map = {name: file for file, own in shards.items() for g in own for name in g.names}
    total = sum(group.nbytes for own in shards.values() for group in own)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_atomic(folder / INDEX, json.dumps(index, indent=2) + "\n")


def written_config(config: ModelConfig, layout: Layout) -> ModelConfig:
    """The configuration of what the layout holds."""
    if layout == "packed":
        return config.model_copy(update={"num_nextn_predict_layers": 0})
    return config


@torch.no_grad()
def save_model(model: Transformer, folder: str | Path, layout: Layout = "released") -> None:
    """Writes weights, in the model's own precision, and `config.json`, which comes last."""
    folder = make_folder(Path(folder))
    state = model.state_dict()
    shards = plan_shards(groups_of(model.config, layout, model.lm_head.weight.dtype))
    for file, groups in shards.items():
        tensors = {group.name: packed(group, _own(group, state)) for group in groups}
        save_shard(folder / file, tensors)
    write_index(folder, shards)
    written_config(model.config, layout).write(folder)


def _own(group: Group, state: dict[str, Tensor]) -> Iterable[Tensor]:
    return (piece.within(state[piece.parameter]) for piece in group.pieces)


def packed(group: Group, values: Iterable[Tensor]) -> Tensor:
    """The tensor of a group that is not FP8, made of its pieces' values."""
    out = torch.empty(group.shape, dtype=group.dtype)
    for piece, tensor in zip(group.pieces, values):
        (piece.within(out) if len(group.pieces) > 1 else out).copy_(tensor)
    return out
