"""What the lightning indexer learns from: KL(p || softmax(I)), p the main attention over heads.

V3.2-Exp report, 2.1.1, equations 3 and 4: over all earlier tokens in the dense warm-up, over the
selected set S_t in the sparse stage. Computed block of queries by block, so that memory grows with
L and not with heads x L^2; the gradients are taken in the forward pass for the same reason.
"""

from __future__ import annotations

import torch
from torch import Tensor

from speciale import ops
from speciale.model.context import AttentionRecord

_BLOCK_FLOATS = 1 << 20  # 4 MB, about a cache: heads x queries x keys of one block


def indexer_kl(record: AttentionRecord, tokens: int | None = None) -> Tensor:
    """A layer's KL loss, mean over tokens in nats; gradients reach its indexer only.

    tokens: by which to divide the sum, where the record is a part of a batch.
    """
    return _BlockwiseKl.apply(record.index_q, record.index_k, record.index_w, record, tokens)


def _blocks(record: AttentionRecord) -> list[tuple[slice, Tensor]]:
    """Blocks of queries, each with its mask [1|B, rows, S'], keys cut at the last visible one."""
    batch, heads, queries, _ = record.q.shape
    widest = max(heads, record.index_q.shape[2])
    visible = record.visible
    size = max(1, min(queries, _BLOCK_FLOATS // (batch * widest * visible.total)))
    blocks = []
    for start in range(0, queries, size):
        rows = slice(start, min(start + size, queries))
        last = visible.offset + rows.stop
        if record.selected is not None:
            mask = record.selected[:, rows, :last]
        else:
            mask = visible.rows(rows.start, rows.stop)[..., :last]
        blocks.append((rows, mask))
    return blocks


def _attention_target(record: AttentionRecord, rows: slice, mask: Tensor) -> Tensor:
    """p[t,:]: the main attention of each head over `mask`, summed over heads, L1-normalised."""
    keys = record.k[:, :, : mask.shape[-1]]
    scores = record.q[:, :, rows] @ keys.transpose(2, 3)  # [B, H, t, S']
    scores = scores.mul_(record.scale).masked_fill_(~mask.unsqueeze(1), float("-inf"))
    return scores.softmax(-1, dtype=torch.float32).mean(1)  # [B, t, S']


class _BlockwiseKl(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        index_q: Tensor,
        index_k: Tensor,
        index_w: Tensor,
        record: AttentionRecord,
        tokens: int | None,
    ):
        q, k, w = (x.detach().requires_grad_() for x in (index_q, index_k, index_w))
        tokens = tokens or q.shape[0] * q.shape[1]
        grad_q, grad_w = torch.zeros_like(q), torch.zeros_like(w)
        grad_k = torch.zeros_like(k)
        total = q.new_zeros((), dtype=torch.float32)
        for rows, mask in _blocks(record):
            target = _attention_target(record, rows, mask)
            with torch.enable_grad():
                block_q, block_w, block_k = q[:, rows], w[:, rows], k[:, : mask.shape[-1]]
                scores = ops.index_scores(block_q, block_k, block_w)  # [B, t, S']
            log_index = scores.detach().masked_fill(~mask, float("-inf")).log_softmax(-1)
            # d KL / d I = softmax(I) - p, zero where masked
            slope = log_index.exp().sub_(target).div_(tokens)
            parts = torch.autograd.grad(scores, (block_q, block_k, block_w), slope)
            grad_q[:, rows], grad_w[:, rows] = parts[0], parts[2]
            grad_k[:, : mask.shape[-1]] += parts[1]
            cross = (target * log_index.masked_fill_(~mask, 0.0)).sum()
            total += (torch.special.xlogy(target, target).sum() - cross) / tokens
        ctx.save_for_backward(grad_q, grad_k, grad_w)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor):
        return *(grad * saved for saved in ctx.saved_tensors), None, None


@torch.no_grad()
def indexer_recall(record: AttentionRecord, topk: int) -> float:
    """Share of the attention's true top-k tokens that the indexer's top-k holds.

    Mean over the queries that see more than k tokens; the record must come from a dense pass.
    """
    found = queries = 0
    for rows, mask in _blocks(record):
        target = _attention_target(record, rows, mask)
        scores = ops.index_scores(
            record.index_q[:, rows], record.index_k[:, : mask.shape[-1]], record.index_w[:, rows]
        ).masked_fill(~mask, float("-inf"))
        deep = mask.sum(-1).expand(scores.shape[:2]) > topk  # [B, t]
        if not deep.any():
            continue
        chosen = torch.zeros_like(scores, dtype=torch.bool)
        chosen.scatter_(-1, scores.topk(topk, -1).indices, True)
        hits = chosen.gather(-1, target.topk(topk, -1).indices).sum(-1)  # [B, t]
        found += int(hits[deep].sum())
        queries += int(deep.sum())
    return found / (queries * topk) if queries else 1.0
