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


def page_bytes(config: ModelConfig, mtp: bool, dtype: torch.dtype = torch.float32) -> int:
    """Bytes of a page of 64 tokens: 64 x (layers x 4 (R + Dr + Di) + 2 x MoE layers x K), with 2 in
    place of 4 in bfloat16."""
    layers = config.num_hidden_layers + mtp
    width = config.kv_lora_rank + config.qk_rope_head_dim + config.index_head_dim
    routed = (config.num_hidden_layers - config.first_k_dense_replace) * config.num_experts_per_tok
    return PAGE * (dtype.itemsize * layers * width + 2 * routed)


def cache_budget(
    config: ModelConfig,
    context: int,
    mtp: bool,
    requests: int = 16,
    weight: Tensor | None = None,
) -> int:
    """Bytes of pages for so many requests of the longest context, but at most a quarter of the
    memory that is free, or, where the model (one `weight` of it) is on a GPU, nine tenths of the
    GPU's."""
    dtype, device = cache_type(weight)
    wanted = requests * (-(-context // PAGE) + 1) * page_bytes(config, mtp, dtype)
    if device.type == "cuda":
        return min(wanted, torch.cuda.mem_get_info(device)[0] * 9 // 10)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # a system that does not tell
        free = 8 << 30
    return min(wanted, free // 4)


def cache_type(weight: Tensor | None) -> tuple[torch.dtype, torch.device]:
    """What the pages of a model are made of: on a GPU its own type, on the CPU float32."""
    if weight is None or weight.device.type == "cpu":
        return torch.float32, torch.device("cpu")
    return weight.dtype, weight.device


class Store:
    """The tensors behind the page numbers; `mtp`: also for the layer that drafts."""

    def __init__(
        self,
        config: ModelConfig,
        budget_bytes: int,
        mtp: bool,
        weight: Tensor | None = None,
        spare: bool = False,
    ) -> None:
        """weight: one of the model, beside which the pages lie; spare: keep one page apart, for the
        padding of recorded steps. RequestError where the budget holds no page."""
        dtype, device = cache_type(weight)
        self.page_bytes = page_bytes(config, mtp, dtype)
        self.pages = budget_bytes // self.page_bytes - spare
        self.spare = self.pages if spare else None
        if self.pages < 1:
            raise RequestError(
                f"cache_bytes = {budget_bytes} holds no page of {PAGE} tokens, which takes "
                f"{self.page_bytes} bytes with this model: raise it"
            )
        width = config.kv_lora_rank + config.qk_rope_head_dim
        layers = config.num_hidden_layers + mtp
        moe_layers = config.num_hidden_layers - config.first_k_dense_replace
        there = dict(dtype=dtype, device=device)
        pages = self.pages + spare
        keys = (pages, config.index_head_dim, PAGE)
        self._latents = [torch.zeros(pages * PAGE, width, **there) for _ in range(layers)]
        self._index = [torch.zeros(keys, **there) for _ in range(layers)]
        experts = (pages * PAGE, moe_layers, config.num_experts_per_tok)
        self._routing = torch.zeros(experts, dtype=torch.int16, device=device)

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
        return torch.cat([whole[page] for page in pages])[:length].cpu()

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
