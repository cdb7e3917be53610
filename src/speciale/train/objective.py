"""The losses of the four stages: next token, multi-token prediction, and the indexer's KL.

Pre-training: L + lambda L_MTP, dense (V3 report, 2.2). Warm-up: KL alone, dense. Sparse and
supervised: L + lambda L_MTP + KL over the selected set (V3.2-Exp report, 2.1.1); since the
indexer's input is detached, the sum trains each part by its own loss only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from speciale.model import Trace, Transformer
from speciale.model.context import Attention
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


@dataclass
class Losses:
    total: Tensor
    parts: dict[str, float]
    routing: list[Tensor]


def token_loss(model: Transformer, hidden: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of hidden [B, L, d] against targets [B, L]."""
    logits = model.lm_head(hidden).flatten(0, 1)  # [B*L, V]
    return F.cross_entropy(logits.float(), targets.flatten(), ignore_index=IGNORED)


def language_losses(
    model: Transformer, batch: Batch, attention: Attention, mtp_weight: float, kl: bool
) -> Losses:
    """Next-token and MTP loss, with the indexer's KL where `kl` is set."""
    trace = Trace(record_attention=kl)
    hidden, mtp_hidden = _hidden(model, batch, attention, trace, mtp_weight > 0)
    loss = token_loss(model, hidden, batch.targets(1))
    total, parts = loss, {"loss": loss.item()}
    if mtp_hidden is not None:
        mtp = token_loss(model, mtp_hidden, batch.targets(2))
        total = total + mtp_weight * mtp
        parts["mtp_loss"] = mtp.item()
    if kl:
        divergence = indexer_kl(trace.attention)
        total = total + divergence
        parts["indexer_kl"] = divergence.item()
    return Losses(total, parts, trace.routing)


def warmup_loss(model: Transformer, batch: Batch) -> Losses:
    """The indexer's KL over all earlier tokens; only the indexers may require gradients."""
    trace = Trace(record_attention=True)
    _hidden(model, batch, "dense", trace, model.mtp is not None)
    divergence = indexer_kl(trace.attention)
    return Losses(divergence, {"indexer_kl": divergence.item()}, trace.routing)


def _hidden(
    model: Transformer, batch: Batch, attention: Attention, trace: Trace, with_mtp: bool
) -> tuple[Tensor, Tensor | None]:
    docs = None if batch.documents is None else batch.documents[:, :-1]
    hidden = model.hidden(
        batch.ids[:, :-1], attention=attention, documents=docs, trace=trace
    )  # [B, L, d]
    if not with_mtp:
        return hidden, None
    return hidden, model.mtp_hidden(hidden, batch.ids[:, 1:], attention, docs, trace)
