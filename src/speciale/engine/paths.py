"""Which way of attention a piece of prefill takes: measured here, with the model's shapes.

MHA expands keys and scores every token (V3 report, 2.1.1); absorbed MQA reads latents, and behind
k tokens only the selected ones. MHA wins for long pieces over short contexts; where it stops to,
depends on heads, ranks and processor, so the crossing is looked for at the first prefill.
"""

from __future__ import annotations

import statistics
import time
from functools import cached_property

import torch
from torch import Tensor

from speciale.engine.attention import Span, StepRows
from speciale.engine.layers import Layers
from speciale.engine.store import Store, cache_type, page_bytes
from speciale.model import Transformer
from speciale.ops import PAGE

PIECES = (32, 128, 512)  # tokens; a piece takes the answer of the largest that it reaches
_ROUNDS = 3


class PathChoice:
    def __init__(self, model: Transformer, layers: Layers, topk: int) -> None:
        self._model, self._layers, self._topk = model, layers, topk

    @cached_property
    def crossings(self) -> dict[int, int]:
        """Tokens of a piece -> the longest context at whose end MHA was still the faster way. Set
        by who wants what was measured before: the two ways differ in their last bits."""
        return {piece: self._crossing(piece) for piece in PIECES}

    def masked(self, piece: int, total: int) -> bool:
        """Whether `piece` tokens that end a context of `total` take the MHA way."""
        if piece < PIECES[0]:
            return False
        return total <= self.crossings[max(size for size in PIECES if size <= piece)]

    def _crossing(self, piece: int) -> int:
        best = 0
        for factor in (0, 1, 2, 4, 8, 16):
            total = max(piece, factor * self._topk)
            if total > self._model.config.max_position_embeddings:
                break
            masked, absorbed = self.measure(piece, total)
            if masked >= absorbed:
                break
            best = total
        return best

    @torch.inference_mode()
    def measure(self, piece: int, total: int) -> tuple[float, float]:
        """Seconds of one layer by MHA and by MQA: medians of alternating rounds."""
        model = self._model
        one = {"num_hidden_layers": 1, "first_k_dense_replace": 1}
        config = model.config.model_copy(update=one)
        pages = -(-total // PAGE)
        weight = model.embed_tokens.weight
        budget = pages * page_bytes(config, False, cache_type(weight)[0])
        store = Store(config, budget, False, weight)
        store.latents(0).normal_()
        store.index(0).normal_()
        tables = torch.arange(pages, dtype=torch.int32)[None]
        placed = tables.to(weight.device)
        h = torch.randn(piece, config.hidden_size, dtype=weight.dtype, device=weight.device)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(_ROUNDS):
            for masked, times in seconds.items():
                span = Span(0, piece, total - piece, 0, masked)
                step = StepRows([span], tables, self._topk, placed)
                rope = model.rope(step.positions)
                _wait(h)
                start = time.perf_counter()
                self._layers.run(0, h, rope, store, step)
                _wait(h)
                times.append(time.perf_counter() - start)
        return statistics.median(seconds[True]), statistics.median(seconds[False])


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
