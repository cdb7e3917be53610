"""What the pages hold: for each layer a latent [c; k_rope] and an index key a token, and the
experts that each token used (V3 report, 2.1.1; V3.2-Exp report, 2.1; V3.2 report, 3.1).

All of it is set aside once, within the budget of bytes: the system lends the memory when a page is
first written.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from speciale.errors import RequestError
from speciale.model import ModelConfig
from speciale.ops import PAGE


def page_bytes(config: ModelConfig, mtp: bool) -> int:
    """Bytes of a page of 64 tokens: 64 x (layers x 4 (R + Dr + Di) + 2 x MoE layers x K)."""
    layers = config.num_hidden_layers + mtp
    width = config.kv_lora_rank + config.qk_rope_head_dim + config.index_head_dim
    routed = (config.num_hidden_layers - config.first_k_dense_replace) * config.num_experts_per_tok
    return PAGE * (4 * layers * width + 2 * routed)


def cache_budget(config: ModelConfig, context: int, mtp: bool, requests: int = 16) -> int:
    """Bytes of pages for so many requests of the longest context, but at most a quarter of the
    memory that is free."""
    wanted = requests * (-(-context // PAGE) + 1) * page_bytes(config, mtp)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # a system that does not tell
        free = 8 << 30
    return min(wanted, free // 4)


class Store:
    """The tensors behind the page numbers; `mtp`: also for the layer that drafts."""

    def __init__(self, config: ModelConfig, budget_bytes: int, mtp: bool) -> None:
        """RequestError where the budget holds no page."""
        self.page_bytes = page_bytes(config, mtp)
        self.pages = budget_bytes // self.page_bytes
        if self.pages < 1:
            raise RequestError(
                f"cache_bytes = {budget_bytes} holds no page of {PAGE} tokens, which takes "
                f"{self.page_bytes} bytes with this model: raise it"
            )
        width = config.kv_lora_rank + config.qk_rope_head_dim
        layers = config.num_hidden_layers + mtp
        moe_layers = config.num_hidden_layers - config.first_k_dense_replace
        self._latents = [torch.zeros(self.pages * PAGE, width) for _ in range(layers)]
        self._index = [torch.zeros(self.pages, config.index_head_dim, PAGE) for _ in range(layers)]
        self._routing = torch.zeros(
            self.pages * PAGE, moe_layers, config.num_experts_per_tok, dtype=torch.int16
        )

    @property
    def bytes(self) -> int:
        return sum(x.nbytes for x in (*self._latents, *self._index, self._routing))

    def latents(self, layer: int) -> Tensor:
        """[slots, R + Dr], slot = page * 64 + offset."""
        return self._latents[layer]

    def index(self, layer: int) -> Tensor:
        """[pages, Di, 64]"""
        return self._index[layer]

    def write(self, layer: int, slots: Tensor, latent: Tensor, index_key: Tensor) -> None:
        """slots [N] int64, latent [N, R + Dr], index_key [N, Di]."""
        self._latents[layer][slots] = latent
        self._index[layer][slots // PAGE, :, slots % PAGE] = index_key

    def write_routing(self, slots: Tensor, ids: list[Tensor]) -> None:
        """ids: of each MoE layer [N, K]."""
        if ids:
            self._routing[slots] = torch.stack(ids, 1).short()

    def routing(self, pages: list[int], length: int) -> Tensor:
        """Expert ids of a request's first `length` tokens, [length, MoE layers, K] int16."""
        whole = self._routing.view(-1, PAGE, *self._routing.shape[1:])
        return whole[torch.tensor(pages, dtype=torch.long)].flatten(0, 1)[:length].clone()

    def copy(self, pages: list[tuple[int, int]]) -> None:
        """Copies whole pages (from, to), one after the other."""
        for source, target in pages:
            for layer in self._latents:
                layer[target * PAGE : (target + 1) * PAGE] = layer[
                    source * PAGE : (source + 1) * PAGE
                ]
            for layer in self._index:
                layer[target] = layer[source]
            self._routing[target * PAGE : (target + 1) * PAGE] = self._routing[
                source * PAGE : (source + 1) * PAGE
            ]
