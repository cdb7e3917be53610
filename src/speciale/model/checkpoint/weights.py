"""A checkpoint's weights by their released names, whatever layout and precision its files have.

Layouts: released (deepseek-ai/DeepSeek-V3.2: experts one by one, FP8 with scales or plain, the MTP
layer last) and packed (transformers 5). Only what is asked for is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from speciale.errors import CheckpointError
from speciale.model.checkpoint.fp8 import FP8, dequantise, scale_shape
from speciale.model.checkpoint.pieces import Piece, pieces_of
from speciale.model.checkpoint.shards import DTYPES, Shards
from speciale.model.config import ModelConfig

SCALE = "_scale_inv"  # behind the name of an FP8 weight
INDEXER = ".indexer."
_ADVICE = "copy the weights and config.json again from one place"


class Weights:
    """What an HF-layout folder holds, checked against its config.json.

    `config` has no MTP layer where the files have none, as transformers writes them; `dense` is
    true where they have no indexers, as those of V3 and V3.1. Raises CheckpointError that names
    the file, what is wrong with it and what to do.
    """

    def __init__(self, folder: str | Path, config: ModelConfig | None = None) -> None:
        self.folder = Path(folder)
        self.config = config or ModelConfig.read(self.folder)
        self.shards = Shards(self.folder)
        names = self.shards.entries.keys()
        self._packed = any(name.endswith("experts.gate_up_proj") for name in names)
        self.dense = not any(INDEXER in name for name in names)
        last = f"model.layers.{self.config.num_hidden_layers}."
        if not any(name.startswith(last) for name in names):
            self.config = self.config.model_copy(update={"num_nextn_predict_layers": 0})
        self.pieces = {
            name: piece
            for name, piece in pieces_of(self.config).items()
            if not (self.dense and INDEXER in name)
        }
        self._check()

    def get(self, piece: Piece) -> Tensor:
        """The piece's values: float32 where the file has FP8, else as they are stored.

        Any number of threads may ask.
        """
        dtype = DTYPES[self.shards.entries[self.entry(piece)].dtype]
        out = torch.empty(piece.shape, dtype=torch.float32 if dtype == FP8 else dtype)
        self.read(piece, out)
        return out

    def read(self, piece: Piece, out: Tensor) -> None:
        """Fills `out`, contiguous with the piece's shape, on the CPU and of any type."""
        name = self.entry(piece)
        dtype = DTYPES[self.shards.entries[name].dtype]
        if dtype == FP8:
            dequantise(self.shards.get(name), self.shards.get(name + SCALE), out)
        elif dtype != out.dtype:
            out.copy_(self.get(piece))
        elif name == piece.name:
            self.shards.read(name, out)
        else:
            _, high, wide = self.shards.entries[name].shape  # [E, m or 2m, d]
            row = piece.expert * high + (piece.shape[0] if piece.part == "up_proj" else 0)
            self.shards.read(name, out, row * wide)

    def quantised(self, piece: Piece) -> tuple[Tensor, Tensor] | None:
        """FP8 values and their scales as they are stored; None where the file has another type."""
        if DTYPES[self.shards.entries[self.entry(piece)].dtype] != FP8:
            return None
        return self.shards.get(piece.name), self.shards.get(piece.name + SCALE)

    def in_order(self) -> Iterator[Piece]:
        """All pieces but the copies, in the order in which they lie in the files."""
        places = {}
        for piece in self.pieces.values():
            if not piece.copy:
                entry = self.shards.entries[self.entry(piece)]
                places[piece] = (entry.file, entry.start, piece.expert or 0)
        yield from sorted(places, key=places.__getitem__)

    def entry(self, piece: Piece) -> str:
        """The name of the tensor in the files that holds the piece."""
        if self._packed and piece.expert is not None:
            return f"model.{piece.parameter}"
        return piece.name

    def _check(self) -> None:
        wanted: dict[str, tuple[int, ...]] = {}
        copies = set()
        for piece in self.pieces.values():
            entry = self.entry(piece)
            shape = piece.shape
            if entry != piece.name:
                experts = self.config.n_routed_experts
                rows = shape[0] * (1 if piece.part == "down_proj" else 2)
                shape = (experts, rows, shape[1])
            wanted[entry] = shape
            if piece.copy:
                copies.add(entry)
        entries = self.shards.entries
        scales = {name + SCALE for name in wanted if name in entries} & entries.keys()
        missing = [name for name in wanted if name not in entries and name not in copies]
        unknown = [name for name in entries if name not in wanted and name not in scales]
        if missing or unknown:
            what = (
                f"lacks {missing[0]!r}"
                if missing
                else f"holds {unknown[0]!r} ({entries[unknown[0]].file}), which it should not"
            )
            raise CheckpointError(
                f"{self.folder} {what} ({len(missing)} weights missing, {len(unknown)} unknown) "
                f"by the model's configuration: {_ADVICE}"
            )
        for name, shape in wanted.items():
            if name in entries:
                self._check_entry(name, shape)

    def _check_entry(self, name: str, shape: tuple[int, ...]) -> None:
        entry = self.shards.entries[name]
        where = self.folder / entry.file
        if entry.shape != shape:
            raise CheckpointError(
                f"{where}: {name} has shape {list(entry.shape)}, the model's configuration asks "
                f"for {list(shape)}: {_ADVICE}"
            )
        scale = self.shards.entries.get(name + SCALE)
        if entry.dtype not in DTYPES:
            raise CheckpointError(
                f"{where}: {name} has the type {entry.dtype}; float32, float16, bfloat16 or FP8 "
                "with scales can be read: use a checkpoint of one of these"
            )
        if DTYPES[entry.dtype] == FP8:
            if len(shape) != 2:
                raise CheckpointError(
                    f"{where}: {name} holds packed experts in FP8: use the released layout, which "
                    "has a scale for each expert's blocks"
                )
            if scale is None:
                raise CheckpointError(
                    f"{where}: {name} is FP8 without {name}{SCALE}: copy the file again"
                )
            if scale.shape != scale_shape(shape) or scale.dtype != "F32":
                raise CheckpointError(
                    f"{self.folder / scale.file}: {name}{SCALE} is {scale.dtype} "
                    f"{list(scale.shape)}, a weight of {list(shape)} has float32 "
                    f"{list(scale_shape(shape))}: copy the file again"
                )
        elif scale is not None:
            raise CheckpointError(
                f"{where}: {name} is {entry.dtype} and still has {name}{SCALE}: one of the two "
                "files is of another checkpoint; copy both again"
            )
