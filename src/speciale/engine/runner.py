"""Runs the model over one step's tokens: rows of many requests side by side, [N, hidden].

Weights are read once for all rows, each row finds its own past through the pages. Rows that are not
finite are traced to the layer where they first went wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor

from speciale import ops
from speciale.engine.attention import Span, StepRows
from speciale.engine.graphs import DecodeGraphs
from speciale.engine.layers import Layers
from speciale.engine.paths import PathChoice
from speciale.engine.sequence import Sequence
from speciale.engine.store import Store
from speciale.model import Transformer
from speciale.model.config import Attention
from speciale.ops import PAGE


class Runner:
    def __init__(
        self,
        model: Transformer,
        store: Store,
        max_sequences: int,
        max_context: int,
        attention: Attention,
    ) -> None:
        self.model, self.store = model, store
        self._topk = max_context if attention == "dense" else model.config.index_topk
        self._window = attention == "window"
        self.layers = Layers(model, self._topk)
        self.paths = PathChoice(model, self.layers, self._topk)
        self._device = model.embed_tokens.weight.device
        pages = min(-(-max_context // PAGE) + 1, store.pages)
        self._tables = torch.zeros(max_sequences + 1, pages, dtype=torch.int32)  # last: of padding
        if store.spare is not None:
            self._tables[-1, 0] = store.spare
        self._placed = self._tables.to(self._device)  # the same tensor where that is the CPU
        self._graphs = None
        if store.spare is not None and not self._window:
            self._graphs = DecodeGraphs(self._forward, self._placed, self._topk, store.spare)
        self._places: dict[int, int] = {}  # sequence -> its table
        self._written: list[list[int]] = [[] for _ in range(max_sequences)]  # the tables' like
        self._free = list(range(max_sequences))

    def forget(self, sequence: Sequence) -> None:
        """Gives the place of a sequence that no longer holds pages to others."""
        if sequence.id in self._places:
            self._free.append(self._places.pop(sequence.id))

    def rows(self, parts: list[tuple[Sequence, int, int]]) -> StepRows:
        """The rows of a step: (sequence, start, stop) are positions whose pages it holds."""
        spans, begin = [], 0
        for sequence, start, stop in parts:
            end = begin + stop - start
            masked = self.paths.masked(stop - start, stop)
            spans.append(Span(begin, end, start, self._table(sequence, start), masked))
            begin = end
        return StepRows(spans, self._tables, self._topk, self._placed, self._window)

    def _table(self, sequence: Sequence, start: int) -> int:
        """Brings the page table of a sequence up to date from position `start` on."""
        first = start // PAGE
        if sequence.id not in self._places:
            self._places[sequence.id] = self._free.pop()
            first = 0
        place = self._places[sequence.id]
        pages, written = sequence.pages, self._written[place]
        if first == 0 or written[first:] != pages[first:]:
            self._tables[place, first : len(pages)] = torch.tensor(pages[first:]).int()
            if self._placed is not self._tables:
                self._placed[place] = self._tables[place]
            written[first:] = pages[first:]
        return place

    @torch.inference_mode()
    def run(self, ids: list[int], step: StepRows) -> Tensor:
        """Token ids of the step's rows -> what the head reads, [N, hidden]."""
        if self._graphs is not None:
            hidden = self._graphs.run(ids, step)
            if hidden is not None:
                return hidden
        return self._forward(self._ids(ids), step)

    def _ids(self, ids: list[int]) -> Tensor:
        return torch.tensor(ids, device=self._device)

    def _forward(self, ids: Tensor, step: StepRows) -> Tensor:
        rope = self.model.rope(step.positions)
        h = self.model.embed_tokens(ids)  # [N, hidden]
        routing = []
        for n in range(self.model.config.num_hidden_layers):
            h, chosen = self.layers.run(n, h, rope, self.store, step)
            if chosen is not None:
                routing.append(chosen)
        self.store.write_routing(step.slots, routing)
        return self.model.norm(h)

    @torch.inference_mode()
    def run_mtp(self, hidden: Tensor, next_ids: list[int], step: StepRows) -> Tensor:
        """The MTP layer over hidden [N, hidden] and the tokens behind them -> [N, hidden]."""
        block = self.model.mtp
        h = block.join(hidden, self.model.embed_tokens(self._ids(next_ids)))
        layer = self.model.config.num_hidden_layers
        h, _ = self.layers.run(layer, h, self.model.rope(step.positions), self.store, step)
        return block.shared_head.norm(h)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """[N, hidden] -> [N, V] float32, on the CPU, where tokens are drawn."""
        return ops.linear(hidden, self.model.lm_head.weight).float().cpu()

    @torch.inference_mode()
    def culprit(self, ids: list[int], step: StepRows, first: int, last: int) -> tuple[str, int]:
        """Runs a step once more; returns the first part of the model where one of a request's rows
        `first..last` is not finite, and that row."""
        rope = self.model.rope(step.positions)

        def bad(h: Tensor) -> int | None:
            rows = (~h[first : last + 1].isfinite().all(-1)).nonzero()
            return first + int(rows[0]) if len(rows) else None

        h = self.model.embed_tokens(self._ids(ids))
        if (row := bad(h)) is not None:
            return "the embedding", row
        for n in range(self.model.config.num_hidden_layers):
            h, _ = self.layers.run(n, h, rope, self.store, step)
            if (row := bad(h)) is not None:
                return f"layer {n}", row
        row = bad(self.model.norm(h))
        return ("the head", last) if row is None else ("the final norm", row)
