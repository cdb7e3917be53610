"""What MLA and the indexer keep of the past: one latent, one rotary key, one index key a token.

c [R], k_rope [Dr] and k_index [Di] per token and layer, shared by all heads (V3 report, 2.1.1;
V3.2-Exp report, 2.1). Buffers grow by doubling, so appending costs O(1) a token.
"""

from __future__ import annotations

from torch import Tensor

from speciale.model.config import ModelConfig


class LayerCache:
    """The past of one layer: `latent` holds [c; k_rope], `index` the index keys."""

    def __init__(self) -> None:
        self.length = 0
        self._buffers: list[Tensor] = []

    def append(self, *new: Tensor) -> list[Tensor]:
        """Adds tensors [B, T, D] behind the past and returns each whole, [B, S, D]."""
        batch, added = new[0].shape[:2]
        total = self.length + added
        if not self._buffers or self._buffers[0].shape[1] < total:
            room = max(64, 2 * total)
            grown = [x.new_empty(batch, room, x.shape[2]) for x in new]
            for old, buffer in zip(self._buffers, grown):
                buffer[:, : self.length] = old[:, : self.length]
            self._buffers = grown
        for x, buffer in zip(new, self._buffers):
            buffer[:, self.length : total] = x
        self.length = total
        return [buffer[:, :total] for buffer in self._buffers]

    def keep_rows(self, rows: Tensor) -> None:
        self._buffers = [buffer[rows] for buffer in self._buffers]


class Cache:
    """The past of all layers of one batch whose rows have the same length."""

    def __init__(self, config: ModelConfig) -> None:
        self.layers = [LayerCache() for _ in range(config.num_hidden_layers)]

    @property
    def length(self) -> int:
        """Tokens that the model's main layers have seen."""
        return self.layers[0].length

    def keep_rows(self, rows: Tensor) -> None:
        """Keeps only some rows of the batch (those not finished yet)."""
        for layer in self.layers:
            if layer.length:
                layer.keep_rows(rows)
