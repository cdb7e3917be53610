"""The losses of the four stages: next token, multi-token prediction, and the indexer's KL.

Pre-training: L + lambda L_MTP, dense (V3 report, 2.2). Warm-up: KL alone, dense. Sparse and
supervised: L + lambda L_MTP + KL over the selected set (V3.2-Exp report, 2.1.1); since the
indexer's input is detached, the sum trains each part by its own loss only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from speciale.model import Trace, Transformer
from speciale.model.config import Attention
from speciale.model.context import Chunk
from speciale.train.indexer_kl import indexer_kl

IGNORED = -100


@dataclass(frozen=True)
class Batch:
    ids: Tensor  # [B, L + 1]: inputs and, one further, targets
    documents: Tensor | None = None  # [B, L + 1]: samples that must not see each other
    learn: Tensor | None = None  # [B, L + 1] bool: the tokens to learn (None: all)

    def targets(self, ahead: int) -> Tensor:
        """What position t must predict `ahead` tokens on, [B, L]; IGNORED where nothing is."""
        length = self.ids.shape[1] - 1
        targets = torch.full_like(self.ids[:, 1:], IGNORED)
        future = self.ids[:, ahead:].clone()
        if self.learn is not None:
            future[~self.learn[:, ahead:]] = IGNORED
        if self.documents is not None:
            other = self.documents[:, ahead:] != self.documents[:, :-ahead]
            future[other] = IGNORED
        targets[:, : length + 1 - ahead] = future
        return targets

    def to(self, device: torch.device) -> Batch:
        moved = (
            None if x is None else x.to(device) for x in (self.ids, self.documents, self.learn)
        )
        return Batch(*moved)

    def share(self, rows: slice = slice(None), chunk: Chunk | None = None) -> Share:
        """A rank's rows and part of each sequence; all of it unless told."""
        own = slice(None)
        if chunk is not None:
            own = slice(chunk.first, chunk.first + (self.ids.shape[1] - 1) // chunk.ranks)
        targets = {ahead: self.targets(ahead) for ahead in (1, 2)}
        return Share(
            self.ids[rows, :-1][:, own],
            self.ids[rows, 1:][:, own],
            None if self.documents is None else self.documents[rows, :-1],
            {ahead: every[rows, own] for ahead, every in targets.items()},
            {ahead: int((every != IGNORED).sum()) for ahead, every in targets.items()},
            self.ids[:, 1:].numel(),
            chunk,
        )


@dataclass(frozen=True)
class Share:
    """What one rank computes of a batch. Its losses are sums over its own part, divided by the
    counts of the whole, so that the ranks' losses and gradients add up to the batch's."""

    ids: Tensor  # [b, T]
    next_ids: Tensor  # [b, T]
    documents: Tensor | None  # [b, L]: of whole sequences
    targets: dict[int, Tensor]  # tokens ahead -> [b, T]
    counts: dict[int, int]  # tokens ahead -> targets in the whole batch
    tokens: int  # of the whole batch
    chunk: Chunk | None


@dataclass
class Losses:
    total: Tensor
    parts: dict[str, float]
    routing: list[Tensor]


def token_loss(
    model: Transformer, hidden: Tensor, targets: Tensor, count: int | None = None
) -> Tensor:
    """Mean cross-entropy in nats of hidden [B, L, d] against targets [B, L].

    count: by which to divide the sum, where the targets are a part of a batch's.
    """
    logits = model.lm_head(hidden).flatten(0, 1).float()  # [B*L, V]
    flat = targets.flatten()
    if count is None:
        return F.cross_entropy(logits, flat, ignore_index=IGNORED)
    return F.cross_entropy(logits, flat, ignore_index=IGNORED, reduction="sum") / count


def language_losses(
    model: Transformer, share: Share, attention: Attention, mtp_weight: float, kl: bool
) -> Losses:
    """Next-token and MTP loss, with the indexer's KL where `kl` is set."""
    trace = Trace(partial(indexer_kl, tokens=share.tokens) if kl else None)
    hidden, mtp_hidden = _hidden(model, share, attention, trace, mtp_weight > 0)
    loss = token_loss(model, hidden, share.targets[1], share.counts[1])
    total, parts = loss, {"loss": loss.item()}
    if mtp_hidden is not None:
        mtp = token_loss(model, mtp_hidden, share.targets[2], share.counts[2])
        total = total + mtp_weight * mtp
        parts["mtp_loss"] = mtp.item()
    if kl:
        divergence = torch.stack(trace.measured).mean()
        total = total + divergence
        parts["indexer_kl"] = divergence.item()
    return Losses(total, parts, trace.routing)


def warmup_loss(model: Transformer, share: Share) -> Losses:
    """The indexer's KL over all earlier tokens; only the indexers may require gradients."""
    trace = Trace(partial(indexer_kl, tokens=share.tokens))
    _hidden(model, share, "dense", trace, model.mtp is not None)
    divergence = torch.stack(trace.measured).mean()
    return Losses(divergence, {"indexer_kl": divergence.item()}, trace.routing)


def _hidden(
    model: Transformer, share: Share, attention: Attention, trace: Trace, with_mtp: bool
) -> tuple[Tensor, Tensor | None]:
    past = dict(documents=share.documents, trace=trace, chunk=share.chunk)
    hidden = model.hidden(share.ids, attention=attention, **past)  # [b, T, d]
    if not with_mtp:
        return hidden, None
    return hidden, model.mtp_hidden(hidden, share.next_ids, attention, **past)
