"""Sparse upgrade: a dense MLA checkpoint (V3, V3.1) with indexers added, ready for warm-up.

V3.2 continues V3.1-Terminus; its indexers begin from nothing and learn in the dense warm-up, all
else frozen (V3.2-Exp report, 2.1.1). Until then the model answers as the dense one does: use it
with dense attention.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from speciale.errors import ConfigError
from speciale.model.checkpoint.pieces import Piece, pieces_of
from speciale.model.checkpoint.weights import INDEXER, Weights
from speciale.model.config import ModelConfig

_OF_V3 = ("architectures", "model_type", "auto_map", "quantization_config")


class WithIndexers:
    """A dense checkpoint's weights, and indexers that are drawn where they are asked for.

    index: of index_n_heads, index_head_dim and index_topk, those that differ from V3.2's.
    """

    def __init__(
        self, weights: Weights, seed: int = 0, index: dict[str, int] | None = None
    ) -> None:
        if not weights.dense:
            raise ConfigError(
                f"{weights.folder} has indexers already: convert it without --add-indexers"
            )
        self.weights = weights
        self.folder, self.shards = weights.folder, weights.shards
        self._seed = seed
        values = {k: v for k, v in weights.config.to_dict().items() if k not in _OF_V3}
        where = f"{weights.folder} with indexers"
        self.config = ModelConfig.from_dict({**values, **(index or {})}, where)
        self.pieces = pieces_of(self.config)

    def get(self, piece: Piece) -> Tensor:
        """As `Weights.get`; an indexer's weights as `Transformer.initialise` draws them."""
        if INDEXER not in piece.name:
            return self.weights.get(piece)
        if ".k_norm." in piece.name:
            return torch.full(piece.shape, float(piece.name.endswith("weight")))
        # of its own seed each, so that a killed conversion goes on to the same weights
        digest = hashlib.sha256(f"{self._seed} {piece.name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        drawn = torch.empty(piece.shape)
        return drawn.normal_(0, self.config.initializer_range, generator=generator)

    def quantised(self, piece: Piece) -> tuple[Tensor, Tensor] | None:
        return None if INDEXER in piece.name else self.weights.quantised(piece)
