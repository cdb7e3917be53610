"""The hot functions in plain PyTorch: index scores, top-k, sparse attention, expert matmul.

Sparse attention has two forms that agree: masked (all scores, unselected ones at -inf; short
contexts, training) and gathered (only the k selected latents are read; long contexts, decode).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK_FLOATS = 1 << 21  # 8 MB, about a cache: bound of a query block's intermediate


def _query_block(queries: int, floats_per_query: int) -> int:
    return max(1, min(queries, _BLOCK_FLOATS // max(1, floats_per_query)))


def index_scores(q: Tensor, k: Tensor, w: Tensor) -> Tensor:
    """I[t,s] = sum_j w[t,j] ReLU(q_j[t] . k[s]) in float32 (V3.2-Exp report, equation 1).

    q [B, T, Hi, Di], k [B, S, Di], w [B, T, Hi] with all scales in it -> [B, T, S].
    """
    keys = k.float().transpose(1, 2)  # [B, Di, S]
    total = None
    for j in range(q.shape[2]):  # head by head: three times faster here than one H x S intermediate
        scored = F.relu(q[:, :, j].float() @ keys) * w[:, :, j, None].float()  # [B, T, S]
        total = scored if total is None else total + scored
    return total


def select_topk(
    q: Tensor, k: Tensor, w: Tensor, topk: int, visible_rows: Callable[[int, int], Tensor]
) -> Tensor:
    """Ids of the top-k visible keys of each query, -1 where fewer are visible.

    Shapes as in `index_scores`; visible_rows(start, stop) gives the mask [1|B, rows, S].
    Works in blocks of queries. Returns [B, T, min(topk, S)] int64.
    """
    b, t = q.shape[:2]
    total = k.shape[1]
    topk = min(topk, total)
    block = _query_block(t, b * total)
    chosen = []
    for start in range(0, t, block):
        rows = slice(start, min(start + block, t))
        scores = index_scores(q[:, rows], k, w[:, rows])
        scores = scores.masked_fill(~visible_rows(rows.start, rows.stop), float("-inf"))
        best = scores.topk(topk, dim=-1, sorted=False)
        chosen.append(best.indices.masked_fill(best.values == float("-inf"), -1))
    return torch.cat(chosen, 1)


def full_attention(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Attention over all keys, or over those of `mask` [1|B, T, S]; None means causal, T = S.

    q, k [B, H, T|S, Dqk], v [B, H, S, Dv] -> [B, H, T, Dv].
    """
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    mask = mask.unsqueeze(1).expand(q.shape[0], 1, -1, -1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def gathered_attention(q: Tensor, latents: Tensor, ids: Tensor, scale: float, rank: int) -> Tensor:
    """Absorbed attention over the selected latents only.

    q [B, T, H, R + Dr], latents [B, S, R + Dr], ids [B, T, k] (-1: none) -> [B, T, H, R] with
    R = rank, the part of the latent that is also the value. Works in blocks of queries.
    """
    b, t, heads, _ = q.shape
    width, topk = latents.shape[-1], ids.shape[-1]
    batch = torch.arange(b, device=q.device).view(b, 1, 1)
    block = _query_block(t, b * topk * (width + heads))
    out = []
    for start in range(0, t, block):
        rows = slice(start, start + block)
        chosen = ids[:, rows]
        kv = latents[batch, chosen.clamp(min=0)]  # [B, t, k, R+Dr]
        scores = (q[:, rows] @ kv.transpose(2, 3)) * scale  # [B, t, H, k]
        scores = scores.masked_fill((chosen < 0).unsqueeze(2), float("-inf"))
        out.append(scores.softmax(-1, dtype=torch.float32).to(kv.dtype) @ kv[..., :rank])
    return torch.cat(out, 1)


class _Dispatch(torch.autograd.Function):
    """Copies row i of x to its K places of the expert-sorted order; backward adds them up.

    The generic backward of indexing would scatter-add row by row; here the K copies of a row are
    found by the inverse permutation, so it is one gather and one sum.
    """

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor, copies: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.copies = copies
        return x[order // copies]

    @staticmethod
    def backward(ctx, grad: Tensor):
        (inverse,) = ctx.saved_tensors
        return grad[inverse].unflatten(0, (-1, ctx.copies)).sum(1), None, None, None


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x[inverse]

    @staticmethod
    def backward(ctx, grad: Tensor):
        (order,) = ctx.saved_tensors
        return grad[order], None, None


def expert_mlp(x: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU of each row's experts, weighted and summed.

    x [N, d], ids [N, K], weights [N, K], gate_up [E, 2m, d], down [E, d, m] -> [N, d]. Rows are
    sorted by expert, so that each expert is one matmul.
    """
    copies = ids.shape[1]
    flat = ids.flatten()
    order = flat.argsort(stable=True)  # [N*K] sorted place -> (row, choice)
    inverse = torch.empty_like(order).scatter_(
        0, order, torch.arange(len(order), device=order.device)
    )
    counts = flat.bincount(minlength=len(gate_up)).tolist()
    rows = _Dispatch.apply(x, order, inverse, copies)  # [N*K, d]
    out = []
    # unbind, not gate_up[e]: its backward is one stack instead of E full-size gradients
    for part, up_e, down_e in zip(rows.split(counts), gate_up.unbind(0), down.unbind(0)):
        gate, up = F.linear(part, up_e).chunk(2, -1)  # [n_e, m] each
        out.append(F.linear(F.silu(gate) * up, down_e))
    y = _Permute.apply(torch.cat(out), order, inverse)  # [N*K, d]
    y = y.unflatten(0, (-1, copies))  # [N, K, d]
    return (weights.to(y.dtype).unsqueeze(1) @ y).squeeze(1)


def grouped_expert_mlp(
    x: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor
) -> Tensor:
    """As `expert_mlp`, without gradients. Nothing waits for a GPU: a CUDA graph can record it."""
    copies, flat = ids.shape[1], ids.flatten()
    order = flat.argsort(stable=True)  # [N*K] sorted place -> (row, choice)
    counts = flat.new_zeros(len(gate_up)).scatter_add_(0, flat, torch.ones_like(flat))
    ends = counts.cumsum(0).int()  # [E]
    rows = x[order // copies]  # [N*K, d]
    gate, up = F.grouped_mm(rows, gate_up.transpose(1, 2), offs=ends).chunk(2, -1)  # [N*K, m] each
    y = F.grouped_mm(F.silu(gate) * up, down.transpose(1, 2), offs=ends)  # [N*K, d]
    y = torch.empty_like(y).index_copy_(0, order, y).unflatten(0, (-1, copies))  # [N, K, d]
    return (weights.to(y.dtype).unsqueeze(1) @ y).squeeze(1)
