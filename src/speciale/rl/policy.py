"""pi as the trainer computes it: log-probs of sampled tokens under the sampler's own conditions.

V3.2 report, 3.1. Keep Routing: the experts that the sampler used are used again, weighted by the
current router. Keep Sampling Mask: where top-p, top-k or min-p left a set of tokens, pi is
renormalised over that same set. The sampler's temperature divides the logits first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speciale.model import Trace, Transformer
from speciale.model.context import Measure
from speciale.rl.forest import Forest


@dataclass(frozen=True)
class Conditions:
    """How the sampler drew, and which of it the trainer repeats."""

    temperature: float = 1.0
    keep_routing: bool = True
    keep_sampling_mask: bool = True


@dataclass
class Policy:
    """What a forward pass says of a forest's N sequences of up to T sampled tokens."""

    logp: Tensor  # [N, T], 0 where no token is
    entropy: Tensor  # [n] of the distribution before any truncation, in nats; no gradient
    trace: Trace


def evaluate(
    model: Transformer, forest: Forest, conditions: Conditions, measure: Measure | None = None
) -> Policy:
    """Log-probs of a forest, with their gradient where autograd is on.

    measure: of each layer's attention, kept in `trace`, such as the indexer's KL loss.
    """
    trace = Trace(measure)
    replay = forest.replay if conditions.keep_routing else None
    hidden = model.hidden(forest.ids, trace=trace, replay=replay, tree=forest.tree)  # [1, S, d]
    logits = model.lm_head(hidden[0, forest.places]).float() / conditions.temperature  # [n, V]
    kept = forest.kept if conditions.keep_sampling_mask else None
    logp = logits.new_zeros(forest.mask.shape)
    values = token_logprobs(logits, forest.targets, kept)  # [n]
    logp = logp.index_put((forest.rows, forest.columns), values)
    return Policy(logp, entropy(logits.detach()), trace)


def token_logprobs(
    logits: Tensor, targets: Tensor, kept: list[np.ndarray | None] | None = None
) -> Tensor:
    """Log-probs of targets [n] under logits [n, V], renormalised over `kept[i]` where that is a
    set of token ids; it holds the target."""
    chosen = logits.gather(1, targets[:, None])[:, 0]  # [n]
    total = logits.logsumexp(-1)  # [n]
    truncated = [n for n, ids in enumerate(kept or ()) if ids is not None]
    if truncated:
        sets = [torch.from_numpy(np.asarray(kept[n], np.int64)) for n in truncated]
        ids = torch.nn.utils.rnn.pad_sequence(sets, batch_first=True, padding_value=-1)  # [m, K]
        rows = torch.tensor(truncated)
        inside = logits[rows[:, None], ids.clamp_min(0)].masked_fill(ids < 0, float("-inf"))
        total = total.index_put((rows,), inside.logsumexp(-1))
    return chosen - total


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits [n, V]) in nats, [n]."""
    logp = logits.log_softmax(-1)
    return -(logp.exp() * logp).sum(-1)


def routing_agreement(trace: Trace, forest: Forest) -> float | None:
    """Share of the sampler's expert choices that a pass without replay makes too; None where the
    model has no experts or the sampler did not tell."""
    if forest.replay is None or not trace.routing:
        return None
    same = total = 0
    for mine, theirs in zip(trace.routing, forest.replay):  # [1, S, K]
        same += int((mine[..., :, None] == theirs[..., None, :]).any(-1).sum())
        total += mine.numel()
    return same / total
