"""Attention of one step: tokens of many requests, at any positions, over the pages.

Three ways with one result (V3.2-Exp report, 2.1 and figure 2): masked MHA over expanded keys for
short prefill, absorbed MQA over the selected latents, and over all of them up to k tokens. To
compare, the last k tokens may stand in for the indexer's choice, as a sliding window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from speciale import ops
from speciale.engine.store import Store
from speciale.model.attention import Mla
from speciale.model.rope import Rope
from speciale.ops import PAGE


@dataclass
class Span:
    """Consecutive tokens of one request: rows `begin..end-1` of the step, positions from `start`.

    masked: take the MHA way.
    """

    begin: int
    end: int
    start: int
    table: int
    masked: bool

    @property
    def total(self) -> int:
        """Tokens that the last of them sees."""
        return self.start + self.end - self.begin


class StepRows:
    """The tokens of one step, N of them, and how each finds its past."""

    def __init__(
        self,
        spans: list[Span],
        tables: Tensor,
        topk: int,
        placed: Tensor | None = None,
        window: bool = False,
    ) -> None:
        """tables: [sequences, most pages] int32, the page numbers by position; `placed`: the same
        where the model is, if that is a GPU; window: the last `topk` tokens are selected."""
        self.tables, self.topk = tables if placed is None else placed, topk
        self.window = window
        self.masked = [span for span in spans if span.masked]
        # In NumPy: for few rows PyTorch's dozen small steps take a tenth of a small model's time.
        sizes = [span.end - span.begin for span in spans]
        rows = np.repeat(np.array([span.table for span in spans], np.int32), sizes)
        starts = np.repeat(np.array([span.start - span.begin for span in spans]), sizes)
        positions = starts + np.arange(spans[-1].end)
        pages = tables.numpy()[rows, positions // PAGE].astype(np.int64)
        self._seen = (positions + 1).astype(np.int32)
        self.longest = int(self._seen.max())
        device = self.tables.device
        self.rows = torch.from_numpy(rows).to(device)  # [N] int32
        self.positions = torch.from_numpy(positions).to(device)  # [N] int64
        self.slots = torch.from_numpy(pages * PAGE + positions % PAGE).to(device)  # [N] int64
        self.lengths = torch.from_numpy(self._seen).to(device)  # [N] int32

    @cached_property
    def dense_rows(self) -> Tensor | slice | None:
        """Absorbed rows that see up to k tokens; all as a slice, none as None."""
        return self._absorbed(self._seen <= self.topk)

    @cached_property
    def sparse_rows(self) -> Tensor | slice | None:
        return self._absorbed(self._seen > self.topk)

    def _absorbed(self, chosen: np.ndarray) -> Tensor | slice | None:
        for span in self.masked:
            chosen[span.begin : span.end] = False
        if chosen.all():
            return slice(None)
        if not chosen.any():
            return None
        return torch.from_numpy(np.flatnonzero(chosen)).to(self.tables.device)


def attend(mla: Mla, h: Tensor, rope: Rope, store: Store, layer: int, step: StepRows) -> Tensor:
    """h [N, hidden] behind the layer's norm -> [N, hidden]; keeps the step's keys in the pages."""
    h = h[None]  # [1, N, hidden]
    p = mla.project(h, rope)
    store.write(layer, step.slots, p.latent[0], mla.indexer.keys(h, rope)[0])
    index_q = index_w = None
    if step.sparse_rows is not None or any(s.total > step.topk for s in step.masked):
        index_q, index_w = (x[0] for x in mla.indexer.queries(h, p.q_latent, rope))

    cfg = mla.config
    latents = store.latents(layer)
    out = h.new_empty(h.shape[1], cfg.num_attention_heads, cfg.v_head_dim)
    kernels = ops.paged(h, cfg.kv_lora_rank)
    for rows in (step.dense_rows, step.sparse_rows):
        if rows is None:
            continue
        q = mla.absorb(p.q_nope[:, rows], p.q_rope[:, rows])[0]  # [n, H, R+Dr]
        if rows is step.sparse_rows:
            slots = _select(index_q, index_w, store.index(layer), step, rows)
            mixed = kernels.sparse_attention(q, latents, slots, mla.scale, cfg.kv_lora_rank)
        else:
            mixed = kernels.dense_attention(
                q, latents, step.tables, step.rows[rows], step.lengths[rows], mla.scale,
                cfg.kv_lora_rank,
            )  # fmt: skip
        out[rows] = mla.unabsorb(mixed[None])[0]
    for span in step.masked:
        rows = slice(span.begin, span.end)
        q = torch.cat((p.q_nope, p.q_rope), -1)[:, rows].transpose(1, 2)  # [1, H, T, Dn+Dr]
        seen = p.latent[:, rows] if span.start == 0 else _past(latents, step, span)
        k, v = mla.expand(seen)
        mask = None
        if span.start > 0 or span.total > step.topk:
            mask = _mask(index_q, index_w, store.index(layer), step, span)
        out[rows] = ops.full_attention(q, k, v, mla.scale, mask)[0].transpose(0, 1)
    return mla.o_proj(out.flatten(1))


def _select(q: Tensor, w: Tensor, pages: Tensor, step: StepRows, rows: Tensor | slice) -> Tensor:
    """Slots [n, k] of the index's choice for some rows, which see more than k tokens; q
    [N, Hi, Di], w [N, Hi]."""
    if step.window:
        last = torch.arange(step.topk, device=q.device) - step.topk
        places = step.lengths[rows, None].long() + last  # [n, k]
        pages_of = step.tables[step.rows[rows].long()[:, None], places // PAGE].long()
        return (pages_of * PAGE + places % PAGE).int()
    kernels = ops.paged(q, 16)
    return kernels.index_topk(
        q[rows], w[rows], pages, step.tables, step.rows[rows], step.lengths[rows], step.topk,
        step.longest,
    )  # fmt: skip


def _past(latents: Tensor, step: StepRows, span: Span) -> Tensor:
    """All latents that a span sees, [1, S, R + Dr]."""
    table = step.tables[span.table, : -(-span.total // PAGE)].long()
    return latents.view(-1, PAGE, latents.shape[1])[table].flatten(0, 1)[None, : span.total]


def _mask(q: Tensor, w: Tensor, pages: Tensor, step: StepRows, span: Span) -> Tensor:
    """What each token of a span attends to, [1, T, S]: what it sees, or its top-k of that."""
    seen = step.lengths[span.begin : span.end, None]  # [T, 1]
    device = seen.device
    mask = torch.arange(span.total, device=device)[None] < seen
    many = (seen[:, 0] > step.topk).nonzero().squeeze(1)
    if len(many):
        slots = _select(q, w, pages, step, many + span.begin).long()  # [n, k], all filled
        place = torch.empty(len(pages), dtype=torch.long, device=device)
        table = step.tables[span.table, : -(-span.total // PAGE)].long()
        place[table] = torch.arange(len(table), device=device)
        chosen = torch.zeros(len(many), span.total, dtype=torch.bool, device=device)
        mask[many] = chosen.scatter_(1, place[slots // PAGE] * PAGE + slots % PAGE, True)
    return mask[None]
