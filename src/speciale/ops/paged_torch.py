"""Sparse attention over a cache of pages in plain PyTorch: the reference and the fallback.

Pages hold 64 tokens. A layer's latents are rows [slots, R + Dr], slot = page * 64 + offset; its
index keys lie [pages, Di, 64]. Queries [N, ...] belong to requests: `rows` [N] names each one's,
`tables` [requests, most pages] the requests' pages by position, `lengths` [N] how many positions a
query sees. The selection is that of the V3.2-Exp report, section 2.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PAGE = 64
_BLOCK_FLOATS = 1 << 22  # 16 MB: bound of a block of queries' intermediate


def index_topk(
    q: Tensor, w: Tensor, index_pages: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor,
    topk: int, max_length: int | None = None,
) -> Tensor:  # fmt: skip
    """Slots of the top-k visible keys of each query by I = sum_j w_j ReLU(q_j . k).

    q [N, Hi, Di], w [N, Hi], index_pages [pages, Di, 64], tables int32, rows and
    lengths [N] int32 -> [N, topk] int32, ascending by position, -1 at the end where fewer
    are visible. max_length: none of lengths is greater; who runs on a GPU need not wait to know.
    """
    out = torch.full((len(q), topk), -1, dtype=torch.int32, device=q.device)
    for here, table, longest, positions in _blocks(tables, rows, lengths, q.shape[1]):
        keys = index_pages[table]  # [pages, Di, 64]
        scored = torch.einsum("nhd,pds->nhps", q[here], keys).flatten(2)  # [n, Hi, S]
        scores = (F.relu(scored) * w[here, :, None]).sum(1)[:, :longest]  # [n, S]
        scores = scores.masked_fill(positions >= lengths[here, None], float("-inf"))
        best = scores.topk(min(topk, longest), dim=-1)
        chosen = best.indices.masked_fill(best.values == float("-inf"), longest).sort(-1).values
        slots = table[(chosen // PAGE).clamp(max=len(table) - 1)] * PAGE + chosen % PAGE
        out[here, : chosen.shape[1]] = slots.masked_fill(chosen == longest, -1).int()
    return out


def sparse_attention(q: Tensor, latents: Tensor, slots: Tensor, scale: float, rank: int) -> Tensor:
    """Absorbed attention over the selected slots.

    q [N, H, R + Dr], latents [slots, R + Dr], slots [N, k] int32 (-1: none) -> [N, H, R], R = rank.
    """
    out = q.new_empty(len(q), q.shape[1], rank)
    step = max(1, _BLOCK_FLOATS // max(1, slots.shape[1] * (latents.shape[1] + q.shape[1])))
    for start in range(0, len(q), step):
        here = slice(start, start + step)
        kv = latents[slots[here].clamp(min=0)]  # [n, k, R + Dr]
        scores = (q[here] @ kv.transpose(1, 2)) * scale  # [n, H, k]
        scores = scores.masked_fill((slots[here] < 0)[:, None], float("-inf"))
        out[here] = scores.softmax(-1) @ kv[..., :rank]
    return out


def dense_attention(
    q: Tensor, latents: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor, scale: float,
    rank: int,
) -> Tensor:  # fmt: skip
    """Absorbed attention over all visible tokens; shapes as above -> [N, H, R]."""
    out = q.new_empty(len(q), q.shape[1], rank)
    pages = latents.view(-1, PAGE, latents.shape[1])
    for here, table, longest, positions in _blocks(tables, rows, lengths, q.shape[1]):
        kv = pages[table].flatten(0, 1)[:longest]  # [S, R + Dr]
        scores = (q[here] @ kv.T) * scale  # [n, H, S]
        scores = scores.masked_fill((positions >= lengths[here, None])[:, None], float("-inf"))
        out[here] = scores.softmax(-1) @ kv[:, :rank]
    return out


def _blocks(tables: Tensor, rows: Tensor, lengths: Tensor, heads: int):
    """Yields (queries, their request's pages, longest length, positions [1, S]) for runs of queries
    of one request, so many at a time that queries x heads x positions stay small."""
    requests, counts = torch.unique_consecutive(rows, return_counts=True)
    start = 0
    for request, count in zip(requests.tolist(), counts.tolist()):
        longest = int(lengths[start : start + count].max())
        step = max(1, _BLOCK_FLOATS // (heads * longest))
        table = tables[request, : -(-longest // PAGE)].long()
        positions = torch.arange(longest, device=rows.device)[None]  # [1, S]
        for first in range(start, start + count, step):
            here = slice(first, min(first + step, start + count))
            yield here, table, longest, positions
        start += count
